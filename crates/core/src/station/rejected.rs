//! Why a reading is not taken at all.

use jiff::{SignedDuration, Timestamp};

use super::moves::BELIEVED;

/// Why a reading is not taken at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Rejected {
    /// Its time lies ahead of the clock.
    #[error("reading of {time} is {} ahead of the clock{}", humanize(*.ahead), local_time_hint(*.ahead))]
    InFuture {
        /// The reading's time.
        time: Timestamp,
        /// How far ahead.
        ahead: SignedDuration,
    },
    /// Its time lies before everything that is kept.
    #[error("reading of {time} is {} behind the newest, further than history is kept", humanize(*.behind))]
    TooOld {
        /// The reading's time.
        time: Timestamp,
        /// How far behind.
        behind: SignedDuration,
    },
    /// Its time is before there were such stations.
    #[error("reading of {0} is from before {EARLIEST_YEAR}: the station's clock is not set")]
    FarPast(Timestamp),
    /// It says that the station stands elsewhere, which is not believed yet.
    #[error(
        "reading of {time} is from {distance_km:.0} km away: another station of this name, or a receiver that errs; a move is \
         believed when {BELIEVED} readings in a row say so"
    )]
    Elsewhere {
        /// The reading's time.
        time: Timestamp,
        /// How far away.
        distance_km: f64,
    },
    /// It is the first of its station, and there is room for no further one.
    #[error("stations.max = {max} stations are served already")]
    TooManyStations {
        /// How many are served at most.
        max: usize,
    },
    /// No value was left after screening.
    #[error("no value of the reading of {time} is plausible, such as {example}")]
    Implausible {
        /// The reading's time.
        time: Timestamp,
        /// One of the values.
        example: String,
    },
}

/// Readings from before this year come from a clock that is not set.
const EARLIEST_YEAR: i16 = 1990;

/// 1990-01-01T00:00:00Z, in seconds since 1970: readings from before come from a clock that is not set.
pub const EARLIEST_READING_S: i64 = 631_152_000;

impl Rejected {
    /// Every reason's label, for metrics.
    pub const REASONS: &'static [&'static str] = <Rejected as strum::VariantNames>::VARIANTS;

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        self.into()
    }
}

/// Whether a time so far ahead of the clock looks like local time that was marked as UTC: a whole number of half hours,
/// up to the widest offset there is.
pub(crate) fn looks_like_local_time(ahead: SignedDuration) -> bool {
    const HALF_HOUR_S: i64 = 1800;
    const WIDEST_S: i64 = 14 * 3600;
    // A reading is a little old when it arrives, so that it is ahead by a little less than the offset.
    const BELOW_S: i64 = 180;
    const ABOVE_S: i64 = 60;
    let ahead_s = ahead.as_secs();
    let distance_s = (ahead_s + HALF_HOUR_S / 2).rem_euclid(HALF_HOUR_S) - HALF_HOUR_S / 2;
    (HALF_HOUR_S - BELOW_S..=WIDEST_S + ABOVE_S).contains(&ahead_s)
        && (-BELOW_S..=ABOVE_S).contains(&distance_s)
}

fn local_time_hint(ahead: SignedDuration) -> &'static str {
    if looks_like_local_time(ahead) { ": is the station's clock in local time?" } else { "" }
}

/// A duration as a person says it: `3 min`, `5 h`, `12 d`.
pub fn humanize(duration: SignedDuration) -> String {
    let minutes = duration.as_secs().abs() / 60;
    match minutes {
        0 => format!("{} s", duration.as_secs().abs()),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}
