//! What systemd is told: ready, status, stopping, and the watchdog's signs of life.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::operations::health::Health;

/// Talks to the service manager; does nothing where there is none.
#[derive(Debug)]
pub struct Notifier {
    is_there: bool,
    /// How often the watchdog wants a sign of life, halved.
    watchdog_every: Option<Duration>,
    last_sign: Option<Instant>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say.
    pub fn from_environment() -> Notifier {
        Notifier {
            is_there: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog_every: sd_notify::watchdog_enabled().map(|every| every / 2),
            last_sign: None,
        }
    }

    /// Tells systemd that the daemon is ready (`READY=1`).
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The line that `systemctl status` shows.
    pub fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(line)]);
    }

    /// Tells systemd that the daemon is ending (`STOPPING=1`).
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// A sign of life, when one is due and all parts have proven progress. To be called every second or so.
    pub fn watchdog(&mut self, health: &Health) {
        let Some(every) = self.watchdog_every else { return };
        let is_due = self.last_sign.is_none_or(|last| last.elapsed() + Duration::from_secs(1) >= every);
        if is_due && health.stuck().is_empty() {
            self.last_sign = Some(Instant::now());
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if self.is_there
            && let Err(error) = sd_notify::notify(states)
        {
            tracing::debug!(%error, "service manager cannot be told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_starves_while_any_part_is_stuck() {
        let mut notifier =
            Notifier { is_there: false, watchdog_every: Some(Duration::from_secs(1)), last_sign: None };
        let health = Health::silent_for(Duration::from_secs(60));
        notifier.watchdog(&health);
        health.worker_alive();
        notifier.watchdog(&health);
        assert_eq!(notifier.last_sign, None);
        health.loop_alive();
        notifier.watchdog(&health);
        assert!(notifier.last_sign.is_some());
    }
}
