//! What Home Assistant is told of a station: a device with its sensors, in one message (MQTT device discovery,
//! <https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload>).

use std::collections::BTreeMap;

use forecastd_core::{Discovery, StationName};
use serde::Serialize;
use serde_json::Value;

use super::status::STATE_NAMES;
use crate::config::Topics;

/// Where the program is described.
const SUPPORT_URL: &str = env!("CARGO_PKG_REPOSITORY");

#[derive(Serialize)]
struct Payload<'a> {
    device: Device<'a>,
    origin: Origin,
    availability_topic: String,
    payload_available: &'static str,
    payload_not_available: &'static str,
    components: BTreeMap<&'static str, Component>,
}

#[derive(Serialize)]
struct Device<'a> {
    identifiers: [String; 1],
    name: String,
    manufacturer: &'static str,
    model: &'static str,
    sw_version: &'static str,
    serial_number: &'a str,
}

#[derive(Serialize)]
struct Origin {
    name: &'static str,
    sw_version: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    support_url: &'static str,
}

/// An entity. One of which only the platform is said is removed, should there be one from before.
#[derive(Serialize)]
struct Component {
    platform: &'static str,
    #[serde(flatten)]
    sensor: Option<Sensor>,
}

#[derive(Serialize, Default)]
struct Sensor {
    unique_id: String,
    name: String,
    state_topic: String,
    value_template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_attributes_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_attributes_template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_of_measurement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_display_precision: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Vec<&'static str>>,
}

/// Writes what Home Assistant is told of a station, as JSON. What the models of the station do not forecast is removed, should
/// it be there from before.
pub fn encode(discovery: &Discovery, topics: &Topics) -> String {
    let station = discovery.station.as_str();
    let id = device_id(&discovery.station);
    let sensors = Sensors { discovery, topics };
    let components = sensors.all().into_iter().map(|(key, sensor)| {
        let unique_id = format!("{id}_{key}");
        let sensor = sensor.map(|sensor| Sensor { unique_id, ..sensor });
        (key, Component { platform: "sensor", sensor })
    });
    let payload = Payload {
        device: Device {
            identifiers: [id.clone()],
            name: format!("{station} forecast"),
            manufacturer: "forecastd",
            model: "Temperature forecast",
            sw_version: env!("CARGO_PKG_VERSION"),
            serial_number: station,
        },
        origin: Origin { name: "forecastd", sw_version: env!("CARGO_PKG_VERSION"), support_url: SUPPORT_URL },
        availability_topic: topics.status.topic(""),
        payload_available: "online",
        payload_not_available: "offline",
        components: components.collect(),
    };
    serde_json::to_string(&payload).expect("strings and numbers are JSON")
}

/// The sensors of a station.
struct Sensors<'a> {
    discovery: &'a Discovery,
    topics: &'a Topics,
}

