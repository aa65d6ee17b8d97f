//! A forecasting task: the predictors that a window holds, and the targets.

use serde::Serialize;

use forecastd_core::MissingValues;
use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::TargetKind;
use forecastd_core::WindowSpec;
use forecastd_core::{Feature, Wave};
use forecastd_record::Record;

use super::dataset::TargetSpec;
use super::options::{Protocol, TrainOptions};

/// The predictors that a window holds, and the targets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// Which features and targets.
    pub style: Style,
    /// How far a forecast is from the newest sample.
    pub protocol: Protocol,
    /// Hourly samples of a window.
    pub samples: usize,
}

/// Which features a window holds and which targets there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// As in the notebook: every quantity of the file, and one temperature.
    Notebook,
    /// What nearly every station measures, the calendar and the sun; and the change of temperature at each hour to 24.
    Station,
}

/// The quantities that nearly every station has.
pub(super) const STATION_QUANTITIES: [Quantity; 5] = [
    Quantity::AirTemperature,
    Quantity::AirPressure,
    Quantity::RelativeHumidity,
    Quantity::DewPointTemperature,
    Quantity::WindSpeed,
];

impl Task {
    /// How windows are cut from `record`.
    pub fn window(&self, record: &Record, site: Site) -> WindowSpec {
        let features = match self.style {
            Style::Notebook => {
                let measured = |&quantity: &Quantity| record.history().quantities().contains(&quantity);
                Quantity::ALL.into_iter().filter(measured).map(Feature::Quantity).collect()
            }
            Style::Station => {
                let mut features: Vec<Feature> = STATION_QUANTITIES.map(Feature::Quantity).to_vec();
                features.extend([
                    Feature::Tendency { quantity: Quantity::AirPressure, hours: 3 },
                    Feature::Tendency { quantity: Quantity::AirPressure, hours: 24 },
                    Feature::TimeOfDay(Wave::Sin),
                    Feature::TimeOfDay(Wave::Cos),
                    Feature::TimeOfYear(Wave::Sin),
                    Feature::TimeOfYear(Wave::Cos),
                    Feature::SolarElevation { ahead_h: 0 },
                ]);
                features
            }
        };
        window(record, site, self.samples, features)
    }

    /// What is forecast.
    pub fn target(&self) -> TargetSpec {
        let day = self.protocol.lead_h();
        match self.style {
            Style::Notebook => {
                TargetSpec { kind: TargetKind::Value, lead_h: vec![day], windows_within_part: true }
            }
            Style::Station => TargetSpec {
                kind: TargetKind::DifferenceToNewest,
                lead_h: (day - 23..=day).collect(),
                windows_within_part: false,
            },
        }
    }

    /// The quantities that a record must keep for it.
    pub fn quantities(&self, in_file: &[Quantity]) -> Vec<Quantity> {
        match self.style {
            Style::Notebook => in_file.to_vec(),
            Style::Station => STATION_QUANTITIES.to_vec(),
        }
    }

    /// The task with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions) -> Task {
        self.samples = options.samples.unwrap_or(self.samples);
        self.protocol = options.protocol.unwrap_or(self.protocol);
        self
    }
}

/// Windows of hourly samples.
pub(super) fn window(record: &Record, site: Site, samples: usize, features: Vec<Feature>) -> WindowSpec {
    WindowSpec {
        grid_step_s: record.history().grid().step_s() as u32,
        sample_every_s: 3600,
        samples,
        max_hole_s: 3 * 3600,
        site: Some(site),
        missing: MissingValues::Refused,
        features,
    }
}
