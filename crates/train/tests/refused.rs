//! What would overwrite what is read, be passed over in silence, or be trained for nothing is refused before anything is computed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use forecastd_train::{TrainError, TrainOptions, run};
use liblzma::write::XzEncoder;

fn refused(options: &TrainOptions) -> String {
    run(options, &AtomicBool::default(), &mut ()).unwrap_err().to_string()
}

fn experiments(names: &[&str]) -> TrainOptions {
    TrainOptions {
        experiment: names.iter().map(|&name| name.to_owned()).collect(),
        ..TrainOptions::default()
    }
}

/// So many hours of a climate in forecastd's own format.
fn record(path: &Path, hours: i64) -> PathBuf {
    let mut text =
        "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct,wind_speed_m_s\n".to_owned();
    for hour in 0..hours {
        let time = jiff::Timestamp::from_second(978_307_200 + 3600 * hour).unwrap();
        let wave = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        text += &format!("{time},{:.1},1000.0,60,2.0\n", 10.0 + 4.0 * wave);
    }
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

/// A folder of stations with some hours each, at places far from each other.
fn pool(folder: &Path, hours: &[usize]) -> String {
    let mut list =
        "id,name,group,latitude_deg,longitude_deg,elevation_m,first_unix_s,rows,tmy,step_h\n".to_owned();
    let file = std::fs::File::create(folder.join("hourly.bin.xz")).unwrap();
    let mut encoder = XzEncoder::new(file, 1);
    for (station, &hours) in hours.iter().enumerate() {
        let latitude_deg = 5 * station;
        list += &format!("s{station},S,G,{latitude_deg},10,,978307200,{hours},0,1\n");
        for column in 0..6 {
            let mut before = 0_i16;
            for hour in 0..hours {
                let value = if column == 0 { (hour % 24) as i16 } else { i16::MIN };
                encoder.write_all(&value.wrapping_sub(before).to_le_bytes()).unwrap();
                before = value;
            }
        }
    }
    encoder.finish().unwrap();
    std::fs::write(folder.join("stations.csv"), list).unwrap();
    folder.display().to_string()
}

#[test]
fn nothing_is_written_over_what_is_read_whatever_option_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let csv = record(&path("roof-2001.csv"), 24);
    let mapping = path("roof.toml");
    let many = path("many");
    std::fs::create_dir(&many).unwrap();
    let many = pool(&many, &[24]);
    let own = experiments(&["own"]);
    let of_one = format!("{}={}", csv.display(), mapping.display());
    let over = |out: PathBuf, options: TrainOptions| TrainOptions { out: Some(out), ..options };
    let journal = Some(path("f.sqlite"));
    let station = Some("roof".to_owned());
    for (message, options) in [
        ("--out and --journal are", over(path("f.sqlite"), TrainOptions { journal, station, ..own.clone() })),
        (
            "--out and --from are",
            over(path("world.onnx"), TrainOptions { from: Some(path("world.onnx")), ..own.clone() }),
        ),
        (
            "--out and --csv are",
            over(csv.clone(), TrainOptions { csv: vec![path("roof-*.csv")], ..own.clone() }),
        ),
        (
            "--out and --csv are",
            over(csv.clone(), TrainOptions { csv: vec![folder.path().to_owned()], ..own.clone() }),
        ),
        (
            "--out and --pool are",
            over(
                Path::new(&many).join("hourly.bin.xz"),
                TrainOptions { pool: vec![many.clone()], ..experiments(&["world"]) },
            ),
        ),
        (
            "--report and --pool are",
            TrainOptions {
                report: Some(mapping.clone()),
                pool: vec![of_one.clone()],
                ..experiments(&["world"])
            },
        ),
    ] {
        let error = refused(&options);
        assert!(error.starts_with(message), "{error}, not {message}");
    }
}

