//! How many requests the server bears at the same time: found out by asking.
//!
//! Additive increase, multiplicative decrease: the limit doubles in each round trip until the first
//! trouble, then grows by one in each; a refusal, a server error or a timeout halves it, once in a
//! round trip. Two things are added. After a refusal the limit goes back quickly to a little below
//! the height at which the server refused, and beyond it only slowly, so that refusals stay rare.
//! And where more requests no longer give more tokens a second, the limit stops growing; where they
//! give far fewer, it sinks.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Where it begins.
const START: f64 = 8.0;
/// Share of the height at which a server refused that is gone back to at once.
const NEAR: f64 = 0.85;
/// Growth in a round trip near that height, and with one answer at most.
const SLOW: (f64, f64) = (0.25, 0.04);
/// Weight of a new answer in the averages.
const FRESH: f64 = 0.2;
/// Answers of a kind before its averages say anything.
const FEW: u32 = 8;
/// Share of what was best that is forgotten in a round trip.
const FORGET: f64 = 0.02;
/// Answers quicker than this say nothing about load.
const QUICK: f64 = 0.25;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum News {
    /// It was answered.
    Answered {
        /// Kind of request: how long a token takes depends on it.
        call: &'static str,
        /// Tokens of the answer.
        tokens: u64,
    },
    /// The server has too much to do.
    Refused,
    /// A server error, a timeout or a broken connection.
    Failed,
}

/// A request as it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// Requests under way then, itself included.
    pub(super) among: usize,
}

/// The limit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) limit: usize,
    /// Whether it is worth telling: every decrease, and increases by half.
    pub(super) telling: bool,
    /// Why, in a few words.
    pub(super) why: &'static str,
}

/// The limit and what it follows from. Times come from the caller.
#[derive(Debug)]
pub(super) struct Pace {
    most: f64,
    level: f64,
    /// Up to here the limit grows with every answer.
    ramp_to: f64,
    /// Height at which the server last refused.
    ceiling: Option<f64>,
    cut_at: Option<Instant>,
    /// Whether nothing was answered since then.
    silent: bool,
    told: f64,
    costs: HashMap<&'static str, Cost>,
}

/// A little below the height at which a server refused.
fn near(height: f64) -> f64 {
    (height * NEAR).min(height - 1.0)
}

/// Averages over the answers of one kind.
#[derive(Debug, Default)]
struct Cost {
    answers: u32,
    seconds: f64,
    tokens: f64,
    under_way: f64,
    /// The most tokens a second, and how few requests under way gave them.
    best: Option<(f64, f64)>,
}

/// What the time that answers take says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Load {
    /// Nothing against more.
    Light,
    /// More gives no more tokens a second.
    Full,
    /// This gives far fewer tokens a second than so many did.
    Over(f64),
}

