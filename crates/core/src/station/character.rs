//! What a station's days are like, and what is odd about them: a clock or a place that cannot be right, a pressure that is not
//! the station's own, weather that a model has never seen. It is said; nothing is done about it, as experts find out by
//! themselves what a model is worth.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::oddity::Oddity;
use crate::model::ranges::{Measure, Ranges};
use crate::number::to_single;
use crate::weather::place::{Place, Precision};
use crate::weather::pressure::pressure_from_altimeter_setting_hpa;
use crate::weather::quantity::Quantity;
use crate::window::history::History;

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
/// Hours of a day that must have been observed of a station that speaks every hour; of one that speaks less often, every time.
const HOURS: usize = 22;
/// A station that speaks less often does not show its daily wave, hours.
const LONGEST_CADENCE_H: i64 = 3;
/// The most that the mean pressure of a week differs from that of the standard atmosphere, hPa, as for records.
const WEEK_MARGIN_HPA: f32 = 35.0;
/// The same of a month. Of 907 stations whose pressure is their own 901 never differed by 16, and none of the other six, whose
/// elevations are doubtful, was near the pressure of sea level; of 219 at sea level none differed by 15.
const MONTH_MARGIN_HPA: f32 = 20.0;
/// A colder month may be one of a continental high, of which those records have none, °C.
const CONTINENTAL_WINTER_C: f32 = -10.0;
/// The pressure of the standard atmosphere at sea level, hPa.
const SEA_LEVEL_HPA: f32 = 1013.25;
/// Means over a month of pressures at sea level lie within this of it, hPa.
const SEA_LEVEL_MARGIN_HPA: f32 = 20.0;

const DAY_S: i64 = 86_400;

/// How far mean solar time is ahead of UTC, in seconds.
#[expect(clippy::cast_possible_truncation, reason = "half a day at most")]
fn shift_s(place: Option<Place>) -> i64 {
    let longitude_deg = place.map_or(0.0, |place| place.site.longitude_deg);
    (longitude_deg / 360.0 * DAY_S as f64) as i64
}

/// The day of mean solar time, since 1970.
fn day(time: Timestamp, place: Option<Place>) -> i64 {
    (time.as_second() + shift_s(place)).div_euclid(DAY_S)
}

/// How many hours usually lie between two of the `observed` hours of a day, which rise and may repeat; `None` where too few of
/// the day's were observed for that.
fn cadence_h(observed: impl Iterator<Item = i64>) -> Option<i64> {
    let mut observed: Vec<i64> = observed.collect();
    observed.dedup();
    let mut between: Vec<i64> = observed.windows(2).map(|pair| pair[1] - pair[0]).collect();
    between.sort_unstable();
    let cadence_h = *between.get(between.len() / 2)?;
    let mut times: Vec<i64> = observed.iter().map(|hour| hour / cadence_h).collect();
    times.dedup();
    let needed = if cadence_h == 1 { HOURS } else { usize::try_from(24 / cadence_h).ok()? };
    (cadence_h <= LONGEST_CADENCE_H && times.len() >= needed).then_some(cadence_h)
}

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
    /// Of the first harmonic of the temperature over the day of UTC, °C: the place may become known later, or be corrected.
    cosine: Mean,
    sine: Mean,
    temperature: Mean,
    range: Mean,
    pressure: Mean,
}

