//! Checks each value of a reading before it is believed: range, sentinel, leap, freeze.
//!
//! Values are dropped by quantity, not by reading. The trainer screens a record with the same code, so that the
//! network is trained on what it will see.
//!
//! # What is remembered
//! Of each quantity: the newest value that was believed, how long it has stood, how finely the sensor resolves, and the
//! last leap refused since. A value changes this memory when it is believed, when it is refused as a leap, and when it
//! repeats the one before; then also when nothing else of its reading is believed. A value out of range changes nothing,
//! nor does one that is not newer than what is known of its quantity. The memory is small, and can be stored and read
//! again (`serde`) without any difference.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::intake::leap::{LEAPS_BELIEVED, RefusedLeap, is_leap};
use crate::intake::resolution::Resolution;
use crate::weather::quantity::{Quantity, Values};

/// Why a value was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Implausible {
    /// Outside the range of the quantity; sentinels such as −9999 are.
    OutOfRange,
    /// Further from the value before than the atmosphere moves in the time between.
    Leap,
    /// The same value for longer than the sensor's resolution explains.
    Frozen,
}

impl Implausible {
    /// Every reason, for counters that begin at 0.
    pub const ALL: &'static [Implausible] = <Implausible as VariantArray>::VARIANTS;

    /// The reason as a metric's label and a log's field.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// A value that was dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropped {
    /// Of which quantity.
    pub quantity: Quantity,
    /// The value, in the canonical unit.
    pub value: f32,
    /// Which check the value did not pass.
    pub reason: Implausible,
}

/// No sensor is called frozen before the value has stood this long.
const STILL_S: f32 = 24.0 * 3600.0;
/// A sensor that resolves a whole degree or a whole hectopascal is given so much longer, any other in proportion.
///
/// In eight years at Jena, hourly, the temperature stood for at most 6 h at a resolution of 0.1 K, 23 h at 0.5 K, 37 h
/// at 1 K and 64 h at 2 K, the pressure for 6 h at 0.1 hPa, 18 h at 0.5 hPa, 45 h at 1 hPa and 57 h at 2 hPa.
const STILL_S_PER_UNIT: f32 = 48.0 * 3600.0;
/// A sensor of which nothing is known yet is taken for one of this resolution, and no coarser one is waited for.
const COARSEST: f32 = 2.0;
/// And there must be at least so many readings of the one value.
const STILL_READINGS: u32 = 24;
/// What a value did in a silence longer than this is not known: it counts as standing from the reading after it, unless
/// it was known to be frozen before.
const STILL_GAP_S: i64 = 12 * 3600;

/// How long, in seconds, a quantity's value can be the same; `None` where there is no limit: humidity stays at 100 % in
/// fog, the wind at 0 in calm.
#[expect(clippy::cast_possible_truncation, reason = "hours in seconds")]
fn still_limit_s(quantity: Quantity, resolution: &Resolution) -> Option<i64> {
    match quantity {
        Quantity::AirTemperature | Quantity::AirPressure => {
            let step = resolution.step().map_or(COARSEST, |step| step.min(COARSEST));
            Some((STILL_S + STILL_S_PER_UNIT * step) as i64)
        }
        _ => None,
    }
}

/// In air as humid as this, %, temperature and humidity may stand together: fog, and melting snow.
const FOG_PCT: f32 = 95.0;

/// What is remembered of one quantity. Times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Memory {
    /// The newest value believed.
    value: f32,
    /// When it was last measured and believed.
    believed_at: i64,
    /// Since when the value has been the same.
    still_since: i64,
    /// When it was last measured, believed or not.
    still_until: i64,
    /// How often it came in a row.
    repeats_in_a_row: u32,
    /// The last leap refused since.
    leap: Option<RefusedLeap>,
    /// How finely the sensor resolves.
    resolution: Resolution,
}

impl Memory {
    fn new(value: f32, second: i64, resolution: Resolution) -> Memory {
        let (believed_at, still_since, still_until) = (second, second, second);
        Memory { value, believed_at, still_since, still_until, repeats_in_a_row: 1, leap: None, resolution }
    }

