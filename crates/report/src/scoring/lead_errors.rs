//! Errors over cases, by lead.

use jiff::Timestamp;

use forecastd_core::Slot;
use forecastd_core::{Coverage, ErrorSum};
use forecastd_core::{LeadScore, PartScores};
use forecastd_record::{Part, Record};

use super::cases::Case;

/// Errors at one lead.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LeadErrors {
    /// The lead in hours.
    pub lead_h: u32,
    /// The errors of the model's point forecast.
    pub model: ErrorSum,
    /// The errors of the temperature of the newest reading, taken for the forecast.
    pub persistence: ErrorSum,
    /// Same time yesterday.
    pub yesterday: ErrorSum,
    /// The errors of the usual temperature of the time of year and day.
    pub climatology: ErrorSum,
    /// The model's interval.
    pub coverage: Coverage,
}

/// Errors on one part of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct PartErrors {
    /// The part of the record that the cases are of.
    pub part: Part,
    /// Whether they are those of the model before it was trained on this part too.
    pub before_refit: bool,
    /// The number of different issue times.
    pub origins: u64,
    /// The first issue time and the last.
    pub span: (Timestamp, Timestamp),
    /// The errors at each lead, rising.
    pub leads: Vec<LeadErrors>,
}

impl PartErrors {
    /// Sums up cases.
    pub fn new(record: &Record, part: Part, lead_h: &[u32], cases: &[Case]) -> PartErrors {
        let mut leads: Vec<LeadErrors> =
            lead_h.iter().map(|&lead_h| LeadErrors { lead_h, ..LeadErrors::default() }).collect();
        for case in cases {
            let Some(errors) = leads.iter_mut().find(|errors| errors.lead_h == case.lead_h) else { continue };
            errors.model.add(case.model_c, case.observed_c);
            errors.persistence.add(case.persistence_c, case.observed_c);
            if let Some(yesterday_c) = case.yesterday_c {
                errors.yesterday.add(yesterday_c, case.observed_c);
            }
            if let Some(climatology_c) = case.climatology_c {
                errors.climatology.add(climatology_c, case.observed_c);
            }
            if let Some((low_c, high_c)) = case.interval_c {
                errors.coverage.add(low_c, high_c, case.observed_c);
            }
        }
        let grid = record.history().grid();
        let mut origins: Vec<Slot> = cases.iter().map(|case| case.origin).collect();
        origins.dedup();
        let time = |slot: Option<&Slot>| slot.map_or(record.facts().first, |&slot| grid.time(slot));
        PartErrors {
            part,
            before_refit: false,
            origins: origins.len() as u64,
            span: (time(origins.first()), time(origins.last())),
            leads,
        }
    }

    /// What a manifest keeps of it.
    pub fn scores(&self) -> PartScores {
        let leads = self.leads.iter().filter(|errors| errors.model.count() > 0).map(|errors| LeadScore {
            lead_h: errors.lead_h,
            mae: errors.model.mae(),
            rmse: errors.model.rmse(),
            persistence_mae: errors.persistence.mae(),
            yesterday_mae: finite(errors.yesterday.mae()),
            climatology_mae: finite(errors.climatology.mae()),
            coverage: errors.coverage.share(),
        });
        PartScores {
            part: self.part.name().to_owned(),
            before_refit: self.before_refit,
            forecasts: self.origins,
            leads: leads.collect(),
        }
    }

    /// The mean of the model's mean absolute errors over all leads, °C.
    pub fn mean_mae(&self) -> f64 {
        let maes = self.leads.iter().map(|errors| errors.model.mae()).filter(|mae| mae.is_finite());
        let (count, sum) = maes.fold((0.0, 0.0), |(count, sum), mae| (count + 1.0, sum + mae));
        sum / count
    }
}

/// A number, if it is one.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
