//! Model files that are exchanged, broken or missing.

use forecastd_testkit::needed;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_file_that_is_exchanged_is_used_from_the_next_forecast_on() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation =
        Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).set("model.watch_s", 1);
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    let before = home.forecast("roof", 2 * HOUR).await;
    assert_eq!(lead_c(&before, 24), 22.0);

    // The file's watcher finds it.
    installation.write_model(&artefact::trend_file(SAMPLES, -0.25));
    daemon.reaches("forecastd_model_loads_total", 2.0).await;
    daemon.says(&["model exchanged", before["model"].as_str().unwrap()]).await;
    home.read("roof", 3 * HOUR, 10.0).await;
    let after = home.forecast("roof", 3 * HOUR).await;
    assert_eq!((lead_c(&after, 24), &after["source"]), (4.0, &json!("model")));
    assert_ne!(after["model"], before["model"]);
    let sha256 = daemon.counts("forecastd_model_info");
    assert_eq!(sha256.len(), 1, "the old model is no longer in use: {sha256:?}");
    let (_, short) = after["model"].as_str().unwrap().split_once('@').unwrap();
    assert!(sha256[0].0.contains(&format!("sha256=\"{short}")), "{sha256:?}");

    // A longer window needs an hour more than was ever read: that is said, not hidden.
    installation.write_model(&artefact::trend_file(5, 1.0));
    daemon.reaches("forecastd_model_loads_total", 3.0).await;
    home.read("roof", 3 * HOUR + 10, 10.0).await;
    assert_eq!(home.forecast("roof", 3 * HOUR + 10).await["source"], "persistence");
    home.read("roof", 4 * HOUR + 10, 10.0).await;
    assert_eq!(lead_c(&home.forecast("roof", 4 * HOUR + 10).await, 24), 34.0);
    assert_eq!(daemon.metric("forecastd_model_reload_failures_total"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_file_that_is_broken_leaves_the_last_model_at_work() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let good = artefact::trend_file(SAMPLES, 0.5);
    let installation = Installation::new(mosquitto.port(), &good);
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    let model = home.forecast("roof", 2 * HOUR).await["model"].clone();
    let mut hour = 2;
    let file = installation.model_path().display().to_string();
    let broken = artefact::broken_files();
    for (failures, (name, bytes, explanation)) in (1..).zip(&broken) {
        installation.write_model(bytes);
        daemon.signal("HUP");
        daemon.reaches("forecastd_model_reload_failures_total", f64::from(failures)).await;
        let lines =
            daemon.says_times(failures as usize, &["new model is not usable, the last one goes on"]).await;
        let line = lines.last().unwrap();
        assert!(
            line.contains("ERROR") && line.contains(&file) && line.contains(explanation),
            "{name}: {line}"
        );

        hour += 1;
        home.read("roof", hour * HOUR, 10.0).await;
        let forecast = home.forecast("roof", hour * HOUR).await;
        assert_eq!((&forecast["model"], lead_c(&forecast, 24)), (&model, 22.0), "{name}");
    }
    std::fs::remove_file(installation.model_path()).unwrap();
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_reload_failures_total", broken.len() as f64 + 1.0).await;
    daemon.says(&["new model is not usable", &file, "No such file"]).await;

    installation.write_model(&artefact::trend_file(SAMPLES, 1.0));
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_loads_total", 2.0).await;
    home.read("roof", (hour + 1) * HOUR, 10.0).await;
    assert_eq!(lead_c(&home.forecast("roof", (hour + 1) * HOUR).await, 24), 34.0);
    let answered = daemon.get("/readyz");
    assert_eq!(answered, (200, "ok\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_broken_model_file_ends_with_one_line_that_names_it() {
    start_with_broken_models(|installation| installation.set("model.engine", "tract")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ONNX Runtime: FORECASTD_TEST_ONNXRUNTIME"]
async fn a_start_of_onnx_runtime_with_a_broken_model_file_ends_with_one_line_that_names_it() {
    let library = needed::onnxruntime();
    let with_onnxruntime = |installation: Installation| {
        installation.set("model.engine", "onnxruntime").set("model.onnxruntime_library", library.display())
    };
    start_with_broken_models(with_onnxruntime).await;
}

async fn start_with_broken_models(with_engine: impl Fn(Installation) -> Installation) {
    for (name, bytes, explanation) in artefact::broken_files() {
        let installation = with_engine(Installation::new(1, &bytes));
        let (status, log) = installation.start_in_vain().await;
        assert_eq!(status.code(), Some(1), "{name}");
        let errors: Vec<&String> = log.iter().filter(|line| !line.contains(" INFO ")).collect();
        let [line] = errors.as_slice() else { panic!("{name}: {log:#?}") };
        let file = installation.model_path().display().to_string();
        assert!(line.starts_with("error: model ") && line.contains(&file), "{name}: {line}");
        assert!(line.contains(explanation), "{name}: {line}");
        assert_eq!(line.matches(&file).count(), 1, "named once: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_model_file_ends_with_one_line_that_names_it() {
    let installation = Installation::new(1, b"");
    std::fs::remove_file(installation.model_path()).unwrap();
    let (status, log) = installation.start_in_vain().await;
    assert_eq!(status.code(), Some(1));
    let errors: Vec<&String> = log.iter().filter(|line| !line.contains(" INFO ")).collect();
    let file = installation.model_path().display().to_string();
    assert_eq!(errors, [&format!("error: model {file}: No such file or directory (os error 2)")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_file_the_model_that_is_built_in_forecasts_from_the_first_reading_on() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), b"nobody reads this").set("model.path", "");
    let daemon = installation.start().await;
    home.read("roof", 0, 10.0).await;
    let forecast = home.forecast("roof", 0).await;
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
    let shipped = forecastd_model::Artefact::read(&shipped).unwrap();
    assert_eq!((&forecast["source"], &forecast["model"]), (&json!("model"), &json!(shipped.id())));

    daemon.says(&["model loaded", "(built in)"]).await;
    daemon.signal("HUP");
    daemon.says(&["model is the same as before"]).await;
}
