//! The simulated station stands in for a real one in the demo: what the shipped model is for must be seen on it.

use std::path::Path;

use forecastd::command::evaluate::{self, PartErrors};
use forecastd_core::Quantity;
use forecastd_model::{Artefact, EngineChoice, Runtime};
use forecastd_record::Simulation;
use forecastd_record::{DEFAULT_SPLIT, Part, Record};
use jiff::Timestamp;

#[test]
fn the_shipped_model_beats_persistence_on_a_simulated_year() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx");
    let artefact = Artefact::read(&shipped).unwrap();
    let spec = &artefact.manifest.window;
    let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    for seed in 1..=3 {
        let readings: Vec<_> = Simulation::new(start, seed).step_by(3).take(366 * 48).collect();
        let record = Record::from_readings(&readings, spec.grid(), &spec.quantities()).unwrap();
        let slots = record.part(DEFAULT_SPLIT, Part::Whole);
        let cases = evaluate::cases(&artefact, &record, Part::Whole, &slots, &runtime).unwrap();
        let errors = PartErrors::new(&record, Part::Whole, &artefact.manifest.lead_h, &cases);
        for lead in &errors.leads {
            assert!(lead.model.mae() < lead.persistence.mae(), "seed {seed}, {lead:?}");
        }
        let held = errors.leads.last().and_then(|lead| lead.coverage.share()).unwrap();
        assert!((0.6..0.95).contains(&held), "seed {seed}: the interval held {held}");
    }
}

/// The Jena record of 2020 has 3.5 °C and 6.2 hPa.
#[test]
fn temperature_and_pressure_change_from_day_to_day_as_much_as_in_jena() {
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let readings: Vec<_> = Simulation::new(start, 7).step_by(6).take(3 * 8766).collect();
    for (quantity, range) in [(Quantity::AirTemperature, 2.5..4.5), (Quantity::AirPressure, 5.0..7.5)] {
        let value = |index: usize| f64::from(readings[index].1.get(quantity).unwrap());
        let changes = (24..readings.len()).map(|index| value(index) - value(index - 24));
        let mean_square = changes.map(|change| change * change).sum::<f64>() / (readings.len() - 24) as f64;
        assert!(range.contains(&mean_square.sqrt()), "{quantity}: {}", mean_square.sqrt());
    }
}
