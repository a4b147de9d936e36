//! The file of tokens, read again now and then: a token comes and goes without a restart. A file without tokens locks
//! everybody of it out; one that cannot be used changes nothing.

use std::{path::PathBuf, time::Duration};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::auth::{Tokens, TokensError};

/// The file, and how often it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile {
    /// Where it is.
    pub path: PathBuf,
    /// Between two looks.
    pub interval: Duration,
}

impl TokenFile {
    /// At this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), interval: Duration::from_secs(10) }
    }
}

/// Why a file changes nothing.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Tokens(#[from] TokensError),
}

/// Keeps `tokens` as the file has them until shutdown.
pub(crate) async fn follow(file: &TokenFile, tokens: &RwLock<Tokens>, shutdown: CancellationToken) {
    let mut looks = tokio::time::interval(file.interval);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        let fault = match look(file, tokens).await {
            Ok(()) => None,
            Err(error) => Some(telemetry::with_causes(&error)),
        };
        // Once, and not at every look.
        if let Some(error) = fault.as_ref().filter(|_| fault != last) {
            let path = file.path.display();
            tracing::error!(%path, error, "the file of tokens cannot be used, and those of before go on");
        }
        last = fault;
    }
}

async fn look(file: &TokenFile, tokens: &RwLock<Tokens>) -> Result<(), FileError> {
    let content = tokio::fs::read_to_string(&file.path).await?;
    let mut new = tokens.read().clone();
    new.replace_file(&content)?;
    let changed = *tokens.read() != new;
    if changed {
        tracing::info!("the file of tokens has changed: {new:?}");
        *tokens.write() = new;
    }
    Ok(())
}
