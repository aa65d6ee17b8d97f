//! One reading of many: messages that hold a part of it each, or come every few seconds, are merged into the slot of the time
//! grid that they belong to.
//!
//! Temperature, humidity and pressure are averaged; the wind is averaged as a vector; of gusts the highest is kept. A sensor
//! that repeats a transmission counts once. What is not plausible is averaged with nothing: it is given as it is where its
//! quantity has no other value, so that it is counted by whoever screens the reading, and else left out.

use jiff::Timestamp;

use crate::number::to_single;
use crate::weather::quantity::{Quantity, Values};
use crate::window::grid::{Grid, Slot};

/// The outcome for a part of a reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Merged {
    /// The slot before is over: its reading.
    Finished(Timestamp, Values),
    /// The part is late for its slot, and is a reading of its own.
    Late(Timestamp, Values),
}

/// Merges the readings of one station into slots.
#[derive(Debug, Clone)]
pub struct SlotMerger {
    grid: Grid,
    open: Option<Open>,
    /// The newest slot that was given out.
    closed: Option<Slot>,
}

/// A slot that still takes readings.
#[derive(Debug, Clone)]
struct Open {
    slot: Slot,
    newest: Timestamp,
    sums: [f64; Quantity::COUNT],
    counts: [u32; Quantity::COUNT],
    gust: f32,
    /// Of readings with speed and direction: towards the east, towards the north, how many.
    wind: [f64; 3],
    /// The last direction, NaN before there is one.
    direction: f32,
    /// The last value of each quantity that is not plausible.
    implausible: Values,
    /// What was added last.
    last: (Timestamp, Values),
}

impl SlotMerger {
    /// Merges into the slots of `grid`.
    pub fn new(grid: Grid) -> SlotMerger {
        SlotMerger { grid, open: None, closed: None }
    }

    /// Adds a part of a reading. Gives the slot before, where this one begins another; and a part that is late for its
    /// slot as it is.
    pub fn add(&mut self, time: Timestamp, values: &Values) -> Option<Merged> {
        let slot = self.grid.slot(time);
        let newest = self.open.as_ref().map(|open| open.slot).max(self.closed);
        if newest.is_some_and(|newest| slot < newest) || self.open.is_none() && newest == Some(slot) {
            return Some(Merged::Late(time, *values));
        }
        let finished = self.open.take_if(|open| open.slot != slot).map(|open| self.close(&open));
        self.open.get_or_insert_with(|| Open::new(slot, time)).add(time, values);
        finished.map(|(time, values)| Merged::Finished(time, values))
    }

    /// The open slot, if no more can belong to it at `now`; a part that comes still later is given as it is.
    pub fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Values)> {
        let slot = self.grid.slot(now);
        let open = self.open.take_if(|open| open.slot < slot)?;
        Some(self.close(&open))
    }

    /// The open slot as it is: the stream ends.
    pub fn flush(&mut self) -> Option<(Timestamp, Values)> {
        let open = self.open.take()?;
        Some(self.close(&open))
    }

    fn close(&mut self, open: &Open) -> (Timestamp, Values) {
        self.closed = self.closed.max(Some(open.slot));
        (open.newest, open.values())
    }
}

impl Open {
    fn new(slot: Slot, time: Timestamp) -> Open {
        Open {
            slot,
            newest: time,
            sums: [0.0; Quantity::COUNT],
            counts: [0; Quantity::COUNT],
            gust: f32::NEG_INFINITY,
            wind: [0.0; 3],
            direction: f32::NAN,
            implausible: Values::NONE,
            last: (Timestamp::MIN, Values::NONE),
        }
    }

