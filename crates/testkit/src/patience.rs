//! Waiting for what must come.

use std::time::{Duration, Instant};

/// So long a test waits for what must come. It is no measure of speed: what comes later never comes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something to see, and gives it.
///
/// # Panics
/// When nothing came, with `what` was waited for.
pub async fn until<T>(what: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "never came: {}", what());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
