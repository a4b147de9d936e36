//! How an executor ends: by SIGTERM when nothing is held any more or nobody asks for it (`draining.rs`), or at once
//! when its parent is gone.

use std::{io, io::Read as _, time::Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::App,
    draining::{self, Next},
    run::kill,
};

/// Waits for SIGTERM, refuses starts from then on, and returns when the last outcome is acknowledged or given up.
pub(crate) async fn until_drained(app: &App) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    terminate.recv().await;
    tracing::info!("draining");
    app.drain();
    loop {
        let (held, heard) = app.awaited();
        match draining::next(held, heard, app.config.outcome_patience, Instant::now()) {
            Next::Leave => break tracing::info!("drained"),
            Next::GiveUp => break tracing::warn!("nobody asks for the outcome; it is given up"),
            Next::AwaitEnd => app.released.notified().await,
            // Early or late, what to do is decided anew.
            Next::AwaitOperator(left) => drop(tokio::time::timeout(left, app.released.notified()).await),
        }
    }
    Ok(())
}

/// Watches standard input on a thread of its own, so that nothing the server does can delay it: at its
/// end everything the executor started is killed, and the executor exits.
pub(crate) fn watch_lifeline() {
    std::thread::spawn(|| {
        let mut buffer = [0; 64];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        kill::everything(&mut |_| ());
        std::process::exit(0);
    });
}
