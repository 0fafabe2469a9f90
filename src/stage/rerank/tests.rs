//! The published rule's edge cases (E47, E50-E55) and the properties every policy keeps.

use proptest::prelude::*;

use super::*;
use crate::artifact::{CandidateId, CandidateStatus, Outcome, Subject, TestKind};

fn candidate(sample: u32, class: &str) -> Candidate {
    Candidate {
        status: CandidateStatus::Ok,
        patch: format!("patch of {class}"),
        class: class.into(),
        ..Candidate::invalid(sample, String::new())
    }
}

fn run(sample: u32, test: &str, kind: TestKind, outcome: Outcome) -> Execution {
    Execution {
        subject: Subject::Candidate(CandidateId(sample)),
        test: test.into(),
        kind,
        outcome,
        seconds: 0.1,
    }
}

fn passes(sample: u32, tests: &[&str]) -> Vec<Execution> {
    tests.iter().map(|t| run(sample, t, TestKind::Reproduction, Outcome::Pass)).collect()
}

fn fails(sample: u32, tests: &[&str]) -> Vec<Execution> {
    tests.iter().map(|t| run(sample, t, TestKind::Regression, Outcome::Fail)).collect()
}

fn mini(candidates: &[Candidate], executions: &[Execution]) -> Option<u32> {
    let config = RerankConfig { policy: Policy::Mini };
    rerank(&config, candidates, executions).chosen.map(|id| id.0)
}

#[test]
fn e50_an_empty_sample_does_not_void_the_test_evidence() {
    let candidates = [
        Candidate::invalid(0, "no_edit".into()),
        candidate(1, "A"),
        candidate(2, "A"),
        candidate(3, "B"),
    ];
    let mut executions = fails(1, &["r1", "r2", "r3"]);
    executions.extend(fails(3, &["r1"]));
    executions.extend(passes(3, &["t000"]));
    assert_eq!(mini(&candidates, &executions), Some(3));
}

#[test]
fn e51_a_candidate_that_could_not_be_tested_is_worse_than_any_failure() {
    let candidates = [candidate(0, "A"), candidate(1, "A"), candidate(2, "B")];
    let mut executions = vec![run(0, "r1", TestKind::Regression, Outcome::NotRun)];
    executions.extend(fails(2, &["r1", "r2", "r3"]));
    assert_eq!(mini(&candidates, &executions), Some(2));
}

#[test]
fn e52_groups_score_tests_squared_times_samples() {
    let group = |eight: u32| {
        let mut candidates = vec![candidate(0, "A")];
        let mut executions = passes(0, &["t1", "t2", "t3"]);
        for sample in 1..=eight {
            candidates.push(candidate(sample, "B"));
        }
        executions.extend(passes(1, &["t1"]));
        mini(&candidates, &executions)
    };
    assert_eq!(group(8), Some(0), "9 > 8");
    assert_eq!(group(10), Some(1), "10 > 9");
}

#[test]
fn e53_groups_of_equal_score_are_merged_before_the_vote() {
    let mut executions = passes(0, &["t1", "t2"]);
    for sample in 1..=4 {
        executions.extend(passes(sample, &["t3"]));
    }
    let four_keys: Vec<_> =
        (0..=4).map(|sample| candidate(sample, &format!("k{sample}"))).collect();
    assert_eq!(mini(&four_keys, &executions), Some(0));
    let one_key: Vec<_> =
        (0..=4).map(|sample| candidate(sample, if sample == 0 { "a" } else { "b" })).collect();
    assert_eq!(mini(&one_key, &executions), Some(1));
}

#[test]
fn e54_e55_ties_go_to_the_earliest_sample_and_nothing_to_nobody() {
    assert_eq!(mini(&[candidate(3, "B"), candidate(1, "A")], &[]), Some(1));
    assert_eq!(mini(&[Candidate::invalid(0, "x".into())], &[]), None);
    assert_eq!(mini(&[], &[]), None);
}

#[test]
fn e47_a_cosmetic_candidate_is_chosen_only_if_nothing_else_exists() {
    let cosmetic = |sample| Candidate { substantive: false, ..candidate(sample, "comment") };
    let candidates = [cosmetic(0), cosmetic(1), candidate(2, "B")];
    assert_eq!(mini(&candidates, &fails(2, &["r1"])), Some(2));
    assert_eq!(mini(&[cosmetic(4)], &[]), Some(4));
}

#[test]
fn an_execution_on_any_member_counts_for_the_class() {
    let candidates = [candidate(0, "A"), candidate(1, "B"), candidate(2, "B")];
    assert_eq!(mini(&candidates, &passes(2, &["t1"])), Some(1));
}

#[test]
fn majority_ignores_executions() {
    let candidates = [candidate(0, "A"), candidate(1, "B"), candidate(2, "B")];
    let config = RerankConfig { policy: Policy::Majority };
    let ranking = rerank(&config, &candidates, &passes(0, &["t1"]));
    assert_eq!(ranking.chosen, Some(CandidateId(1)));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Pass),
        Just(Outcome::Fail),
        Just(Outcome::Error),
        Just(Outcome::Timeout),
        Just(Outcome::NotRun)
    ]
}

prop_compose! {
    fn world()(
        classes in prop::collection::vec(0u8..4, 1..9),
        runs in prop::collection::vec((0u32..9, 0u8..4, any::<bool>(), outcome()), 0..40),
    ) -> (Vec<Candidate>, Vec<Execution>) {
        let candidates = classes
            .iter()
            .zip(0..)
            .map(|(class, sample)| candidate(sample, &format!("k{class}")))
            .collect();
        let executions = runs
            .into_iter()
            .map(|(sample, test, regression, outcome)| {
                let kind =
                    if regression { TestKind::Regression } else { TestKind::Reproduction };
                run(sample, &format!("{kind:?}{test}"), kind, outcome)
            })
            .collect();
        (candidates, executions)
    }
}

proptest! {
    #[test]
    fn the_order_of_inputs_does_not_matter((candidates, executions) in world()) {
        let mut shuffled = (candidates.clone(), executions.clone());
        shuffled.0.reverse();
        shuffled.1.reverse();
        for policy in [Policy::Mini, Policy::Majority] {
            let config = RerankConfig { policy };
            prop_assert_eq!(
                rerank(&config, &candidates, &executions),
                rerank(&config, &shuffled.0, &shuffled.1)
            );
        }
    }

    #[test]
    fn a_new_regression_failure_never_promotes_its_class((candidates, executions) in world()) {
        let config = RerankConfig { policy: Policy::Mini };
        let before = rerank(&config, &candidates, &executions);
        let class = &candidates[0].class;
        let mut worse = executions;
        worse.push(run(0, "a new failure", TestKind::Regression, Outcome::Fail));
        let after = rerank(&config, &candidates, &worse);
        let chosen_class =
            |ranking: &Ranking| candidates[ranking.chosen.unwrap().0 as usize].class.clone();
        if chosen_class(&before) != *class {
            prop_assert_ne!(&chosen_class(&after), class);
        }
    }
}
