//! The fold against a plain recount, and the time left by hand.

use proptest::prelude::*;
use time::Duration;

use super::*;
use crate::artifact::{Subject, TestKind};
use crate::report::{EventLog, JsonLines, Reporter};

fn id(number: usize) -> InstanceId {
    InstanceId::new(format!("a__b-{number}")).unwrap()
}

fn at(seconds: f64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds_f64(seconds)
}

fn event(seconds: f64, instance: Option<usize>, kind: EventKind) -> Event {
    Event { at: at(seconds), instance: instance.map(id), kind }
}

fn started(instances: usize, finished: usize, solved: usize) -> EventKind {
    EventKind::RunStarted { instances, finished, solved }
}

fn finished(outcome: InstanceOutcome) -> EventKind {
    EventKind::InstanceFinished { outcome, seconds: 1.0 }
}

fn failed(cause: Cause) -> InstanceOutcome {
    let (message, hint) = ("it \"broke\"".to_owned(), "mend\nit".to_owned());
    InstanceOutcome::Failed { stage: Stage::Repair, cause, message, hint }
}

fn fold(events: &[Event]) -> Progress {
    let mut progress = Progress::default();
    events.iter().for_each(|event| progress.follow(event));
    progress
}

fn eta(events: &[Event], now: f64) -> Option<f64> {
    let progress = fold(events);
    progress.snapshot(at(now), progress.counts(), None).eta
}

#[test]
fn the_time_left_needs_two_ends_and_leaves_out_what_an_earlier_process_finished() {
    let mut events = vec![event(0.0, None, started(100, 90, 80))];
    assert_eq!(eta(&events, 50.0), None);
    for (number, seconds) in [(0, 10.0), (1, 20.0)] {
        events.push(event(seconds - 5.0, Some(number), EventKind::InstanceStarted));
        events.push(event(seconds, Some(number), finished(InstanceOutcome::Solved)));
        assert_eq!(eta(&events, 20.0).is_some(), number == 1);
    }
    // Two in 20 s, eight left.
    assert_eq!(eta(&events, 20.0), Some(80.0));
    // Without further ends the pace falls.
    assert_eq!(eta(&events, 40.0), Some(160.0));
    let counts = fold(&events).counts();
    assert_eq!((counts.solved, counts.no_candidate, counts.waiting), (82, 10, 8));
    events.push(event(60.0, None, started(100, 92, 82)));
    assert_eq!(eta(&events, 61.0), None, "a new process has a pace of its own");
}

#[test]
fn the_time_left_follows_the_last_fifty_ends() {
    let mut events = vec![event(0.0, None, started(1000, 0, 0))];
    let mut seconds = 0.0;
    for number in 0..100 {
        // The first half takes a hundred seconds each, the second one second.
        seconds += if number < 50 { 100.0 } else { 1.0 };
        events.push(event(seconds, Some(number), finished(InstanceOutcome::NoCandidate)));
    }
    assert_eq!(eta(&events, seconds), Some(900.0));
}

#[test]
fn rates_are_of_the_last_minute_and_of_what_was_asked_for() {
    let replied = |seconds, journaled| {
        let usage = Usage { prompt_tokens: 9, cached_tokens: 0, completion_tokens: 30 };
        let (call, sample) = ("repair".to_owned(), 0);
        let kind = EventKind::ModelReplied { call, sample, usage, journaled, seconds: 1.0 };
        event(seconds, Some(0), kind)
    };
    let mut events = vec![event(0.0, None, started(1, 0, 0))];
    events.push(replied(1.0, false));
    events.push(replied(2.0, true));
    let rate = |events: &[Event], now| {
        let progress = fold(events);
        progress.snapshot(at(now), Counts::default(), None).tokens_per_second
    };
    assert_eq!(rate(&events, 0.5), None);
    assert_eq!(rate(&events, 10.0), Some(3.0));
    assert_eq!(rate(&events, 59.0), Some(30.0 / 59.0));
    assert_eq!(rate(&events, 61.0), Some(0.0));
    events.push(replied(100.0, false));
    assert_eq!(rate(&events, 100.0), Some(0.5));
    let progress = fold(&events);
    assert_eq!((progress.asked.prompt_tokens, progress.journaled.prompt_tokens), (18, 9));
    assert!(progress.recent.len() <= 60);
}

