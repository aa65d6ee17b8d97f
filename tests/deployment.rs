//! What is shipped beside the program says what the program says: topics, payloads, metrics, runbooks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The payload of a topic of the station "roof", as it was reviewed.
fn payload(topic: &str) -> Value {
    let name = match topic {
        "forecast/roof/temperature" => "payload_forecast",
        "forecast/roof/status" => "payload_status",
        "forecast/roof/verification" => "payload_verification",
        other => panic!("{other} is no topic with a JSON payload"),
    };
    let snapshot = text(&format!("tests/snapshots/{name}.snap"));
    serde_json::from_str(snapshot.splitn(3, "---\n").nth(2).unwrap()).unwrap()
}

/// What stands at a path such as `day_ahead.lowest_c` or `leads[0].low_c`.
fn at(payload: &Value, path: &str) -> Value {
    let pointer: String = path
        .split(['.', '['])
        .filter(|step| !step.is_empty())
        .map(|step| format!("/{}", step.trim_end_matches(']')))
        .collect();
    payload.pointer(&pointer).cloned().unwrap_or(Value::Null)
}

/// The paths after each `payload.` in a script.
fn paths_in(script: &str, before: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_.[]".contains(character);
    let found = script.split(before).skip(1).map(|rest| {
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').to_owned()
    });
    found.filter(|path| !path.is_empty()).collect()
}

#[test]
fn every_alert_links_a_section_of_the_runbooks_and_no_section_is_for_nothing() {
    let alerts = text("deploy/alerts.yml");
    let after = |line: &'static str| {
        let values = alerts.lines().filter_map(move |text| text.trim().strip_prefix(line));
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    let names = after("- alert: ");
    let links = after("runbook_url: ");
    let expected: Vec<String> =
        names.iter().map(|name| format!("docs/runbooks.md#{}", name.to_lowercase())).collect();
    assert!(names.len() > 20);
    assert_eq!(links, expected);
    let runbooks = text("docs/runbooks.md");
    let mut sections: Vec<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    sections.sort_unstable();
    names.sort_unstable();
    assert_eq!(sections, names);
}

#[test]
fn every_alert_is_tested_to_come_and_to_stay_away() {
    let alerts = text("deploy/alerts.yml");
    let tests = text("deploy/alerts_test.yml");
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {name}, exp_alerts: []")), "{name} stays away");
        let comes = tests.split(&format!("alertname: {name}\n")).nth(1);
        assert!(comes.is_some_and(|rest| rest.trim_start().starts_with("exp_alerts:\n")), "{name} comes");
    }
}

#[test]
fn the_flow_of_node_red_reads_what_is_published() {
    let flow = json("deploy/node-red/forecastd-flow.json");
    let nodes = flow.as_array().unwrap();
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), nodes.len(), "ids are unique");
    let node = |id: &Value| nodes.iter().find(|node| node["id"] == *id).unwrap();
    let mut read = 0;
    for source in nodes.iter().filter(|node| node["type"] == "mqtt in") {
        let topic = source["topic"].as_str().unwrap();
        if topic == "forecast/status" {
            continue;
        }
        assert_eq!(source["datatype"], "json", "{topic}");
        for id in source["wires"].as_array().unwrap().iter().flat_map(|wires| wires.as_array().unwrap()) {
            let script = node(id)["func"].as_str().unwrap_or_default();
            for path in paths_in(script, "msg.payload.") {
                let path = path.trim_end_matches(".find").trim_end_matches(".map");
                assert!(!at(&payload(topic), path).is_null(), "{topic}: {path}");
                read += 1;
            }
            for path in paths_in(script, "lead.") {
                let leads = at(&payload(topic), "leads");
                let has = |lead: &Value| lead.get(&path).is_some();
                assert!(leads.as_array().unwrap().iter().any(has), "{topic}: leads[].{path}");
                read += 1;
            }
        }
    }
    assert!(read >= 6, "{read}");
    for wired in nodes.iter().flat_map(|node| node["wires"].as_array().into_iter().flatten()) {
        for id in wired.as_array().unwrap() {
            assert!(ids.contains(id.as_str().unwrap()), "{id}");
        }
    }
}

