//! Budgets at every size, what is kept, and odd files.

use super::*;

fn file(path: &str, text: &str) -> ContextFile {
    ContextFile { path: path.into(), text: text.into(), places: Vec::new() }
}

fn placed(path: &str, text: &str, places: &[(usize, usize, f64)]) -> ContextFile {
    let place = |(first, last, score): &(usize, usize, f64)| Place {
        name: String::new(),
        lines: [*first, *last],
        score: *score,
        reasons: Vec::new(),
    };
    ContextFile { places: places.iter().map(place).collect(), ..file(path, text) }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn estimate(text: &str) -> usize {
    (text.len() * 10).div_ceil(33)
}

/// A class of 40 methods of 12 lines each.
fn class() -> String {
    let head = "import os\n\n\nclass Parser(\n    Base,\n):\n    \"\"\"Reads.\"\"\"\n\n".to_owned();
    let body = "        value = self.change(value)\n".repeat(10);
    (0..40).fold(head, |text, n| format!("{text}    def method_{n}(self, value):\n{body}\n"))
}

#[test]
fn without_places_a_file_that_does_not_fit_is_passed_over_and_smaller_ones_still_tried() {
    let big = "word ".repeat(100);
    let files = [file("a.py", "x = 1\n"), file("big.py", &big), file("c.py", "y = 2\n")];
    let context = select(&files, "", 5, 20, &words);
    assert_eq!(context.text, "### a.py\nx = 1\n\n### c.py\ny = 2");
    assert_eq!(context.skipped, ["big.py"]);
    assert_eq!(context.lines, [[[1, 1]], [[1, 1]]]);
}

#[test]
fn a_first_file_over_budget_is_elided_around_what_the_issue_names() {
    let mut lines: Vec<String> = (0..2000).map(|i| format!("value_{i} = {i}")).collect();
    lines[1500] = "def parse_duration(text):".into();
    lines[1501] = "    return text".into();
    let text = lines.join("\n");
    let context = select(&[file("a.py", &text)], "parse_duration is wrong", 5, 300, &words);
    assert!(words(&context.text) <= 300, "{}", words(&context.text));
    assert!(
        context.text.contains("def parse_duration(text):\n    return text"),
        "{}",
        context.text
    );
    assert!(context.text.starts_with("(A line `... N lines not shown ...`"), "{}", context.text);
    assert!(context.text.contains(" lines not shown ...\n"));
    assert_eq!(context.elided, ["a.py"]);
}

#[test]
fn files_that_fit_are_shown_whole_with_or_without_places() {
    let plain = [file("a.py", "x = 1\n"), file("b.py", "y = 2\n")];
    let with = [placed("a.py", "x = 1\n", &[(1, 1, 0.5)]), placed("b.py", "y = 2\n", &[])];
    let expected = select(&plain, "", 5, 1000, &estimate);
    assert_eq!(select(&with, "", 5, 1000, &estimate), expected);
    assert_eq!(expected.text, "### a.py\nx = 1\n\n### b.py\ny = 2");
    assert_eq!((expected.elided.len(), expected.skipped.len()), (0, 0));
}

#[test]
fn an_elided_file_keeps_the_named_function_and_its_class_header() {
    // method_30 is lines 369 to 379.
    let (text, small) = (class(), "LIMIT = 3\n");
    let files =
        [placed("pkg/parser.py", &text, &[(369, 379, 0.4)]), placed("b.py", small, &[(1, 1, 0.1)])];
    let context = select(&files, "", 5, 600, &estimate);
    assert!(estimate(&context.text) <= 600);
    assert!(context.text.contains("\nclass Parser(\n    Base,\n):\n"), "{}", context.text);
    let method = format!(
        "    def method_30(self, value):\n{}",
        "        value = self.change(value)\n".repeat(10)
    );
    assert!(context.text.contains(&method), "{}", context.text);
    assert!(context.text.ends_with("### b.py\nLIMIT = 3"), "{}", context.text);
    assert_eq!(context.elided, ["pkg/parser.py"]);
    // Signatures of functions that are left out, where they are cheap.
    let wide = select(&files, "", 5, 2500, &estimate).text;
    assert!(wide.contains("(self, value):\n... 11 lines not shown ...\n    def "), "{wide}");
    // Every line is as in the file, or stands for as many as it says.
    let lines = text.lines().collect::<Vec<_>>();
    let mut at = 0;
    let shown = context.text.split("### pkg/parser.py\n").nth(1).unwrap();
    for line in shown.split("\n\n### b.py").next().unwrap().lines() {
        let gap = line.strip_prefix("... ").and_then(|rest| rest.split(' ').next());
        match gap.and_then(|gap| gap.parse::<usize>().ok()) {
            Some(gap) => at += gap,
            None => {
                assert_eq!(line, lines[at]);
                at += 1;
            }
        }
    }
    assert_eq!(at, lines.len());
}

#[test]
fn every_file_that_matters_gets_in() {
    let text = class();
    let files = (0..5).map(|n| placed(&format!("{n}.py"), &text, &[(369, 379, 0.5)]));
    let files = files.collect::<Vec<_>>();
    let context = select(&files, "", 5, 4000, &estimate);
    assert_eq!(context.shown, ["0.py", "1.py", "2.py", "3.py", "4.py"]);
    assert_eq!(context.text.matches("def method_30(self, value):\n        value").count(), 5);
    let few = select(&files, "", 2, 4000, &estimate);
    assert_eq!(few.shown, ["0.py", "1.py"]);
}

#[test]
fn a_budget_is_never_exceeded_and_equal_input_gives_equal_text() {
    let text = class();
    let latin = String::from_utf8_lossy(b"# caf\xe9\nx = '\xff\xfe'\n").repeat(50);
    let files = [
        placed("a.py", &text, &[(369, 379, 0.4), (100, 101, 0.2), (1, 2000, 0.1)]),
        placed("crlf.py", &text.replace('\n', "\r\n"), &[(369, 379, 0.3)]),
        placed("empty.py", "", &[]),
        placed("latin.py", &latin, &[(3, 4, 0.1)]),
        placed("broken.py", "class A(\n  def f(:\n\tx\n\n\u{c}\n", &[(0, 0, 2.0), (9, 3, -1.0)]),
        placed("line.py", &format!("x = '{}'\ny = 1\n", "y".repeat(1_000_000)), &[(1, 1, 0.9)]),
        placed("notes.txt", &"Some prose of no use.\n".repeat(400), &[(7, 7, 0.2)]),
    ];
    for order in 0..files.len() {
        let mut files = files.to_vec();
        files.rotate_left(order);
        for budget in [0, 1, 10, 50, 100, 300, 1000, 3000, 9000, 20_000, 400_000] {
            for count in [&estimate as &dyn Fn(&str) -> usize, &words] {
                let context = select(&files, "method_3 is wrong", 7, budget, count);
                let tokens = count(&context.text);
                assert!(tokens <= budget, "{tokens} of {budget}, order {order}");
                assert_eq!(context.shown.len(), context.lines.len());
                if budget >= 1000 {
                    assert!(!context.shown.is_empty(), "{budget}, order {order}");
                }
            }
        }
        let one = || select(&files, "method_3 is wrong", 7, 3000, &estimate);
        assert_eq!(one(), one());
    }
    let crlf = select(&files[1..2], "", 1, 600, &estimate);
    assert!(
        crlf.text.contains("    def method_30(self, value):\r\n        value"),
        "{}",
        crlf.text
    );
}

#[test]
fn a_file_of_two_megabytes_is_elided_in_reasonable_time() {
    let text = class().repeat(131);
    assert!((2_000_000..2 << 20).contains(&text.len()), "{}", text.len());
    let started = std::time::Instant::now();
    let context = select(&[placed("big.py", &text, &[(369, 379, 0.4)])], "", 5, 3000, &estimate);
    assert!(context.text.contains("def method_30(self, value):\n        value"));
    assert!(estimate(&context.text) <= 3000);
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn without_a_budget_nothing_is_shown_and_at_most_max_files_are() {
    let context = select(&[file("a.py", "x = 1\n")], "x", 5, 0, &words);
    assert_eq!((context.text.as_str(), context.shown.len()), ("", 0));
    let files: Vec<_> = (0..9).map(|i| file(&format!("{i}.py"), "x\n")).collect();
    assert_eq!(select(&files, "", 3, 1000, &words).shown, ["0.py", "1.py", "2.py"]);
}
