//! The reference forecasts, over the cases that a network of the notebook is validated on.

use forecastd_core::ErrorSum;
use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::Slot;
use forecastd_core::{Climatology, same_time_yesterday};
use forecastd_record::{DEFAULT_SPLIT, Part, Record};

/// Samples of the notebook's windows, which lie within their part.
const NOTEBOOK_SAMPLES: i64 = 240;

/// A reference forecast.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Baseline {
    /// The temperature stays.
    Persistence,
    /// As at the same time yesterday.
    Yesterday,
    /// As usual at this time of the year and the day, at a site.
    Climatology(Site, Climatology),
}

impl Baseline {
    /// The climatology of a record's training part; `None` when nothing was measured in it.
    pub(crate) fn climatology(record: &Record, site: Site) -> Option<Baseline> {
        let train = record.part(DEFAULT_SPLIT, Part::Train);
        let climatology = Climatology::fit(record.history(), site, record.rows_within(&train))?;
        Some(Baseline::Climatology(site, climatology))
    }

    /// The forecast issued at `origin`, °C; NaN where it needs what was not measured.
    fn temperature_c(&self, record: &Record, origin: Slot, lead_h: u32) -> f64 {
        let history = record.history();
        let temperature = |slot: Slot| f64::from(history.value(slot, Quantity::AirTemperature));
        match self {
            Baseline::Persistence => temperature(origin),
            Baseline::Yesterday => temperature(same_time_yesterday(history, origin, lead_h)),
            Baseline::Climatology(site, climatology) => {
                let valid = origin + i64::from(lead_h) * 3600 / history.grid().step_s();
                climatology.temperature_c(*site, history.grid().time(valid))
            }
        }
    }

    /// Its errors on the validation part.
    pub(crate) fn validate(&self, record: &Record, lead_h: u32) -> ErrorSum {
        let validation = record.part(DEFAULT_SPLIT, Part::Validation);
        let window = (NOTEBOOK_SAMPLES - 1) * 3600 / record.history().grid().step_s();
        let mut errors = ErrorSum::default();
        for &origin in record.rows_within(&(validation.start + window..validation.end)) {
            let observed_c = f64::from(record.target(origin, lead_h, &validation));
            let forecast_c = self.temperature_c(record, origin, lead_h);
            if !observed_c.is_nan() && !forecast_c.is_nan() {
                errors.add(forecast_c, observed_c);
            }
        }
        errors
    }
}