#[test]
fn the_things_of_openhab_read_what_is_published_and_the_items_are_linked_to_them() {
    let things = text("deploy/openhab/forecastd.things");
    let items = text("deploy/openhab/forecastd.items");
    let attribute = |line: &str, name: &str| {
        let value = line.split_once(&format!("{name}=\""))?.1;
        Some(value.split('"').next().unwrap().to_owned())
    };
    let mut channels = BTreeSet::new();
    for line in things.lines().filter(|line| line.trim().starts_with("Type ")) {
        let topic = attribute(line, "stateTopic").unwrap();
        channels.insert(line.split(" : ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned());
        if topic == "forecast/status" {
            continue;
        }
        let pattern = attribute(line, "transformationPattern").unwrap();
        let path = pattern.strip_prefix("JSONPATH:$.").unwrap();
        let filtered = "leads[?(@.lead_h==24)].";
        match path.strip_prefix(filtered) {
            Some(key) => {
                let leads = at(&payload(&topic), "leads");
                let lead =
                    leads.as_array().unwrap().iter().find(|lead| lead["lead_h"] == 24).unwrap().clone();
                assert!(lead.get(key).is_some(), "{topic}: {pattern}");
            }
            None => assert!(!at(&payload(&topic), path).is_null(), "{topic}: {pattern}"),
        }
    }
    assert!(channels.len() >= 7);
    let linked: BTreeSet<String> = items
        .lines()
        .filter_map(|line| attribute(line, "channel"))
        .map(|channel| channel.rsplit(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(linked, channels);
}

/// MQTTSubscribe flattens nested objects and lists with `_`.
#[test]
fn the_settings_of_weewx_read_what_is_published_and_write_what_the_daemon_takes() {
    let settings = text("deploy/weewx/weewx.conf");
    let section = settings.split("[[[forecast/roof/temperature]]]").nth(1).unwrap();
    let forecast = payload("forecast/roof/temperature");
    let mut read = 0;
    for name in section.lines().filter_map(|line| line.trim().strip_prefix("[[[[")?.strip_suffix("]]]]")) {
        let (outer, inner) = match name.strip_prefix("day_ahead_") {
            Some(inner) => ("day_ahead", inner),
            None => ("", name),
        };
        let found = if outer.is_empty() { forecast.get(inner) } else { forecast[outer].get(inner) };
        assert!(found.is_some(), "{name}");
        read += 1;
    }
    assert!(read >= 4);
    let canonical: BTreeSet<&str> =
        forecastd_core::Quantity::ALL.iter().map(|quantity| quantity.key()).collect();
    let inputs = settings.split("[[[inputs]]]").nth(1).unwrap().split("# ---").next().unwrap();
    let names: Vec<&str> = inputs.lines().filter_map(|line| line.trim().strip_prefix("name = ")).collect();
    assert!(names.contains(&"time") && names.contains(&"air_temperature_c"));
    for name in names {
        assert!(name == "time" || canonical.contains(name), "{name}");
    }
}

#[test]
fn dashboards_have_what_grafana_provisions_and_no_two_panels_the_same_id() {
    let provider = text("deploy/grafana/provisioning/dashboards/forecastd.yaml");
    let compose = text("deploy/compose.yaml");
    let folder = provider.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap();
    assert!(compose.contains(&format!("./grafana/dashboards:{folder}:ro")), "{folder}");
    assert!(compose.contains("./grafana/provisioning:/etc/grafana/provisioning:ro"));
    let mut uids = BTreeSet::new();
    for name in ["owner", "operator"] {
        let board = json(&format!("deploy/grafana/dashboards/{name}.json"));
        uids.insert(board["uid"].as_str().unwrap().to_owned());
        let panels = board["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
        let shown = panels.iter().filter(|panel| panel["type"] != "row").count();
        assert_eq!(ids.len(), shown, "{name}");
        assert!(board["annotations"]["list"][0]["expr"].as_str().unwrap().contains("forecastd_model_info"));
    }
    assert_eq!(uids.len(), 2);
}