impl Character {
    /// Looks at the day before, when a new one has begun with the newest slot. Whether it did.
    pub(super) fn look(&mut self, history: &History, place: Option<Place>) -> bool {
        let Some(newest) = history.newest() else { return false };
        let grid = history.grid();
        let shift_s = shift_s(place);
        let today = day(grid.time(newest), place);
        let before = self.day.replace(self.day.map_or(today, |day| day.max(today)));
        if before.is_none_or(|before| before >= today) {
            return false;
        }
        let midnight_s = (today - 1) * DAY_S - shift_s;
        let first = midnight_s.div_euclid(grid.step_s());
        let slots = 24 * grid.slots_per_hour();
        // Each value with its part of the day of UTC, and how many hours lie between two; nothing where too few were observed.
        let of_day = |quantity| -> Option<(i64, Vec<(f32, f32)>)> {
            let measured = (0..slots).map(|slot| (slot, history.value(first + slot, quantity)));
            let measured: Vec<(i64, f32)> = measured.filter(|(_, value)| !value.is_nan()).collect();
            let cadence_h = cadence_h(measured.iter().map(|(slot, _)| slot / grid.slots_per_hour()))?;
            let part = |slot: i64| (first + slot).rem_euclid(slots) as f32 / slots as f32;
            Some((cadence_h, measured.into_iter().map(|(slot, value)| (part(slot), value)).collect()))
        };
        let Some((cadence_h, temperatures)) = of_day(Quantity::AirTemperature) else { return false };
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
        if let Some((_, pressures)) = of_day(Quantity::AirPressure) {
            self.pressure.add(mean(&pressures));
        }
        if cadence_h > 1 {
            // The warmest and the coldest hour may be among those that are not observed.
            return true;
        }
        // Of the last value of each hour, as a model's hourly grid has it: shorter peaks are no part of what it was trained on.
        let hours = (0..slots).map(|slot| (first + slot - 1).div_euclid(grid.slots_per_hour()));
        let values = (0..slots).map(|slot| history.value(first + slot, Quantity::AirTemperature));
        let measured: Vec<(i64, f32)> = hours.zip(values).filter(|(_, value)| !value.is_nan()).collect();
        let of_hours = measured.chunk_by(|left, right| left.0 == right.0).filter_map(|hour| hour.last());
        let ends = |end: fn(f32, f32) -> f32| {
            of_hours.clone().map(|(_, value)| *value).reduce(end).unwrap_or(mean_c)
        };
        self.range.add(ends(f32::max) - ends(f32::min));
        true
    }

    /// Forgets when the daily wave has its maximum.
    pub(super) fn forget_wave(&mut self) {
        (self.cosine, self.sine) = Default::default();
    }

    /// Forgets that a day later than `limit` has begun: a clock was ahead, and those until then would not be looked at.
    pub(super) fn drop_after(&mut self, limit: Timestamp, place: Option<Place>) {
        self.day = self.day.filter(|own| *own <= day(limit, place));
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
        let outside = measures.into_iter().filter_map(|(measure, value)| {
            let (low, high) = ranges?.outside(measure, value?)?;
            Some(Oddity::OutsideTraining { measure, value: value?, low, high })
        });
        odd.extend(outside);
        odd
    }

    fn clock(&self, place: Option<Place>) -> Option<Oddity> {
        // The principal place of a country may be too far off.
        let place = place.filter(|place| place.precision != Precision::Country)?;
        let amplitude_c = self.cosine.mean.hypot(self.sine.mean);
        if self.cosine.days < WAVE_DAYS || amplitude_c < WAVE_AMPLITUDE_C {
            return None;
        }
        let peak_utc_h = self.sine.mean.atan2(self.cosine.mean) / std::f32::consts::TAU * 24.0;
        let peak_h = (peak_utc_h + to_single(place.site.longitude_deg) / 15.0).rem_euclid(24.0);
        (!WAVE_H.contains(&peak_h)).then_some(Oddity::Clock { peak_h })
    }

