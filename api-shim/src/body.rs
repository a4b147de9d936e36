//! Reading a JSON body: bounded in bytes, in time, and in what all bodies of this replica take together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::{
    budget::{Budget, Full, Reservation},
    error::ShimError,
    json::{Value, parse, values_in},
    metrics::{Metrics, Operation, Rejection},
    validate::Problems,
};

/// What is read and dropped of a body that is refused, so that a client that sends first and reads later
/// gets the answer and not a reset.
const DRAINED_BYTES: usize = 64 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(10);
/// What a parsed value takes beside its text. A body of nothing but `[[[[` takes many times its own size.
const VALUE_BYTES: usize = 96;

/// What the configuration says about bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRules {
    /// Bytes of one body.
    pub limit: usize,
    /// Bytes of all bodies at a time.
    pub in_flight: usize,
    /// A body may take so long however small it is.
    pub grace: Duration,
    /// After that it must have come at this rate on the whole.
    pub bytes_per_second: u32,
    /// No body may take longer.
    pub longest: Duration,
}

impl BodyRules {
    /// How long after its start a body may have needed for its first so many bytes.
    fn time_for(&self, received: usize) -> Duration {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(received.into()) / self.bytes_per_second.max(1);
        (self.grace + earned).min(self.longest)
    }
}

/// Reads bodies.
#[derive(Debug)]
pub struct Bodies {
    rules: BodyRules,
    budget: Arc<Budget>,
    metrics: Metrics,
    retry_after_seconds: u64,
}

impl Bodies {
    /// With a budget of its own.
    #[must_use]
    pub fn new(rules: BodyRules, metrics: Metrics, retry_after_seconds: u64) -> Self {
        Self { rules, budget: Budget::new(rules.in_flight), metrics, retry_after_seconds }
    }

    /// Reads a body as JSON. The reservation stands for the memory that the value takes, and whatever is made
    /// of it: it is to be held until the request's object is created.
    pub async fn read_json(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<(Value, Reservation), ShimError> {
        let refusal = match self.content(headers, &mut body).await {
            Ok((content, held)) => return self.parsed(operation, &content, held),
            Err(refusal) => refusal,
        };
        // A client that waits for `100 Continue` has not sent anything yet and must not.
        if matches!(refusal, Stop::TooLarge | Stop::Full) && !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        Err(self.refused(operation, refusal))
    }

    async fn content(&self, headers: &HeaderMap, body: &mut Body) -> Result<(Bytes, Reservation), Stop> {
        let declared = declared_length(headers).unwrap_or(0);
        if declared > self.rules.limit {
            return Err(Stop::TooLarge);
        }
        let mut held = self.budget.reserve(declared)?;
        let start = tokio::time::Instant::now();
        let mut content = BytesMut::new();
        loop {
            let due = start + self.rules.time_for(content.len());
            let piece = tokio::time::timeout_at(due, next_piece(body)).await.map_err(|_| Stop::TooSlow)??;
            let Some(piece) = piece else { return Ok((content.freeze(), held)) };
            if content.len() + piece.len() > self.rules.limit {
                return Err(Stop::TooLarge);
            }
            held.grow_to(content.len() + piece.len())?;
            content.extend_from_slice(&piece);
        }
    }

    fn parsed(
        &self,
        operation: Operation,
        content: &[u8],
        mut held: Reservation,
    ) -> Result<(Value, Reservation), ShimError> {
        let bytes = content.len().saturating_add(values_in(content).saturating_mul(VALUE_BYTES));
        if bytes > self.budget.all() {
            return Err(ShimError::BodyTooLarge);
        }
        held.grow_to(bytes).map_err(|Full| self.refused(operation, Stop::Full))?;
        Ok((read_json(content)?, held))
    }

    fn refused(&self, operation: Operation, refusal: Stop) -> ShimError {
        match refusal {
            Stop::TooLarge => ShimError::BodyTooLarge,
            Stop::TooSlow => ShimError::BodyTimeout,
            Stop::Broken => ShimError::BodyUnreadable,
            Stop::Full => {
                self.metrics.rejected(operation, 429, Rejection::saturated);
                ShimError::Saturated { retry_after_seconds: self.retry_after_seconds }
            }
        }
    }
}

/// Why a body is not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    TooLarge,
    TooSlow,
    Broken,
    Full,
}

impl From<Full> for Stop {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

fn read_json(content: &[u8]) -> Result<Value, ShimError> {
    if content.is_empty() {
        return Err(ShimError::Problems(Problems::empty_body()));
    }
    parse(content)
        .map_err(|error| Problems::not_json(&error).map_or(ShimError::BodyUnreadable, ShimError::Problems))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, Stop> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Stop::Broken),
            // Trailers say nothing we need.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn drain(body: &mut Body) {
    let end = Instant::now() + DRAINED_FOR;
    let read = async {
        let mut dropped = 0;
        while let Ok(Some(piece)) = next_piece(body).await {
            dropped += piece.len();
            if dropped > DRAINED_BYTES {
                return;
            }
        }
    };
    let _too_slow = tokio::time::timeout_at(end.into(), read).await;
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
