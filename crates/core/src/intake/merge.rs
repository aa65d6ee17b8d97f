//! One reading of many: messages that hold a part of it each, or come every few seconds, are merged into the slot of the time
//! grid that they belong to.
//!
//! Temperature, humidity and pressure are averaged; the wind is averaged as a vector; of gusts the highest is kept. A reduced
//! pressure is brought to the station when the slot is whole, with its temperature and humidity, unless it was measured there. A sensor
//! that repeats a transmission counts once. Of parts that have no time but that of their arrival, and arrive within ten seconds, the
//! last of each quantity counts: a broker that has kept them for hours delivers them in such a burst, and only the newest can be of
//! now. What a source sends steadily is averaged all the same, of a faster one every tenth second or so. A value that leaps from those of the same slot is averaged with nothing: see [`Levels`]. What is not plausible is averaged with nothing: it is given as it is where its
//! quantity has no other value, so that it is counted by whoever screens the reading, and else left out.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::intake::levels::Levels;
use crate::intake::screening::{Dropped, Implausible};
use crate::number::to_single;
use crate::weather::pressure::{ReducedPressure, Reduction};
use crate::weather::quantity::{Quantity, Values};
use crate::window::grid::Grid;

/// A slot that still takes parts of its reading.
#[derive(Debug, Clone)]
pub struct OpenSlot {
    /// The latest time that belongs to the slot before.
    begins: Timestamp,
    /// The latest time that belongs to it.
    ends: Timestamp,
    newest: Timestamp,
    levels: [Levels; Quantity::COUNT],
    /// The highest, NaN before there is one.
    gust: f32,
    /// Of readings with speed and direction: towards the east, towards the north, how many.
    wind: [f64; 3],
    /// Of pressures that are not those at the station, by reduction.
    reduced: [Levels; REDUCTIONS.len()],
    elevation_m: f64,
    /// The last direction, NaN before there is one.
    direction: f32,
    /// The last value of each quantity that is not plausible.
    implausible: Values,
    /// What arrived last without a time of its own, and is not averaged yet.
    burst: Option<Burst>,
    /// What was added last.
    last: (Timestamp, Values, Option<ReducedPressure>),
}

/// Parts that arrived together: of each quantity the last.
#[derive(Debug, Clone, Copy)]
struct Burst {
    begins: Timestamp,
    newest: Timestamp,
    values: Values,
    reduced: Option<ReducedPressure>,
}

/// A burst takes what arrives within so many seconds from its first part on.
const BURST_S: i64 = 10;

/// Where both are told, the first counts: an altimeter setting needs no temperature.
const REDUCTIONS: [Reduction; 2] = [Reduction::AltimeterSetting, Reduction::SeaLevel];

impl OpenSlot {
    /// The slot of `grid` that `time` belongs to, without a part yet.
    pub fn new(grid: Grid, time: Timestamp) -> OpenSlot {
        let slot = grid.slot(time);
        OpenSlot {
            begins: grid.slot_begins(slot),
            ends: grid.slot_begins(slot + 1),
            newest: time,
            levels: Default::default(),
            gust: f32::NAN,
            wind: [0.0; 3],
            reduced: Default::default(),
            elevation_m: 0.0,
            direction: f32::NAN,
            implausible: Values::NONE,
            burst: None,
            last: (Timestamp::MIN, Values::NONE, None),
        }
    }

    /// The latest time, in whole seconds, that belongs to it.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// The time of its newest part.
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Whether `time` is before the slot, in it, or after it.
    pub fn place(&self, time: Timestamp) -> Ordering {
        let second = time.as_second();
        match (second <= self.begins.as_second(), second > self.ends.as_second()) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }

    /// Adds a part that belongs to it and whose time is only that of its arrival.
    pub fn add_arrived(&mut self, time: Timestamp, values: &Values, reduced: Option<ReducedPressure>) {
        self.newest = self.newest.max(time);
        let is_in = |burst: &&mut Burst| time.as_second() - burst.begins.as_second() < BURST_S;
        if let Some(burst) = self.burst.as_mut().filter(is_in) {
            values.iter().for_each(|(quantity, value)| burst.values.set(quantity, value));
            burst.reduced = reduced.or(burst.reduced);
            burst.newest = burst.newest.max(time);
        } else {
            self.end_burst();
            self.burst = Some(Burst { begins: time, newest: time, values: *values, reduced });
        }
    }

    fn end_burst(&mut self) {
        if let Some(Burst { newest, values, reduced, .. }) = self.burst.take() {
            self.add(newest, &values, reduced);
        }
    }

