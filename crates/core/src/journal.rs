//! What is made durable, and what a station is restored from, as plain data: who writes it, and where, is not known here.

use jiff::Timestamp;

use crate::forecast::Forecast;
use crate::weather::quantity::Values;
use crate::weather::reading::StationName;

/// One thing to make durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A reading, as it was believed.
    ///
    /// A second reading of the same time adds to the first and replaces what both measure. Rows of the same station later
    /// than `slot_begins` (exclusive) and earlier than `time` are removed when this reading measures every quantity that
    /// they hold: a slot of the grid keeps what its history cells hold.
    Reading {
        /// The station that measured it.
        station: StationName,
        /// When it was measured.
        time: Timestamp,
        /// What was measured.
        values: Values,
        /// Where the slot of the reading begins.
        slot_begins: Timestamp,
    },
    /// A forecast; replaces one of the same station and origin.
    Forecast(Box<Forecast>),
    /// What a station remembers beyond its readings and forecasts; replaces what stood there.
    State {
        /// The station whose state it is.
        station: StationName,
        /// Encoded by the station itself.
        state: Vec<u8>,
        /// The station is restored from readings of this time on.
        readings_from: Timestamp,
        /// The station is restored from forecasts with this origin or a later one.
        forecasts_from: Timestamp,
        /// When the station was last heard of: where there are more stations than are served, the latest are restored.
        active_at: Timestamp,
    },
    /// What a station's experts have learned and wait for; replaces what stood there. Written about once an hour, while the
    /// state is written with every reading.
    Experts {
        /// The station whose experts they are.
        station: StationName,
        /// Encoded by the experts themselves.
        experts: Vec<u8>,
    },
    /// The station is forgotten: readings, forecasts, state, experts.
    Forget(StationName),
    /// Readings of the station later than `after` are removed, and forecasts issued later than that, up to `until`: a clock was
    /// ahead.
    Truncate {
        /// The station whose readings and forecasts are removed.
        station: StationName,
        /// The last time before them that stays.
        after: Timestamp,
        /// The last that goes; none where all do.
        until: Option<Timestamp>,
    },
    /// A setting that outlives the process, such as the random part of the client id.
    Setting {
        /// The setting's name, unique in the journal.
        key: String,
        /// Its value; replaces what stood there.
        value: String,
    },
}

/// What becomes durable together, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Rises from batch to batch.
    pub id: u64,
    /// In the order in which they take effect.
    pub entries: Vec<Entry>,
}

/// What a station is restored from.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The station that is restored.
    pub station: StationName,
    /// What [`Entry::State`] wrote last.
    pub state: Option<Vec<u8>>,
    /// What [`Entry::Experts`] wrote last.
    pub experts: Option<Vec<u8>>,
    /// Readings by rising time.
    pub readings: Vec<(Timestamp, Values)>,
    /// Forecasts by rising origin.
    pub forecasts: Vec<Forecast>,
}

impl Restored {
    /// Whether there is anything later than `limit`: a clock was ahead, or ours is behind.
    pub fn is_beyond(&self, limit: Timestamp) -> bool {
        self.readings.iter().any(|(time, _)| *time > limit)
            || self.forecasts.iter().any(|forecast| forecast.issued_at > limit)
    }
}

/// What is asked of the journal again while the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Of which station.
    pub station: StationName,
    /// Readings of this time on.
    pub readings_from: Timestamp,
    /// Forecasts with this origin or a later one.
    pub forecasts_from: Timestamp,
}
