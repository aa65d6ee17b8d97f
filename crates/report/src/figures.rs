//! What a report shows of forecasts on one part of a record.

use jiff::tz::Offset;

use crate::fan::Fan;
use crate::scoring::cases::Case;
use crate::scoring::lead_errors::PartErrors;
use forecastd_core::ErrorSum;
use forecastd_core::Site;
use forecastd_core::Slot;
use forecastd_record::Record;

/// How much of a part is shown forecast by forecast, in seconds.
const SHOWN_S: i64 = 14 * 86_400;

/// Errors of the model and of persistence over the same cases.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beside {
    /// The errors of the model's point forecast.
    pub model: ErrorSum,
    /// The errors of the temperature of the newest reading, taken for the forecast.
    pub persistence: ErrorSum,
}

/// How often the observation was below each quantile, at one lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The lead in hours.
    pub lead_h: u32,
    /// Shares, for the lowest quantile, the median and the highest.
    pub below: [f64; 3],
}

/// Forecasts of a part, summed up for pictures. Hours and months are those of the time that is forecast, in mean solar
/// time at the station; all but the calibration is at the longest lead.
#[derive(Debug, Clone, PartialEq)]
pub struct PartFigures {
    /// Errors by lead.
    pub errors: PartErrors,
    /// The longest lead, hours.
    pub lead_h: u32,
    /// Forecasts that were nearer to the observation than persistence was.
    pub nearer: u64,
    /// Days (UTC) that have a forecast, of any lead.
    pub days: u64,
    /// A forecast such as the model usually makes.
    pub fan: Option<Fan>,
    /// The first two weeks with as many forecasts as any: time that is forecast, seconds since 1970, and the case.
    pub weeks: Vec<(f64, Case)>,
    /// By hour of day.
    pub by_hour: [Beside; 24],
    /// The errors by the month of the time that is forecast, from January.
    pub by_month: [Beside; 12],
    /// The quantiles: the ends of the interval and the median between them; none for a model of values.
    pub quantiles: Option<[f32; 3]>,
    /// By lead; empty for a model of values.
    pub calibration: Vec<Calibration>,
}

impl PartFigures {
    /// Sums up the cases of a part; the quantiles are the model's, the site is the station's.
    pub fn new(
        record: &Record,
        site: Site,
        errors: &PartErrors,
        cases: &[Case],
        quantiles: &[f32],
    ) -> PartFigures {
        let grid = record.history().grid();
        let lead_h = errors.leads.last().map_or(0, |errors| errors.lead_h);
        let (mut by_hour, mut by_month) = ([Beside::default(); 24], [Beside::default(); 12]);
        let mut by_time: Vec<(f64, Case)> = Vec::new();
        let mut nearer = 0;
        for case in cases.iter().filter(|case| case.lead_h == lead_h) {
            let valid: Slot = case.origin + grid.hours_to_slots(lead_h);
            let time = grid.time(valid);
            let solar_s = (site.longitude_deg / 360.0 * 86_400.0) as i64;
            let solar = jiff::SignedDuration::from_secs(solar_s);
            let local = Offset::UTC.to_datetime(time.saturating_add(solar).unwrap_or(time));
            for beside in [
                &mut by_hour[usize::from(local.hour().unsigned_abs()) % 24],
                &mut by_month[usize::from(local.month().unsigned_abs() - 1) % 12],
            ] {
                beside.model.add(case.model_c, case.observed_c);
                beside.persistence.add(case.persistence_c, case.observed_c);
            }
            let error = |forecast_c: f64| (forecast_c - case.observed_c).abs();
            nearer += u64::from(error(case.model_c) < error(case.persistence_c));
            by_time.push((time.as_second() as f64, *case));
        }
        let day = |case: &Case| grid.time(case.origin).as_second().div_euclid(86_400);
        let mut days: Vec<i64> = cases.iter().map(day).collect();
        days.sort_unstable();
        days.dedup();
        let weeks = by_time[fullest(&by_time)].to_vec();
        let calibration = errors.leads.iter().filter_map(|errors| calibration(cases, errors.lead_h));
        PartFigures {
            errors: errors.clone(),
            lead_h,
            nearer,
            days: days.len() as u64,
            fan: None,
            weeks,
            by_hour,
            by_month,
            quantiles: match quantiles {
                all if all.contains(&0.1) && all.contains(&0.9) => Some([0.1, 0.5, 0.9]),
                [first, .., last] => Some([*first, 0.5, *last]),
                _ => None,
            },
            calibration: calibration.collect(),
        }
    }
}

impl PartFigures {
    /// The same, with one forecast to show.
    pub fn with_fan(self, fan: Option<Fan>) -> PartFigures {
        PartFigures { fan, ..self }
    }
}

