use super::*;
use crate::model::target::TargetKind;
use crate::model::training::LeadScore;
use crate::weather::site::Site;
use crate::window::feature::Feature;
use crate::window::spec::MissingValues;

fn manifest() -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        name: "test".to_owned(),
        window: WindowSpec {
            grid_step_s: 600,
            sample_every_s: 3600,
            samples: 240,
            max_hole_s: 7200,
            site: Some(Site::new(50.91, 11.57)),
            missing: MissingValues::Refused,
            features: vec![Feature::Quantity(Quantity::AirTemperature)],
        },
        normalisation: Normalisation { mean: vec![0.0], standard_deviation: vec![1.0] },
        target: Target {
            quantity: "air_temperature".to_owned(),
            kind: TargetKind::Value,
            mean: 0.0,
            standard_deviation: 1.0,
        },
        lead_h: vec![1, 24],
        quantiles: Vec::new(),
        extremes_h: None,
        ranges: None,
        training: None,
        scores: Vec::new(),
        tool: "test".to_owned(),
        stations: Vec::new(),
        graph_sha256: None,
    }
}

/// What is said of the manifest after a change.
fn said(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = manifest();
    change(&mut manifest);
    manifest.validate().unwrap_err().to_string()
}

fn set_features(manifest: &mut Manifest, features: usize) {
    manifest.window.features = vec![Feature::Quantity(Quantity::AirTemperature); features];
    manifest.normalisation =
        Normalisation { mean: vec![0.0; features], standard_deviation: vec![1.0; features] };
}

#[test]
fn scores_that_are_no_numbers_are_refused_as_they_could_not_be_read_again() {
    let score = LeadScore {
        lead_h: 24,
        mae: 1.0,
        rmse: 2.0,
        persistence_mae: 3.0,
        yesterday_mae: None,
        climatology_mae: None,
        coverage: Some(0.8),
    };
    let part = |leads: Vec<LeadScore>| PartScores {
        part: "scored".to_owned(),
        before_refit: false,
        forecasts: 0,
        leads,
    };
    assert!(Manifest { scores: vec![part(vec![score])], ..manifest() }.validate().is_ok());
    for wrong in [
        LeadScore { mae: f64::NAN, ..score },
        LeadScore { persistence_mae: f64::INFINITY, ..score },
        LeadScore { coverage: Some(f64::NAN), ..score },
    ] {
        let said = said(|manifest| manifest.scores = vec![part(vec![score, wrong])]);
        assert_eq!(said, "manifest scores of the part \"scored\" at 24 h are not finite");
    }
}

#[test]
fn holes_that_would_take_too_long_to_fill_are_refused() {
    // A day of seconds behind each of 10,000 samples.
    let said = said(|manifest| {
        let WindowSpec { grid_step_s, sample_every_s, samples, max_hole_s, .. } = &mut manifest.window;
        (*grid_step_s, *sample_every_s, *samples, *max_hole_s) = (1, 1, 10_000, 86_400);
    });
    assert_eq!(
        said,
        "manifest window: max_hole_s = 86400 over 10000 samples × 1 features is too long a hole to fill"
    );
    // A month of ten minutes with holes of three hours is well within.
    let mut long = manifest();
    (long.window.sample_every_s, long.window.samples, long.window.max_hole_s) = (600, 4320, 10_800);
    set_features(&mut long, 20);
    long.validate().unwrap();
}

#[test]
fn a_window_of_too_many_numbers_is_refused_with_their_number() {
    manifest().validate().unwrap();
    let said = said(|manifest| {
        manifest.window.samples = 10_000;
        set_features(manifest, 256);
    });
    assert_eq!(
        said,
        "manifest window of 10000 samples × 256 features is 2560000 numbers, at most 100000 are allowed"
    );
}

