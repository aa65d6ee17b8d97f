//! The windows of a record as arrays: read back by the specification of the format, and compared to what the record holds.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use forecastd_core::{Feature, Manifest, MissingValues, Quantity, Split, Wave, WindowSpec};
use forecastd_record::{Record, SITE, Simulation, Windows};
use jiff::Timestamp;

const SPLIT: Split = Split { train: 0.5, validation: 0.25 };

fn spec() -> WindowSpec {
    WindowSpec {
        grid_step_s: 600,
        sample_every_s: 3600,
        samples: 5,
        max_hole_s: 7200,
        site: Some(SITE),
        missing: MissingValues::Refused,
        features: vec![
            Feature::Quantity(Quantity::AirTemperature),
            Feature::Quantity(Quantity::AirPressure),
            Feature::TimeOfDay(Wave::Sin),
        ],
    }
}

/// A month of readings; of one day in the middle nothing was measured.
fn record() -> Record {
    let start = Timestamp::constant(1_700_000_400, 0);
    let rows: Vec<_> = Simulation::new(start, 3).take(30 * 144).collect();
    let rows: Vec<_> = rows
        .iter()
        .enumerate()
        .filter(|(index, _)| !(1500..1644).contains(index))
        .map(|(_, row)| *row)
        .collect();
    let quantities = [Quantity::AirTemperature, Quantity::AirPressure];
    Record::from_readings(&rows, spec().grid(), &quantities).unwrap().at_site(Some(SITE))
}

/// Shape and bytes of every array of an archive, and its other files.
fn read(bytes: Vec<u8>) -> HashMap<String, (String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut arrays = HashMap::new();
    for name in names {
        let mut bytes = Vec::new();
        archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        if name.ends_with(".npy") {
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
            bytes.drain(..10 + length);
            arrays.insert(name, (header, bytes));
        } else {
            arrays.insert(name, (String::new(), bytes));
        }
    }
    arrays
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn longs(bytes: &[u8]) -> Vec<i64> {
    bytes.chunks_exact(8).map(|eight| i64::from_le_bytes(eight.try_into().unwrap())).collect()
}

#[test]
fn arrays_hold_what_the_record_does_and_the_manifest_says_what_they_mean() {
    let record = record();
    let windows = Windows::new(&record, &spec(), &[1, 24], SPLIT, None).unwrap();
    let manifest = windows.manifest("own");
    let bytes = windows.write(&manifest, Cursor::new(Vec::new())).unwrap().into_inner();
    let arrays = read(bytes.clone());
    let count = windows.len();
    let shape = |name: &str| arrays[name].0.split("'shape': ").nth(1).unwrap().split(", }").next().unwrap();
    assert_eq!(shape("inputs.npy"), format!("({count}, 5, 3)"));
    assert_eq!(shape("targets.npy"), format!("({count}, 2)"));
    assert_eq!(shape("times.npy"), format!("({count},)"));
    let read_back = Manifest::parse(std::str::from_utf8(&arrays["manifest.json"].1).unwrap()).unwrap();
    assert_eq!(read_back, manifest);

    // Temperatures by their times, taken from the readings and not from windows.
    let at = |second: i64| {
        let value = record.history().value(second.div_euclid(600), Quantity::AirTemperature);
        (!value.is_nan()).then_some(value)
    };
    let (inputs, targets) = (floats(&arrays["inputs.npy"].1), floats(&arrays["targets.npy"].1));
    let (newest, times) = (floats(&arrays["newest.npy"].1), longs(&arrays["times.npy"].1));
    let parts = &arrays["part.npy"].1;
    let (mean, deviation) = (manifest.normalisation.mean[0], manifest.normalisation.standard_deviation[0]);
    let mut beyond_part = 0;
    for (index, &time) in times.iter().enumerate() {
        for sample in 0..5 {
            let temperature = at(time - (4 - sample as i64) * 3600);
            let input = inputs[index * 15 + sample * 3] * deviation + mean;
            // Where nothing was measured, a hole was filled.
            if let Some(temperature) = temperature {
                assert!((input - temperature).abs() < 1e-3, "{input}, not {temperature}");
            }
        }
        assert_eq!(Some(newest[index]), at(time));
        for (lead, hours) in [(0, 1), (1, 24)] {
            let target = targets[index * 2 + lead];
            let observed = at(time + hours * 3600);
            assert_eq!(arrays["targets_mask.npy"].1[index * 2 + lead] == 1, !target.is_nan());
            if target.is_nan() {
                beyond_part += usize::from(observed.is_some());
            } else {
                assert_eq!(Some(target), observed);
            }
        }
    }
    assert!(beyond_part > 0, "what lies in the next part is no target of this one");
    assert!(parts.is_sorted() && parts.contains(&0) && parts.contains(&1) && parts.contains(&2));
    assert!(arrays["inputs_mask.npy"].1.iter().all(|&known| known == 1), "such windows are complete");

    // Population statistics of the training part's rows, and of its differences.
    let rows: Vec<f64> = record
        .rows_within(&record.part(SPLIT, forecastd_record::Part::Train))
        .iter()
        .map(|&slot| f64::from(record.history().value(slot, Quantity::AirTemperature)))
        .collect();
    let of = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt())
    };
    let (expected_mean, expected_deviation) = of(&rows);
    assert!((f64::from(mean) - expected_mean).abs() < 1e-4);
    assert!((f64::from(deviation) - expected_deviation).abs() < 1e-4);
    let differences: Vec<f64> = targets
        .chunks_exact(2)
        .zip(&newest)
        .zip(parts)
        .filter(|(_, part)| **part == 0)
        .flat_map(|((targets, newest), _)| targets.iter().map(move |target| f64::from(target - newest)))
        .filter(|difference| !difference.is_nan())
        .collect();
    assert!((f64::from(manifest.target.standard_deviation) - of(&differences).1).abs() < 1e-4);

    let again = windows.write(&manifest, Cursor::new(Vec::new())).unwrap().into_inner();
    assert!(again == bytes, "the same record gives the same bytes");
}

#[test]
fn a_model_that_takes_missing_values_has_them_marked() {
    let features = vec![
        Feature::RelativeToNewest(Quantity::AirTemperature),
        Feature::Quantity(Quantity::WindSpeed),
        Feature::Available(Quantity::WindSpeed),
    ];
    let spec = WindowSpec { missing: MissingValues::Mean, site: None, features, ..spec() };
    let record = record();
    let error = Windows::new(&record, &spec, &[1], SPLIT, None).unwrap_err().to_string();
    assert!(error.contains("needs the statistics of a model"), "{error}");
    let normalisation =
        forecastd_core::Normalisation { mean: vec![0.0, 3.0, 0.0], standard_deviation: vec![2.0, 2.0, 1.0] };
    let windows = Windows::new(&record, &spec, &[1], SPLIT, Some(normalisation.clone())).unwrap();
    let manifest = windows.manifest("any");
    assert_eq!((&manifest.normalisation, manifest.window.site), (&normalisation, None));
    let arrays = read(windows.write(&manifest, Cursor::new(Vec::new())).unwrap().into_inner());
    let inputs = floats(&arrays["inputs.npy"].1);
    for (row, mask) in inputs.chunks_exact(3).zip(arrays["inputs_mask.npy"].1.chunks_exact(3)) {
        assert_eq!((row[1], row[2]), (0.0, 0.0), "no wind was measured");
        assert_eq!(mask[1..], [0, 1]);
    }
}
