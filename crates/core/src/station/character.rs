//! What a station's days are like, and what is odd about them: a clock or a place that cannot be right, a pressure that is not
//! the station's own, weather that a model has never seen. It is said; nothing is done about it, as experts find out by
//! themselves what a model is worth.

use serde::{Deserialize, Serialize};

use crate::model::ranges::{Measure, Ranges};
use crate::number::to_single;
use crate::weather::place::{Place, Precision};
use crate::weather::pressure::pressure_from_altimeter_setting_hpa;
use crate::weather::quantity::Quantity;
use crate::window::history::History;

/// What is odd about a station.
#[derive(Debug, Clone, Copy, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Oddity {
    /// The daily wave of temperature has its maximum at an hour of solar time, `peak_h`, at which it has it nowhere: the sign or
    /// the order of latitude and longitude is wrong, or the times are.
    Clock {
        /// The hour of mean solar time of the maximum.
        peak_h: f32,
    },
    /// The mean pressure is one of the sea's level, where the elevation lets expect `expected_hpa`.
    SeaLevelPressure {
        /// The mean of the measured pressure, hPa.
        mean_hpa: f32,
        /// The pressure of the standard atmosphere at the station's elevation, hPa.
        expected_hpa: f32,
    },
    /// A measure lies outside of what the main model was trained on.
    OutsideTraining {
        /// The measure that lies outside.
        measure: Measure,
        /// The value that the station has of the measure.
        value: f32,
        /// The lowest of the training.
        low: f32,
        /// The highest of the training.
        high: f32,
    },
    /// The payload gives another place than the configuration, which counts.
    PlaceDiffers {
        /// By how much.
        distance_km: u32,
    },
    /// The payload gives another place than before: what was known of the station is of the place before, and was forgotten.
    Moved {
        /// The distance between the two places, km.
        distance_km: u32,
    },
}

/// What was found to be odd about a station.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Oddities {
    /// Each once, or more often.
    pub found: Vec<Oddity>,
    /// Whether these are all, as a day was looked at: what was found before and is not among them is not odd any more.
    pub is_all: bool,
}

impl Oddity {
    /// Every oddity's word.
    pub const NAMES: &'static [&'static str] = <Oddity as strum::VariantNames>::VARIANTS;

    /// The word in payloads and metrics.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

/// When the daily wave of temperature has its maximum, in hours of mean solar time: the earliest and the latest of 1,137
/// stations, with 20 minutes of margin, as for records.
const WAVE_H: std::ops::RangeInclusive<f32> = 12.7..=16.4;
/// Fewer days, or a weaker wave in °C, say nothing of the clock.
const WAVE_DAYS: u16 = 30;
const WAVE_AMPLITUDE_C: f32 = 1.2;
/// Fewer days say nothing of a mean.
const MEAN_DAYS: u16 = 7;
/// Means are over about so many days.
const ROLLING_DAYS: u16 = 30;
/// Hours of a day that must have been observed.
const HOURS: usize = 22;
/// The most that the mean pressure of a month differs from that of the standard atmosphere, hPa, as for records.
const STANDARD_MARGIN_HPA: f32 = 35.0;
/// The pressure of the standard atmosphere at sea level, hPa.
const SEA_LEVEL_HPA: f32 = 1013.25;
/// Means over a month of pressures at sea level lie within this of it, hPa.
const SEA_LEVEL_MARGIN_HPA: f32 = 20.0;

const DAY_S: i64 = 86_400;

/// A mean that forgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    mean: f32,
    days: u16,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.days = (self.days + 1).min(ROLLING_DAYS);
        self.mean += (value - self.mean) / f32::from(self.days);
    }

    fn known(&self) -> Option<f32> {
        (self.days >= MEAN_DAYS).then_some(self.mean)
    }
}

/// What a station's days are like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Character {
    /// The day of mean solar time, since 1970, that is not over yet.
    day: Option<i64>,
    /// Of the first harmonic of the temperature over the day, °C.
    cosine: Mean,
    sine: Mean,
    temperature: Mean,
    range: Mean,
    pressure: Mean,
}