#[test]
fn a_history_of_gigabytes_is_refused_with_its_size() {
    // The longest window on the finest grid: 5.2 GB for one station and quantity, six bytes for each second of 27 years.
    let said = said(|manifest| {
        manifest.window.samples = 10_000;
        manifest.window.sample_every_s = 86_400;
        manifest.window.grid_step_s = 1;
    });
    assert_eq!(
        said,
        "manifest needs 863924401 slots of 1 quantities, 5183546406 bytes for each station, at most 4194304 are \
         allowed"
    );
}

#[test]
fn the_history_of_a_year_every_ten_minutes_is_taken() {
    let mut manifest = manifest();
    manifest.window.samples = 366;
    manifest.window.sample_every_s = 86_400;
    manifest.validate().unwrap();
}

#[test]
fn too_many_outputs_are_refused_with_their_number() {
    let said = said(|manifest| {
        manifest.lead_h = (1..=240).collect();
        manifest.quantiles = (1..100).map(|percent| percent as f32 / 100.0).collect();
    });
    assert_eq!(said, "manifest has 240 leads × 99 quantiles, at most 4096 outputs are allowed");
}

#[test]
fn a_station_that_no_station_can_be_is_refused_by_its_name() {
    let said = said(|manifest| manifest.stations = vec!["roof".to_owned(), "a/b".to_owned()]);
    assert_eq!(said, "manifest stations has \"a/b\": station name holds '/'");
}

#[test]
fn a_manifest_of_many_megabytes_is_not_parsed() {
    let json = format!("{{\"format_version\":1,\"settings\":[{}0]}}", "0,".repeat(1 << 20));
    let said = Manifest::parse(&json).unwrap_err().to_string();
    assert_eq!(said, format!("manifest of {} bytes, at most 1048576 are read", json.len()));
}

#[test]
fn what_is_quoted_of_a_manifest_is_short_and_cannot_write_to_the_terminal() {
    let key = format!("\u{1b}[2J{}", "x".repeat(700_000));
    let json = serde_json::to_string(&serde_json::json!({ "format_version": 1, key: 0 })).unwrap();
    let errors = [
        Manifest::parse(&json).unwrap_err().to_string(),
        said(|manifest| manifest.name = "\u{1b}[2J".repeat(10_000)),
        said(|manifest| manifest.target.quantity = "\u{1b}[2J".repeat(10_000)),
        said(|manifest| manifest.lead_h = vec![0; 100_000]),
        said(|manifest| manifest.quantiles = vec![2.0; 100_000]),
        said(|manifest| manifest.stations = vec!["\u{1b}[2J".repeat(10_000)]),
    ];
    for said in errors {
        assert!(said.len() < 800 && !said.contains(char::is_control), "{said}");
    }
}

#[test]
fn statistics_that_nothing_can_be_normalised_with_are_refused_by_what_is_wrong_with_them() {
    type Change = fn(&mut Manifest);
    let cases: [(Change, &str); 7] = [
        (
            |manifest| manifest.normalisation.mean.push(0.0),
            "manifest normalisation has 2 numbers of mean for 1 features",
        ),
        (
            |manifest| manifest.normalisation.standard_deviation.clear(),
            "manifest normalisation has 0 numbers of standard_deviation for 1 features",
        ),
        (|manifest| manifest.normalisation.mean[0] = f32::NAN, "manifest normalisation mean is not finite"),
        (
            |manifest| manifest.normalisation.standard_deviation[0] = f32::INFINITY,
            "manifest normalisation standard_deviation is not finite",
        ),
        (
            |manifest| manifest.normalisation.standard_deviation[0] = 0.0,
            "manifest a standard deviation is not positive",
        ),
        (
            |manifest| manifest.target.standard_deviation = -1.0,
            "manifest a standard deviation is not positive",
        ),
        (|manifest| manifest.target.mean = f32::NAN, "manifest a standard deviation is not positive"),
    ];
    for (change, sentence) in cases {
        assert_eq!(said(change), sentence);
    }
}
