//! Past forecasts beside what was observed, and how near they were day by day: for people who look back.
//!
//! What counts is what [`Verification`](super::verification::Verification) counts: the observation is the last reading of the
//! slot that a forecast was for, and persistence that stood in for everything else is not scored beside itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Forecast, LeadForecast, Source};
use crate::window::grid::{Grid, Slot};

/// With scores in fewer hours than this, a day says too little to be counted.
const COUNTED_HOURS: usize = 18;

/// Observed temperatures, slot by slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Observations {
    grid: Grid,
    by_slot: BTreeMap<Slot, f32>,
}

impl Observations {
    /// Takes temperatures in °C by rising time.
    pub fn new(grid: Grid, temperatures: impl IntoIterator<Item = (Timestamp, f32)>) -> Observations {
        let by_slot =
            temperatures.into_iter().map(|(time, temperature_c)| (grid.slot(time), temperature_c)).collect();
        Observations { grid, by_slot }
    }

    /// What was observed at a time of the grid, °C.
    pub fn at(&self, time: Timestamp) -> Option<f32> {
        self.by_slot.get(&self.grid.slot(time)).copied()
    }

    fn yesterday(&self, lead: &LeadForecast) -> Option<f32> {
        // For leads beyond a day, yesterday's value would not have been known when the forecast was issued.
        let days_back = i64::from(lead.lead_h.div_ceil(24));
        let slot = self.grid.slot(lead.valid_at) - self.grid.hours_to_slots(24 * days_back);
        self.by_slot.get(&slot).copied()
    }
}

/// What a forecast said for one of its leads, and what was observed then.
#[derive(Debug, Clone, PartialEq)]
pub struct PastForecast {
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Where its numbers came from.
    pub source: Source,
    /// The model's name, or that of the source.
    pub model: String,
    /// What it said.
    pub lead: LeadForecast,
    /// What persistence said: the newest temperature when it was issued, °C.
    pub persistence_c: f32,
    /// What the same time yesterday said, °C, where that was measured.
    pub yesterday_c: Option<f32>,
    /// What was observed, °C, where something was.
    pub observed_c: Option<f32>,
}

impl PastForecast {
    /// One lead of a forecast beside what was observed; none when the forecast does not have it.
    pub fn new(forecast: &Forecast, lead_h: u32, observations: &Observations) -> Option<PastForecast> {
        let lead = *forecast.at(lead_h)?;
        Some(PastForecast {
            issued_at: forecast.issued_at,
            source: forecast.source,
            model: forecast.model.clone(),
            persistence_c: forecast.temperature_c,
            yesterday_c: observations.yesterday(&lead),
            observed_c: observations.at(lead.valid_at),
            lead,
        })
    }
}

/// How near the forecasts for one day were, beside the reference forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct DayScore {
    /// The day that they were for.
    pub date: Date,
    /// How many were scored.
    pub forecasts: usize,
    /// In how many hours of the day they were.
    pub hours: usize,
    /// Mean absolute error, °C.
    pub mae_c: f64,
    /// That of persistence.
    pub persistence_mae_c: f64,
    /// That of the same time yesterday, where that was measured.
    pub yesterday_mae_c: Option<f64>,
    /// The fraction of observations within the interval, where there was one.
    pub coverage: Option<f64>,
}

impl DayScore {
    /// Whether enough of the day was scored to say how good it was.
    pub fn is_counted(&self) -> bool {
        self.hours >= COUNTED_HOURS
    }

    /// Whether the forecasts were closer to what was observed than persistence.
    pub fn is_closer(&self) -> bool {
        self.mae_c < self.persistence_mae_c
    }
}

