//! Payloads in the shapes that the programs of the field document, and the readings that they are.
//!
//! A file of `golden/` is named after its preset. A line that begins with `#` says something of it, `%` adds to the
//! description, `@` gives the arrival, `>` the topic; the next line is the payload, and `=` the reading that is expected:
//! station, time, where the time is from, and values by the keys of the canonical reading. `!` is what an error holds.

#![allow(clippy::disallowed_methods, reason = "a test reads files; the crate does not")]

use forecastd_core::Quantity;
use forecastd_mapping::{Auto, Decoded, Mapping, Message, PRESETS, PresetKind, TimeSource};
use jiff::Timestamp;

const ARRIVAL: &str = "2026-11-25T13:08:42Z";

struct Case {
    line: usize,
    additions: String,
    arrival: Timestamp,
    topic: String,
    payload: String,
    expected: String,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let (mut additions, mut arrival, mut topic, mut payload) =
        (String::new(), ARRIVAL.parse().unwrap(), None, None);
    for (index, line) in text.lines().enumerate() {
        let rest = || line[1..].trim().to_owned();
        match line.chars().next() {
            None | Some('#') => {}
            Some('%') if rest().is_empty() => additions.clear(),
            Some('%') => additions = format!("{additions}{}\n", rest()),
            Some('@') => arrival = rest().parse().unwrap(),
            Some('>') => topic = Some(rest()),
            Some('=' | '!') => cases.push(Case {
                line: index + 1,
                additions: additions.clone(),
                arrival,
                topic: topic.take().unwrap(),
                payload: payload.take().unwrap(),
                expected: line.to_owned(),
            }),
            Some(_) => payload = Some(line.to_owned()),
        }
    }
    assert!(topic.is_none() && payload.is_none(), "a case without expectation");
    cases
}

fn source(source: TimeSource) -> &'static str {
    match source {
        TimeSource::Payload => "payload",
        TimeSource::Guessed { .. } => "guessed",
        TimeSource::Arrival => "arrival",
    }
}

/// Compares with `= STATION TIME SOURCE {values}`; a value may be off by half of its last digit.
fn check(decoded: &Decoded, expected: &str, shown: &str) {
    let mut words = expected[1..].trim().splitn(4, ' ');
    let mut word = || words.next().unwrap();
    assert_eq!(decoded.station.as_deref().unwrap_or("-"), word(), "{shown}: station");
    assert_eq!(decoded.time.to_string(), word(), "{shown}: time");
    assert_eq!(source(decoded.time_source), word(), "{shown}: source of the time");
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(word()).unwrap();
    let quantities: Vec<Quantity> = object
        .keys()
        .map(|key| Quantity::from_key(key).unwrap_or_else(|| panic!("{shown}: {key}")))
        .collect();
    for (quantity, value) in decoded.values.iter() {
        assert!(quantities.contains(&quantity), "{shown}: {quantity} = {value} is not expected");
    }
    for (quantity, value) in quantities.into_iter().zip(object.values()) {
        let text = value.to_string();
        let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let tolerance = 0.5001 * 10_f64.powi(-i32::try_from(digits).unwrap());
        let found = decoded.values.get(quantity).unwrap_or_else(|| panic!("{shown}: no {quantity}"));
        let wanted = value.as_f64().unwrap();
        assert!(
            (f64::from(found) - wanted).abs() <= tolerance,
            "{shown}: {quantity} = {found}, not {wanted}"
        );
    }
}

fn files() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_golden_payload_is_the_reading_that_it_documents() {
    let files = files();
    for preset in PRESETS.iter().filter(|preset| preset.kind == PresetKind::Payload) {
        assert!(files.iter().any(|(name, _)| name == preset.name), "{} has no golden file", preset.name);
    }
    for (name, text) in &files {
        let cases = cases(text);
        assert!(!cases.is_empty() && text.starts_with("# Shape: "), "{name}: no source");
        for case in cases {
            let shown = format!("golden/{name}.txt:{}", case.line);
            let mapping = Mapping::parse(&format!("preset = \"{name}\"\n{}", case.additions));
            let mapping = mapping.unwrap_or_else(|error| panic!("{shown}: {error}"));
            let message =
                Message { topic: &case.topic, payload: case.payload.as_bytes(), arrival: case.arrival };
            match (mapping.decode(&message), case.expected.strip_prefix('!')) {
                (Ok(decoded), None) => check(&decoded, &case.expected, &shown),
                (Err(error), Some(holds)) => {
                    assert!(error.to_string().contains(holds.trim()), "{shown}: {error}");
                }
                (found, _) => panic!("{shown}: {found:?}"),
            }
        }
    }
}

#[test]
fn the_preset_of_every_golden_payload_is_found_without_its_name() {
    let auto = Auto::new(None, None).unwrap();
    let mut found = 0;
    for (name, text) in &files() {
        // ESPHome and Statestream cannot be told apart: both have one value on PREFIX/sensor/NAME/state.
        let is_same = |other: &str| other == name || [other, name] == ["esphome", "statestream"];
        for case in
            cases(text).into_iter().filter(|case| case.expected.starts_with('=') && case.additions.is_empty())
        {
            let shown = format!("golden/{name}.txt:{}", case.line);
            let message =
                Message { topic: &case.topic, payload: case.payload.as_bytes(), arrival: case.arrival };
            let candidates = auto.candidates(&message);
            let best = candidates.first().unwrap_or_else(|| panic!("{shown}: no preset fits"));
            assert!(is_same(best.preset.name), "{shown}: taken for {}", best.preset.name);
            assert_eq!(best.decoded.values, auto.decode(&message).unwrap().values);
            check(&best.decoded, &case.expected, &shown);
            found += 1;
        }
    }
    assert!(found >= 20, "{found}");
}

#[test]
fn what_no_preset_fits_is_an_error_that_says_why() {
    let auto = Auto::new(None, None).unwrap();
    let arrival: Timestamp = ARRIVAL.parse().unwrap();
    for (topic, payload, holds) in [
        ("tele/roof/LWT", "Online", "no value"),
        (
            "tele/roof/SENSOR",
            "{\"Time\":\"yesterday\",\"BME280\":{\"Temperature\":7.2},\"TempUnit\":\"C\"}",
            "\"yesterday\"",
        ),
        ("a/b", "{\"power\":3}", "no value"),
        ("a/b", "", "empty"),
    ] {
        let message = Message { topic, payload: payload.as_bytes(), arrival };
        let error = auto.decode(&message).unwrap_err().to_string();
        assert!(error.contains(holds), "{topic} {payload}: {error}");
    }
}
