//! What is pending at the broker: it stands in the journal as done once it is, so that a restart before that goes on with it.

use forecastd_core::Entry;

/// What is to be written into the journal when something is done.
#[derive(Debug, Default)]
pub(super) struct Intentions {
    /// Once the broker has dropped the subscriptions of before.
    pub(super) subscribed: Option<Entry>,
    /// Once what Home Assistant was told before under other prefixes is taken back.
    pub(super) withdrawn: Option<Entry>,
}

/// Those of before, one a line, and those of now behind them.
pub(super) fn union(before: &[String], now: &[String]) -> String {
    let missing = now.iter().filter(|own| !before.contains(own));
    before.iter().chain(missing).cloned().collect::<Vec<_>>().join("\n")
}