impl Character {
    /// Looks at the day before, when a new one has begun with the newest slot. Whether it did.
    #[expect(clippy::cast_possible_truncation, reason = "half a day at most")]
    pub(super) fn look(&mut self, history: &History, place: Option<Place>) -> bool {
        let Some(newest) = history.newest() else { return false };
        let grid = history.grid();
        let longitude_deg = place.map_or(0.0, |place| place.site.longitude_deg);
        let shift_s = (longitude_deg / 360.0 * DAY_S as f64) as i64;
        let today = (grid.time(newest).as_second() + shift_s).div_euclid(DAY_S);
        let before = self.day.replace(self.day.map_or(today, |day| day.max(today)));
        if before.is_none_or(|before| before >= today) {
            return false;
        }
        let midnight_s = (today - 1) * DAY_S - shift_s;
        let first = midnight_s.div_euclid(grid.step_s());
        let slots = 24 * grid.slots_per_hour();
        // Each value with its part of the day; nothing where too few hours were observed.
        let of_day = |quantity| -> Option<Vec<(f32, f32)>> {
            let measured = (0..slots).map(|slot| (slot, history.value(first + slot, quantity)));
            let measured: Vec<(i64, f32)> = measured.filter(|(_, value)| !value.is_nan()).collect();
            let hours = measured
                .chunk_by(|left, right| left.0 / grid.slots_per_hour() == right.0 / grid.slots_per_hour());
            (hours.count() >= HOURS).then(|| {
                measured.into_iter().map(|(slot, value)| (slot as f32 / slots as f32, value)).collect()
            })
        };
        let Some(temperatures) = of_day(Quantity::AirTemperature) else { return false };
        let mean = |values: &[(f32, f32)]| values.iter().map(|own| own.1).sum::<f32>() / values.len() as f32;
        let mean_c = mean(&temperatures);
        let harmonic = |part: fn(f32) -> f32| {
            let terms = temperatures
                .iter()
                .map(|(phase, value)| (value - mean_c) * part(phase * std::f32::consts::TAU));
            2.0 * terms.sum::<f32>() / temperatures.len() as f32
        };
        self.cosine.add(harmonic(f32::cos));
        self.sine.add(harmonic(f32::sin));
        self.temperature.add(mean_c);
        // Of the last value of each hour, as a model's hourly grid has it: shorter peaks are no part of what it was trained on.
        let hours = (0..slots).map(|slot| (first + slot - 1).div_euclid(grid.slots_per_hour()));
        let values = (0..slots).map(|slot| history.value(first + slot, Quantity::AirTemperature));
        let measured: Vec<(i64, f32)> = hours.zip(values).filter(|(_, value)| !value.is_nan()).collect();
        let of_hours = measured.chunk_by(|left, right| left.0 == right.0).filter_map(|hour| hour.last());
        let ends = |end: fn(f32, f32) -> f32| {
            of_hours.clone().map(|(_, value)| *value).reduce(end).unwrap_or(mean_c)
        };
        self.range.add(ends(f32::max) - ends(f32::min));
        if let Some(pressures) = of_day(Quantity::AirPressure) {
            self.pressure.add(mean(&pressures));
        }
        true
    }

    /// What is odd.
    pub(super) fn oddities(&self, place: Option<Place>, ranges: Option<&Ranges>) -> Vec<Oddity> {
        let mut odd: Vec<Oddity> = self.clock(place).into_iter().chain(self.sea_level(place)).collect();
        let latitude = place.map(|place| to_single(place.site.latitude_deg));
        let measures = [
            (Measure::Temperature, self.temperature.known()),
            (Measure::Pressure, self.pressure.known()),
            (Measure::Latitude, latitude),
            (Measure::DailyRange, self.range.known()),
        ];
        let outside = measures.into_iter().find_map(|(measure, value)| {
            let (low, high) = ranges?.outside(measure, value?)?;
            Some(Oddity::OutsideTraining { measure, value: value?, low, high })
        });
        odd.extend(outside);
        odd
    }

    fn clock(&self, place: Option<Place>) -> Option<Oddity> {
        // The principal place of a country may be too far off.
        place.filter(|place| place.precision != Precision::Country)?;
        let amplitude_c = self.cosine.mean.hypot(self.sine.mean);
        if self.cosine.days < WAVE_DAYS || amplitude_c < WAVE_AMPLITUDE_C {
            return None;
        }
        let peak_h = (self.sine.mean.atan2(self.cosine.mean) / std::f32::consts::TAU * 24.0).rem_euclid(24.0);
        (!WAVE_H.contains(&peak_h)).then_some(Oddity::Clock { peak_h })
    }

    fn sea_level(&self, place: Option<Place>) -> Option<Oddity> {
        let elevation_m = place?.site.elevation_m?;
        let mean_hpa = self.pressure.known()?;
        let expected_hpa =
            to_single(pressure_from_altimeter_setting_hpa(f64::from(SEA_LEVEL_HPA), elevation_m));
        let is_odd = (mean_hpa - expected_hpa).abs() >= STANDARD_MARGIN_HPA
            && (mean_hpa - SEA_LEVEL_HPA).abs() < SEA_LEVEL_MARGIN_HPA;
        is_odd.then_some(Oddity::SeaLevelPressure { mean_hpa, expected_hpa })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::weather::quantity::Values;
    use crate::weather::site::Site;
    use crate::window::grid::Grid;

    /// So many days at a longitude, whose temperature has its maximum at 15 h of solar time there and varies by twice
    /// `amplitude_c`; what is seen of it with another longitude.
    fn seen(days: i64, true_deg: f64, said_deg: f64, amplitude_c: f32, pressure_hpa: f32) -> Character {
        let place = Some(Place::given(Site::new(50.0, said_deg)));
        let quantities = [Quantity::AirTemperature, Quantity::AirPressure];
        let mut history = History::new(Grid::new(600).unwrap(), &quantities, 300);
        let mut character = Character::default();
        for slot in 0..days * 144 {
            let second = slot * 600;
            let solar_h = second as f64 / 3600.0 + true_deg / 15.0;
            let angle = ((solar_h - 15.0) / 24.0 * std::f64::consts::TAU) as f32;
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, 10.0 + amplitude_c * angle.cos());
            values.set(Quantity::AirPressure, pressure_hpa);
            history.insert(Timestamp::from_second(second).unwrap(), &values);
            character.look(&history, place);
        }
        character
    }

