//! Markdown tables and a small SVG plot.

use std::fmt::Write as _;

use agent::stage::rerank::Policy;

use crate::measure::{Score, wilson};

/// Solve rates at one budget.
pub(crate) type Point = (usize, Score);

/// `12.3`.
pub(crate) fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1}", 100.0 * part as f64 / whole as f64) }
}

/// Share of the gap between `mini` and the oracle that `evidence` closes.
pub(crate) fn recovered(score: &Score) -> Option<f64> {
    let gap = score.solvable as f64 - score.by(Policy::Mini) as f64;
    let won = score.by(Policy::Evidence) as f64 - score.by(Policy::Mini) as f64;
    (gap > 0.0).then_some(won / gap)
}

/// Percentage points between `evidence` and the best other policy.
pub(crate) fn lead(score: &Score) -> f64 {
    let best = Policy::ALL.iter().filter(|p| **p != Policy::Evidence).map(|p| score.by(*p)).max();
    100.0 * (score.by(Policy::Evidence) as f64 - best.unwrap_or(0) as f64)
        / score.cases.max(1) as f64
}

/// One row a policy: solved, selection efficiency, Wilson intervals.
pub(crate) fn summary(score: &Score) -> String {
    let mut out = String::from(
        "| policy | solved | % [95 % interval] | of the solvable, % [95 % interval] |\n|---|---|---|---|\n",
    );
    let share = |part: usize, whole: usize| {
        let (low, high) = wilson(part, whole);
        format!("{} [{:.1}, {:.1}]", percent(part, whole), 100.0 * low, 100.0 * high)
    };
    for policy in Policy::ALL {
        let solved = score.by(policy);
        let _ = writeln!(
            out,
            "| `{}` | {solved} | {} | {} |",
            policy.name(),
            share(solved, score.cases),
            share(solved, score.solvable)
        );
    }
    let _ =
        writeln!(out, "| oracle | {} | {} | |", score.solvable, share(score.solvable, score.cases));
    out
}

/// One row a cell or budget: percentages of all cases. With `repeats`, each has its interval, for
/// as many cases as there are without the repeats.
pub(crate) fn table(first: &str, rows: &[(String, Score)], repeats: Option<usize>) -> String {
    let shown = |solved: usize, cases: usize| match repeats {
        None => percent(solved, cases),
        Some(repeats) => {
            let (low, high) = wilson(solved / repeats.max(1), cases / repeats.max(1));
            format!("{} [{:.1}, {:.1}]", percent(solved, cases), 100.0 * low, 100.0 * high)
        }
    };
    let names: Vec<String> = Policy::ALL.iter().map(|p| format!("`{}`", p.name())).collect();
    let mut out = format!(
        "| {first} | {} | oracle | gap closed | lead |\n|---{}|---|---|---|\n",
        names.join(" | "),
        "|---".repeat(names.len())
    );
    for (name, score) in rows {
        let solved: Vec<String> =
            Policy::ALL.iter().map(|p| shown(score.by(*p), score.cases)).collect();
        let closed = recovered(score).map_or("-".to_owned(), |share| format!("{share:.2}"));
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {closed} | {:+.1} |",
            solved.join(" | "),
            percent(score.solvable, score.cases),
            lead(score)
        );
    }
    out
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 500.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 350.0;
/// Okabe and Ito's colours, told apart by colour-blind readers; grey for the oracle.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#cc79a7", "#009e73", "#e69f00", "#777777"];

/// Solve rate over budget, one line a policy; the horizontal axis is the rank of the budget, so
/// that small ones are seen.
pub(crate) fn plot(title: &str, axis: &str, points: &[Point]) -> String {
    let rate = |solved: usize, score: &Score| 100.0 * solved as f64 / score.cases.max(1) as f64;
    let lines: Vec<(&str, Vec<f64>)> = Policy::ALL
        .iter()
        .map(|p| (p.name(), points.iter().map(|(_, s)| rate(s.by(*p), s)).collect()))
        .chain([("oracle", points.iter().map(|(_, s)| rate(s.solvable, s)).collect())])
        .collect();
    let top = lines.iter().flat_map(|(_, l)| l).copied().fold(10.0, f64::max);
    let top = (top / 10.0).ceil() * 10.0;
    let steps = points.len().saturating_sub(1).max(1) as f64;
    let x = |index: usize| LEFT + (RIGHT - LEFT) * index as f64 / steps;
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * value / top;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{title}</text>\n"
    );
    for tick in (0..=top as usize).step_by(10) {
        let height = y(tick as f64);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {height:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            LEFT - 6.0,
            height + 4.0
        );
    }
    for (index, (budget, _)) in points.iter().enumerate() {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{budget}</text>",
            x(index),
            BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{axis}</text>\n<text transform=\"translate(16 \
         {}) rotate(-90)\" text-anchor=\"middle\">solved, %</text>",
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 38.0,
        (TOP + BOTTOM) / 2.0
    );
    for (number, ((name, values), colour)) in lines.iter().zip(COLOURS).enumerate() {
        let path: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(index, value)| format!("{:.1} {:.1}", x(index), y(*value)))
            .collect();
        let dashes = if *name == "oracle" { " stroke-dasharray=\"5 4\"" } else { "" };
        let place = TOP + 20.0 * number as f64;
        let last = values.last().copied().unwrap_or(0.0);
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>\n<path \
             d=\"M{} {place}h18\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/><text x=\"{}\" \
             y=\"{}\">{name} {last:.1}</text>",
            path.join("L"),
            RIGHT + 10.0,
            RIGHT + 33.0,
            place + 4.0
        );
    }
    out.push_str("</svg>\n");
    out
}
