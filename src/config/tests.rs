use super::*;
use crate::ModelLocation;
use forecastd_core::{Precision, Site};

const NOTHING: [(&str, &str); 0] = [];

fn load(text: &str) -> Result<Config, Vec<Diagnostic>> {
    Config::from_text(text, Path::new("/etc/forecastd"), NOTHING)
}

fn diagnostics(text: &str) -> Vec<String> {
    load(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn diagnostics_of_environment(name: &str, value: &str) -> Vec<String> {
    let diagnostics = Config::from_text("", Path::new(""), [(name, value)]).unwrap_err();
    diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn the_shipped_default_has_no_fault_and_is_what_an_empty_file_means() {
    assert_eq!(load(DEFAULT).unwrap(), load("").unwrap());
}

#[test]
fn the_shipped_default_has_the_values_that_the_crates_have_without_it() {
    let config = load("").unwrap();
    assert_eq!(config.mqtt, MqttSettings { client_id: String::new(), ..MqttSettings::default() });
    assert_eq!(config.topics.reading.filter(), "weather/+/reading");
    assert_eq!(config.model.engine, forecastd_model::EngineChoice::default());
    assert_eq!(config.model.onnxruntime_library, None);
    assert_eq!(config.model.folder.as_deref(), Some(Path::new("/etc/forecastd/models.d")));
    assert!(config.http.listen.ip().is_loopback());
    assert_eq!(config.log.level, LogLevel::Info);
}

/// A key is explained by the comment above it, or by one above the keys that stand directly before it.
#[test]
fn every_key_is_documented() {
    let mut explained = false;
    let mut keys = 0;
    for line in DEFAULT.lines() {
        if line.starts_with('#') {
            explained = true;
        } else if line.trim().is_empty() || line.starts_with('[') {
            explained = false;
        } else {
            assert!(explained, "no comment explains {line:?}");
            keys += 1;
        }
    }
    assert_eq!(keys, Schema::of_default().keys().count());
}

#[test]
fn every_rule_is_for_a_key_that_exists_and_every_number_has_a_rule() {
    let schema = Schema::of_default();
    for key in rules::keys() {
        assert!(schema.kind(key).is_some(), "{key}");
    }
    for key in schema.keys() {
        if schema.kind(key) == Some(schema::Kind::Integer) {
            assert!(rules::Rule::find(key).is_some(), "{key}");
        }
    }
}

#[test]
fn every_station_has_its_own_place_or_that_of_the_site() {
    let text = r#"
[site]
time_zone = "Europe/Berlin"

[station.roof]
latitude_deg = 50.91
longitude_deg = 11.57
elevation_m = 155

[station."upper valley"]
elevation_m = 1200.5
"#;
    let config = load(text).unwrap();
    let place = |name: &str| config.places.of(&StationName::new(name).unwrap()).unwrap();
    assert_eq!(place("roof").site, Site::new(50.91, 11.57).at_elevation(155.0));
    assert_eq!(place("roof").precision, Precision::Given);
    assert_eq!(place("elsewhere").precision, Precision::TimeZone);
    assert_eq!(place("upper valley").site.elevation_m, Some(1200.5));
    assert_eq!(place("upper valley").site.latitude_deg, place("elsewhere").site.latitude_deg);
    assert_eq!(load("").unwrap().places, Places::default());
}

#[test]
fn a_place_that_contradicts_its_zone_or_country_is_good_and_warned_of() {
    let warnings = |text: &str| -> Vec<String> {
        let all = load(text).unwrap().warnings();
        all.into_iter().filter(|warning| !warning.contains(" known by ")).collect()
    };
    let text = |degrees: &str, rest: &str| format!("[mqtt]\ntls = true\n[site]\n{degrees}\n{rest}\n");
    let [denver, mongolia] =
        ["-104.98", "104.98"].map(|east| format!("latitude_deg = 39.74\nlongitude_deg = {east}"));
    let before = warnings(&text(&denver, ""));
    let said = |text: &str| -> Vec<String> {
        warnings(text).into_iter().filter(|warning| !before.contains(warning)).collect()
    };
    for good in ["time_zone = \"America/Denver\"", "country = \"US\"", "time_zone = \"America/Chicago\""] {
        assert_eq!(said(&text(&denver, good)), <[String; 0]>::default(), "{good}");
    }
    for (key, value) in [("time_zone", "America/Denver"), ("country", "US")] {
        let found = said(&text(&mongolia, &format!("{key} = {value:?}")));
        let [found] = &found[..] else { panic!("{found:?}") };
        assert!(found.starts_with("site: latitude_deg and longitude_deg, which count, are "), "{found}");
        assert!(found.contains(&format!(" km from {key} {value:?}: is a sign")), "{found}");
    }
    let misspelt = said(&text(&denver, "time_zone = \"America/Denvr\""));
    assert!(
        misspelt[0].contains("time_zone is not looked at, as latitude_deg and longitude_deg count"),
        "{misspelt:?}"
    );
    let two = said(&text("", "time_zone = \"America/Denver\"\ncountry = \"DE\""));
    assert_eq!(
        two,
        ["site: time_zone \"America/Denver\", which counts, is one of US: country \"DE\" is not looked at"]
    );
    assert!(said(&text("", "time_zone = \"America/Denver\"\ncountry = \"us\"")).is_empty());
    let station = format!("{}[station.roof]\n{mongolia}\ncountry = \"US\"\n", text(&denver, ""));
    assert!(
        said(&station)[0].starts_with("station.roof: latitude_deg and longitude_deg"),
        "{:?}",
        said(&station)
    );
}

#[test]
fn a_place_that_is_none_is_said_with_key_and_line() {
    let text = "[site]\nlatitude_deg = 91\n\n[station.roof]\nlongitude_deg = 11.5\n\n[station.hut]\nlat = 1\n\
                [station.usa]\ncountry = \"US\"\n[station.mars]\ntime_zone = \"Mars/Phobos\"\n";
    let said = diagnostics(text);
    assert_eq!(said[0], "line 2: site.latitude_deg: 91 is not between -90 and 90");
    assert_eq!(said[1], "line 5: station.roof.latitude_deg: is missing beside longitude_deg");
    assert!(said[2].starts_with("line 8: station.hut.lat: unknown key"), "{}", said[2]);
    assert!(said[3].starts_with("line 10: station.usa.country: US is "), "{}", said[3]);
    assert!(
        said[4].starts_with("line 12: station.mars.time_zone: \"Mars/Phobos\" is no time zone"),
        "{}",
        said[4]
    );
    assert_eq!(said.len(), 5);
}

#[test]
fn all_faults_are_listed_with_key_and_line() {
    let text = r#"
[mqtt]
hots = "broker"
port = "1883"
tls = 1
ca_file = "ca.pem"
keep_alive_s = 0
password = 1234
reconnect_min_s = 90.5

[topics]
reading = "weather/+/reading"
forecast = "forecast/temperature"

[model]
engine = "onnx"
watch_s = 2.5

[http]
listen = "localhost"

[modell]
path = "x"
"#;
    assert_eq!(
        diagnostics(text),
        [
            "line 3: mqtt.hots: unknown key; did you mean mqtt.host?",
            "line 4: mqtt.port: must be a whole number, not a text",
            "line 5: mqtt.tls: must be true or false, not a whole number",
            "line 7: mqtt.keep_alive_s: 0 is not between 1 and 65535",
            "line 8: mqtt.password: must be a text, not a whole number",
            "line 12: topics.reading: \"weather/+/reading\": holds the wildcard '+'; {station} stands for the \
             level that differs",
            "line 13: topics.forecast: \"forecast/temperature\": must hold {station}",
            "line 16: model.engine: \"onnx\" is none of \"auto\", \"tract\", \"onnxruntime\"",
            "line 17: model.watch_s: must be a whole number, not a fraction",
            "line 20: http.listen: \"localhost\" is no address and port such as \"127.0.0.1:9752\" or \
             \"[::1]:9752\"",
            "line 22: modell: unknown section; did you mean model?",
            "mqtt.reconnect_max_s: must be at least reconnect_min_s",
        ]
    );
}

#[test]
fn sources_are_read_beside_the_keys_with_every_fault_of_theirs() {
    let config = load("[log]\nlevel = \"warn\"\n[[source]]\npreset = \"tasmota\"\n").unwrap();
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.filters(), ["weather/+/reading", "tele/+/SENSOR"]);
    assert_eq!(load("").unwrap().filters(), ["weather/+/reading"]);
    let text = "[[source]]\npreset = \"tasmotta\"\n[[source]]\npreset = \"weewx\"\ntopic = \"a#\"\n[log]\nlevel = 1\n";
    let found = diagnostics(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "line 1: source: unknown preset \"tasmotta\"; did you mean \"tasmota\"?");
    assert!(diagnostics("[source]\npreset = \"x\"")[0].contains("source"), "{:?}", diagnostics("[source]"));
    let topic = diagnostics("[[source]]\npreset = \"weewx\"\ntopic = \"a#\"\n");
    assert!(topic[0].starts_with("source: topic \"a#\": "), "{topic:?}");
}

#[test]
fn a_source_that_hears_nothing_is_a_fault_and_one_that_shares_topics_a_warning() {
    let both = "[[source]]\npreset = \"esphome\"\n[[source]]\npreset = \"statestream\"\n";
    let found = diagnostics(both);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("source: [[source]] 2 (preset \"statestream\", ")
            && found[0].contains("hears nothing"),
        "{found:?}"
    );
    let wide =
        "[[source]]\npreset = \"tasmota\"\ntopic = \"tele/roof/SENSOR\"\n[[source]]\npreset = \"tasmota\"\n";
    let warnings = load(wide).unwrap().warnings();
    let said: Vec<&String> = warnings.iter().filter(|warning| warning.starts_with("source: ")).collect();
    assert_eq!(said.len(), 1, "{warnings:?}");
    assert!(
        said[0].contains("[[source]] 1 (preset \"tasmota\", tele/roof/SENSOR) and of [[source]] 2"),
        "{said:?}"
    );
    let apart = "[[source]]\npreset = \"tasmota\"\n[[source]]\npreset = \"ecowitt\"\n";
    assert!(load(apart).unwrap().warnings().iter().all(|warning| !warning.starts_with("source: ")));
}

#[test]
fn contradictions_are_found_where_the_later_key_stands() {
    assert_eq!(
        diagnostics("[mqtt]\npassword = \"x\"\npassword_file = \"y\"\n"),
        [
            "line 2: mqtt.password: give it or password_file, not both",
            "mqtt.username: is missing beside the password"
        ]
    );
    assert_eq!(
        diagnostics("mqtt.ca_file = \"x\""),
        ["line 1: mqtt.ca_file: has no meaning without tls = true"]
    );
    assert_eq!(
        diagnostics("[topics]\nstatus = \"forecast/roof/status\""),
        [
            "line 2: topics.status: \"forecast/roof/status\" and topics.station_status \"forecast/{station}/status\" \
          can be the same topic"
        ]
    );
    assert_eq!(
        diagnostics("topics.forecast = \"weather/{station}/reading\""),
        ["line 1: topics.forecast: \"weather/{station}/reading\" and topics.reading \
          \"weather/{station}/reading\" can be the same topic"]
    );
}

#[test]
fn the_discovery_prefix_makes_topics_that_are_no_others() {
    assert_eq!(
        diagnostics("home_assistant.prefix = \"home/\""),
        [
            "line 1: home_assistant.prefix: \"home/\" must be a topic without a slash at its end and without braces"
        ]
    );
    assert_eq!(
        diagnostics("[home_assistant]\nprefix = \"forecast\""),
        [
            "line 2: home_assistant.prefix: its topic \"forecast/status\" and topics.status \"forecast/status\" can be \
          the same topic"
        ]
    );
    assert!(diagnostics("home_assistant.prefix = \"home/#\"")[0].contains("wildcard"));
    let off = load("home_assistant = { discovery = false, prefix = \"forecast\" }").unwrap();
    assert!(off.live_filters().is_empty());
    assert_eq!(load("").unwrap().live_filters()[0], "homeassistant/status");
}

#[test]
fn what_is_no_toml_is_one_fault_with_its_line() {
    let diagnostics = load("[mqtt]\nport = = 3\n").unwrap_err();
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    assert_eq!(diagnostics[0].line, Some(2));
    assert_eq!(load("[mqtt]\nport = 1\nport = 2\n").unwrap_err()[0].line, Some(3));
    assert_eq!(self::diagnostics("mqtt = 3"), ["line 1: mqtt: must be a section, not a whole number"]);
    assert_eq!(
        self::diagnostics("[mqtt.port]\nx = 1"),
        ["line 1: mqtt.port: must be a whole number, not a section"]
    );
    assert_eq!(self::diagnostics("[[mqtt]]"), ["line 1: mqtt: must be a section, not a list"]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let diagnostics = check(Some(Path::new("/nonexistent/forecastd.toml")), NOTHING);
    assert_eq!(diagnostics.len(), 1);
    assert!(diagnostics[0].message.starts_with("cannot be read: "), "{}", diagnostics[0]);
}

#[test]
fn the_environment_overrides_the_file() {
    let environment = [
        ("FORECASTD__MQTT__PORT", "1884"),
        ("FORECASTD__MQTT__TLS", "true"),
        ("FORECASTD__MQTT__RECONNECT_MIN_S", "0.25"),
        ("FORECASTD__MQTT__USERNAME", "true"),
        ("FORECASTD__MQTT__PASSWORD", "007"),
        ("FORECASTD_TEST_ONNXRUNTIME", "ignored"),
        ("PATH", "/usr/bin"),
    ];
    let text = "[mqtt]\nport = 1885\nhost = \"broker\"\n";
    let config = Config::from_text(text, Path::new(""), environment).unwrap();
    assert_eq!(config.mqtt.port, Some(1884));
    assert_eq!(config.mqtt.host, "broker");
    assert!(config.mqtt.tls);
    assert_eq!(config.mqtt.reconnect_min_s.0.as_millis(), 250);
    assert_eq!(config.mqtt.username.as_deref(), Some("true"));
    assert_eq!(config.mqtt.password.unwrap().reveal(), "007");
}

#[test]
fn faults_of_the_environment_name_the_variable() {
    assert_eq!(
        diagnostics_of_environment("FORECASTD__MQTT__PROT", "1"),
        ["FORECASTD__MQTT__PROT: unknown key; did you mean FORECASTD__MQTT__PORT?"]
    );
    assert_eq!(
        diagnostics_of_environment("FORECASTD__MQTT__PORT", "x1"),
        ["FORECASTD__MQTT__PORT: must be a whole number, not \"x1\""]
    );
    assert_eq!(
        diagnostics_of_environment("FORECASTD__MQTT__PORT", "65536"),
        ["FORECASTD__MQTT__PORT: 65536 is not between 0 and 65535"]
    );
    assert_eq!(
        diagnostics_of_environment("FORECASTD__JOURNAL__ENABLED", "yes"),
        ["FORECASTD__JOURNAL__ENABLED: must be true or false, not \"yes\""]
    );
    assert_eq!(diagnostics_of_environment("FORECASTD__PORT", "1"), ["FORECASTD__PORT: unknown key"]);
}

#[test]
fn an_empty_text_is_no_value_and_a_password_is_in_no_fault() {
    let config = load("[mqtt]\nusername = \"\"\npassword = \"\"\nca_file = \"\"\n").unwrap();
    assert_eq!((config.mqtt.username, config.mqtt.password), (None, None));
    let shown = format!("{:?}", load("mqtt.password = [\"secret\"]").unwrap_err());
    assert!(!shown.contains("secret"), "{shown}");
    let shown = format!("{:?}", load("mqtt.password = \"secret\"").unwrap_err());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_client_id_is_made_where_none_is_configured_and_no_two_are_alike() {
    assert_eq!(load("").unwrap().mqtt.client_id, "");
    assert_eq!(load("mqtt.client_id = \"roof\"").unwrap().mqtt.client_id, "roof");
    let ids: std::collections::BTreeSet<String> = (0..100).map(|_| new_client_id(&mut rand::rng())).collect();
    assert_eq!(ids.len(), 100);
    for id in ids {
        assert_eq!(id.len(), 22);
        let made = id.strip_prefix("forecastd-").unwrap();
        assert!(made.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    }
}

#[test]
fn a_shared_subscription_is_a_fault_that_says_what_to_do() {
    let diagnostics = diagnostics("topics.reading = \"$share/blue/weather/{station}/reading\"");
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    for part in ["line 1: topics.reading: ", "readings of one station", "weather/p1/{station}/reading"] {
        assert!(diagnostics[0].contains(part), "{diagnostics:?}");
    }
    assert!(load("topics.reading = \"weather/p3/{station}/reading\"").is_ok());
}

#[test]
fn relative_paths_are_beside_the_file() {
    assert_eq!(load("model.folder = \"\"").unwrap().model.folder, None);
    let text = "[model]\npath = \"nowhere.onnx\"\nfolder = \"own\"\nonnxruntime_library = \"lib/ort.so\"\n[mqtt]\nusername = \"u\"\n\
                password_file = \"/run/password\"\n[journal]\npath = \"j.sqlite\"\n";
    let config = load(text).unwrap();
    assert_eq!(config.model.path.path().unwrap(), Path::new("/etc/forecastd/nowhere.onnx"));
    assert_eq!(load("").unwrap().model.path, ModelLocation::BuiltIn);
    assert_eq!(config.model.folder.unwrap(), Path::new("/etc/forecastd/own"));
    assert_eq!(config.model.onnxruntime_library.unwrap(), Path::new("/etc/forecastd/lib/ort.so"));
    assert_eq!(config.mqtt.password_file.unwrap(), Path::new("/run/password"));
    assert_eq!(config.journal.path, Path::new("/etc/forecastd/j.sqlite"));
}

#[test]
fn what_the_service_writes_is_in_the_state_directory() {
    let environment = [("STATE_DIRECTORY", "/var/lib/forecastd:/var/lib/other")];
    let config = Config::from_text("", Path::new("/etc"), environment).unwrap();
    assert_eq!(config.journal.path, Path::new("/var/lib/forecastd/forecastd.sqlite"));
    assert_eq!(config.model.folder.as_deref(), Some(Path::new("/var/lib/forecastd/models.d")));
    assert_eq!(load("").unwrap().journal.path, Path::new("forecastd.sqlite"));
    let named = Config::from_text("model.folder = \"/srv/models\"", Path::new("/etc"), environment).unwrap();
    assert_eq!(named.model.folder.as_deref(), Some(Path::new("/srv/models")));
}

#[test]
fn dotted_keys_and_inline_tables_are_sections_too() {
    let config = load("mqtt = { host = \"a\", port = 1 }\njournal.keep_days = 3\n").unwrap();
    assert_eq!((config.mqtt.host.as_str(), config.mqtt.port), ("a", Some(1)));
    assert_eq!(config.journal.keep_days, 3);
    assert_eq!(diagnostics("mqtt = { host = \"\" }"), ["line 1: mqtt.host: must not be empty"]);
}
