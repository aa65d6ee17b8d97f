//! Somebody else's forecasts beside the model's, over the cases that both have.

use std::collections::HashMap;

use forecastd_core::{Coverage, ErrorSum, Slot};
use forecastd_record::{Part, Record};

use super::cases::Case;
use super::others::OtherForecasts;

/// Errors at one lead, all over the same cases.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ComparedLead {
    /// The lead in hours.
    pub lead_h: u32,
    /// Somebody else's forecasts.
    pub other: ErrorSum,
    /// The errors of the model's point forecast.
    pub model: ErrorSum,
    /// The errors of the temperature of the newest reading, taken for the forecast.
    pub persistence: ErrorSum,
    /// Somebody else's interval.
    pub other_coverage: Coverage,
    /// The model's interval.
    pub model_coverage: Coverage,
}

/// Somebody else's forecasts beside the model's on one part of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The part of the record that the cases are of.
    pub part: Part,
    /// By lead, those that have a case.
    pub leads: Vec<ComparedLead>,
    /// Somebody else's forecasts that are a case of this part.
    pub matched: u64,
}

impl Comparison {
    /// Compares forecasts on the cases of a part: those of the same origin and lead.
    pub fn new(record: &Record, part: Part, cases: &[Case], others: &OtherForecasts) -> Comparison {
        let grid = record.history().grid();
        let by_key: HashMap<(Slot, u32), &Case> =
            cases.iter().map(|case| ((case.origin, case.lead_h), case)).collect();
        let mut leads: Vec<ComparedLead> = Vec::new();
        let mut matched = 0;
        for forecast in &others.forecasts {
            let origin = grid.slot(forecast.issued_at);
            let lead_slots = grid.slot(forecast.valid_at) - origin;
            let lead_h = (lead_slots * grid.step_s() / 3600) as u32;
            if lead_slots <= 0 || grid.hours_to_slots(lead_h) != lead_slots {
                continue;
            }
            let Some(case) = by_key.get(&(origin, lead_h)) else { continue };
            matched += 1;
            let index = leads.binary_search_by_key(&lead_h, |lead| lead.lead_h).unwrap_or_else(|index| {
                leads.insert(index, ComparedLead { lead_h, ..ComparedLead::default() });
                index
            });
            let lead = &mut leads[index];
            lead.other.add(forecast.temperature_c, case.observed_c);
            lead.model.add(case.model_c, case.observed_c);
            lead.persistence.add(case.persistence_c, case.observed_c);
            if let Some((low_c, high_c)) = forecast.interval_c {
                lead.other_coverage.add(low_c, high_c, case.observed_c);
            }
            if let Some((low_c, high_c)) = case.interval_c {
                lead.model_coverage.add(low_c, high_c, case.observed_c);
            }
        }
        Comparison { part, leads, matched }
    }
}
