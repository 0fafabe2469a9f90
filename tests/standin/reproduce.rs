//! Reproduction scripts: the good ones are written by hand, the bad ones are bad in known ways.

use super::draw::Draw;
use super::gold::Known;
use super::{Rates, Reply};

/// Bad in ways that need no knowledge of the instance.
const BAD: [(&str, &str); 5] = [
    ("always-reproduced", "print(\"Issue reproduced\")"),
    ("always-resolved", "print(\"Issue resolved\")"),
    ("raises", "import os\nraise RuntimeError(f\"no such thing in {os.getcwd()}\")"),
    ("syntax-error", "def main(:\n    print(\"Issue reproduced\")\nmain()"),
    ("other", "print(\"Other issues\")"),
];

/// `good`, `bad` (by hand), `no-code`, `endless`, or a name out of [`BAD`].
pub(crate) fn kind(known: &Known, rates: &Rates, draw: &mut Draw) -> &'static str {
    if draw.happens(rates.reproduce_endless) {
        return "endless";
    }
    if draw.happens(rates.reproduce_good) && !known.good.is_empty() {
        return "good";
    }
    let ways = BAD.len() + 1 + usize::from(!known.bad.is_empty());
    match draw.below(ways) {
        way if way < BAD.len() => BAD[way].0,
        way if way == BAD.len() => "no-code",
        _ => "bad",
    }
}

/// An answer of the kind `kind`.
pub(crate) fn answer(known: &Known, kind: &str, draw: &mut Draw) -> Reply {
    let script = match kind {
        "good" => draw.pick(&known.good).cloned(),
        "bad" => draw.pick(&known.bad).cloned(),
        "endless" => Some("while True:\n    pass".to_owned()),
        "no-code" => None,
        name => BAD.iter().find(|(own, _)| *own == name).map(|(_, script)| (*script).to_owned()),
    };
    Reply::text(match script {
        Some(script) => format!("```python\n{}\n```\n", script.trim_end()),
        None => "The issue shows when the function is called with an empty list.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_scripts_come_at_their_rate_and_only_if_there_are_any() {
        let rates = Rates { reproduce_good: 0.6, ..Rates::default() };
        let mut known = Known::default();
        let good = |known: &Known| {
            let kinds = (0..1000).map(|n| kind(known, &rates, &mut Draw::of(&[&n.to_string()])));
            kinds.filter(|&kind| kind == "good").count()
        };
        assert_eq!(good(&known), 0);
        known.good.push("print(1)\n".to_owned());
        assert!((540..660).contains(&good(&known)));
        let reply = answer(&known, "good", &mut Draw::of(&[]));
        assert_eq!(reply.content.as_deref(), Some("```python\nprint(1)\n```\n"));
    }

    #[test]
    fn nothing_is_endless_unless_asked_for() {
        let endless = |rate| {
            let rates = Rates { reproduce_endless: rate, ..Rates::default() };
            let kinds =
                (0..200).map(|n| kind(&Known::default(), &rates, &mut Draw::of(&[&n.to_string()])));
            kinds.filter(|&kind| kind == "endless").count()
        };
        assert_eq!((endless(0.0), endless(1.0)), (0, 200));
    }
}