    /// Adds a part that belongs to it, with the pressure as it is told where that is not the one at the station.
    pub fn add(&mut self, time: Timestamp, values: &Values, reduced: Option<ReducedPressure>) {
        self.newest = self.newest.max(time);
        // A transmission that is repeated has the same time and the same values.
        if self.last == (time, *values, reduced) {
            return;
        }
        self.last = (time, *values, reduced);
        if let Some(pressure) = reduced {
            self.add_reduced(time, pressure);
        }
        for (quantity, value) in values.iter() {
            if !quantity.is_plausible(value) {
                self.implausible.set(quantity, value);
                continue;
            }
            match quantity {
                Quantity::WindSpeedOfGust => self.gust = self.gust.max(value),
                // Directions have a mean only as vectors.
                Quantity::WindFromDirection => self.direction = value,
                _ => self.levels[quantity.index()].add(quantity, self.length_s(), time, value),
            }
        }
        let plausible =
            |quantity: Quantity| values.get(quantity).filter(|value| quantity.is_plausible(*value));
        let wind = plausible(Quantity::WindFromDirection).zip(plausible(Quantity::WindSpeed));
        if let Some((direction, speed)) =
            wind.map(|(direction, speed)| (f64::from(direction), f64::from(speed)))
        {
            let angle = direction.to_radians();
            let [east, north, count] = &mut self.wind;
            *east += speed * angle.sin();
            *north += speed * angle.cos();
            *count += 1.0;
        }
    }

    fn length_s(&self) -> i64 {
        self.ends.as_second() - self.begins.as_second()
    }

    fn add_reduced(&mut self, time: Timestamp, pressure: ReducedPressure) {
        let ReducedPressure { hpa, reduction, elevation_m } = pressure;
        if !Quantity::AirPressure.is_plausible(hpa) {
            return self.implausible.set(Quantity::AirPressure, hpa);
        }
        self.elevation_m = elevation_m;
        let slot_s = self.length_s();
        let own = REDUCTIONS.iter().zip(&mut self.reduced).find(|(known, _)| **known == reduction);
        if let Some((_, levels)) = own {
            levels.add(Quantity::AirPressure, slot_s, time, hpa);
        }
    }