    fn add(&mut self, time: Timestamp, values: &Values) {
        self.newest = self.newest.max(time);
        // A transmission that is repeated has the same time and the same values.
        if self.last == (time, *values) {
            return;
        }
        self.last = (time, *values);
        for (quantity, value) in values.iter() {
            if !quantity.is_plausible(value) {
                self.implausible.set(quantity, value);
                continue;
            }
            match quantity {
                Quantity::WindSpeedOfGust => self.gust = self.gust.max(value),
                _ => self.sums[quantity.index()] += f64::from(value),
            }
            self.counts[quantity.index()] += 1;
        }
        let plausible =
            |quantity: Quantity| values.get(quantity).filter(|value| quantity.is_plausible(*value));
        let Some(direction) = plausible(Quantity::WindFromDirection) else { return };
        self.direction = direction;
        if let Some(speed) = plausible(Quantity::WindSpeed).map(f64::from) {
            let angle = f64::from(direction).to_radians();
            let [east, north, count] = &mut self.wind;
            *east += speed * angle.sin();
            *north += speed * angle.cos();
            *count += 1.0;
        }
    }

    fn values(&self) -> Values {
        let mut values = self.implausible;
        for quantity in Quantity::ALL {
            let count = self.counts[quantity.index()];
            if count > 0 {
                let mean = to_single(self.sums[quantity.index()] / f64::from(count));
                values.set(quantity, if quantity == Quantity::WindSpeedOfGust { self.gust } else { mean });
            }
        }
        let [east, north, count] = self.wind;
        if count > 0.0 {
            let speed = east.hypot(north) / count;
            values.set(Quantity::WindSpeed, to_single(speed));
            match speed > 1e-9 {
                true => values.set(
                    Quantity::WindFromDirection,
                    to_single(east.atan2(north).to_degrees().rem_euclid(360.0)),
                ),
                // Calm, or wind that cancels out: it is from nowhere.
                false => values.remove(Quantity::WindFromDirection),
            }
        } else if self.counts[Quantity::WindFromDirection.index()] > 1 {
            // Directions without speeds have no mean that means anything; the last stands for them.
            values.set(Quantity::WindFromDirection, self.direction);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merger() -> SlotMerger {
        SlotMerger::new(Grid::new(600).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        format!("2024-01-01T{text}Z").parse().unwrap()
    }

    fn values(of: &[(Quantity, f32)]) -> Values {
        let mut values = Values::NONE;
        for (quantity, value) in of {
            values.set(*quantity, *value);
        }
        values
    }

    #[test]
    fn parts_of_a_reading_become_one_reading_of_their_slot() {
        use Quantity::{AirPressure, AirTemperature, RelativeHumidity};
        let mut merger = merger();
        assert_eq!(merger.add(at("00:05:00"), &values(&[(AirTemperature, 4.0)])), None);
        assert_eq!(merger.add(at("00:05:01"), &values(&[(RelativeHumidity, 80.0)])), None);
        assert_eq!(merger.add(at("00:09:00"), &values(&[(AirTemperature, 5.0), (AirPressure, 990.0)])), None);
        let merged = merger.add(at("00:15:00"), &values(&[(AirTemperature, 9.0)])).unwrap();
        let whole = values(&[(AirTemperature, 4.5), (AirPressure, 990.0), (RelativeHumidity, 80.0)]);
        assert_eq!(merged, Merged::Finished(at("00:09:00"), whole));
        assert_eq!(merger.flush().unwrap().1, values(&[(AirTemperature, 9.0)]));
        assert_eq!(merger.flush(), None);
    }

    #[test]
    fn wind_is_averaged_as_a_vector_and_of_gusts_the_highest_is_kept() {
        use Quantity::{WindFromDirection, WindSpeed, WindSpeedOfGust};
        let mut merger = merger();
        for (second, direction, gust) in [(1, 350.0, 12.0), (2, 10.0, 11.0)] {
            let part = values(&[(WindSpeed, 10.0), (WindFromDirection, direction), (WindSpeedOfGust, gust)]);
            assert_eq!(merger.add(at(&format!("00:02:0{second}")), &part), None);
        }
        let (_, merged) = merger.flush().unwrap();
        // cos 10° = 0.98481.
        assert!((merged.get(WindSpeed).unwrap() - 9.8481).abs() < 1e-3);
        let direction = merged.get(WindFromDirection).unwrap();
        assert!(!(0.01..=359.99).contains(&direction), "{direction} is not north");
        assert_eq!(merged.get(WindSpeedOfGust), Some(12.0));
        let mut calm = self::merger();
        calm.add(at("00:02:00"), &values(&[(WindSpeed, 0.0), (WindFromDirection, 90.0)]));
        assert_eq!(calm.flush().unwrap().1, values(&[(WindSpeed, 0.0)]));
    }

    #[test]
    fn of_directions_without_speeds_the_last_counts_whatever_came_after_it() {
        use Quantity::{AirTemperature, WindFromDirection, WindSpeed};
        let mut merger = merger();
        let parts = [(WindFromDirection, 350.0), (WindSpeed, 3.0), (WindFromDirection, 10.0)];
        for (second, part) in parts.into_iter().chain([(AirTemperature, 4.0)]).enumerate() {
            assert_eq!(merger.add(at(&format!("00:02:0{second}")), &values(&[part])), None);
        }
        let whole = values(&[(WindFromDirection, 10.0), (WindSpeed, 3.0), (AirTemperature, 4.0)]);
        assert_eq!(merger.flush().unwrap().1, whole);
    }

    #[test]
    fn what_is_not_plausible_is_averaged_with_nothing_and_is_given_where_it_is_all_there_is() {
        use Quantity::{AirPressure, AirTemperature, WindFromDirection, WindSpeed, WindSpeedOfGust};
        let mut merger = merger();
        // 85 °C is what a DS18B20 shows before its first conversion.
        for (second, temperature) in [7.0, 85.0, 7.5, -9999.0].into_iter().enumerate() {
            let part = values(&[
                (AirTemperature, temperature),
                (AirPressure, -9999.0),
                (WindSpeedOfGust, 999.0 - temperature),
                (WindFromDirection, 90.0),
                (WindSpeed, if second == 0 { 2.0 } else { 9999.0 }),
            ]);
            assert_eq!(merger.add(at(&format!("00:02:0{second}")), &part), None);
        }
        let (_, merged) = merger.flush().unwrap();
        assert_eq!(merged.get(AirTemperature), Some(7.25));
        assert_eq!(merged.get(AirPressure), Some(-9999.0), "it is dropped, with reason, by intake");
        assert_eq!(merged.get(WindSpeedOfGust), Some(10_998.0), "the last");
        assert_eq!(merged.get(WindSpeed), Some(2.0));
        assert!((merged.get(WindFromDirection).unwrap() - 90.0).abs() < 1e-4);
    }

    #[test]
    fn a_repeated_transmission_counts_once() {
        let mut merger = merger();
        for value in [2.0, 2.0, 2.0] {
            merger.add(at("00:05:00"), &values(&[(Quantity::AirTemperature, value)]));
        }
        merger.add(at("00:06:00"), &values(&[(Quantity::AirTemperature, 4.0)]));
        assert_eq!(merger.flush().unwrap().1, values(&[(Quantity::AirTemperature, 3.0)]));
    }

    #[test]
    fn a_slot_is_due_when_nothing_can_belong_to_it_and_late_parts_pass_as_they_are() {
        let mut merger = merger();
        let part = values(&[(Quantity::AirTemperature, 4.0)]);
        merger.add(at("00:05:00"), &part);
        // The grid lets a tenth of a step pass: 00:11:00 still belongs to 00:10.
        assert_eq!(merger.due(at("00:11:00")), None);
        assert_eq!(merger.add(at("00:11:00"), &part), None);
        assert_eq!(merger.due(at("00:11:01")), Some((at("00:11:00"), part)));
        let late = values(&[(Quantity::RelativeHumidity, 70.0)]);
        assert_eq!(merger.add(at("00:09:00"), &late), Some(Merged::Late(at("00:09:00"), late)));
        assert_eq!(merger.add(at("00:12:00"), &part), None);
        assert_eq!(merger.add(at("00:01:00"), &late), Some(Merged::Late(at("00:01:00"), late)));
    }
}
