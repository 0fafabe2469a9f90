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

fn choose(policy: Policy, candidates: &[Candidate], executions: &[Execution]) -> Option<u32> {
    rerank(&RerankConfig { policy }, candidates, executions).chosen.map(|id| id.0)
}

fn mini(candidates: &[Candidate], executions: &[Execution]) -> Option<u32> {
    choose(Policy::Mini, candidates, executions)
}

/// `tests` on the class of `sample`: those in `passed` pass, the others fail.
fn scripts(sample: u32, tests: std::ops::Range<u32>, passed: &[u32]) -> Vec<Execution> {
    tests
        .map(|test| {
            let outcome = if passed.contains(&test) { Outcome::Pass } else { Outcome::Fail };
            run(sample, &format!("t{test:03}"), TestKind::Reproduction, outcome)
        })
        .collect()
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
    for policy in [Policy::Mini, Policy::SelfPlay, Policy::Evidence] {
        assert_eq!(choose(policy, &candidates, &executions), Some(3), "{policy:?}");
    }
    // The published rule lets the empty sample decide.
    assert_eq!(choose(Policy::Agentless, &candidates, &executions), Some(1));
    assert_eq!(choose(Policy::Agentless, &candidates[1..], &executions), Some(3));
}

#[test]
fn e51_a_candidate_that_could_not_be_tested_is_worse_than_any_failure() {
    let candidates = [candidate(0, "A"), candidate(1, "A"), candidate(2, "B")];
    let mut executions = vec![run(0, "r1", TestKind::Regression, Outcome::NotRun)];
    executions.extend(fails(2, &["r1", "r2", "r3"]));
    for policy in [Policy::Mini, Policy::SelfPlay, Policy::Evidence] {
        assert_eq!(choose(policy, &candidates, &executions), Some(2), "{policy:?}");
    }
    assert_eq!(choose(Policy::Agentless, &candidates, &executions), Some(0), "it failed nothing");
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
    for policy in Policy::ALL {
        assert_eq!(choose(policy, &candidates, &fails(2, &["r1"])), Some(2), "{policy:?}");
        assert_eq!(choose(policy, &[cosmetic(4)], &[]), Some(4), "{policy:?}");
    }
}

#[test]
fn without_tests_every_policy_is_majority_and_ties_go_to_the_earliest_sample() {
    let candidates = [
        candidate(0, "A"),
        candidate(1, "B"),
        candidate(2, "C"),
        candidate(3, "B"),
        candidate(4, "C"),
    ];
    for policy in Policy::ALL {
        assert_eq!(choose(policy, &candidates, &[]), Some(1), "{policy:?}");
        assert_eq!(choose(policy, &[], &[]), None, "{policy:?}");
    }
}

#[test]
fn agentless_asks_one_script_among_those_with_fewest_failures() {
    let candidates = [candidate(0, "A"), candidate(1, "A"), candidate(2, "B"), candidate(3, "C")];
    let mut executions = passes(2, &["t000"]);
    executions.extend(fails(3, &["r1"]));
    executions.extend(passes(3, &["t000"]));
    assert_eq!(choose(Policy::Agentless, &candidates, &executions), Some(2));
    // Nobody left passes it: it is not asked.
    let others = passes(3, &["t000"]).into_iter().chain(fails(3, &["r1"])).collect::<Vec<_>>();
    assert_eq!(choose(Policy::Agentless, &candidates, &others), Some(0));
}

#[test]
fn self_play_adds_the_shares_of_scripts_and_of_regression_tests() {
    let candidates = [candidate(0, "A"), candidate(1, "B"), candidate(2, "B")];
    let regression = |sample, test: &str, outcome| run(sample, test, TestKind::Regression, outcome);
    let mut executions = scripts(0, 0..4, &[0, 1, 2]);
    executions.extend(scripts(1, 0..4, &[0]));
    executions.push(regression(0, "r1", Outcome::Fail));
    executions.push(regression(0, "r2", Outcome::Pass));
    executions.push(regression(1, "r1", Outcome::Pass));
    executions.push(regression(1, "r2", Outcome::Pass));
    let ranking = rerank(&RerankConfig { policy: Policy::SelfPlay }, &candidates, &executions);
    let scores: Vec<f64> =
        ranking.ranked.iter().map(|entry| entry.evidence["score"].as_f64().unwrap()).collect();
    // 3/4 + 1/2 and 1/4 + 2/2 are equal, so votes decide.
    assert_eq!(scores, [1.25, 1.25]);
    assert_eq!(ranking.chosen, Some(CandidateId(1)));
}

