//! What is to be made durable, and what a restart gets back of it.

use jiff::Timestamp;

use crate::forecast::Forecast;
use crate::weather::quantity::Values;
use crate::weather::reading::StationName;

/// One thing to make durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A reading as it was believed. Rows of the same station later than `slot_begins` (exclusive) and earlier than `time`
    /// whose every value is measured by this one too are removed: a slot of the grid keeps what its history cells hold.
    Reading {
        /// Whose.
        station: StationName,
        /// When it was measured.
        time: Timestamp,
        /// What was measured.
        values: Values,
        /// The end of the slot before.
        slot_begins: Timestamp,
    },
    /// A forecast; replaces one of the same station and origin.
    Forecast(Box<Forecast>),
    /// What a station remembers beyond its readings and forecasts; replaces what stood there.
    State {
        /// Whose.
        station: StationName,
        /// The state, which only the station understands.
        state: Vec<u8>,
        /// From when on a restart needs readings.
        readings_from: Timestamp,
        /// From which origin on a restart needs forecasts.
        forecasts_from: Timestamp,
        /// When the last reading arrived.
        active_at: Timestamp,
    },
    /// The station is forgotten: readings, forecasts, state.
    Forget(StationName),
    /// Readings and forecasts of the station later than `after` are removed: a clock was ahead.
    Truncate {
        /// Whose.
        station: StationName,
        /// The last time that is kept.
        after: Timestamp,
    },
    /// A setting that outlives the process, such as the random part of the client id.
    Setting {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
}

/// What becomes durable together, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Rising by one.
    pub id: u64,
    /// In the order in which they happened.
    pub entries: Vec<Entry>,
}

/// What a station is restored from.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Whose.
    pub station: StationName,
    /// What [`Entry::State`] held; none in a journal of before there were states.
    pub state: Option<Vec<u8>>,
    /// By rising time.
    pub readings: Vec<(Timestamp, Values)>,
    /// By rising origin.
    pub forecasts: Vec<Forecast>,
}