    fn sea_level(&self, place: Option<Place>) -> Option<Oddity> {
        let elevation_m = place?.site.elevation_m?;
        let mean_hpa = self.pressure.known()?;
        let expected_hpa =
            to_single(pressure_from_altimeter_setting_hpa(f64::from(SEA_LEVEL_HPA), elevation_m));
        let is_month = self.pressure.days >= ROLLING_DAYS && self.temperature.mean > CONTINENTAL_WINTER_C;
        let margin_hpa = if is_month { MONTH_MARGIN_HPA } else { WEEK_MARGIN_HPA };
        let (from_own_hpa, from_sea_hpa) = (mean_hpa - expected_hpa, mean_hpa - SEA_LEVEL_HPA);
        let is_nearer_to_sea = from_sea_hpa.abs() < from_own_hpa.abs().min(SEA_LEVEL_MARGIN_HPA);
        let is_odd = from_own_hpa.abs() >= margin_hpa && is_nearer_to_sea;
        is_odd.then_some(Oddity::SeaLevelPressure { mean_hpa, expected_hpa })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::quantity::Values;
    use crate::weather::site::Site;
    use crate::window::grid::Grid;

    fn seen(days: i64, true_deg: f64, said_deg: f64, amplitude_c: f32, pressure_hpa: f32) -> Character {
        let place = Some(Place::given(Site::new(50.0, said_deg)));
        seen_at(days, true_deg, place, amplitude_c, pressure_hpa)
    }

    /// So many days at a longitude, whose temperature has its maximum at 15 h of solar time there and varies by twice
    /// `amplitude_c`; what is seen of it at another place.
    fn seen_at(
        days: i64,
        true_deg: f64,
        place: Option<Place>,
        amplitude_c: f32,
        pressure_hpa: f32,
    ) -> Character {
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

    #[test]
    fn a_day_is_looked_at_where_it_was_observed_as_often_as_the_station_speaks() {
        assert_eq!(cadence_h(0..24), Some(1));
        assert_eq!(cadence_h((0..24).filter(|hour| ![3, 17].contains(hour))), Some(1));
        assert_eq!(cadence_h((0..24).filter(|hour| ![3, 4, 17].contains(hour))), None);
        assert_eq!(cadence_h((0..24).flat_map(|hour| [hour; 6])), Some(1), "every ten minutes");
        assert_eq!(cadence_h((0..24).step_by(3)), Some(3));
        assert_eq!(cadence_h((1..24).step_by(3)), Some(3));
        assert_eq!(cadence_h((3..24).step_by(3)), None, "one is missing");
        assert_eq!(cadence_h((0..24).step_by(6)), None, "four times a day");
        assert_eq!(cadence_h(0..12), None);
        assert_eq!(cadence_h(std::iter::once(5)), None);
    }

    #[test]
    fn a_longitude_that_is_corrected_or_known_later_counts_for_the_days_before_too() {
        let right = Place::given(Site::new(50.0, 100.0));
        let wrong = Place::given(Site::new(50.0, -100.0));
        for before in [Some(right), Some(wrong), None] {
            let character = seen_at(40, 100.0, before, 4.0, 1000.0);
            assert_eq!(character.oddities(Some(right), None), [], "{before:?}");
            let odd = character.oddities(Some(wrong), None);
            assert!(matches!(odd[..], [Oddity::Clock { .. }]), "{before:?}: {odd:?}");
            assert_eq!(character.oddities(None, None), [], "{before:?}");
        }
    }

    fn odd(character: Character, elevation_m: f64, ranges: Option<Ranges>) -> Vec<Oddity> {
        let place = Place::given(Site::new(50.0, 100.0).at_elevation(elevation_m));
        character.oddities(Some(place), ranges.as_ref())
    }

    #[test]
    fn a_longitude_whose_sign_is_wrong_is_told_by_the_clock_of_the_daily_wave() {
        let at = |said_deg: f64, days: i64, amplitude_c: f32| {
            let place = Some(Place::given(Site::new(50.0, said_deg)));
            seen(days, 100.0, said_deg, amplitude_c, 1000.0).oddities(place, None)
        };
        assert_eq!(at(100.0, 40, 4.0), []);
        let odd_ones = at(-100.0, 40, 4.0);
        // 200° are 13 h 20 min: 15 h − 13.33 h.
        let [Oddity::Clock { peak_h }] = odd_ones[..] else { panic!("{odd_ones:?}") };
        assert!((peak_h - (15.0 - 200.0 / 15.0)).abs() < 0.1, "{peak_h}");
        assert_eq!(at(-100.0, 20, 4.0), [], "too few days");
        assert_eq!(at(-100.0, 40, 0.5), [], "no wave to speak of");
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
        // At 200 m it has 989.45 hPa, which a month tells from sea level.
        let days_at_200_m =
            |days, pressure_hpa| odd(seen(days, 100.0, 100.0, 4.0, pressure_hpa), 200.0, None).len();
        assert_eq!((days_at_200_m(40, 1013.0), days_at_200_m(20, 1013.0)), (1, 0));
        assert_eq!((days_at_200_m(40, 989.5), days_at_200_m(40, 989.5 + 18.0)), (0, 0), "a month of highs");
        let mut winter = seen(40, 100.0, 100.0, 4.0, 1013.0);
        winter.temperature.mean = -20.0;
        assert_eq!(odd(winter, 200.0, None), [], "the high of a continent's winter");
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