    /// What its parts are together; the time is that of the newest.
    pub fn reading(&mut self) -> (Timestamp, Values) {
        self.end_burst();
        let mut values = self.implausible;
        for quantity in Quantity::ALL {
            let value = match quantity {
                Quantity::WindSpeedOfGust => Some(self.gust).filter(|gust| !gust.is_nan()),
                // Without speeds they have no mean that means anything; the last stands for them.
                Quantity::WindFromDirection => Some(self.direction).filter(|direction| !direction.is_nan()),
                _ => self.levels[quantity.index()].mean(),
            };
            if let Some(value) = value {
                values.set(quantity, value);
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
        }
        let means = REDUCTIONS.into_iter().zip(&self.reduced);
        let reduced = means.filter_map(|(reduction, levels)| Some((reduction, levels.mean()?))).next();
        if let Some((reduction, hpa)) = reduced
            && self.levels[Quantity::AirPressure.index()].mean().is_none()
        {
            let pressure = ReducedPressure { hpa, reduction, elevation_m: self.elevation_m };
            values.set(Quantity::AirPressure, pressure.at_station_hpa(&values));
        }
        (self.newest, values)
    }

    /// The values that leap from those that the last reading is made of.
    pub fn leaps(&self) -> Vec<Dropped> {
        let dropped = |quantity| move |value| Dropped { quantity, value, reason: Implausible::Leap };
        let direct = Quantity::ALL.into_iter().zip(&self.levels);
        let direct = direct.flat_map(|(quantity, levels)| levels.leaps().map(dropped(quantity)));
        let reduced = self.reduced.iter().flat_map(Levels::leaps).map(dropped(Quantity::AirPressure));
        direct.chain(reduced).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> OpenSlot {
        OpenSlot::new(Grid::new(600).unwrap(), at("00:05:00"))
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
        let mut slot = slot();
        slot.add(at("00:05:00"), &values(&[(AirTemperature, 4.0)]), None);
        slot.add(at("00:09:00"), &values(&[(AirTemperature, 5.0), (AirPressure, 990.0)]), None);
        slot.add(at("00:05:01"), &values(&[(RelativeHumidity, 80.0)]), None);
        let whole = values(&[(AirTemperature, 4.5), (AirPressure, 990.0), (RelativeHumidity, 80.0)]);
        assert_eq!(slot.reading(), (at("00:09:00"), whole));
    }

    #[test]
    fn wind_is_averaged_as_a_vector_and_of_gusts_the_highest_is_kept() {
        use Quantity::{WindFromDirection, WindSpeed, WindSpeedOfGust};
        let mut slot = slot();
        for (second, direction, gust) in [(1, 350.0, 12.0), (2, 10.0, 11.0)] {
            let part = values(&[(WindSpeed, 10.0), (WindFromDirection, direction), (WindSpeedOfGust, gust)]);
            slot.add(at(&format!("00:02:0{second}")), &part, None);
        }
        let (_, merged) = slot.reading();
        // cos 10° = 0.98481.
        assert!((merged.get(WindSpeed).unwrap() - 9.8481).abs() < 1e-3);
        let direction = merged.get(WindFromDirection).unwrap();
        assert!(!(0.01..=359.99).contains(&direction), "{direction} is not north");
        assert_eq!(merged.get(WindSpeedOfGust), Some(12.0));
        let mut calm = self::slot();
        calm.add(at("00:02:00"), &values(&[(WindSpeed, 0.0), (WindFromDirection, 90.0)]), None);
        assert_eq!(calm.reading().1, values(&[(WindSpeed, 0.0)]));
    }

    #[test]
    fn of_directions_without_speeds_the_last_counts_whatever_came_after_it() {
        use Quantity::{AirTemperature, WindFromDirection, WindSpeed};
        let mut slot = slot();
        let parts = [(WindFromDirection, 350.0), (WindSpeed, 3.0), (WindFromDirection, 10.0)];
        for (second, part) in parts.into_iter().chain([(AirTemperature, 4.0)]).enumerate() {
            slot.add(at(&format!("00:02:0{second}")), &values(&[part]), None);
        }
        let whole = values(&[(WindFromDirection, 10.0), (WindSpeed, 3.0), (AirTemperature, 4.0)]);
        assert_eq!(slot.reading().1, whole);
    }

    #[test]
    fn what_is_not_plausible_is_averaged_with_nothing_and_is_given_where_it_is_all_there_is() {
        use Quantity::{AirPressure, AirTemperature, WindFromDirection, WindSpeed, WindSpeedOfGust};
        let mut slot = slot();
        // 85 °C is what a DS18B20 shows before its first conversion.
        for (second, temperature) in [7.0, 85.0, 7.5, -9999.0].into_iter().enumerate() {
            let part = values(&[
                (AirTemperature, temperature),
                (AirPressure, -9999.0),
                (WindSpeedOfGust, 999.0 - temperature),
                (WindFromDirection, 90.0),
                (WindSpeed, if second == 0 { 2.0 } else { 9999.0 }),
            ]);
            slot.add(at(&format!("00:02:0{second}")), &part, None);
        }
        let (_, merged) = slot.reading();
        assert_eq!(merged.get(AirTemperature), Some(7.25));
        assert_eq!(merged.get(AirPressure), Some(-9999.0), "it is dropped, with reason, by intake");
        assert_eq!(merged.get(WindSpeedOfGust), Some(10_998.0), "the last");
        assert_eq!(merged.get(WindSpeed), Some(2.0));
        assert!((merged.get(WindFromDirection).unwrap() - 90.0).abs() < 1e-4);
    }

    #[test]
    fn a_pressure_at_sea_level_is_brought_to_the_station_with_the_air_of_the_whole_slot() {
        use Quantity::{AirPressure, AirTemperature};
        let told = |hpa, reduction| Some(ReducedPressure { hpa, reduction, elevation_m: 500.0 });
        let mut slot = slot();
        slot.add(at("00:05:00"), &Values::NONE, told(1012.25, Reduction::SeaLevel));
        slot.add(at("00:05:01"), &values(&[(AirTemperature, -10.0)]), None);
        slot.add(at("00:05:02"), &Values::NONE, told(1014.25, Reduction::SeaLevel));
        slot.add(at("00:05:03"), &Values::NONE, told(-9999.0, Reduction::SeaLevel));
        // 1013.25 · exp(−9.80665 · 500 / (287.05 · (263.15 + 0.0065 · 250))); without the temperature it were 954.6.
        let pressure = slot.reading().1.get(AirPressure).unwrap();
        assert!((pressure - 949.945).abs() < 0.01, "{pressure}");
        // The standard atmosphere at 500 m: 954.61 hPa.
        slot.add(at("00:05:04"), &Values::NONE, told(1013.25, Reduction::AltimeterSetting));
        let pressure = slot.reading().1.get(AirPressure).unwrap();
        assert!((pressure - 954.61).abs() < 0.05, "{pressure}");
        slot.add(at("00:05:05"), &values(&[(AirPressure, 951.0)]), None);
        assert_eq!(slot.reading().1.get(AirPressure), Some(951.0));
    }

    #[test]
    fn a_repeated_transmission_counts_once() {
        let mut slot = slot();
        for value in [2.0, 2.0, 2.0] {
            slot.add(at("00:05:00"), &values(&[(Quantity::AirTemperature, value)]), None);
        }
        slot.add(at("00:06:00"), &values(&[(Quantity::AirTemperature, 4.0)]), None);
        assert_eq!(slot.reading().1, values(&[(Quantity::AirTemperature, 3.0)]));
    }

    #[test]
    fn a_slot_has_the_times_that_the_grid_gives_it() {
        let slot = slot();
        // The grid lets a tenth of a step pass: 00:11:00 still belongs to 00:10.
        for (time, place) in [
            ("00:01:00.9", Ordering::Less),
            ("00:01:01", Ordering::Equal),
            ("00:11:00.9", Ordering::Equal),
            ("00:11:01", Ordering::Greater),
        ] {
            assert_eq!(slot.place(at(time)), place, "{time}");
        }
        assert_eq!(slot.ends(), at("00:11:00"));
    }
}
