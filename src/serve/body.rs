//! Reads a body within limits of size, memory and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::serve::Limits;
use crate::serve::gate::{Gate, Held};
use crate::serve::refusal::Refusal;

/// The slowest body that is waited for, in bytes a second.
const SLOWEST: u64 = 64 * 1024;

/// Bytes of a refused body that are still read, so that its sender gets to see the refusal:
/// closing a connection on which data waits throws away what was answered.
const DRAINED: usize = 1 << 30;

/// Time for that.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// A body in memory, and what it holds of the byte budget.
pub(super) struct Loaded {
    pub(super) bytes: Vec<u8>,
    pub(super) held: Held,
}

/// Reads the whole body.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    gate: &Gate,
    limits: &Limits,
) -> Result<Loaded, Refusal> {
    let mut stream = body.into_data_stream();
    let refused = match checked(headers, limits) {
        Ok(()) => match collect(&mut stream, gate, limits).await {
            Ok(loaded) => return Ok(loaded),
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    if refused.status != StatusCode::REQUEST_TIMEOUT {
        drain(stream).await;
    }
    Err(refused.closing())
}

/// What the head alone tells.
fn checked(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let message = format!("content-encoding {encoding:?} is not read: send the body as it is");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", message));
    }
    match text(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > limits.body_bytes => Err(oversized(limits)),
        _ => Ok(()),
    }
}

async fn collect(
    stream: &mut BodyDataStream,
    gate: &Gate,
    limits: &Limits,
) -> Result<Loaded, Refusal> {
    let start = Instant::now();
    let mut loaded = Loaded { bytes: Vec::new(), held: Held::default() };
    loop {
        let taken = Duration::from_secs(loaded.bytes.len() as u64 / SLOWEST);
        let chunk = timeout_at(start + limits.read_timeout + taken, stream.next()).await;
        let chunk = match chunk {
            Ok(None) => return Ok(loaded),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => {
                let message = format!("the body ended early: {error}");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "incomplete_body", message));
            }
            Err(_) => {
                let message = "the body came too slowly";
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message));
            }
        };
        let length = loaded.bytes.len() + chunk.len();
        if length > limits.body_bytes {
            return Err(oversized(limits));
        }
        gate.hold(&mut loaded.held, length)?;
        loaded.bytes.extend_from_slice(&chunk);
    }
}

fn oversized(limits: &Limits) -> Refusal {
    Refusal::too_large(format!(
        "the body is larger than {} bytes: send smaller batches or start the server with a larger \
         --max-body",
        limits.body_bytes
    ))
}

async fn drain(mut stream: BodyDataStream) {
    let end = Instant::now() + DRAIN_TIME;
    let mut read = 0;
    while read < DRAINED
        && let Ok(Some(Ok(chunk))) = timeout_at(end, stream.next()).await
    {
        read += chunk.len();
    }
}
