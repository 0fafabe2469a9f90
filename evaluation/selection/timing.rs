//! Time of one ranking: 500 candidates of as many classes, 30 scripts, 30 regression tests.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use agent::stage::rerank::{Policy, RerankConfig, rerank};

use crate::simulator::{Case, Cell, Structure, draw};

const REPEATS: usize = 11;

/// The hardest shape: every sample is a class of its own.
fn case() -> Case {
    let mut cell = Cell::swe_rl(Structure::Correlated, 0.3, 0.55);
    (cell.candidates, cell.tests, cell.regressions) = (500, 30, 30);
    (cell.lost, cell.split) = (0.0, 1e9);
    draw(&cell, 1, 0, 0)
}

/// Median over repeats, one row a policy.
pub(crate) fn table() -> String {
    let case = case();
    let mut out = format!(
        "| policy | {} candidates, {} executions, ms |\n|---|---|\n",
        case.candidates.len(),
        case.executions.len()
    );
    for policy in Policy::ALL {
        let config = RerankConfig { policy };
        let mut times: Vec<Duration> = (0..REPEATS)
            .map(|_| {
                let start = Instant::now();
                black_box(rerank(
                    &config,
                    black_box(&case.candidates),
                    black_box(&case.executions),
                ));
                start.elapsed()
            })
            .collect();
        times.sort();
        let _ = writeln!(
            out,
            "| `{}` | {:.1} |",
            policy.name(),
            times[REPEATS / 2].as_secs_f64() * 1e3
        );
    }
    out
}