    /// Checks a plausible value by the one before, and remembers it.
    fn check(&mut self, quantity: Quantity, second: i64, value: f32) -> Option<Implausible> {
        if second <= self.still_until {
            // Redelivered, or late within a stretch that is known to be frozen.
            let is_frozen = value == self.value && second > self.believed_at;
            let contradicts = second == self.still_until && is_leap(quantity, 0, value - self.value);
            return match (is_frozen, contradicts) {
                (true, _) => Some(Implausible::Frozen),
                (_, true) => Some(Implausible::Leap),
                _ => None,
            };
        }
        if is_leap(quantity, second - self.still_until, value - self.value) {
            let agrees = |leap: &RefusedLeap| !is_leap(quantity, second - leap.at, value - leap.value);
            let count = match &self.leap {
                // The same reading once more is not another one in the row.
                Some(leap) if second <= leap.at => return Some(Implausible::Leap),
                Some(leap) if agrees(leap) => leap.count.saturating_add(1),
                _ => 1,
            };
            if count < LEAPS_BELIEVED {
                self.leap = Some(RefusedLeap { value, at: second, count });
                return Some(Implausible::Leap);
            }
            *self = Memory::new(value, second, self.resolution);
            return None;
        }
        self.leap = None;
        if value != self.value {
            self.resolution.learn((value - self.value).abs());
            *self = Memory::new(value, second, self.resolution);
            return None;
        }
        let is_known_frozen = self.believed_at < self.still_until;
        if second - self.still_until > STILL_GAP_S && !is_known_frozen {
            (self.still_since, self.repeats_in_a_row) = (second, 0);
        }
        self.still_until = second;
        self.repeats_in_a_row = self.repeats_in_a_row.saturating_add(1);
        None
    }

    /// Whether a value, measured at `second`, is the newest one and the same as the one before it.
    fn repeats(&self, second: i64, value: f32) -> bool {
        self.still_until == second && self.value == value
    }
}

/// The screening of one station's readings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Screening {
    memory: [Option<Memory>; Quantity::COUNT],
}

impl Screening {
    /// Drops from `values`, measured at `time`, what cannot be true; returns what was dropped.
    ///
    /// - **Range**: a value must lie in the plausible range of its quantity.
    /// - **Leap**: one that is further from the last one than the atmosphere moves in the time between is only believed
    ///   when it is the third in a row. Any value that is no leap ends the row.
    /// - **Freeze**: temperature and pressure that have stood for longer than the sensor's resolution explains are
    ///   dropped until they move. In fog the temperature may stand: while a humidity of 95 % or more stands with it, it
    ///   is given twice the time. A station all of whose values stand is frozen altogether, and all of them are dropped.
    ///
    /// A value that is not newer than what is known of its quantity is only checked for its range, and whether it
    /// belongs to what is known to be a leap or frozen. What is remembered is said at the head of this module.
    pub fn screen(&mut self, time: Timestamp, values: &mut Values) -> Vec<Dropped> {
        let second = time.as_second();
        let mut dropped = Vec::new();
        for quantity in Quantity::ALL {
            let Some(value) = values.get(quantity) else { continue };
            if let Some(reason) = self.check(quantity, second, value) {
                values.remove(quantity);
                dropped.push(Dropped { quantity, value, reason });
            }
        }
        let is_dead = self.is_dead(second);
        for quantity in Quantity::ALL {
            let Some(value) = values.get(quantity) else { continue };
            let is_frozen = self.is_frozen(quantity, second, value);
            let memory = self.memory[quantity.index()].as_mut();
            let Some(memory) = memory.filter(|memory| memory.repeats(second, value)) else { continue };
            if is_frozen || is_dead {
                values.remove(quantity);
                dropped.push(Dropped { quantity, value, reason: Implausible::Frozen });
            } else {
                memory.believed_at = second;
            }
        }
        dropped
    }

    fn check(&mut self, quantity: Quantity, second: i64, value: f32) -> Option<Implausible> {
        if !quantity.is_plausible(value) {
            return Some(Implausible::OutOfRange);
        }
        match &mut self.memory[quantity.index()] {
            Some(memory) => memory.check(quantity, second, value),
            unknown => {
                *unknown = Some(Memory::new(value, second, Resolution::default()));
                None
            }
        }
    }

