//! Troubles on order: by rate, or at a named request.

use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::{StreamExt, stream};

use super::draw::Draw;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429 with `Retry-After`.
    RateLimit,
    /// 500 with a JSON error.
    ServerError,
    /// 200 with a page instead of JSON.
    Html,
    /// A body that breaks off.
    Truncated,
    /// No answer, ever.
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

const NAMES: [(&str, Fault); 6] = [
    ("429", Fault::RateLimit),
    ("500", Fault::ServerError),
    ("html", Fault::Html),
    ("truncated", Fault::Truncated),
    ("hang", Fault::Hang),
    ("drop", Fault::Drop),
];

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }

    /// The faulty answer.
    pub(crate) async fn respond(self, retry_after: f64) -> Response<Body> {
        let answer = |status: u16, kind: &str, body: Body| {
            let answer = Response::builder().status(status).header("content-type", kind);
            answer.header("retry-after", retry_after.to_string()).body(body).expect("valid headers")
        };
        let cut = |wait: u64| async move {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            Err(std::io::Error::other("ordered fault"))
        };
        let begin = async { Ok(Bytes::from_static(b"{\"id\": \"standin\", \"choices\": [{")) };
        match self {
            Self::RateLimit => {
                let body = "{\"error\": {\"message\": \"Rate limit reached\", \"code\": 429}}";
                answer(429, "application/json", body.into())
            }
            Self::ServerError => answer(
                500,
                "application/json",
                "{\"error\": {\"message\": \"ordered fault\"}}".into(),
            ),
            Self::Html => answer(200, "text/html", "<html><h1>Welcome</h1></html>".into()),
            Self::Truncated => {
                let body = stream::once(begin).chain(stream::once(cut(20)));
                answer(200, "application/json", Body::from_stream(body))
            }
            Self::Drop => {
                let body: stream::Once<_> = stream::once(cut(0));
                let body = body.map(|end: Result<Bytes, _>| end);
                answer(200, "application/json", Body::from_stream(body))
            }
            Self::Hang => std::future::pending().await,
        }
    }
}

/// A fault at certain requests: `KIND[@[INSTANCE/]STAGE[:SAMPLE[:TIMES]]]`, such as
/// `hang@repair:3:2`, the first two requests of each instance for sample 3 of `repair`. Without sample
/// every sample; without times once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ordered {
    pub(crate) fault: Fault,
    pub(crate) instance: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) sample: Option<u32>,
    /// Requests for one sample that meet it, from the first on.
    pub(crate) times: u64,
}

impl FromStr for Ordered {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, place) = text.split_once('@').unwrap_or((text, ""));
        let fault = kind.parse()?;
        let (instance, place) = match place.split_once('/') {
            Some((instance, place)) => (Some(instance.to_owned()), place),
            None => (None, place),
        };
        let mut parts = place.split(':').map(str::trim);
        let stage = parts.next().filter(|stage| !stage.is_empty()).map(str::to_owned);
        let number = |text: &str| text.parse::<u32>().map_err(|e| format!("{text:?}: {e}"));
        let sample = parts.next().map(number).transpose()?;
        let times = parts.next().map(number).transpose()?.map_or(1, u64::from);
        match parts.next() {
            Some(more) => Err(format!("{more:?} is too much in {text:?}")),
            None => Ok(Self { fault, instance, stage, sample, times }),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text).map(|(_, fault)| *fault);
        let names = NAMES.map(|(name, _)| name).join(", ");
        found.ok_or_else(|| format!("unknown fault {text:?}; there are {names}"))
    }
}

/// A fault with a rate: `KIND=RATE`, such as `500=0.1`, drawn anew for each request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rated {
    pub(crate) fault: Fault,
    pub(crate) rate: f64,
}

impl FromStr for Rated {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rate) = text.split_once('=').ok_or("expected KIND=RATE")?;
        let rate = rate.parse().map_err(|e| format!("{rate:?}: {e}"))?;
        Ok(Self { fault: kind.parse()?, rate })
    }
}

/// The fault that a request for `sample` of `stage` meets, the `attempt`th for it, from 1.
pub(crate) fn met(
    ordered: &[Ordered],
    rated: &[Rated],
    (instance, stage, sample, attempt): (&str, &str, u32, u64),
    draw: &mut Draw,
) -> Option<Fault> {
    let meets = |order: &&Ordered| {
        order.instance.as_deref().is_none_or(|own| own == instance)
            && order.stage.as_deref().is_none_or(|own| own == stage)
            && order.sample.is_none_or(|own| own == sample)
            && attempt <= order.times
    };
    let by_order = ordered.iter().find(meets).map(|order| order.fault);
    by_order.or_else(|| rated.iter().find(|rated| draw.happens(rated.rate)).map(|r| r.fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_met() {
        let order: Ordered = "hang@repair:3:2".parse().expect("an order");
        let met = |order: &Ordered, at| {
            met(std::slice::from_ref(order), &[], at, &mut Draw::of(&[])).is_some()
        };
        assert!(met(&order, ("a", "repair", 3, 1)) && met(&order, ("b", "repair", 3, 2)));
        for at in [("a", "repair", 3, 3), ("a", "repair", 4, 1), ("a", "localize", 3, 1)] {
            assert!(!met(&order, at), "{at:?}");
        }
        let every: Ordered = "500".parse().expect("an order");
        assert!(met(&every, ("a", "localize", 9, 1)) && !met(&every, ("a", "localize", 9, 2)));
        let of_one: Ordered = "500@a__b-1/repair".parse().expect("an order");
        assert!(met(&of_one, ("a__b-1", "repair", 0, 1)) && !met(&of_one, ("b", "repair", 0, 1)));
        for odd in ["", "501", "hang@repair:x", "hang@repair:1:1:1", "hang@:-1"] {
            assert!(odd.parse::<Ordered>().is_err(), "{odd:?}");
        }
        let rated: Rated = "drop=0.25".parse().expect("a rate");
        assert_eq!(rated, Rated { fault: Fault::Drop, rate: 0.25 });
    }
}