/// Sums over one day.
#[derive(Debug, Default)]
struct DaySums {
    hours: BTreeSet<i8>,
    model: Mean,
    persistence: Mean,
    yesterday: Mean,
    within: Mean,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// How near past forecasts of one lead were on each day of a time zone, by rising date. Days without a score are left out.
pub fn day_scores<'past>(
    forecasts: impl IntoIterator<Item = &'past PastForecast>,
    zone: &TimeZone,
) -> Vec<DayScore> {
    let mut days: BTreeMap<Date, DaySums> = BTreeMap::new();
    for past in forecasts {
        let Some(observed_c) = past.observed_c.filter(|_| past.source != Source::Persistence) else {
            continue;
        };
        let local = zone.to_datetime(past.lead.valid_at);
        let day = days.entry(local.date()).or_default();
        let error = |forecast_c: f32| (f64::from(forecast_c) - f64::from(observed_c)).abs();
        day.hours.insert(local.hour());
        day.model.add(error(past.lead.temperature_c));
        day.persistence.add(error(past.persistence_c));
        if let Some(yesterday_c) = past.yesterday_c {
            day.yesterday.add(error(yesterday_c));
        }
        if let Some((low_c, high_c)) = past.lead.interval_c {
            day.within.add(f64::from(u8::from((low_c..=high_c).contains(&observed_c))));
        }
    }
    let score = |(date, day): (Date, DaySums)| {
        Some(DayScore {
            date,
            forecasts: day.model.count,
            hours: day.hours.len(),
            mae_c: day.model.value()?,
            persistence_mae_c: day.persistence.value()?,
            yesterday_mae_c: day.yesterday.value(),
            coverage: day.within.value(),
        })
    };
    days.into_iter().filter_map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::reading::StationName;
    use jiff::SignedDuration;

    fn at(hour: i64) -> Timestamp {
        // 2020-01-01T00:00:00Z.
        Timestamp::from_second(1_577_836_800 + 3600 * hour).unwrap()
    }

    /// The temperature rises by a degree an hour.
    fn observations() -> Observations {
        let hourly = (-48..=72).map(|hour| (at(hour) - SignedDuration::from_secs(30), hour as f32));
        Observations::new(Grid::new(600).unwrap(), hourly)
    }

    /// A forecast of hour `origin` for 24 hours later that is `error_c` wrong, to be held by an interval of ±1 °C.
    fn forecast(origin: i64, error_c: f32, source: Source) -> Forecast {
        let temperature_c = (origin + 24) as f32 + error_c;
        Forecast {
            station: StationName::new("roof").unwrap(),
            issued_at: at(origin),
            origin: at(origin),
            temperature_c: origin as f32,
            model: "m".to_owned(),
            source,
            leads: vec![LeadForecast {
                lead_h: 24,
                valid_at: at(origin + 24),
                temperature_c,
                interval_c: Some((temperature_c - 1.0, temperature_c + 1.0)),
            }],
            day_ahead: None,
        }
    }

    #[test]
    fn a_past_forecast_stands_beside_what_was_observed_in_its_slot_and_a_day_before() {
        let past = PastForecast::new(&forecast(3, -0.5, Source::Model), 24, &observations()).unwrap();
        assert_eq!((past.lead.temperature_c, past.observed_c), (26.5, Some(27.0)));
        assert_eq!((past.persistence_c, past.yesterday_c), (3.0, Some(3.0)));
        let later = PastForecast::new(&forecast(60, 0.0, Source::Model), 24, &observations()).unwrap();
        assert_eq!((later.observed_c, later.yesterday_c), (None, Some(60.0)));
        assert_eq!(PastForecast::new(&forecast(3, 0.0, Source::Model), 12, &observations()), None);
    }

    #[test]
    fn a_day_is_scored_where_people_live_and_counts_when_enough_of_it_was() {
        let observations = observations();
        let past = |origin: i64, error_c, source| {
            PastForecast::new(&forecast(origin, error_c, source), 24, &observations).unwrap()
        };
        // Hours 24 to 47 are the second of January in UTC. Two in three are 2 °C wrong, the others hit.
        let errors = [2.0, -2.0, 0.0];
        let mut forecasts: Vec<PastForecast> =
            (0..24).map(|hour| past(hour, errors[hour as usize % 3], Source::Model)).collect();
        // It stands in for everything, and is scored beside nothing.
        forecasts.push(past(5, 100.0, Source::Persistence));
        let [day] = &day_scores(&forecasts, &TimeZone::UTC)[..] else { panic!("one day") };
        assert_eq!((day.date.to_string().as_str(), day.forecasts, day.hours), ("2020-01-02", 24, 24));
        assert!((day.mae_c - 4.0 / 3.0).abs() < 1e-9);
        // After 24 hours everything is 24 °C warmer.
        assert_eq!((day.persistence_mae_c, day.yesterday_mae_c), (24.0, Some(24.0)));
        assert!((day.coverage.unwrap() - 1.0 / 3.0).abs() < 1e-9);
        assert!(day.is_counted() && day.is_closer());

        // Seven hours west of Greenwich the first seven belong to the day before.
        let west = TimeZone::fixed(jiff::tz::offset(-7));
        let days = day_scores(&forecasts, &west);
        let hours: Vec<(String, usize, bool)> =
            days.iter().map(|day| (day.date.to_string(), day.hours, day.is_counted())).collect();
        assert_eq!(hours, [("2020-01-01".to_owned(), 7, false), ("2020-01-02".to_owned(), 17, false)]);
        assert_eq!(day_scores(&[], &TimeZone::UTC), []);
    }
}
