//! A station that is served, and what was last published of it.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::readings::HeldReading;
use super::{Effect, Now, Publication, StationState};
use crate::journal::Restored;
use crate::station::{Readiness, Station};

/// What a restart has left in the journal, as it is of a time that is still to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct FutureLeft {
    /// When the station was restored, in time since the start.
    pub(super) restarted_at: Duration,
    /// Up to when it has been removed; none where nothing has.
    pub(super) removed_until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StateKind {
    Silent,
    WarmingUp,
    Ready,
    NoPlace,
    Elsewhere,
    Stale,
}

/// A station, and what was last published of it.
pub(super) struct StationEntry {
    pub(super) station: Station,
    /// State and missing hours as last published, and when.
    pub(super) published: Option<(StateKind, Option<i64>)>,
    pub(super) published_at: Duration,
    /// When it last sent something new, in time since the start; before the start it counts as negative.
    pub(super) active_uptime: i128,
    /// The hour of station time for which verification was last published, or is to be with the next flush.
    pub(super) verified_hour: i64,
    /// Whether its scores are to be published.
    pub(super) is_verified: bool,
    /// Whether the state of the station is to be written with the next batch.
    pub(super) is_dirty: bool,
    /// Whether only its delivery has changed, which can wait for another reason to write.
    pub(super) is_delivery_dirty: bool,
    /// What the journal holds of a time that is still to come, until it is removed.
    pub(super) future_left: Option<FutureLeft>,
    /// Readings that wait for the forecasts in flight.
    pub(super) held: VecDeque<HeldReading>,
    /// What the journal gave it that waits for the forecasts in flight.
    pub(super) recalled: VecDeque<Box<Restored>>,
    /// Whether the forecast that was published last is marked as stale.
    pub(super) is_marked_stale: bool,
}

impl StationEntry {
    /// How the station is now.
    pub(super) fn state(&self, now: Now, stale_after: SignedDuration) -> StationState {
        let silent_for = now.uptime.as_nanos() as i128 - self.active_uptime;
        match silent_for > stale_after.as_nanos() {
            true => StationState::Stale,
            false => StationState::Fresh(self.station.readiness()),
        }
    }

    /// The newest forecast, marked as stale, where that was published of the station and not of its forecast.
    pub(super) fn mark_stale(&mut self) -> Option<Effect> {
        let is_stale = self.published.is_some_and(|(kind, _)| kind == StateKind::Stale);
        let forecast = self.station.newest_forecast().filter(|_| is_stale && !self.is_marked_stale)?;
        let forecast = Box::new(forecast.clone());
        self.is_marked_stale = true;
        Some(Effect::Publish(Publication::Forecast { forecast, is_stale }))
    }
}

pub(super) fn kind(state: StationState) -> StateKind {
    match state {
        StationState::Stale => StateKind::Stale,
        StationState::Fresh(Readiness::Silent) => StateKind::Silent,
        StationState::Fresh(Readiness::WarmingUp(_)) => StateKind::WarmingUp,
        StationState::Fresh(Readiness::Ready) => StateKind::Ready,
        StationState::Fresh(Readiness::NoPlace) => StateKind::NoPlace,
        StationState::Fresh(Readiness::Elsewhere(_)) => StateKind::Elsewhere,
    }
}
