//! What the server counts, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::serve::Kind;
use crate::serve::gate::Gate;
use crate::serve::item::{FailureKind, Outcome};

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 100.0];

/// Counters and gauges.
#[derive(Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    latency: Mutex<BTreeMap<&'static str, Histogram>>,
    items: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    in_flight: AtomicU64,
    running: AtomicU64,
    connections: AtomicU64,
    deadlines: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default, Clone, Copy)]
struct Histogram {
    counts: [u64; BOUNDS.len()],
    all: u64,
    seconds: f64,
}

/// Lowers a gauge when dropped.
pub(super) struct Raised<'a>(&'a AtomicU64);

impl<'a> Raised<'a> {
    fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// A request is being answered.
    pub(super) fn in_flight(&self) -> Raised<'_> {
        Raised::new(&self.in_flight)
    }

    /// A thread compares texts.
    pub(super) fn running(&self) -> Raised<'_> {
        Raised::new(&self.running)
    }

    /// A connection is open.
    pub(super) fn connection(&self) -> Raised<'_> {
        Raised::new(&self.connections)
    }

    /// A request was answered.
    pub(super) fn answered(&self, endpoint: &'static str, status: u16, took: Duration) {
        *lock(&self.requests).entry((endpoint, status)).or_default() += 1;
        let seconds = took.as_secs_f64();
        let mut latency = lock(&self.latency);
        let histogram = latency.entry(endpoint).or_default();
        histogram.all += 1;
        histogram.seconds += seconds;
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            histogram.counts[bucket] += 1;
        }
    }

    /// An item is done.
    pub(super) fn item(&self, kind: Kind, outcome: &Outcome) {
        if let Outcome::Masked(failure) = outcome
            && failure.kind == FailureKind::Deadline
        {
            self.deadlines.fetch_add(1, Ordering::Relaxed);
        }
        *lock(&self.items).entry((kind.name(), outcome.name())).or_default() += 1;
    }

    /// A verdict was asked for.
    pub(super) fn looked_up(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything as text.
    pub(super) fn render(&self, gate: &Gate) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP agent_reward_{name} {help}");
            let _ = writeln!(text, "# TYPE agent_reward_{name} {kind}");
        };
        let requests = lock(&self.requests).clone();
        head(&mut text, "requests_total", "counter", "Requests answered.");
        for ((endpoint, status), count) in &requests {
            let labels = format!("endpoint=\"{endpoint}\",status=\"{status}\"");
            let _ = writeln!(text, "agent_reward_requests_total{{{labels}}} {count}");
        }
        let rejected: u64 =
            requests.iter().filter(|((_, status), _)| *status == 429).map(|(_, count)| count).sum();
        head(&mut text, "items_total", "counter", "Items done, by kind and result.");
        for ((kind, result), count) in lock(&self.items).iter() {
            let labels = format!("kind=\"{kind}\",result=\"{result}\"");
            let _ = writeln!(text, "agent_reward_items_total{{{labels}}} {count}");
        }
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let running = load(&self.running);
        let taken = gate.taken() as u64;
        for (name, kind, help, value) in [
            ("rejected_total", "counter", "Requests refused with status 429.", rejected),
            (
                "deadlines_total",
                "counter",
                "Items that ran past their deadline.",
                load(&self.deadlines),
            ),
            (
                "cache_hits_total",
                "counter",
                "Verdicts that were there or under way.",
                load(&self.hits),
            ),
            (
                "cache_misses_total",
                "counter",
                "Verdicts for which tests had to run.",
                load(&self.misses),
            ),
            ("in_flight", "gauge", "Requests being answered.", load(&self.in_flight)),
            ("connections", "gauge", "Open connections.", load(&self.connections)),
            ("workers_busy", "gauge", "Threads that compare or parse.", running),
            ("queue_items", "gauge", "Items admitted and not done.", taken),
            ("queue_capacity", "gauge", "Items admitted at most.", gate.capacity() as u64),
        ] {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "agent_reward_{name} {value}");
        }
        head(&mut text, "request_seconds", "histogram", "Time from head to answer.");
        for (endpoint, histogram) in lock(&self.latency).iter() {
            histogram.render(&mut text, endpoint);
        }
        text
    }
}

impl Histogram {
    fn render(&self, text: &mut String, endpoint: &str) {
        let mut below = 0;
        let name = "agent_reward_request_seconds";
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            below += count;
            let _ =
                writeln!(text, "{name}_bucket{{endpoint=\"{endpoint}\",le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_bucket{{endpoint=\"{endpoint}\",le=\"+Inf\"}} {}", self.all);
        let _ = writeln!(text, "{name}_sum{{endpoint=\"{endpoint}\"}} {}", self.seconds);
        let _ = writeln!(text, "{name}_count{{endpoint=\"{endpoint}\"}} {}", self.all);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
