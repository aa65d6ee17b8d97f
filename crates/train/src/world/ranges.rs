//! What the training stations have seen: the ranges of a manifest.

use forecastd_core::{Quantity, Ranges, Slot};

use super::pool::PoolStation;

/// Hours of a day that must have been observed.
const HOURS: usize = 22;

/// The ranges of stations, by the days of UTC that were observed.
pub(crate) fn ranges<'a>(stations: impl Iterator<Item = &'a PoolStation>) -> Ranges {
    let mut ranges = Ranges::default();
    for station in stations {
        widen(&mut ranges.latitude_deg, station.site.latitude_deg as f32);
        let (mut range_c, mut days) = (0.0, 0.0);
        for segment in &station.segments {
            let history = &segment.history;
            let (Some(oldest), Some(newest)) = (history.oldest(), history.newest()) else { continue };
            let slots = 24 * history.grid().slots_per_hour();
            for day in oldest.div_euclid(slots)..=newest.div_euclid(slots) {
                let of_day = |quantity| -> Option<Vec<f32>> {
                    let measured: Vec<(Slot, f32)> = (day * slots..(day + 1) * slots)
                        .map(|slot| {
                            (slot.div_euclid(history.grid().slots_per_hour()), history.value(slot, quantity))
                        })
                        .filter(|(_, value)| !value.is_nan())
                        .collect();
                    let hours = measured.chunk_by(|(one, _), (other, _)| one == other).count();
                    (hours >= HOURS).then(|| measured.into_iter().map(|(_, value)| value).collect())
                };
                let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
                if let Some(temperatures) = of_day(Quantity::AirTemperature) {
                    widen(&mut ranges.temperature_c, mean(&temperatures));
                    let end =
                        |end: fn(f32, f32) -> f32| temperatures.iter().copied().reduce(end).unwrap_or(0.0);
                    range_c += end(f32::max) - end(f32::min);
                    days += 1.0;
                }
                if let Some(pressures) = of_day(Quantity::AirPressure) {
                    widen(&mut ranges.pressure_hpa, mean(&pressures));
                }
            }
        }
        if days > 0.0 {
            widen(&mut ranges.daily_range_c, range_c / days);
        }
    }
    ranges
}

fn widen(range: &mut Option<(f32, f32)>, value: f32) {
    let (low, high) = range.unwrap_or((value, value));
    *range = Some((low.min(value), high.max(value)));
}

#[cfg(test)]
mod tests {
    use forecastd_core::{Grid, History, Site, Values};
    use jiff::Timestamp;

    use super::super::pool::Segment;
    use super::*;

    /// Two days whose hours go from `low_c` to `low_c` + 11.5 °C, at 1,000 hPa.
    fn station(latitude_deg: f64, low_c: f32) -> PoolStation {
        let quantities = [Quantity::AirTemperature, Quantity::AirPressure];
        let mut history = History::new(Grid::new(3600).unwrap(), &quantities, 100);
        for hour in 0..48 {
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, low_c + (hour % 24) as f32 / 2.0);
            values.set(Quantity::AirPressure, 1000.0);
            history.insert(Timestamp::from_second(hour * 3600).unwrap(), &values);
        }
        PoolStation {
            id: "a".to_owned(),
            name: "a".to_owned(),
            group: "a".to_owned(),
            site: Site::new(latitude_deg, 0.0),
            step_h: 1,
            is_named: false,
            segments: vec![Segment { history, origins: Vec::new() }],
        }
    }

    #[test]
    fn a_day_of_which_half_the_hours_are_missing_is_none_however_often_the_others_were_measured() {
        let whole = station(50.0, 0.0);
        let mut half = whole.clone();
        let mut history = History::new(Grid::new(600).unwrap(), &[Quantity::AirTemperature], 300);
        for slot in (0..144).filter(|slot| slot / 72 == 0) {
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, -50.0);
            history.insert(Timestamp::from_second(slot * 600).unwrap(), &values);
        }
        half.segments = vec![Segment { history, origins: Vec::new() }];
        assert_eq!(
            ranges([&whole, &half].into_iter()).temperature_c,
            ranges([&whole].into_iter()).temperature_c
        );
    }

    #[test]
    fn ranges_hold_every_station_and_what_was_never_measured_bounds_nothing() {
        let stations = [station(-30.0, 0.0), station(60.0, -20.0)];
        let seen = ranges(stations.iter());
        assert_eq!(seen.latitude_deg, Some((-30.0, 60.0)));
        // The mean of 0 to 11.5 °C is 5.75 °C.
        assert_eq!(seen.temperature_c, Some((-14.25, 5.75)));
        assert_eq!((seen.daily_range_c, seen.pressure_hpa), (Some((11.5, 11.5)), Some((1000.0, 1000.0))));
        assert!(seen.is_sound());
        assert_eq!(ranges([].iter()), Ranges::default());
    }
}