/// Twelve wrong answers of all sorts, so that scripts have classes to agree or differ on.
fn crowd(from: u32) -> Vec<Candidate> {
    (from..from + 12).map(|sample| candidate(sample, &format!("w{sample}"))).collect()
}

#[test]
fn evidence_weighs_one_script_sampled_often_less_than_scripts_that_differ() {
    // A passes six scripts that say the same, B five that each fool some of the crowd.
    let mut candidates = vec![candidate(0, "A"), candidate(1, "B")];
    candidates.extend(crowd(2));
    let mut executions = scripts(0, 0..11, &[0, 1, 2, 3, 4, 5]);
    executions.extend(scripts(1, 0..11, &[6, 7, 8, 9, 10]));
    for sample in 2..14 {
        let fooled: Vec<u32> = (6..11).filter(|test| (sample * 7 + test * 3) % 4 == 0).collect();
        executions.extend(scripts(sample, 0..11, &fooled));
    }
    assert_eq!(mini(&candidates, &executions), Some(0));
    assert_eq!(choose(Policy::Evidence, &candidates, &executions), Some(1));
}

#[test]
fn evidence_forgives_a_regression_test_that_the_fix_must_change() {
    // Every candidate that passes the scripts breaks r1; one that passes nothing does not.
    let mut candidates = vec![candidate(0, "A"), candidate(1, "A"), candidate(2, "B")];
    candidates.extend(crowd(3));
    let mut executions = scripts(0, 0..6, &[0, 1, 2, 3, 4]);
    executions.extend(scripts(2, 0..6, &[]));
    for sample in [0].into_iter().chain(3..15) {
        executions.extend(fails(sample, &["r1"]));
    }
    assert_eq!(mini(&candidates, &executions), Some(2));
    assert_eq!(choose(Policy::Evidence, &candidates, &executions), Some(0));
}

#[test]
fn scripts_that_tell_nothing_apart_weigh_nothing() {
    let candidates = [candidate(0, "A"), candidate(1, "B")];
    let mut executions = scripts(0, 0..3, &[0, 2]);
    executions.extend(scripts(1, 0..3, &[0]));
    let ranking = rerank(&RerankConfig { policy: Policy::Evidence }, &candidates, &executions);
    let weights = &ranking.ranked[0].evidence["test_weights"];
    assert_eq!(weights, &serde_json::json!({"t000": 0.0, "t001": 0.0, "t002": 1.0}));
}

