//! When a failed request is sent again, and how long to wait before.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Statuses that a later attempt may mend: timeout, conflict (a model that loads), too early, too
/// many requests, and everything that the server blames on itself.
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500..=599)
}

/// The wait that the server asks for, in seconds or as an HTTP date. A date in the past is no wait.
pub(super) fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        // Beyond any cap; `from_secs_f64` would panic on what does not fit.
        let bounded = seconds.is_finite().then(|| seconds.clamp(0.0, 1e6))?;
        return Some(Duration::from_secs_f64(bounded));
    }
    // RFC 2822 takes the zone as an offset; HTTP dates always say GMT (RFC 9110, 5.6.7).
    let date = text.strip_suffix("GMT").map(|date| format!("{date}+0000"))?;
    let at = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
    Some(Duration::try_from(at - now).unwrap_or_default())
}

/// How long to wait after the failed attempt number `attempt` (from 1).
///
/// Without word from the server it is between half and all of `first * 2^(attempt-1)`; the chance
/// keeps many clients from coming back at once. `Retry-After` is a lower bound: up to a tenth is
/// added. Nothing is ever longer than `max`.
pub(super) fn wait(
    attempt: u32,
    asked: Option<Duration>,
    first: Duration,
    max: Duration,
) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(max);
    let wait = match asked {
        Some(asked) => asked.min(max).mul_f64(1.0 + 0.1 * chance()),
        None => doubled.mul_f64(0.5 + 0.5 * chance()),
    };
    wait.min(max)
}

/// A number in [0, 1). The standard library seeds each `RandomState` differently.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit a double")]
    let chance = bits as f64 / (1_u64 << 32) as f64;
    chance
}

/// The reason of a refused request in a few words.
pub(super) fn reason(status: u16) -> String {
    let name = StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    name.map_or_else(|| status.to_string(), |name| format!("{status} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use reqwest::header::HeaderValue;
    use time::macros::datetime;

    fn asked(value: &'static str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        retry_after(&headers, datetime!(2026-08-21 07:28:00 UTC))
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(asked("Fri, 21 Aug 2026 07:28:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Fri, 21 Aug 2026 07:20:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("-3"), Some(Duration::ZERO));
        assert_eq!(asked("1e300"), Some(Duration::from_secs(1_000_000)));
        for odd in ["", "soon", "nan", "inf", "Fri, 99 Aug 2026 07:28:30 GMT"] {
            assert_eq!(asked(odd), None, "{odd:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), datetime!(2026-01-01 00:00 UTC)), None);
    }

    #[test]
    fn waits_double_vary_and_are_capped() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(60));
        for attempt in 1..=6 {
            let full = Duration::from_secs(1 << (attempt - 1));
            let waits: Vec<_> = (0..50).map(|_| wait(attempt, None, first, max)).collect();
            assert!(waits.iter().all(|&w| full / 2 <= w && w <= full), "{attempt}: {waits:?}");
            assert!(waits.iter().any(|w| *w != waits[0]), "no jitter at {attempt}");
        }
        assert!(wait(u32::MAX, None, first, max) <= max);
    }

    #[test]
    fn the_server_s_wait_is_kept_up_to_the_cap() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(60));
        let seven = wait(1, Some(Duration::from_secs(7)), first, max);
        assert!((7.0..=7.7).contains(&seven.as_secs_f64()), "{seven:?}");
        assert_eq!(wait(1, Some(Duration::from_secs(3600)), first, max), max);
    }

    #[test]
    fn only_passing_troubles_are_worth_another_try() {
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert!(may_pass(status), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 413, 415, 422] {
            assert!(!may_pass(status), "{status}");
        }
    }
}
