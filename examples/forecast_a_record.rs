//! Reads a record, cuts the window that ends with its last reading, runs the model that is built in, prints the next 24 hours,
//! and says how good the model has been on the record.
//!
//! ```text
//! cargo run --release --example forecast_a_record -- RECORD.csv LATITUDE LONGITUDE
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use forecastd::ModelLocation;
use forecastd_core::{Quantity, Site, decode_outputs};
use forecastd_model::{Engine, EngineChoice, Runtime};
use forecastd_record::{DEFAULT_SPLIT, Part, Record, RecordSource};
use forecastd_report::PartErrors;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: forecast_a_record RECORD.csv LATITUDE LONGITUDE");
    let (csv, site) = (next()?, Site::new(next()?.parse()?, next()?.parse()?));

    // Columns are known by the header, and validated, as the place is: what looks wrong is an error that says how to go on.
    let artefact = ModelLocation::BuiltIn.read()?;
    let manifest = &artefact.manifest;
    let record = Record::read_for(&RecordSource::new(csv, None).at(Some(site)), &manifest.window)?;

    let newest = *record.rows().last().ok_or("the record has no reading")?;
    let mut window = vec![0.0; manifest.window.len()];
    manifest.window.fill(record.history(), site, newest, &mut window)?;
    manifest.normalisation.apply(&mut window);

    let runtime = Runtime::start(EngineChoice::Tract, None)?;
    let outputs = Engine::load(&runtime, &artefact)?.run(&window, 1)?;
    let now_c = record.history().value(newest, Quantity::AirTemperature);
    println!("now {now_c:.1} °C, at {}", record.history().grid().time(newest));
    for lead in decode_outputs(manifest, now_c, &outputs) {
        let (low_c, high_c) = lead.interval_c.unwrap_or((lead.temperature_c, lead.temperature_c));
        println!("+{:2} h {:5.1} °C ({low_c:.1} to {high_c:.1})", lead.lead_h, lead.temperature_c);
    }

    let slots = record.part(DEFAULT_SPLIT, Part::Whole);
    let cases = forecastd_report::cases(&artefact, &record, Part::Whole, &slots, &runtime)?;
    let errors = PartErrors::new(&record, Part::Whole, &manifest.lead_h, &cases);
    if let Some(last) = errors.leads.last() {
        let (model_c, persistence_c) = (last.model.mae(), last.persistence.mae());
        println!("at {} h: {model_c:.2} °C, same as now {persistence_c:.2} °C", last.lead_h);
    }
    Ok(())
}