    fn odd(character: Character, elevation_m: f64, ranges: Option<Ranges>) -> Vec<Oddity> {
        let place = Place::given(Site::new(50.0, 100.0).at_elevation(elevation_m));
        character.oddities(Some(place), ranges.as_ref())
    }

    #[test]
    fn a_longitude_whose_sign_is_wrong_is_told_by_the_clock_of_the_daily_wave() {
        assert_eq!(odd(seen(40, 100.0, 100.0, 4.0, 1000.0), 100.0, None), []);
        let odd_ones = odd(seen(40, 100.0, -100.0, 4.0, 1000.0), 100.0, None);
        // 200° are 13 h 20 min: 15 h − 13.33 h.
        let [Oddity::Clock { peak_h }] = odd_ones[..] else { panic!("{odd_ones:?}") };
        assert!((peak_h - (15.0 - 200.0 / 15.0)).abs() < 0.1, "{peak_h}");
        assert_eq!(odd(seen(20, 100.0, -100.0, 4.0, 1000.0), 100.0, None), [], "too few days");
        assert_eq!(odd(seen(40, 100.0, -100.0, 0.5, 1000.0), 100.0, None), [], "no wave to speak of");
    }

    #[test]
    fn a_pressure_at_sea_level_is_told_from_the_stations_own_by_the_elevation() {
        // The standard atmosphere has 794.95 hPa at 2,000 m.
        let odd_ones = odd(seen(10, 100.0, 100.0, 4.0, 1015.0), 2000.0, None);
        let [Oddity::SeaLevelPressure { mean_hpa, expected_hpa }] = odd_ones[..] else {
            panic!("{odd_ones:?}")
        };
        assert!((mean_hpa - 1015.0).abs() < 0.1 && (expected_hpa - 794.95).abs() < 0.1, "{odd_ones:?}");
        assert_eq!(odd(seen(10, 100.0, 100.0, 4.0, 795.0), 2000.0, None), []);
        assert_eq!(odd(seen(10, 100.0, 100.0, 4.0, 1015.0), 100.0, None), []);
    }

    #[test]
    fn the_daily_range_is_of_the_hours_as_a_model_has_them_and_not_of_what_lies_between() {
        // Hours between 6 and 14 °C, and between them 9 °C more or less; the station says the hour five minutes late.
        let mut history = History::new(Grid::new(600).unwrap(), &[Quantity::AirTemperature], 300);
        let mut character = Character::default();
        for slot in 0..10 * 144_i64 {
            let second = slot * 600 - 300;
            let hour = (slot * 600 - 1).div_euclid(3600);
            let is_last = slot % 6 == 5;
            if slot % 6 == 0 {
                continue;
            }
            let of_hour = 10.0 + 4.0 * ((hour as f32 - 15.0) / 24.0 * std::f32::consts::TAU).cos();
            let temperature_c = match (is_last, slot % 2) {
                (true, _) => of_hour,
                (false, 0) => of_hour + 9.0,
                (false, _) => of_hour - 9.0,
            };
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, temperature_c);
            history.insert(Timestamp::from_second(second).unwrap(), &values);
            character.look(&history, None);
        }
        let range_c = character.range.known().unwrap();
        assert!((range_c - 8.0).abs() < 0.01, "{range_c}");
    }

    #[test]
    fn what_the_model_has_never_seen_is_said_with_its_range() {
        let ranges = Ranges { daily_range_c: Some((2.0, 20.0)), ..Ranges::default() };
        assert_eq!(odd(seen(10, 100.0, 100.0, 4.0, 1000.0), 100.0, Some(ranges)), []);
        // A thermometer in the sun: twice 12 °C from morning to afternoon.
        let odd_ones = odd(seen(10, 100.0, 100.0, 12.0, 1000.0), 100.0, Some(ranges));
        let [Oddity::OutsideTraining { measure, value, low, high }] = odd_ones[..] else {
            panic!("{odd_ones:?}")
        };
        assert_eq!((measure, low, high), (Measure::DailyRange, 2.0, 20.0));
        assert!((value - 24.0).abs() < 0.5, "{value}");
        let polar = Ranges { latitude_deg: Some((-30.0, 49.0)), ..ranges };
        let odd_ones = odd(seen(1, 100.0, 100.0, 4.0, 1000.0), 100.0, Some(polar));
        assert!(matches!(odd_ones[..], [Oddity::OutsideTraining { measure: Measure::Latitude, .. }]));
    }
}
