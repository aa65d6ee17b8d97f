//! What a network is trained on is what it sees when it is deployed: a record and a live station make the same of the same
//! readings.

use std::sync::Arc;
use std::time::Duration;

use forecastd_core::{
    FORMAT_VERSION, Feature, Grid, Manifest, MissingValues, Model, Next, Normalisation, Quantity, Site,
    Station, StationName, Target, TargetKind, Values, WindowSpec,
};
use forecastd_record::{Record, Simulation};
use jiff::Timestamp;

fn model() -> Model {
    let quantities = [
        Quantity::AirTemperature,
        Quantity::AirPressure,
        Quantity::DewPointTemperature,
        Quantity::AirDensity,
    ];
    let features: Vec<Feature> = quantities.into_iter().map(Feature::Quantity).collect();
    let count = features.len();
    let window = WindowSpec {
        grid_step_s: 600,
        sample_every_s: 600,
        samples: 12,
        max_hole_s: 3600,
        site: Some(Site::new(50.91, 11.57)),
        missing: MissingValues::Refused,
        features,
    };
    let normalisation = Normalisation { mean: vec![0.0; count], standard_deviation: vec![1.0; count] };
    let kind = TargetKind::DifferenceToNewest;
    let quantity = "air_temperature".to_owned();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: "windows".to_owned(),
        window,
        normalisation,
        target: Target { quantity, kind, mean: 0.0, standard_deviation: 1.0 },
        lead_h: vec![1],
        quantiles: Vec::new(),
        extremes_h: None,
        ranges: None,
        training: None,
        scores: Vec::new(),
        tool: "test".to_owned(),
        stations: Vec::new(),
        graph_sha256: None,
    };
    Model { manifest, id: Arc::from("windows") }
}

/// Forty days of a simulated station with everything that a sensor does wrong.
fn readings() -> Vec<(Timestamp, Values)> {
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut readings: Vec<(Timestamp, Values)> = Simulation::new(start, 1).take(40 * 144).collect();
    for (index, (_, values)) in readings.iter_mut().enumerate() {
        values.remove(Quantity::DewPointTemperature);
        match index {
            // Spikes, over a base that may stand still.
            1000..1040 if index % 2 == 0 => values.set(Quantity::AirTemperature, 58.0),
            1200 => values.set(Quantity::AirPressure, 800.0),
            // Sentinels.
            1500..1510 => values.set(Quantity::RelativeHumidity, -9999.0),
            1600 => values.set(Quantity::AirTemperature, 999.0),
            // A frozen thermometer, and a logger that repeats itself.
            2000..2500 => values.set(Quantity::AirTemperature, 3.21),
            3000..3400 => {
                values.set(Quantity::AirTemperature, 4.5);
                values.set(Quantity::AirPressure, 990.25);
                values.set(Quantity::RelativeHumidity, 77.7);
                values.set(Quantity::WindSpeed, 1.1);
            }
            // Another sensor, at another level.
            4000..4100 => values.set(Quantity::AirTemperature, 45.0 + index as f32 / 1000.0),
            _ => {}
        }
    }
    readings
}

#[test]
fn a_record_and_a_live_station_make_the_same_of_the_same_readings() {
    let (model, readings) = (Arc::new(model()), readings());
    let spec = &model.manifest.window;
    let record = Record::from_readings(&readings, Grid::new(600).unwrap(), &spec.quantities()).unwrap();
    let name = StationName::new("roof").unwrap();
    let mut station = Station::new(name, Arc::clone(&model));
    let (mut dropped, mut windows) = (0, 0);
    let mut of_record = vec![0.0; spec.len()];
    for (time, values) in readings {
        let slot = record.history().grid().slot(time);
        let filled = spec.fill(record.history(), Site::new(50.91, 11.57), slot, &mut of_record);
        let Ok(observed) = station.observe(time, values, time, Duration::ZERO) else {
            dropped += values.iter().count() as u64;
            continue;
        };
        dropped += observed.dropped.len() as u64;
        match observed.next {
            Next::Infer(number, asked) => {
                assert_eq!((filled, &asked[0].window), (Ok(()), &of_record), "{time}");
                station.answer(number, &model.id, None);
                station.next_completed();
                windows += 1;
            }
            Next::Nothing | Next::Reference(_) => assert!(filled.is_err(), "{time}"),
        }
    }
    let of_record: u64 = record.facts().quality.dropped.iter().map(|values| values.count).sum();
    assert_eq!(dropped, of_record);
    assert!(dropped > 1300, "{dropped}: the frozen thermometer and the logger that repeats itself are found");
    assert!(windows > 4000, "{windows}");
}

#[test]
fn rows_that_are_parts_of_a_reading_are_the_reading() {
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut whole: Vec<(Timestamp, Values)> = Simulation::new(start, 1).take(144).collect();
    whole.iter_mut().for_each(|(_, values)| values.remove(Quantity::DewPointTemperature));
    let parts = whole.iter().flat_map(|(time, values)| {
        values.iter().map(|(quantity, value)| {
            let mut part = Values::NONE;
            part.set(quantity, value);
            (*time, part)
        })
    });
    let parts: Vec<(Timestamp, Values)> = parts.collect();
    // The dew point follows from the temperature and the humidity, which is not kept.
    let quantities = [Quantity::AirTemperature, Quantity::DewPointTemperature];
    let seconds = |readings: &[(Timestamp, Values)]| {
        let record = Record::from_readings(readings, Grid::new(600).unwrap(), &quantities).unwrap();
        record.history().seconds().collect::<Vec<_>>()
    };
    let expected = seconds(&whole);
    assert!(expected.iter().all(|(_, measured, values)| {
        measured.iter().count() == 1 && values.get(Quantity::DewPointTemperature).is_some()
    }));
    assert_eq!(expected.len(), whole.len());
    assert_eq!(seconds(&parts), expected);
}