#[test]
fn sampling_stops_when_the_leader_is_sure_or_nothing_is_left() {
    let mut candidates: Vec<Candidate> = (0..8).map(|sample| candidate(sample, "A")).collect();
    candidates.extend(crowd(8).into_iter().take(2));
    let mut executions = scripts(0, 0..10, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    executions.extend(scripts(8, 0..10, &[]));
    executions.extend(scripts(9, 0..10, &[3]));
    let sure = should_stop(&candidates, &executions, 30, 0.9);
    assert!(sure.stop && sure.leader == Some(CandidateId(0)), "{sure:?}");
    assert!(!should_stop(&candidates, &executions, 30, 1.0).stop);
    assert!(!should_stop(&crowd(0), &[], 30, 0.9).stop);
    assert!(should_stop(&crowd(0), &[], 0, 0.9).stop);
    assert_eq!(should_stop(&[], &[], 10, 0.9).leader, None);
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
        for policy in Policy::ALL {
            let config = RerankConfig { policy };
            prop_assert_eq!(
                rerank(&config, &candidates, &executions),
                rerank(&config, &shuffled.0, &shuffled.1)
            );
        }
    }

    #[test]
    fn a_new_regression_failure_never_promotes_its_class((candidates, executions) in world()) {
        // Kimi-Dev's score is left out: one test more makes every other test worth less.
        for policy in Policy::ALL.into_iter().filter(|policy| *policy != Policy::SelfPlay) {
            let before = choose(policy, &candidates, &executions).unwrap();
            let class = &candidates[0].class;
            let mut worse = executions.clone();
            worse.push(run(0, "a new failure", TestKind::Regression, Outcome::Fail));
            let after = choose(policy, &candidates, &worse).unwrap();
            if candidates[before as usize].class != *class {
                prop_assert_ne!(&candidates[after as usize].class, class, "{:?}", policy);
            }
        }
    }

    #[test]
    fn a_class_that_could_not_be_tested_wins_only_among_its_like(
        (candidates, executions) in world()
    ) {
        for policy in [Policy::Evidence, Policy::Mini, Policy::SelfPlay] {
            let chosen = choose(policy, &candidates, &executions).unwrap();
            let classes = classes(&candidates, &executions);
            let tested = |class: &&CandidateClass| class.not_run.is_empty();
            let winner = classes.iter().find(|class| class.first().0 == chosen).unwrap();
            prop_assert!(tested(&winner) || !classes.iter().any(|class| tested(&class)));
        }
    }

    #[test]
    fn a_sample_without_a_patch_changes_nothing((candidates, executions) in world()) {
        for policy in [Policy::Evidence, Policy::Mini, Policy::SelfPlay, Policy::Majority] {
            let mut more = candidates.clone();
            more.push(Candidate::invalid(99, "no_edit".into()));
            prop_assert_eq!(
                rerank(&RerankConfig { policy }, &candidates, &executions),
                rerank(&RerankConfig { policy }, &more, &executions)
            );
        }
    }

    #[test]
    fn every_class_is_ranked_once_with_the_facts_that_explain_shows(
        (candidates, executions) in world()
    ) {
        for policy in Policy::ALL {
            let ranking = rerank(&RerankConfig { policy }, &candidates, &executions);
            let mut firsts: Vec<CandidateId> =
                ranking.ranked.iter().map(|entry| entry.candidate).collect();
            firsts.sort();
            let classes = classes(&candidates, &executions);
            let expected: Vec<CandidateId> = classes.iter().map(CandidateClass::first).collect();
            prop_assert_eq!(firsts, expected);
            for entry in &ranking.ranked {
                for key in ["votes", "members", "reproduction_passed", "regression_failures"] {
                    prop_assert!(entry.evidence.contains_key(key), "{:?} lacks {}", policy, key);
                }
            }
        }
    }

    #[test]
    fn a_higher_confidence_never_stops_earlier_and_order_does_not_matter(
        (candidates, executions) in world(), remaining in 0usize..40, low in 0.5f64..1.0
    ) {
        let at = |confidence| should_stop(&candidates, &executions, remaining, confidence);
        let high = low + (1.0 - low) / 3.0;
        prop_assert!(at(low).stop || !at(high).stop);
        prop_assert_eq!(at(1.0).stop, remaining == 0);
        let mut shuffled = (candidates.clone(), executions.clone());
        shuffled.0.reverse();
        shuffled.1.reverse();
        prop_assert_eq!(at(low), should_stop(&shuffled.0, &shuffled.1, remaining, low));
    }

    #[test]
    fn the_parts_of_a_score_add_up((candidates, executions) in world()) {
        let ranking =
            rerank(&RerankConfig { policy: Policy::Evidence }, &candidates, &executions);
        let first = &ranking.ranked[0].evidence;
        let parts = first["score_parts"].as_object().unwrap();
        let sum: f64 = parts.values().map(|part| part.as_f64().unwrap()).sum();
        prop_assert!((sum - first["score"].as_f64().unwrap()).abs() < 2e-3, "{:?}", first);
    }

    #[test]
    fn posteriors_are_probabilities((candidates, executions) in world()) {
        let ranking =
            rerank(&RerankConfig { policy: Policy::Evidence }, &candidates, &executions);
        let number = |entry: &crate::artifact::RankedCandidate, key: &str| {
            entry.evidence[key].as_f64().unwrap()
        };
        let none = number(&ranking.ranked[0], "none_right");
        let all: f64 = ranking.ranked.iter().map(|entry| number(entry, "posterior")).sum();
        prop_assert!((all + none - 1.0).abs() < 2e-3, "{all} {none}");
    }
}