impl Sensors<'_> {
    /// Every sensor by its key; `None` for one that the models of the station do not give.
    fn all(&self) -> [(&'static str, Option<Sensor>); 7] {
        let extremes =
            |sensor: fn(&Self, u32) -> Sensor| self.discovery.extremes_h.map(|hours| sensor(self, hours));
        [
            ("temperature_ahead", Some(self.temperature_ahead())),
            ("lowest", extremes(Sensors::lowest)),
            ("highest", extremes(Sensors::highest)),
            ("frost_probability", extremes(Sensors::frost_probability)),
            ("error", Some(self.error())),
            ("skill", Some(self.skill())),
            ("status", Some(self.status())),
        ]
    }

    fn temperature_ahead(&self) -> Sensor {
        let lead_h = self.discovery.lead_h;
        let attributes = format!(
            "{{% set lead = value_json.leads | selectattr('lead_h', 'eq', {lead_h}) | first | default({{}}) %}}\
             {{{{ {{'valid_at': lead.valid_at | default(none), 'low_c': lead.low_c | default(none), \
             'high_c': lead.high_c | default(none), 'source': value_json.source, 'model': value_json.model}} | tojson }}}}"
        );
        Sensor {
            name: format!("Temperature in {lead_h} h"),
            value_template: while_fresh(&of_lead(lead_h, "temperature_c")),
            json_attributes_topic: Some(self.forecast_topic()),
            json_attributes_template: Some(attributes),
            ..self.temperature()
        }
    }

    fn lowest(&self, hours: u32) -> Sensor {
        Sensor {
            name: format!("Lowest, next {hours} h"),
            value_template: while_fresh("(value_json.day_ahead | default({})).lowest_c | default(none)"),
            icon: Some("mdi:thermometer-chevron-down"),
            ..self.temperature()
        }
    }

    fn highest(&self, hours: u32) -> Sensor {
        Sensor {
            name: format!("Highest, next {hours} h"),
            value_template: while_fresh("(value_json.day_ahead | default({})).highest_c | default(none)"),
            icon: Some("mdi:thermometer-chevron-up"),
            ..self.temperature()
        }
    }

    fn frost_probability(&self, hours: u32) -> Sensor {
        Sensor {
            name: format!("Frost probability, next {hours} h"),
            value_template: while_fresh(&percent("(value_json.day_ahead | default({})).frost_probability")),
            unit_of_measurement: Some("%"),
            state_class: Some("measurement"),
            suggested_display_precision: Some(0),
            icon: Some("mdi:snowflake-alert"),
            ..self.of_forecast()
        }
    }

    fn error(&self) -> Sensor {
        let lead_h = self.discovery.lead_h;
        Sensor {
            name: format!("Mean absolute error {lead_h} h ahead"),
            value_template: format!("{{{{ {} }}}}", of_lead(lead_h, "mae_c")),
            // A difference of temperatures: with a device class it would be converted like one.
            unit_of_measurement: Some("°C"),
            state_class: Some("measurement"),
            suggested_display_precision: Some(2),
            icon: Some("mdi:plus-minus-variant"),
            ..self.of_verification()
        }
    }

    fn skill(&self) -> Sensor {
        let lead_h = self.discovery.lead_h;
        Sensor {
            name: format!("Skill {lead_h} h ahead"),
            value_template: format!("{{{{ {} }}}}", percent(&of_lead(lead_h, "skill"))),
            unit_of_measurement: Some("%"),
            state_class: Some("measurement"),
            suggested_display_precision: Some(0),
            icon: Some("mdi:bullseye-arrow"),
            ..self.of_verification()
        }
    }

    fn status(&self) -> Sensor {
        let topic = self.topics.station_status.topic(self.discovery.station.as_str());
        Sensor {
            name: "Status".to_owned(),
            json_attributes_topic: Some(topic.clone()),
            state_topic: topic,
            value_template: "{{ value_json.state }}".to_owned(),
            device_class: Some("enum"),
            options: Some(STATE_NAMES.to_vec()),
            icon: Some("mdi:weather-cloudy-clock"),
            entity_category: Some("diagnostic"),
            ..Sensor::default()
        }
    }

    fn forecast_topic(&self) -> String {
        self.topics.forecast.topic(self.discovery.station.as_str())
    }

    fn of_forecast(&self) -> Sensor {
        let expire_after = u64::try_from(self.discovery.stale_after.as_secs()).ok();
        Sensor { state_topic: self.forecast_topic(), expire_after, ..Sensor::default() }
    }

    fn temperature(&self) -> Sensor {
        Sensor {
            device_class: Some("temperature"),
            state_class: Some("measurement"),
            unit_of_measurement: Some("°C"),
            suggested_display_precision: Some(1),
            ..self.of_forecast()
        }
    }

    fn of_verification(&self) -> Sensor {
        let state_topic = self.topics.verification.topic(self.discovery.station.as_str());
        Sensor { state_topic, entity_category: Some("diagnostic"), ..Sensor::default() }
    }
}

/// A template's expression: what a lead says under a key.
fn of_lead(lead_h: u32, key: &str) -> String {
    format!(
        "(value_json.leads | selectattr('lead_h', 'eq', {lead_h}) | map(attribute='{key}') | list + [none]) | first"
    )
}

/// A template's expression: a ratio in percent.
fn percent(ratio: &str) -> String {
    format!("(({ratio}) | float * 100) | round(1) if ({ratio}) is number else none")
}

/// A template: nothing while the forecast is stale.
fn while_fresh(expression: &str) -> String {
    format!("{{{{ none if value_json.stale | default(false) else ({expression}) }}}}")
}

/// What identifies a station's device to Home Assistant.
fn device_id(station: &StationName) -> String {
    format!("forecastd_{}", object_id(station))
}