/// The first stretch of two weeks that holds as many as any other.
fn fullest(by_time: &[(f64, Case)]) -> std::ops::Range<usize> {
    let mut fullest = 0..0;
    let mut end = 0;
    for (begin, (first, _)) in by_time.iter().enumerate() {
        while by_time.get(end).is_some_and(|(time, _)| *time < first + SHOWN_S as f64) {
            end += 1;
        }
        if end - begin > fullest.len() {
            fullest = begin..end;
        }
    }
    fullest
}

fn calibration(cases: &[Case], lead_h: u32) -> Option<Calibration> {
    let (mut count, mut below) = (0.0, [0.0; 3]);
    for case in cases.iter().filter(|case| case.lead_h == lead_h) {
        let (low_c, high_c) = case.interval_c?;
        count += 1.0;
        for (below, quantile_c) in below.iter_mut().zip([low_c, case.model_c, high_c]) {
            *below += f64::from(u8::from(case.observed_c < quantile_c));
        }
    }
    (count > 0.0).then(|| Calibration { lead_h, below: below.map(|below| below / count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Grid;
    use forecastd_core::{Quantity, Values};
    use forecastd_record::Part;

    /// A forecast an hour for `hours` from midnight UTC, 24 h ahead, that errs by `error_c(hour)`.
    fn figures(longitude_deg: f64, hours: i64, error_c: impl Fn(i64) -> f64) -> PartFigures {
        let grid = Grid::new(3600).unwrap();
        let start: jiff::Timestamp = "2020-01-30T00:00:00Z".parse().unwrap();
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 5.0);
        let readings = [(start, values), (start + jiff::SignedDuration::from_hours(hours), values)];
        let record = Record::from_readings(&readings, grid, &[Quantity::AirTemperature]).unwrap();
        let case = |hour: i64| Case {
            origin: grid.slot(start) + hour,
            lead_h: 24,
            observed_c: 10.0,
            model_c: 10.0 + error_c(hour),
            interval_c: Some((9.0 + error_c(hour), 11.0 + error_c(hour))),
            persistence_c: 7.0,
            yesterday_c: None,
            climatology_c: None,
        };
        let cases: Vec<Case> = (0..hours).map(case).collect();
        let errors = PartErrors::new(&record, Part::Whole, &[24], &cases);
        let site = Site::new(0.0, longitude_deg);
        PartFigures::new(&record, site, &errors, &cases, &[0.1, 0.5, 0.9])
    }

    #[test]
    fn errors_belong_to_the_hour_that_is_forecast_by_the_sun_of_the_station() {
        // 24 hours after 18:00 UTC it is 00:00 at 90 degrees east.
        let figures = figures(90.0, 24, |hour| if hour == 18 { 3.0 } else { 1.0 });
        assert_eq!(figures.by_hour[0].model.mae(), 3.0);
        assert_eq!(figures.by_hour[1].model.mae(), 1.0);
        assert!(figures.by_hour.iter().all(|beside| beside.persistence.mae() == 3.0));
    }

    #[test]
    fn errors_belong_to_the_month_that_is_forecast() {
        // Issued on 30 and 31 January: of 48 forecasts 24 h ahead, the last 24 are for February.
        let figures = figures(0.0, 48, |_| 1.0);
        assert_eq!([0, 1, 2].map(|month| figures.by_month[month].model.count()), [24, 24, 0]);
    }

    #[test]
    fn calibration_counts_what_came_below_each_quantile() {
        // The median is above the outcome in a quarter of the cases, the lowest quantile too.
        let figures = figures(0.0, 40, |hour| if hour < 10 { 5.0 } else { -0.5 });
        let [calibration] = &figures.calibration[..] else { panic!("{figures:?}") };
        assert_eq!(calibration.below, [0.25, 0.25, 1.0]);
        assert_eq!(figures.quantiles, Some([0.1, 0.5, 0.9]));
    }

    #[test]
    fn two_weeks_are_shown_forecast_by_forecast() {
        let figures = figures(0.0, 24 * 20, |_| 1.0);
        assert_eq!(figures.weeks.len(), 24 * 14);
        assert_eq!(
            figures.weeks[0].1.origin,
            figures.weeks.iter().map(|(_, case)| case.origin).min().unwrap()
        );
    }

    #[test]
    fn the_two_weeks_shown_are_whole_where_the_first_are_not() {
        let whole = figures(0.0, 24 * 40, |_| 1.0).weeks[0].1;
        // Every hour but for three days in the first two weeks.
        let hours = (0..24 * 40).filter(|hour| !(100..172).contains(hour));
        let by_time: Vec<(f64, Case)> = hours.map(|hour| (f64::from(hour) * 3600.0, whole)).collect();
        let shown = fullest(&by_time);
        assert_eq!((by_time[shown.start].0, shown.len()), (172.0 * 3600.0, 24 * 14));
        assert_eq!(fullest(&[]), 0..0);
    }
}
