//! What the API says of itself, and whether that is so.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::{World, encoded};

#[tokio::test(flavor = "multi_thread")]
async fn every_path_that_is_described_is_there_and_every_one_that_is_there_is_described() {
    let world = World::start().await;
    world.fill("roof", 26, |_| 10.0).await;
    let description = world.json("/api/v1/openapi.json");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let described: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    for path in &described {
        // Events do not end.
        if path.as_str() != "/events" {
            world.json(&format!("/api/v1{}", path.replace("{station}", "roof")));
        }
    }
    let routes = include_str!("../../src/http/api/mod.rs");
    let routed = routes.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next());
    // The description and its index tell of the API itself.
    let routed: Vec<&str> = routed.filter(|path| !["/openapi.json", "/"].contains(path)).collect();
    assert!(routed.len() >= 8, "{routed:?}");
    for path in routed {
        assert!(described.iter().any(|own| *own == path), "{path} is not described");
    }
}

/// Schemathesis makes requests of all kinds from the description, right and wrong ones, and compares the answers with it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs schemathesis: FORECASTD_TEST_SCHEMATHESIS"]
async fn schemathesis_finds_nothing_that_is_not_as_described() {
    let schemathesis = forecastd_testkit::needed::schemathesis();
    let world = World::start().await;
    let name = "Dach \"süd\" <1>";
    world.fill(name, 26, |hour| hour as f64).await;
    world.fill("roof", 26, |hour| -hour as f64).await;
    // Stations that are there, or all that would be looked at is how they are not.
    let description: Value = world.json("/api/v1/openapi.json");
    let text = description.to_string();
    let schema = r#""name":"station","required":true,"schema":{"#;
    assert!(text.contains(schema), "{text}");
    let stations = format!(r#"{schema}"examples":["roof",{}],"#, Value::from(name));
    let file = world.installation.folder().join("openapi.json");
    std::fs::write(&file, text.replace(schema, &stations)).unwrap();
    // No schema lists the time zones that there are.
    let configuration = "[[operations]]\ninclude-path = \"/stations/{station}/verification/days\"\n\
                         checks.positive_data_acceptance.expected-statuses = [\"2xx\", 400, 404]\n";
    std::fs::write(world.installation.folder().join("schemathesis.toml"), configuration).unwrap();
    let output = Command::new(Path::new(&schemathesis))
        .arg("run")
        .arg(&file)
        .args(["--url", &format!("http://{}/api/v1", world.daemon.address())])
        .args([
            "--exclude-path",
            "/events",
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--no-color",
            "--wait-for-schema",
            "5",
        ])
        .args(["--generation-database", "none"])
        .current_dir(world.installation.folder())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(world.daemon.get(&format!("/api/v1/stations/{}", encoded(name))).0 == 200);
}