impl Pace {
    /// At most `most`, and always that much if it is not `adaptive`.
    pub(super) fn new(most: usize, adaptive: bool) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
        let most = most as f64;
        let level = if adaptive { most.min(START) } else { most };
        Self {
            most,
            level,
            ramp_to: most,
            ceiling: None,
            cut_at: None,
            silent: false,
            told: level,
            costs: HashMap::new(),
        }
    }

    /// Requests that may be under way.
    pub(super) fn limit(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a `usize`"
        )]
        let limit = self.level as usize;
        limit.max(1)
    }

    /// Takes note of what became of a request; `under_way` still counts it.
    pub(super) fn note(
        &mut self,
        news: News,
        sent: Sent,
        now: Instant,
        under_way: usize,
    ) -> Option<Change> {
        let before = self.limit();
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
        let (among, under_way) = (sent.among as f64, under_way as f64);
        // What was sent before the last decrease tells of the time before it.
        let stale = self.cut_at.is_some_and(|cut| sent.at <= cut);
        let why = match news {
            News::Answered { .. } if stale => {
                self.silent = false;
                return None;
            }
            News::Answered { call, tokens } => {
                self.silent = false;
                let took = now.saturating_duration_since(sent.at);
                let cost = self.costs.entry(call).or_default();
                match cost.note(took, tokens, f64::midpoint(among, under_way)) {
                    Load::Over(best) if self.level > best => {
                        self.level = (self.level * 0.8).max(best);
                        self.ramp_to = self.level;
                        self.cut_at = Some(now);
                        // What follows is measured apart.
                        self.costs.values_mut().for_each(|cost| cost.answers = 0);
                        "answers take much longer"
                    }
                    Load::Light if under_way + 1.0 > self.level.floor() => {
                        self.grow();
                        "answers come in good time"
                    }
                    _ => return None,
                }
            }
            News::Refused | News::Failed if stale => return None,
            News::Refused => {
                // One refusal proves no more than half.
                let height = self.level.min(under_way).max(self.level / 2.0);
                if !self.silent {
                    self.ceiling = Some(height);
                    self.ramp_to = near(height);
                }
                self.cut(now);
                "the server has too much to do"
            }
            News::Failed => {
                if !self.silent {
                    self.ramp_to = self.level * 0.75;
                }
                self.cut(now);
                "requests fail"
            }
        };
        self.change(before, why)
    }

    fn cut(&mut self, now: Instant) {
        self.level = (self.level / 2.0).max(1.0);
        self.cut_at = Some(now);
        self.silent = true;
    }

    /// One answer's share of the growth.
    fn grow(&mut self) {
        let one = 1.0 / self.level;
        let step = if self.ceiling.is_some_and(|ceiling| self.level >= near(ceiling)) {
            (SLOW.0 * one).min(SLOW.1)
        } else {
            (self.ramp_to - self.level).clamp(one, 1.0)
        };
        self.level = (self.level + step).min(self.most);
        if self.ceiling.is_some_and(|ceiling| self.level > ceiling + 1.0) {
            self.ceiling = None;
        }
    }

    fn change(&mut self, before: usize, why: &'static str) -> Option<Change> {
        let limit = self.limit();
        if limit == before {
            return None;
        }
        let whole = self.level >= self.most && self.told < self.most;
        let telling = limit < before || self.level >= self.told * 1.5 || whole;
        if telling {
            self.told = self.level;
        }
        Some(Change { limit, telling, why })
    }
}

