//! One forecast as a fan: the quantiles of every lead, and what was observed before it and beside it.

use forecastd_core::{Quantity, Slot};
use forecastd_model::{Artefact, Engine, Runtime};
use forecastd_record::Record;
use jiff::Timestamp;

use crate::scoring::cases::Case;
use crate::scoring::error::EvaluateError;

/// How much of what was observed before a forecast is shown, hours.
const BEFORE_H: u32 = 48;

/// One lead of a forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct FanLead {
    /// The lead in hours.
    pub lead_h: u32,
    /// The quantiles, rising, °C; the temperature alone for a model of values.
    pub quantiles_c: Vec<f64>,
}

/// One forecast beside what was observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Fan {
    /// The time of the newest reading.
    pub issued_at: Timestamp,
    /// The newest reading, °C.
    pub newest_c: f64,
    /// Readings from two days before it to the longest lead: hours from it, and °C.
    pub observed: Vec<(f64, f64)>,
    /// The levels of the quantiles, rising; empty for a model of values.
    pub levels: Vec<f32>,
    /// Which of the quantiles is the median.
    pub median: usize,
    /// The quantiles at each lead, rising.
    pub leads: Vec<FanLead>,
}

impl Fan {
    /// A forecast such as the model usually makes: of those that have an observation at each of their leads, the one of which
    /// the mean absolute error is in the middle. `None` where there is none.
    ///
    /// # Errors
    /// [`EvaluateError`] when the network does not run.
    pub fn typical(
        artefact: &Artefact,
        record: &Record,
        cases: &[Case],
        runtime: &Runtime,
    ) -> Result<Option<Fan>, EvaluateError> {
        let Some(own) = typical(cases) else { return Ok(None) };
        let (manifest, history) = (&artefact.manifest, record.history());
        let (spec, origin) = (&manifest.window, own[0].origin);
        let mut window = vec![0.0; spec.len()];
        let site = spec.site_for(record.site());
        let filled = site.and_then(|site| spec.fill(history, site, origin, &mut window).ok());
        if filled.is_none() {
            return Ok(None);
        }
        manifest.normalisation.apply(&mut window);
        let outputs = Engine::load(runtime, artefact)?.run(&window, 1)?;
        let newest_c = history.value(origin, Quantity::AirTemperature);
        let quantiles = manifest.quantiles.len().max(1);
        let median = manifest.quantiles.iter().position(|&level| level == 0.5).unwrap_or(0);
        let by_lead = manifest.lead_h.iter().zip(outputs.chunks_exact(quantiles));
        let leads = by_lead.filter_map(|(&lead_h, outputs)| {
            own.iter().find(|case| case.lead_h == lead_h)?;
            let celsius = |&output: &f32| f64::from(manifest.target.temperature_c(output, newest_c));
            let mut quantiles_c: Vec<f64> = outputs.iter().map(celsius).collect();
            move_outward(&mut quantiles_c, median);
            Some(FanLead { lead_h, quantiles_c })
        });
        let grid = history.grid();
        let longest_h = manifest.lead_h.last().copied().unwrap_or(0);
        let shown = origin - grid.hours_to_slots(BEFORE_H)..origin + grid.hours_to_slots(longest_h) + 1;
        let hours = |slot: Slot| ((slot - origin) * grid.step_s()) as f64 / 3600.0;
        let reading = |&slot: &Slot| (hours(slot), f64::from(history.value(slot, Quantity::AirTemperature)));
        Ok(Some(Fan {
            issued_at: grid.time(origin),
            newest_c: f64::from(newest_c),
            observed: record.rows_within(&shown).iter().map(reading).collect(),
            levels: manifest.quantiles.clone(),
            median,
            leads: leads.collect(),
        }))
    }
}

/// The cases, by lead, of the forecast with the middle one of all mean absolute errors, among those with the most leads.
fn typical(cases: &[Case]) -> Option<&[Case]> {
    let mut by_origin: Vec<&[Case]> = cases.chunk_by(|a, b| a.origin == b.origin).collect();
    let most = by_origin.iter().map(|own| own.len()).max()?;
    by_origin.retain(|own| own.len() == most);
    let error = |own: &[Case]| own.iter().map(|case| (case.model_c - case.observed_c).abs()).sum::<f64>();
    by_origin.sort_by(|a, b| error(a).total_cmp(&error(b)));
    by_origin.get(by_origin.len() / 2).copied()
}

/// Moves quantiles that have crossed to their neighbour nearer to the median, as the daemon does.
fn move_outward(quantiles_c: &mut [f64], median: usize) {
    for level in (0..median).rev() {
        quantiles_c[level] = quantiles_c[level].min(quantiles_c[level + 1]);
    }
    for level in median + 1..quantiles_c.len() {
        quantiles_c[level] = quantiles_c[level].max(quantiles_c[level - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(origin: Slot, lead_h: u32, error_c: f64) -> Case {
        Case {
            origin,
            lead_h,
            observed_c: 10.0,
            model_c: 10.0 + error_c,
            interval_c: None,
            persistence_c: 7.0,
            yesterday_c: None,
            climatology_c: None,
        }
    }

    #[test]
    fn the_forecast_shown_is_neither_a_good_nor_a_bad_one_and_has_every_observation() {
        let mut cases = Vec::new();
        for (origin, error_c) in [(0, 9.0), (1, -2.0), (2, 0.1), (3, 3.0), (4, 0.5)] {
            cases.extend([case(origin, 1, error_c), case(origin, 2, error_c)]);
        }
        // Nearer to the middle, but without its second lead.
        cases.push(case(5, 1, 2.0));
        assert_eq!(typical(&cases).unwrap().iter().map(|case| case.origin).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(typical(&[]), None);
    }

    #[test]
    fn quantiles_that_cross_are_drawn_in_order_and_leave_the_median_where_it_is() {
        let mut quantiles_c = [3.0, 1.0, 2.0, 1.5, 4.0];
        move_outward(&mut quantiles_c, 2);
        assert_eq!(quantiles_c, [1.0, 1.0, 2.0, 2.0, 4.0]);
    }
}
