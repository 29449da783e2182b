//! One signal for «finish what you are at and end».

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at SIGINT (Ctrl-C) or SIGTERM.
///
/// A second signal ends the process at once: a person who presses Ctrl-C twice means it.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if round == 0 {
                tracing::info!("Stopping");
                cancelled.cancel();
            }
        }
        // 128 + SIGINT, as shells report it.
        std::process::exit(130);
    });
    Ok(token)
}