#[test]
fn data_and_options_that_no_experiment_looks_at_are_refused() {
    let csv = vec![PathBuf::from("not there.csv")];
    let of_csv = |names: &[&str]| TrainOptions { csv: csv.clone(), ..experiments(names) };
    let of_pool = || TrainOptions { pool: vec!["not there".to_owned()], ..experiments(&["world"]) };
    let of_reviews =
        || TrainOptions { imdb: Some(PathBuf::from("not there")), ..experiments(&["imdb-lstm-reversed"]) };
    let some = || Some(PathBuf::from("not there either"));
    for (message, options) in [
        (
            "--pool is read by none of the experiments gru",
            TrainOptions { pool: of_pool().pool, ..of_csv(&["gru"]) },
        ),
        ("--from is read by none of", TrainOptions { from: some(), ..of_csv(&["gru", "persistence"]) }),
        ("--imdb is read by none of the experiments own", TrainOptions { imdb: some(), ..of_csv(&["own"]) }),
        ("--csv is read by none of", TrainOptions { csv: csv.clone(), ..of_pool() }),
        ("--journal is read by none of", TrainOptions { journal: some(), ..of_reviews() }),
        ("--pool is read by none of", TrainOptions { all: true, pool: of_pool().pool, ..of_csv(&[]) }),
        (
            "--refit has no effect on the experiment own",
            TrainOptions {
                refit: Some(forecastd_core::Refit::Whole),
                out: Some(std::env::temp_dir().join("never written.onnx")),
                ..of_csv(&["own"])
            },
        ),
        (
            "--checkpoint has no effect on the experiment own",
            TrainOptions { checkpoint: Some(std::env::temp_dir().join("never written")), ..of_csv(&["own"]) },
        ),
        ("--patience has no effect on", TrainOptions { patience: Some(2), ..of_csv(&["own"]) }),
        ("--grid-step-s has no effect on", TrainOptions { grid_step_s: 1200, ..of_csv(&["own"]) }),
        ("--grid-step-s has no effect on", TrainOptions { grid_step_s: 1200, ..of_pool() }),
        ("--grid-step-s has no effect on", TrainOptions { grid_step_s: 1200, ..of_reviews() }),
        ("--mapping has no effect on", TrainOptions { mapping: some(), ..of_pool() }),
        (
            "--latitude has no effect on",
            TrainOptions { latitude: Some(50.0), longitude: Some(10.0), ..of_reviews() },
        ),
    ] {
        let error = refused(&options);
        assert!(error.starts_with(message), "{error}, not {message}");
    }
}

#[test]
fn an_experiment_that_makes_a_model_by_itself_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().join("model.onnx"));
    let report = Some(folder.path().join("report.html"));
    let csv = vec![record(&folder.path().join("roof.csv"), 48)];
    let pool = vec!["not there".to_owned()];
    let own = TrainOptions { csv: csv.clone(), ..experiments(&["own"]) };
    let beside = |names: &[&str]| TrainOptions { csv: csv.clone(), ..experiments(names) };
    for (message, options) in [
        ("--out with own, ", TrainOptions { out: out.clone(), ..beside(&["station-gru", "own"]) }),
        ("--out with own, ", TrainOptions { out: out.clone(), seeds: 2, ..own }),
        ("--report with world, ", TrainOptions { report, pool, ..beside(&["persistence", "world"]) }),
    ] {
        let error = refused(&options);
        assert!(error.starts_with(message), "{error}, not {message}");
    }
    // All experiments are all others.
    let all = TrainOptions {
        all: true,
        out,
        built_in: Some(b"no model"),
        csv: vec![PathBuf::from("not there.csv")],
        protocol: Some(forecastd_train::options::Protocol::Aligned),
        ..TrainOptions::default()
    };
    let error = run(&all, &AtomicBool::default(), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Csv(_) | TrainError::Record(_)), "{error}");
}

#[test]
fn a_window_that_no_model_file_may_have_is_refused_before_anything_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let options = TrainOptions {
        csv: vec![record(&folder.path().join("roof.csv"), 300)],
        latitude: Some(50.0),
        longitude: Some(10.0),
        out: Some(folder.path().join("model.onnx")),
        samples: Some(9000),
        ..experiments(&["station-gru"])
    };
    let error = run(&options, &AtomicBool::default(), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Manifest(_)), "{error}");
}

#[test]
fn a_pool_of_too_few_stations_says_what_each_would_have_been_for() {
    let folder = tempfile::tempdir().unwrap();
    let train = |hours: &[usize]| {
        let options = TrainOptions { pool: vec![pool(folder.path(), hours)], ..experiments(&["world"]) };
        refused(&options)
    };
    for (hours, counts) in [
        (&[100][..], "1 stations make 1 for training, 0 for validation and 0 for testing"),
        (&[2100, 2100], "2 stations make 0 for training, 0 for validation and 2 for testing"),
        (&[1, 2100], "2 stations make 0 for training, 0 for validation and 1 for testing"),
    ] {
        let error = train(hours);
        assert!(error.contains(counts), "{error}, not {counts}");
    }
}