#[test]
fn what_was_asked_for_is_answered_failed_or_under_way() {
    let ask = |samples| EventKind::ModelAsked { call: "repair".into(), samples };
    let reason = "no".to_owned();
    let mut events = vec![
        event(0.0, None, started(2, 0, 0)),
        event(0.0, Some(0), EventKind::InstanceStarted),
        event(0.0, Some(1), EventKind::InstanceStarted),
        event(1.0, Some(0), ask(4)),
        event(1.0, Some(1), ask(2)),
        event(2.0, Some(0), EventKind::ModelFailed { call: "repair".into(), samples: 3, reason }),
    ];
    let under_way =
        |events: &[Event]| fold(events).snapshot(at(2.0), Counts::default(), None).under_way;
    assert_eq!(under_way(&events), 3);
    events.push(event(3.0, Some(1), finished(InstanceOutcome::Cancelled)));
    assert_eq!(under_way(&events), 1);
    assert_eq!(fold(&events).counts().stopped, 1);
    assert_eq!(fold(&events).snapshot(at(3.0), Counts::default(), None).unanswered, 3);
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    let text = "[ -~é\\n\"]{0,8}";
    let stage = prop::sample::select(Stage::ALL.to_vec());
    let cause = prop::sample::select(vec![Cause::Model, Cause::Infra, Cause::Budget]);
    let outcome = prop_oneof![
        Just(InstanceOutcome::Solved),
        Just(InstanceOutcome::NoCandidate),
        Just(InstanceOutcome::Cancelled),
        cause.prop_map(failed),
    ];
    let ran = prop::sample::select(vec![
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Error,
        Outcome::Timeout,
        Outcome::NotRun,
    ]);
    let run = (0..20_usize, 0..20_usize, 0..20_usize);
    let tokens = (0..9_u64, 0..9_u64, 0..9_u64, any::<bool>());
    prop_oneof![
        1 => run.clone().prop_map(|(a, b, c)| started(a + b + c, b + c, c)),
        4 => Just(EventKind::InstanceStarted),
        4 => stage.clone().prop_map(|stage| EventKind::StageStarted { stage }),
        2 => (stage.clone(), text).prop_map(|(stage, summary)| {
            EventKind::StageFinished { stage, seconds: 0.5, summary, reused: true }
        }),
        4 => (text, 1..5_u32).prop_map(|(call, samples)| EventKind::ModelAsked { call, samples }),
        2 => (text, 1..5_u32, text).prop_map(|(call, samples, reason)| {
            EventKind::ModelFailed { call, samples, reason }
        }),
        6 => (text, tokens).prop_map(|(call, (prompt, cached, completion, journaled))| {
            let usage = Usage {
                prompt_tokens: prompt,
                cached_tokens: cached,
                completion_tokens: completion,
            };
            EventKind::ModelReplied { call, sample: 1, usage, journaled, seconds: 0.25 }
        }),
        1 => text.prop_map(|reason| {
            EventKind::ModelRetried { call: "repair".into(), attempt: 1, wait: 0.5, reason }
        }),
        1 => (run.clone(), text).prop_map(|((limit, under_way, waiting), reason)| {
            EventKind::ModelPaced { limit, under_way, waiting, reason }
        }),
        6 => (ran, text).prop_map(|(outcome, test)| {
            let (candidate, kind) = (Subject::Base, TestKind::Regression);
            EventKind::Executed { candidate, test, kind, outcome, seconds: 0.1 }
        }),
        1 => text.prop_map(|message| EventKind::Notice { message }),
        1 => stage.prop_map(|stage| EventKind::InstanceThrough { stage, seconds: 1.0 }),
        4 => outcome.prop_map(finished),
        1 => Just(EventKind::RunFinished { solved: 1, no_candidate: 2, failed: 3, cancelled: 4 }),
    ]
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0.0..30.0_f64, prop::option::weighted(0.95, 0..6_usize), any_kind());
    prop::collection::vec(one, 0..80).prop_map(|steps| {
        let mut seconds = 0.0;
        let mut stamp = |(wait, instance, kind)| {
            seconds += wait;
            event(seconds, instance, kind)
        };
        steps.into_iter().map(&mut stamp).collect()
    })
}

proptest! {
    #[test]
    fn every_instance_is_in_one_place_and_all_counts_add_up(events in any_events()) {
        let progress = fold(&events);
        let counts = progress.counts();
        let all = counts.ended() + counts.all_at_work() + counts.stopped + counts.waiting;
        prop_assert!(all >= counts.instances);
        if counts.waiting > 0 {
            prop_assert_eq!(all, counts.instances);
        }
        let shown = progress.snapshot(at(1e6), counts, None);
        let count = |which: fn(&EventKind) -> u64| -> u64 {
            events.iter().map(|event| which(&event.kind)).sum()
        };
        let executed = |kind: &EventKind| u64::from(matches!(kind, EventKind::Executed { .. }));
        prop_assert_eq!(shown.executions.all(), count(executed));
        let replied = |kind: &EventKind| u64::from(matches!(kind, EventKind::ModelReplied { .. }));
        prop_assert_eq!(shown.answered + shown.from_journal, count(replied));
        let tokens = |kind: &EventKind| match kind {
            EventKind::ModelReplied { usage, .. } => usage.completion_tokens,
            _ => 0,
        };
        let told = shown.asked.completion_tokens + shown.journaled.completion_tokens;
        prop_assert_eq!(told, count(tokens));
        prop_assert!(shown.eta.is_none_or(|eta| eta >= 0.0 && eta.is_finite()));
    }

    #[test]
    fn a_log_read_in_pieces_gives_what_its_events_give(
        events in any_events(),
        cuts in prop::collection::vec(0.0..1.0_f64, 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.jsonl");
        let mut writer = JsonLines::append(&whole).unwrap();
        events.iter().for_each(|event| writer.report(event).unwrap());
        let bytes = std::fs::read(&whole).unwrap();
        let mut ends: Vec<usize> =
            cuts.iter().map(|cut| (cut * bytes.len() as f64) as usize).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let path = dir.path().join("events.jsonl");
        let (mut log, mut progress) = (EventLog::at(&path), Progress::default());
        log.read_on(&mut progress).unwrap();
        for end in ends {
            std::fs::write(&path, &bytes[..end]).unwrap();
            log.read_on(&mut progress).unwrap();
        }
        prop_assert_eq!(log.unreadable(), 0);
        prop_assert_eq!(progress, fold(&events));
    }
}

#[test]
fn lines_that_are_no_events_are_counted_and_cost_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let good = r#"{"schema":1,"at":"2026-01-01T00:00:00Z","event":"run_started","instances":2,"finished":0}"#;
    let newer = r#"{"schema":2,"at":"2026-01-01T00:00:00Z","event":"something_new","samples":[1]}"#;
    std::fs::write(&path, format!("{good}\n\n{{\"torn\n{newer}\n{good}")).unwrap();
    let (mut log, mut progress) = (EventLog::at(&path), Progress::default());
    log.read_on(&mut progress).unwrap();
    assert_eq!((log.unreadable(), progress.processes), (2, 1));
}
