//! Models beside the main one: files that come, change and go in their folder.

use super::*;

/// The names of those that the verification topic lists: awake, and asleep.
fn experts(verification: &Value) -> (Vec<String>, Vec<String>) {
    let experts = verification["experts"].as_array().unwrap().iter();
    let (asleep, awake): (Vec<&Value>, Vec<&Value>) = experts.partition(|expert| expert["asleep"] == true);
    let names = |experts: Vec<&Value>| {
        experts.into_iter().map(|expert| expert["name"].as_str().unwrap().to_owned()).collect()
    };
    (names(awake), names(asleep))
}

/// Feeds an hour to two stations, waits for their forecasts, and gives what the verification topic of each says then of the
/// hour before it.
async fn hour(home: &mut Client, hour: i64) -> [Value; 2] {
    let mut said = Vec::new();
    let (issued_at, closed) = (at(hour * HOUR).to_string(), at((hour - 1) * HOUR).to_string());
    for station in ["roof", "yard"] {
        home.read(station, hour * HOUR, 10.0 + 0.25 * hour as f64).await;
        let (mut has_forecast, mut verification) = (false, None);
        while !has_forecast || verification.is_none() {
            let incoming = home.message().await;
            let value: Value = serde_json::from_slice(&incoming.payload).unwrap();
            has_forecast |= value["station"] == station && value["issued_at"] == issued_at;
            if value["station"] == station && value["verified_until"] == closed {
                verification = Some(value);
            }
        }
        said.extend(verification);
    }
    said.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_specialist_that_is_put_into_the_folder_joins_the_experts_and_sleeps_when_it_is_taken_out() {
    let mosquitto = Mosquitto::start(&Options::default());
    let filters = ["forecast/+/temperature", "forecast/+/verification"];
    let mut home = Client::connect(&mosquitto, "home", &filters).await;
    let main = artefact::trend_file(SAMPLES, 0.5);
    let installation =
        Installation::new(mosquitto.port(), &main).set("forecast.experts", true).set("model.watch_s", 1);
    let mut daemon = installation.start().await;
    for station in ["roof", "yard"] {
        for early in 0..=2 {
            home.read(station, early * HOUR, 10.0 + 0.25 * early as f64).await;
            home.forecast(station, early * HOUR).await;
        }
    }
    let [roof, _] = hour(&mut home, 3).await;
    let (before, _) = experts(&roof);
    let main_id = roof["model"].as_str().unwrap().to_owned();
    assert!(before.contains(&main_id) && !before.iter().any(|name| name.starts_with("own@")), "{before:?}");

    // The watcher finds it. It is right where the main model is not.
    installation.write_specialist("roof.onnx", &artefact::specialist_file("own", &["roof"], SAMPLES, 0.25));
    daemon.reaches("forecastd_model_loads_total", 2.0).await;
    daemon.says(&["specialist joins", "model=own@", "stations=1"]).await;
    let infos = daemon.counts("forecastd_model_info");
    assert!(
        infos.len() == 2 && infos.iter().any(|(labels, _)| labels.contains("model=\"own\"")),
        "{infos:?}"
    );
    for next in 4..=9 {
        hour(&mut home, next).await;
    }
    let [roof, yard] = hour(&mut home, 10).await;
    let (awake, asleep) = experts(&roof);
    let own_id = awake.iter().find(|name| name.starts_with("own@")).unwrap().clone();
    assert!(asleep.is_empty() && awake.contains(&main_id), "{awake:?}, {asleep:?}");
    assert_eq!(roof["model"], json!(main_id), "the main model is named");
    let own = roof["experts"].as_array().unwrap().iter().find(|expert| expert["name"] == own_id).unwrap();
    assert_eq!((&own["leads"][0]["lead_h"], &own["leads"][0]["mae_c"]), (&json!(1), &json!(0.0)));
    assert!(!experts(&yard).0.contains(&own_id), "it names another station");

    // A kill: it is there again from the start.
    daemon.kill().await;
    let daemon = installation.start().await;
    daemon.says(&["specialist joins", &format!("model={own_id}"), "stations=1"]).await;
    let [roof, _] = hour(&mut home, 11).await;
    assert!(experts(&roof).0.contains(&own_id));

    installation.remove_specialist("roof.onnx");
    daemon.says(&["specialist is not used any more", &own_id]).await;
    assert_eq!(daemon.counts("forecastd_model_info").len(), 1);
    hour(&mut home, 12).await;
    let [roof, _] = hour(&mut home, 13).await;
    let (awake, asleep) = experts(&roof);
    assert!(awake.contains(&main_id) && asleep == [own_id], "{awake:?}, {asleep:?}");
    assert_eq!(daemon.metric("forecastd_model_reload_failures_total"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_in_the_folder_is_said_once_and_costs_the_other_models_nothing() {
    let mosquitto = Mosquitto::start(&Options::default());
    let filters = ["forecast/+/temperature", "forecast/+/verification"];
    let mut home = Client::connect(&mosquitto, "home", &filters).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5))
        .set("forecast.experts", true)
        .set("model.watch_s", 1);
    let broken = artefact::broken_files();
    // Some stand there at the start, with a good one, and others come.
    let good = artefact::specialist_file("own", &[], SAMPLES, 0.25);
    installation.write_specialist("own.onnx", &good);
    for (index, (_, bytes, _)) in broken.iter().enumerate().skip(2) {
        installation.write_specialist(&format!("bad{index}.onnx"), bytes);
    }
    installation.write_specialist("README.txt", b"no model");
    let daemon = installation.start().await;
    daemon.says(&["specialist joins", "model=own@"]).await;
    for (index, (_, bytes, _)) in broken.iter().enumerate().take(2) {
        installation.write_specialist(&format!("bad{index}.onnx"), bytes);
    }
    daemon.reaches("forecastd_model_reload_failures_total", broken.len() as f64).await;
    for (index, (name, _, explanation)) in broken.iter().enumerate() {
        let parts = ["specialist is not usable", &format!("bad{index}.onnx"), explanation];
        let line = daemon.says(&parts).await;
        assert!(line.contains("ERROR"), "{name}: {line}");
    }
    // A new version of the good one is not usable: the last one goes on.
    let own_id = daemon.counts("forecastd_model_info");
    installation.write_specialist("own.onnx", &good[..good.len() / 2]);
    daemon.reaches("forecastd_model_reload_failures_total", broken.len() as f64 + 1.0).await;
    assert_eq!(daemon.counts("forecastd_model_info"), own_id);
    // One that another main model would be needed for.
    let mut manifest = artefact::manifest(artefact::spec(SAMPLES));
    manifest.window.grid_step_s = 300;
    let finer =
        forecastd_model::Artefact::assemble(artefact::trend_graph(&manifest, 0.5), &manifest).unwrap();
    installation.write_specialist("finer.onnx", &finer);
    daemon.says(&["specialist cannot be used beside the main model", "its grid_step_s is 300"]).await;
    for early in 0..=2 {
        home.read("roof", early * HOUR, 10.0).await;
    }
    let forecast = home.forecast("roof", 2 * HOUR).await;
    assert!(forecast["model"].as_str().unwrap().starts_with("linear@") && forecast["source"] == "model");
    // Another look says nothing again.
    home.read("roof", 3 * HOUR, 10.0).await;
    home.forecast("roof", 3 * HOUR).await;
    assert_eq!(
        daemon.metric("forecastd_model_reload_failures_total"),
        Some(broken.len() as f64 + 1.0),
        "{:#?}",
        daemon.log()
    );
}

/// The specialist ends its engine on air above 25 °C, and on nothing that it is tried on.
#[tokio::test(flavor = "multi_thread")]
async fn a_specialist_that_ends_its_engine_again_and_again_is_left_out() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5))
        .set("forecast.experts", true);
    installation.write_specialist("poisonous.onnx", &forecastd_testkit::hostile::poisonous());
    let daemon = installation.start().await;
    daemon.says(&["specialist joins"]).await;
    assert_eq!(daemon.counts("forecastd_model_info").len(), 2);
    for (hour, temperature_c) in (0..).zip([20.0, 20.0, 20.0, 26.0, 27.0]) {
        home.read("roof", hour * HOUR, temperature_c).await;
        let forecast = home.forecast("roof", hour * HOUR).await;
        let is_main = forecast["model"].as_str().unwrap().starts_with("linear@");
        assert_eq!(is_main, hour >= 2, "{forecast}");
    }
    daemon.says(&["ERROR", "model ends its engine too often"]).await;
    daemon.says(&["specialist is not used any more"]).await;
    assert_eq!(daemon.counts("forecastd_model_info").len(), 1);
    // Only who asks for it has it tried again.
    daemon.signal("HUP");
    daemon.says(&["specialist is not usable, the other models go on", "poisonous.onnx"]).await;
    home.read("roof", 5 * HOUR, 28.0).await;
    assert_eq!(home.forecast("roof", 5 * HOUR).await["source"], "model");
}