    /// Whether a quantity that moves in nature has stood for too long.
    fn is_frozen(&self, quantity: Quantity, second: i64, value: f32) -> bool {
        let Some(memory) = self.memory[quantity.index()].filter(|memory| memory.repeats(second, value))
        else {
            return false;
        };
        let Some(limit_s) = still_limit_s(quantity, &memory.resolution) else { return false };
        let fog_since = (quantity == Quantity::AirTemperature).then(|| self.fog_since(second)).flatten();
        // Before the fog came, it should have moved.
        let should_move_until = fog_since.unwrap_or(second);
        let stands_for_s = |until: i64| until - memory.still_since;
        memory.repeats_in_a_row >= STILL_READINGS
            && (stands_for_s(should_move_until) >= limit_s || stands_for_s(second) >= 2 * limit_s)
    }

    /// Since when humidity has stood where it does in fog; `None` where it does not, or is not measured.
    fn fog_since(&self, second: i64) -> Option<i64> {
        let humidity = self.memory[Quantity::RelativeHumidity.index()]?;
        let is_fog = humidity.value >= FOG_PCT && second - humidity.still_until <= STILL_GAP_S;
        is_fog.then_some(humidity.still_since)
    }

    /// Whether everything that the station measures has stood for too long: a logger that repeats itself.
    fn is_dead(&self, second: i64) -> bool {
        let measured = || {
            let known = Quantity::ALL.into_iter().zip(&self.memory);
            let known = known.filter_map(|(quantity, memory)| Some((quantity, memory.as_ref()?)));
            known.filter(|(_, memory)| second - memory.still_until <= STILL_GAP_S)
        };
        let limits = measured().filter_map(|(quantity, memory)| still_limit_s(quantity, &memory.resolution));
        let Some(limit_s) = limits.min() else { return false };
        measured().all(|(_, memory)| {
            second - memory.still_since >= limit_s && memory.repeats_in_a_row >= STILL_READINGS
        })
    }

    /// Forgets what is remembered of values that were measured after `time`: a clock was ahead, and everything that
    /// comes from now on would be taken for late.
    pub fn forget_after(&mut self, time: Timestamp) {
        let second = time.as_second();
        for memory in &mut self.memory {
            *memory = memory.filter(|memory| memory.still_until <= second);
            if let Some(memory) = memory {
                memory.leap = memory.leap.filter(|leap| leap.at <= second);
            }
        }
    }
}

/// What is stored of a screening: of each quantity, by its key, what is remembered.
type Stored = BTreeMap<String, Row>;

/// A [`Memory`] as it is stored, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Row(f32, i64, i64, i64, u32, Option<RefusedLeap>, Resolution);

/// Why a stored screening is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum StoredError {
    /// No quantity has this key.
    #[error("screening of the unknown quantity {0:?}")]
    UnknownKey(String),
    /// A value that would never have been believed.
    #[error("screening remembers {quantity} = {value}, which is not plausible")]
    Value {
        /// Of which quantity.
        quantity: Quantity,
        /// The stored value, in the canonical unit.
        value: f32,
    },
    /// A time that no clock shows.
    #[error("screening remembers second {0}, which is no time")]
    Time(i64),
}

impl From<Screening> for Stored {
    fn from(screening: Screening) -> Stored {
        let row = |memory: Memory| {
            let Memory { value, believed_at, still_since, still_until, repeats_in_a_row, leap, resolution } =
                memory;
            Row(value, believed_at, still_since, still_until, repeats_in_a_row, leap, resolution)
        };
        let known = Quantity::ALL.into_iter().zip(screening.memory);
        known.filter_map(|(quantity, memory)| Some((quantity.key().to_owned(), row(memory?)))).collect()
    }
}

impl TryFrom<Stored> for Screening {
    type Error = StoredError;

    fn try_from(stored: Stored) -> Result<Screening, StoredError> {
        let mut screening = Screening::default();
        for (key, row) in stored {
            let quantity = Quantity::from_key(&key).ok_or(StoredError::UnknownKey(key))?;
            let Row(value, believed_at, still_since, still_until, repeats_in_a_row, leap, resolution) = row;
            if !quantity.is_plausible(value) {
                return Err(StoredError::Value { quantity, value });
            }
            let times = [believed_at, still_since, still_until].into_iter().chain(leap.map(|leap| leap.at));
            for second in times {
                Timestamp::from_second(second).map_err(|_| StoredError::Time(second))?;
            }
            screening.memory[quantity.index()] = Some(Memory {
                value,
                believed_at,
                still_since,
                still_until,
                repeats_in_a_row,
                leap,
                resolution,
            });
        }
        Ok(screening)
    }
}

#[cfg(test)]
mod tests;
