//! Any log, by every reader: no panic, no test without a name.
#![no_main]

use agent_fuzz::artifact::{LogFormat, Rules};
use agent_fuzz::grown;
use agent_fuzz::testlog::{infra, markers, normal_id, parse};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Status(u8),
    Name(u8),
    Known(u8),
    End,
    Text(&'a str),
}

const STATUSES: [&str; 12] = [
    "PASSED",
    "FAILED",
    "ERROR",
    "SKIPPED",
    "XFAIL",
    "ok",
    "FAIL",
    "... ok",
    "... skipped 'x'",
    "[OK]",
    "E",
    "f",
];
const NAMES: [&str; 8] = [
    "tests/test_a.py::test_b[x - y]",
    "test_c (pkg.T)",
    "test_d (pkg.T.test_d)",
    "test_e",
    "sympy/core/tests/test_x.py",
    "a::b",
    "",
    "/tmp/x.py::T::t",
];
const KNOWN: [&str; 19] = [
    " - ",
    " ... ",
    "====",
    "----------",
    "FAILED (failures=1)",
    "Ran 3 tests in 0.1s",
    "_________ test_x _________",
    "Testing against Django installed",
    "\u{1b}[32m",
    "\r",
    "<testsuite>",
    "<testcase name=\"a\" classname=\"b\">",
    "<failure/>",
    "</testcase>",
    "</testsuite>",
    "\n>>>>> Start Test Output\n",
    "\n>>>>> End Test Output\n",
    "\n>>>>> Test Exit Code: 1\n",
    "\nFAIL:\n",
];

fuzz_target!(|input: (u16, Vec<Piece<'_>>)| {
    let pick = |all: &[&'static str], n: &u8| all[*n as usize % all.len()];
    let text = input.1.iter().map(|piece| match piece {
        Piece::Status(n) => format!("{} ", pick(&STATUSES, n)),
        Piece::Name(n) => format!("{} ", pick(&NAMES, n)),
        Piece::Known(n) => pick(&KNOWN, n).to_owned(),
        Piece::End => "\n".to_owned(),
        Piece::Text(other) => (*other).to_owned(),
    });
    let log = grown(text.collect(), input.0);
    let _ = infra::classify(&log);
    for format in LogFormat::ALL {
        for rules in Rules::ALL {
            let _ = markers::statuses(rules, format, &log);
        }
        let statuses = parse(format, &log);
        // A line end at the end says nothing new.
        assert_eq!(parse(format, &format!("{log}\n")).len(), statuses.len(), "{format:?}");
        for test in statuses.keys() {
            let _ = normal_id(format, test);
        }
    }
});