#[test]
fn check_warns_of_each_file_of_the_folder_that_is_not_usable_as_the_daemon_starts_without_it() {
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5));
    installation.write_specialist("good.onnx", &artefact::specialist_file("own", &[], SAMPLES, 0.25));
    let check = |specialists_max: usize| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_forecastd"));
        command.arg("check").env_clear().current_dir(installation.folder());
        command.env("FORECASTD__MODEL__PATH", installation.model_path());
        command.env("FORECASTD__MODEL__ENGINE", "tract");
        command.env("FORECASTD__MODEL__SPECIALISTS_MAX", specialists_max.to_string());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = check(3);
    assert_eq!(code, Some(0), "{said}");
    installation.write_specialist("torn.onnx", b"no model");
    installation.write_specialist("twice.onnx", &artefact::trend_file(SAMPLES, 0.5));
    let (code, said) = check(3);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: model.folder: ")).collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("models.d/torn.onnx: not an ONNX file"), "{said}");
    assert!(lines[1].contains("models.d/twice.onnx: it is in use already"), "{said}");
    let (_, said) = check(1);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("model.folder")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let surplus = "model.specialists_max is 1: 2 files of the folder are not used: torn.onnx, twice.onnx";
    assert!(lines[0].contains(surplus), "{said}");
}
