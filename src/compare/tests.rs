//! Comparisons of made-up artifacts.

use super::*;
use crate::artifact::{Candidate, CandidateId, CandidateStatus, Ranking};

fn ok(sample: u32, class: &str, patch: &str) -> Candidate {
    Candidate {
        status: CandidateStatus::Ok,
        class: class.into(),
        patch: patch.into(),
        ..Candidate::invalid(sample, String::new())
    }
}

fn chosen(id: u32) -> Option<Ranking> {
    Some(Ranking { policy: "p".into(), chosen: Some(CandidateId(id)), ranked: vec![] })
}

fn notes(a: &Evidence, b: &Evidence) -> Vec<(Stage, String)> {
    stages(a, b).into_iter().map(|diff| (diff.stage, diff.note)).collect()
}

#[test]
fn a_sample_that_is_read_now_shows_at_repair_with_its_reason() {
    let invalid = |sample| Candidate::invalid(sample, format!("not_found: line {sample}"));
    let a = Evidence { candidates: vec![ok(0, "x", "1"), invalid(1)], ..Evidence::default() };
    let b = Evidence { candidates: vec![ok(0, "x", "1"), ok(1, "y", "2")], ..Evidence::default() };
    let note = "candidate classes 1 vs 2, 1 shared; lost: not_found 1 → 0".to_owned();
    assert_eq!(notes(&a, &b), [(Stage::Repair, note)]);
    // The detail behind a reason's code is no difference.
    let c = Candidate::invalid(1, "not_found: elsewhere".into());
    let c = Evidence { candidates: vec![ok(0, "x", "1"), c], ..Evidence::default() };
    assert_eq!(notes(&a, &c), []);
}

#[test]
fn a_choice_is_told_apart_by_patch_and_class() {
    let candidates = vec![ok(0, "x", "1"), ok(1, "x", "1"), ok(2, "x", "1b"), ok(3, "y", "2")];
    let with = |id| Evidence {
        candidates: candidates.clone(),
        ranking: chosen(id),
        ..Evidence::default()
    };
    let said = |id| notes(&with(0), &with(id)).pop().map(|(_, note)| note).unwrap_or_default();
    assert_eq!(said(0), "");
    assert!(said(1).starts_with("same patch by another sample: c001"));
    assert!(said(2).starts_with("same change in another text: c002"));
    assert_eq!(said(3), "chose another change: c003 (class y) instead of c000");
}

#[test]
fn flips_are_counted_over_instances_that_both_reports_judge() {
    let id = |n: usize| InstanceId::new(format!("i{n}")).unwrap();
    let grades = |resolved: &[usize], unresolved: &[usize]| Grades {
        resolved_ids: resolved.iter().map(|&n| id(n)).collect(),
        unresolved_ids: unresolved.iter().map(|&n| id(n)).collect(),
        ..Grades::default()
    };
    let (a, b) = (grades(&[0, 1], &[2, 3]), grades(&[0, 2, 3], &[1]));
    let same = Evidence::default();
    let instances = (0..5)
        .map(|n| InstanceDiff::new(&id(n), Some(&same), Some(&same)).graded(Some(&a), Some(&b)))
        .collect();
    let flips = Comparison::new(vec![], vec![], instances, true).grades.unwrap();
    assert_eq!((flips.gained, flips.lost), (vec![id(2), id(3)], vec![id(1)]));
    assert_eq!(flips.graded_in_both, 4);
}

#[test]
fn settings_that_only_say_where_and_how_fast_decide_nothing() {
    for key in ["run.jobs", "model.base_url", "repos.url", "dataset", "version"] {
        assert!(!decides(key), "{key}");
    }
    for key in ["run.seed", "repair.samples", "dataset_digest", "prompts.repair", "model"] {
        assert!(decides(key), "{key}");
    }
}
