//! The table at several widths, and what is left of it where there is no room.

use super::*;
use crate::artifact::Usage;
use crate::report::{Counts, Executed};

fn snapshot() -> Snapshot {
    let counts = Counts {
        instances: 500,
        waiting: 380,
        at_work: [(Stage::Localize, 1), (Stage::Repair, 2), (Stage::Execute, 1)].into(),
        solved: 102,
        no_candidate: 9,
        failed: [("infra".to_owned(), 3), ("model".to_owned(), 1)].into(),
        stopped: 1,
        through: 0,
    };
    Snapshot {
        counts,
        asked: Usage {
            prompt_tokens: 123_456_789,
            cached_tokens: 87_654_321,
            completion_tokens: 4_567_890,
        },
        journaled: Usage { prompt_tokens: 1_200_000, cached_tokens: 0, completion_tokens: 34_567 },
        answered: 12_040,
        from_journal: 310,
        unanswered: 2,
        retried: 17,
        under_way: 64,
        executions: Executed { passed: 48_000, failed: 1_234, errors: 20, timeouts: 3, not_run: 1 },
        tokens_per_second: Some(1_812.4),
        executions_per_second: Some(12.34),
        cost: Some(12.4),
        elapsed: Some(3_723.0),
        eta: Some(11_400.2),
        ..Snapshot::default()
    }
}

fn draw(columns: usize, rows: usize) -> String {
    let lines = table(&snapshot(), Size { columns, rows }, false);
    assert!(lines.len() <= rows);
    for line in &lines {
        assert!(line.chars().count() <= columns, "{columns}: {line}");
    }
    lines.join("\n")
}

#[test]
fn eighty_columns_hold_everything_that_matters() {
    insta::assert_snapshot!(draw(80, 24), @r"
    instances   115 of 500  [#########-------------------------------]  23 %
    at work     1 localize  2 repair  0 reproduce  1 execute  380 waiting  1 stopped
    ended       102 solved  9 no candidate  4 failed (3 infra, 1 model)
    tokens      123.5M prompt  87.7M cached  4.6M completion  1812/s
    requests    64 under way  12.0k answered  17 repeated  2 failed
    executions  48.0k passed  1234 failed  24 errors  12.3/s
    cost        12.40
    time        1:02:03 elapsed  ETA 3:10:00
    ");
}

#[test]
fn a_wide_terminal_has_room_for_all() {
    insta::assert_snapshot!(draw(120, 24), @r"
    instances   115 of 500  [#########-------------------------------]  23 %
    at work     1 localize  2 repair  0 reproduce  1 execute  0 rerank  380 waiting  1 stopped
    ended       102 solved  9 no candidate  4 failed (3 infra, 1 model)
    tokens      123.5M prompt  87.7M cached  4.6M completion  1812/s  1.2M from journals
    requests    64 under way  12.0k answered  17 repeated  2 failed  310 from journals
    executions  48.0k passed  1234 failed  24 errors  12.3/s
    cost        12.40
    time        1:02:03 elapsed  ETA 3:10:00
    ");
}

#[test]
fn sixty_columns_leave_out_the_least() {
    insta::assert_snapshot!(draw(60, 24), @r"
    instances   115 of 500  [######----------------------]  23 %
    at work     1 localize  2 repair  380 waiting  1 stopped
    ended       102 solved  4 failed (3 infra, 1 model)
    tokens      123.5M prompt  4.6M completion  1812/s
    requests    64 under way  12.0k answered  2 failed
    executions  48.0k passed  1234 failed  24 errors  12.3/s
    cost        12.40
    time        1:02:03 elapsed  ETA 3:10:00
    ");
}

#[test]
fn few_rows_leave_out_the_least() {
    insta::assert_snapshot!(draw(80, 4), @r"
    instances   115 of 500  [#########-------------------------------]  23 %
    ended       102 solved  9 no candidate  4 failed (3 infra, 1 model)
    cost        12.40
    time        1:02:03 elapsed  ETA 3:10:00
    ");
}

#[test]
fn no_terminal_is_too_small() {
    for columns in 1..130 {
        for rows in [1, 2, 3, 5, 8, 9, 50] {
            draw(columns, rows);
        }
    }
}

#[test]
fn before_anything_is_known_nothing_is_claimed() {
    let none = Snapshot::default();
    let lines = table(&none, Size { columns: 80, rows: 24 }, false).join("\n");
    insta::assert_snapshot!(lines, @r"
    instances   0 of 0  [----------------------------------------]  0 %
    at work     0 localize  0 repair  0 reproduce  0 execute  0 rerank  0 waiting
    ended       0 solved  0 no candidate  0 failed
    tokens      0 prompt  0 cached  0 completion  -/s
    requests    0 under way  0 answered  0 repeated
    executions  0 passed  0 failed  0 errors  -/s
    time        - elapsed  ETA -
    ");
}

#[test]
fn colours_take_no_room_and_come_only_when_asked_for() {
    let size = Size { columns: 80, rows: 24 };
    let plain = table(&snapshot(), size, false).join("\n");
    let colored = table(&snapshot(), size, true).join("\n");
    assert!(!plain.contains('\x1b') && colored.contains("\x1b[31m4 failed"));
    assert_eq!(console::strip_ansi_codes(&colored), plain);
}

#[test]
fn a_line_for_logs_says_the_same() {
    insta::assert_snapshot!(line(&snapshot()), @"115 of 500 instances: 102 solved, 9 no candidate, 4 failed (3 infra, 1 model); 4 at work; 128.0M tokens; 49.3k executions; cost 12.40; 1:02:03 elapsed; ETA 3:10:00");
}

#[test]
fn numbers_are_short_and_never_rounded_up_past_their_unit() {
    let all = [0, 9_999, 10_000, 99_949, 999_949, 999_950, 1_234_567, 5_000_000_000];
    let told: Vec<String> = all.into_iter().map(short).collect();
    assert_eq!(told, ["0", "9999", "10.0k", "99.9k", "999.9k", "1.0M", "1.2M", "5.0G"]);
    assert_eq!([0.0, 0.0123, 0.1, 12.4].map(money), ["0.00", "0.0123", "0.10", "12.40"]);
    assert_eq!([None, Some(59.6), Some(360_000.0)].map(clock), ["-", "0:01:00", "100:00:00"]);
}
