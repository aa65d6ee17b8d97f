//! Model files that end whoever loads them, and engines that are killed.

use std::process::{Command, Output};

use forecastd_testkit::hostile;

use super::*;

/// Runs the program to its end.
fn forecastd(installation: &Installation, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forecastd"));
    command.args(arguments).env_clear().current_dir(installation.folder());
    command.env("FORECASTD__MODEL__PATH", installation.model_path());
    command.env("FORECASTD__MODEL__ENGINE", "tract").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_file_that_ends_its_engine_leaves_the_last_model_at_work() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let daemon = installation.start().await;
    let files = [
        (hostile::flatten_axis(5), "the engine died while it loaded the model"),
        (hostile::out_of_bounds(), "the engine died while the model was tried"),
        (hostile::empty_nodes(1_000_000), "a graph of 1000002 nodes, at most 10000 are read"),
        (hostile::constant(f32::NAN), "finite"),
    ];
    for (failures, (file, explanation)) in (1..).zip(files) {
        installation.write_model(&file);
        daemon.signal("HUP");
        daemon.reaches("forecastd_model_reload_failures_total", f64::from(failures)).await;
        let lines = daemon.says_times(failures as usize, &["new model is not usable"]).await;
        let line = lines.last().unwrap();
        assert!(line.contains(explanation), "{line}");
    }
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    assert_eq!(lead_c(&home.forecast("roof", 2 * HOUR).await, 24), 22.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_turns_out_to_be_unusable_gives_way_to_the_one_before() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.25));
    let daemon = installation.start().await;
    // It says half a degree an hour, but for air above 25 °C, on which it ends its engine.
    installation.write_model(&hostile::poisonous());
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_loads_total", 2.0).await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 20.0).await;
    }
    assert_eq!(lead_c(&home.forecast("roof", 2 * HOUR).await, 24), 32.0);

    for (hour, temperature) in [(3, 26.0), (4, 27.0)] {
        home.read("roof", hour * HOUR, temperature).await;
        assert_eq!(home.forecast("roof", hour * HOUR).await["source"], "persistence");
    }
    daemon.says(&["ERROR", "model ends its engine too often"]).await;
    daemon.reaches("forecastd_model_loads_total", 3.0).await;
    home.read("roof", 5 * HOUR, 28.0).await;
    let forecast = home.forecast("roof", 5 * HOUR).await;
    assert_eq!((&forecast["source"], lead_c(&forecast, 24)), (&json!("model"), 34.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_on_the_window_of_a_station_is_not_taken() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.25));
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 26.0).await;
    }
    home.forecast("roof", 2 * HOUR).await;
    // It ends its engine for air above 25 °C, and for nothing else that it is tried on.
    installation.write_model(&hostile::poisonous());
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_reload_failures_total", 1.0).await;
    daemon.says(&["new model is not usable", "the engine died while the model was tried"]).await;
    home.read("roof", 3 * HOUR, 26.0).await;
    let forecast = home.forecast("roof", 3 * HOUR).await;
    assert_eq!((&forecast["source"], lead_c(&forecast, 24)), (&json!("model"), 32.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_model_that_is_swapped_in_ends_the_daemon_or_costs_a_forecast() {
    hostile_models_are_swapped_in(|installation| installation).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ONNX Runtime: FORECASTD_TEST_ONNXRUNTIME"]
async fn no_hostile_model_that_onnx_runtime_is_given_ends_the_daemon_or_costs_a_forecast() {
    let library = forecastd_testkit::needed::onnxruntime();
    hostile_models_are_swapped_in(|installation| {
        installation.set("model.engine", "onnxruntime").set("model.onnxruntime_library", library.display())
    })
    .await;
}

/// Hostile models in the place of the running one, each in its turn. `HOSTILE_MODELS=500` takes all of them, in half a minute.
#[expect(clippy::print_stdout, reason = "says where it was when it fails")]
async fn hostile_models_are_swapped_in(with_engine: impl FnOnce(Installation) -> Installation) {
    let count = std::env::var("HOSTILE_MODELS").map_or(40, |count| count.parse().unwrap());
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let good = artefact::trend_file(SAMPLES, 0.5);
    let installation = with_engine(Installation::new(mosquitto.port(), &good));
    let daemon = installation.start().await;
    let count_of = |name: &str| daemon.metric(name).unwrap();
    let looked_at =
        || count_of("forecastd_model_loads_total") + count_of("forecastd_model_reload_failures_total");
    // A temperature that stood for days would be taken for a frozen sensor's.
    let temperature_c = |hour: i64| 10.0 + (hour % 4) as f64;
    let mut hour = 0;
    for (name, file) in hostile::models(count) {
        println!("{name}");
        let before = looked_at();
        installation.write_model(&file);
        daemon.signal("HUP");
        until(|| format!("the end of {name}"), || (looked_at() > before).then_some(())).await;
        home.read("roof", hour * HOUR, temperature_c(hour)).await;
        let forecast = home.forecast("roof", hour * HOUR);
        let came = tokio::time::timeout(PATIENCE / 2, forecast).await;
        assert!(came.is_ok(), "no forecast beside {name}: {:#?}", daemon.log());
        hour += 1;
    }
    println!(
        "{} loaded, {} refused, {} restarts of the engine",
        count_of("forecastd_model_loads_total") - 1.0,
        count_of("forecastd_model_reload_failures_total"),
        count_of("forecastd_engine_restarts_total"),
    );
    let loads = count_of("forecastd_model_loads_total");
    installation.write_model(&good);
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_loads_total", loads + 1.0).await;
    for _ in 0..=SAMPLES {
        home.read("roof", hour * HOUR, temperature_c(hour)).await;
        hour += 1;
    }
    let forecast = home.forecast("roof", (hour - 1) * HOUR).await;
    assert_eq!(lead_c(&forecast, 24), temperature_c(hour - 1) + 12.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_costs_no_forecast() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    home.forecast("roof", 2 * HOUR).await;
    let engine = engine_of(daemon.id()).to_string();
    assert!(Command::new("kill").args(["-s", "KILL", &engine]).status().unwrap().success());
    home.read("roof", 3 * HOUR, 10.0).await;
    let forecast = home.forecast("roof", 3 * HOUR).await;
    assert_eq!((&forecast["source"], lead_c(&forecast, 24)), (&json!("model"), 22.0));
    daemon.says(&["engine started again"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_the_engine_s_memory_is_not_used_up_by_its_allocator() {
    let mosquitto = Mosquitto::start(&Options::default());
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    let engine = engine_of(daemon.id());
    let status = std::fs::read_to_string(format!("/proc/{engine}/status")).unwrap();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let kilobytes: u64 = data.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kilobytes < 128 * 1024, "{kilobytes} kB of data");
}

/// The one process that a daemon has started.
fn engine_of(daemon: u32) -> u32 {
    let engines = engines_of(daemon);
    let [engine] = engines[..] else { panic!("not one child: {engines:?}") };
    engine
}

/// The processes that a daemon has started.
pub(super) fn engines_of(daemon: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{daemon}/task")).unwrap();
    let children = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    children
        .flat_map(|ids| ids.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn check_and_probe_and_evaluate_say_what_a_start_would_end_with() {
    let installation = Installation::new(1, &hostile::flatten_axis(5));
    let model = installation.model_path().display().to_string();
    let good = installation.folder().join("good.onnx");
    std::fs::write(&good, artefact::trend_file(SAMPLES, 0.5)).unwrap();
    let good = good.display().to_string();
    let csv = installation.folder().join("record.csv");
    std::fs::write(&csv, "time,air_temperature_c\n").unwrap();
    let csv = csv.display().to_string();
    for arguments in [
        &["check"][..],
        &["probe", &model, "--engine", "tract"],
        &["evaluate", "--model", &model, "--engine", "tract", "--csv", &csv],
        &[
            "evaluate",
            "--online",
            "--model",
            &good,
            "--specialist",
            &model,
            "--engine",
            "tract",
            "--csv",
            &csv,
        ],
    ] {
        let output = forecastd(&installation, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains(&model) && said.contains("the engine died while it loaded the model"),
            "{said}"
        );
    }
}

#[test]
fn probe_says_what_it_found_of_a_good_model() {
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5));
    let model = installation.model_path().display().to_string();
    let output = forecastd(&installation, &["probe", &model, "--engine", "tract"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let starts: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(starts, ["model", "engine", "forecast", "outputs", "memory"], "{said}");
}

#[test]
fn check_names_the_key_of_a_library_that_does_not_load() {
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5));
    let mut command = Command::new(env!("CARGO_BIN_EXE_forecastd"));
    command.arg("check").env_clear().current_dir(installation.folder());
    command.env("FORECASTD__MODEL__PATH", installation.model_path());
    command.env("FORECASTD__MODEL__ENGINE", "onnxruntime");
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let without = said(&mut command);
    assert!(
        without.contains("model.engine") && without.contains("no ONNX Runtime library found"),
        "{without}"
    );
    command.env("FORECASTD__MODEL__ONNXRUNTIME_LIBRARY", "/etc/passwd");
    let with = said(&mut command);
    assert!(with.contains("model.onnxruntime_library"), "{with}");
}

#[test]
fn inspect_shows_foreign_text_escaped_and_impossible_shapes_as_such() {
    let spec = artefact::spec(SAMPLES);
    let mut manifest = artefact::manifest(spec);
    manifest.tool = "\u{1b}[2Jtool".to_owned();
    let mut model = artefact::trend_graph(&manifest, 0.5);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer[0].dims = vec![1 << 62, 1 << 62];
    graph.node[0].op_type = "\u{1b}[31mFlatten".to_owned();
    let file = forecastd_model::Artefact::assemble(model, &manifest).unwrap();
    let installation = Installation::new(1, &file);
    let output = forecastd(&installation, &["inspect", &installation.model_path().display().to_string()]);
    let said = text(&output.stdout);
    assert!(output.status.success() && !said.contains('\u{1b}'), "{said}");
    assert!(
        said.contains("\\u{1b}[2Jtool") && said.contains("\\u{1b}[31mFlatten Gemm (impossible shapes)"),
        "{said}"
    );
}