/// The station's name as an object id, which may hold letters, digits, `_` and `-` only: another byte is `-` and two
/// hexadecimal digits, as is `-` itself. No two stations have the same.
pub fn object_id(station: &StationName) -> String {
    let mut id = String::with_capacity(station.as_str().len());
    for byte in station.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => id.push(char::from(byte)),
            _ => id.push_str(&format!("-{byte:02x}")),
        }
    }
    id
}

/// The station whose object id this is; `None` for one of no station.
pub fn station(object_id: &str) -> Option<StationName> {
    let mut parts = object_id.split('-');
    let mut name = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        name.extend_from_slice(rest.as_bytes());
    }
    StationName::new(std::str::from_utf8(&name).ok()?).ok()
}

/// What a program that tells Home Assistant of a device calls itself, and where it publishes what.
pub fn describe(payload: &[u8]) -> String {
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(|text| text.chars().take(80).collect::<String>());
    let either = |value: &Value, long: &str, short: &str| {
        value.get(long).or_else(|| value.get(short)).cloned().unwrap_or_default()
    };
    let name = text(&either(&either(&payload, "origin", "o"), "name", "name"));
    let component = || either(&payload, "components", "cmps").as_object()?.values().next().cloned();
    let topic = text(&either(&payload, "state_topic", "stat_t"))
        .or_else(|| text(&either(&component()?, "state_topic", "stat_t")));
    let name = name.map_or("a program without a name".to_owned(), |name| format!("{name:?}"));
    topic.map_or(name.clone(), |topic| format!("{name} with the state topic {topic:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    fn discovery(name: &str, extremes_h: Option<u32>) -> Discovery {
        Discovery {
            station: StationName::new(name).unwrap(),
            lead_h: 24,
            extremes_h,
            stale_after: SignedDuration::from_secs(7200),
        }
    }

    fn topics() -> Topics {
        crate::config::Config::from_text("", std::path::Path::new(""), Vec::<(String, String)>::new())
            .unwrap()
            .topics
    }

    fn encoded(name: &str, extremes_h: Option<u32>) -> Value {
        serde_json::from_str(&encode(&discovery(name, extremes_h), &topics())).unwrap()
    }

    #[test]
    fn the_message_is_the_one_that_was_reviewed() {
        let message = serde_json::to_string_pretty(&encoded("roof", Some(24))).unwrap();
        insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("discovery", message.replace(env!("CARGO_PKG_VERSION"), "[version]"));
        });
    }

    #[test]
    fn what_the_model_does_not_forecast_is_taken_away_and_all_else_stays() {
        let (with, without) = (encoded("roof", Some(24)), encoded("roof", None));
        let keys = |message: &Value| -> Vec<String> {
            message["components"].as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(&with), keys(&without));
        for key in keys(&with) {
            match key.as_str() {
                "lowest" | "highest" | "frost_probability" => {
                    assert_eq!(without["components"][&key], serde_json::json!({"platform": "sensor"}));
                }
                _ => assert_eq!(without["components"][&key], with["components"][&key]),
            }
        }
    }

    #[test]
    fn two_stations_whose_names_look_alike_have_ids_of_their_own() {
        let names = ["roof", "ro of", "ro-of", "ro_of", "Roof", "röof", "ro-20of"];
        let ids: std::collections::BTreeSet<String> =
            names.iter().map(|name| object_id(&StationName::new(name).unwrap())).collect();
        assert_eq!(ids.len(), names.len());
        assert_eq!(object_id(&StationName::new("ro of").unwrap()), "ro-20of");
        for no_id in ["ro-2", "ro-zz", "-ff", ""] {
            assert_eq!(station(no_id), None, "{no_id:?}");
        }
    }

    #[test]
    fn what_another_program_says_is_described_by_its_name_and_topic() {
        assert_eq!(describe(b"nonsense"), "a program without a name");
        let abbreviated = br#"{"o":{"name":"z2m"},"cmps":{"a":{"p":"sensor","stat_t":"z/a"}}}"#;
        assert_eq!(describe(abbreviated), r#""z2m" with the state topic "z/a""#);
    }

    proptest! {
        #[test]
        fn an_object_id_holds_what_it_may_and_gives_the_station_back(name in "\\PC{1,30}") {
            if let Ok(name) = StationName::new(&name) {
                let id = object_id(&name);
                prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
                prop_assert_eq!(station(&id), Some(name));
            }
        }
    }
}