impl Cost {
    fn note(&mut self, took: Duration, tokens: u64, under_way: f64) -> Load {
        #[expect(clippy::cast_precision_loss, reason = "answers have far less than 2^52 tokens")]
        let tokens = tokens.max(1) as f64;
        self.answers = self.answers.saturating_add(1);
        let fresh = if self.answers == 1 { 1.0 } else { FRESH };
        for (average, new) in [
            (&mut self.seconds, took.as_secs_f64()),
            (&mut self.tokens, tokens),
            (&mut self.under_way, under_way),
        ] {
            *average += fresh * (new - *average);
        }
        if self.answers < FEW || self.seconds < QUICK {
            return Load::Light;
        }
        let speed = self.under_way * self.tokens / self.seconds;
        let (best, then) = match &mut self.best {
            Some(best) if speed <= best.0 * 1.1 => {
                // Servers become slower too: what was best is slowly forgotten.
                best.0 += FORGET / under_way.max(1.0) * (speed - best.0).min(0.0);
                *best
            }
            none_or_worse => *none_or_worse.insert((speed, self.under_way)),
        };
        let more = self.under_way / then;
        if more >= 1.1 && speed <= 0.5 * best {
            Load::Over(then)
        } else if more >= 1.5 || more >= 1.1 && speed <= 0.8 * best {
            Load::Full
        } else {
            Load::Light
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// What a simulated server does with a request when `now` of them are there, itself included:
    /// the time that it takes, or none for a refusal.
    type Server<'a> = &'a dyn Fn(usize, u64) -> (News, u64);

    #[derive(Debug, Default)]
    struct Told {
        answered: usize,
        refused: usize,
        failed: usize,
        /// The limit after each request, with the time in ms.
        limits: Vec<(u64, usize)>,
    }

    impl Told {
        fn at_the_end(&self) -> (usize, usize) {
            let last = &self.limits[self.limits.len() * 3 / 4..];
            let limits = last.iter().map(|(_, limit)| *limit);
            (limits.clone().min().unwrap(), limits.max().unwrap())
        }
    }

    /// `requests` answers from `server`, always as many under way as the limit lets.
    fn simulate(pace: &mut Pace, requests: usize, server: Server<'_>) -> Told {
        let zero = Instant::now();
        let (mut told, mut time, mut number) = (Told::default(), 0, 0);
        let mut under_way: BinaryHeap<Reverse<(u64, u64, usize, u64)>> = BinaryHeap::new();
        let mut news = HashMap::new();
        while told.answered < requests {
            while under_way.len() < pace.limit() && told.answered + under_way.len() < requests {
                number += 1;
                let (becomes, takes) = server(under_way.len() + 1, time);
                news.insert(number, becomes);
                let among = under_way.len() + 1;
                under_way.push(Reverse((time + takes.max(1), number, among, time)));
            }
            let count = under_way.len();
            let Reverse((ends, which, among, began)) = under_way.pop().unwrap();
            time = ends;
            let news = news.remove(&which).unwrap();
            match news {
                News::Answered { .. } => told.answered += 1,
                News::Refused => told.refused += 1,
                News::Failed => told.failed += 1,
            }
            let sent = Sent { at: zero + MS(began), among };
            pace.note(news, sent, zero + MS(time), count);
            told.limits.push((time, pace.limit()));
        }
        told
    }

    const ANSWER: News = News::Answered { call: "repair", tokens: 100 };

    /// Refuses beyond `most`, at once; answers take a second.
    fn refusing(most: usize) -> impl Fn(usize, u64) -> (News, u64) {
        move |now, _| if now > most { (News::Refused, 5) } else { (ANSWER, 1000) }
    }

    #[test]
    fn a_server_that_bears_everything_is_asked_as_much_as_allowed() {
        let mut pace = Pace::new(64, true);
        assert_eq!(pace.limit(), 8);
        let told = simulate(&mut pace, 500, &|_, _| (ANSWER, 1000));
        assert_eq!(told.at_the_end(), (64, 64));
        // Doubled in each round trip: 8, 16, 32, 64.
        assert!(told.limits.iter().any(|&(time, limit)| limit == 64 && time <= 3000));
    }

    #[test]
    fn a_limit_that_is_not_adaptive_stays() {
        let mut pace = Pace::new(64, false);
        let now = Instant::now();
        assert_eq!(pace.limit(), 64);
        // The client notes nothing then; the limit is the setting's.
        pace.note(ANSWER, Sent { at: now, among: 64 }, now, 64);
        assert_eq!(pace.limit(), 64);
    }

    #[test]
    fn the_limit_settles_near_what_the_server_bears_and_refusals_stay_few() {
        for most in [1, 2, 4, 10, 40] {
            let mut pace = Pace::new(128, true);
            let told = simulate(&mut pace, 100 * most + 200, &refusing(most));
            let (least, greatest) = told.at_the_end();
            assert!(greatest <= most + 1, "{most}: up to {greatest}");
            assert!(least * 2 + 1 >= most, "{most}: down to {least}");
            assert!(told.refused * 8 <= told.answered, "{most}: {} refused", told.refused);
            // Nearly as quick as at the best limit.
            let (best, took) =
                (told.answered as u64 * 1000 / most as u64, told.limits.last().unwrap().0);
            assert!(took * 10 <= best * 13, "{most}: {took} ms instead of {best}");
        }
    }

    #[test]
    fn many_refusals_of_one_round_trip_are_one() {
        let mut pace = Pace::new(64, false);
        let start = Instant::now();
        for later in 0..30 {
            let sent = Sent { at: start, among: 64 };
            pace.note(News::Refused, sent, start + MS(10 + later), 64 - later as usize);
        }
        assert_eq!(pace.limit(), 32);
        pace.note(News::Refused, Sent { at: start + MS(11), among: 32 }, start + MS(50), 32);
        assert_eq!(pace.limit(), 16);
    }

    #[test]
    fn an_outage_is_recovered_from_quickly() {
        let mut pace = Pace::new(32, true);
        let outage = |_: usize, time: u64| {
            if (5_000..60_000).contains(&time) { (News::Failed, 1000) } else { (ANSWER, 1000) }
        };
        let told = simulate(&mut pace, 1000, &outage);
        let at = |time: u64| {
            let index = told.limits.partition_point(|&(at, _)| at <= time);
            told.limits[index - 1].1
        };
        assert_eq!((at(5_000), at(60_000)), (32, 1));
        assert!(at(66_500) >= 24, "{}", at(66_500));
        assert_eq!(told.limits.last().unwrap().1, 32);
        // Soon one at a time is asked.
        assert!(told.failed < 32 + 2 * (16 + 8 + 4 + 2) + 60, "{}", told.failed);
    }

    #[test]
    fn a_server_that_only_queues_is_not_asked_much_more_than_it_works_on() {
        // 16 are worked on; more wait there.
        let queueing = |now: usize, _: u64| (ANSWER, 1000 * now.max(16) as u64 / 16);
        let mut pace = Pace::new(512, true);
        let told = simulate(&mut pace, 3000, &queueing);
        let (least, greatest) = told.at_the_end();
        assert!(least >= 16 && greatest <= 64, "{least} to {greatest}");
    }

    #[test]
    fn a_server_that_thrashes_is_asked_less() {
        // Beyond 32 each further request makes all of them much slower.
        let thrashing =
            |now: usize, _: u64| (ANSWER, 1000 + 500 * (now.saturating_sub(32) as u64).pow(2));
        let mut pace = Pace::new(512, true);
        let told = simulate(&mut pace, 4000, &thrashing);
        let (least, greatest) = told.at_the_end();
        assert!(least >= 16 && greatest <= 48, "{least} to {greatest}");
    }

    #[test]
    fn a_server_that_batches_well_is_asked_as_much_as_allowed() {
        // Four times slower at 256 than alone: far more tokens a second all the same.
        let batching = |now: usize, _: u64| (ANSWER, 1000 + 3000 * now as u64 / 256);
        let mut pace = Pace::new(256, true);
        let told = simulate(&mut pace, 4000, &batching);
        assert_eq!(told.at_the_end(), (256, 256));
    }

    #[test]
    fn growth_needs_requests_that_fill_the_limit() {
        let mut pace = Pace::new(64, true);
        let now = Instant::now();
        for _ in 0..100 {
            assert_eq!(pace.note(ANSWER, Sent { at: now, among: 3 }, now + MS(900), 3), None);
        }
        assert_eq!(pace.limit(), 8);
    }

    #[test]
    fn decreases_are_told_and_increases_by_half() {
        let mut pace = Pace::new(32, true);
        let (mut now, mut told) = (Instant::now(), Vec::new());
        for _ in 0..40 {
            let change = pace.note(ANSWER, Sent { at: now, among: 8 }, now + MS(100), pace.limit());
            told.extend(change.filter(|change| change.telling).map(|change| change.limit));
            now += MS(100);
        }
        assert_eq!(told, [12, 18, 27, 32]);
        let change = pace.note(News::Failed, Sent { at: now, among: 32 }, now + MS(1), 32).unwrap();
        assert_eq!((change.limit, change.telling, change.why), (16, true, "requests fail"));
    }
}
