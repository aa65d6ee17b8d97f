use super::*;
use forecastd_core::Quantity;
use forecastd_mapping::{Auto, Source};

fn heard(messages: &[(&str, &str)]) -> Findings {
    let auto = Auto::new(None, None).unwrap();
    let mut findings = Findings::default();
    for (topic, payload) in messages {
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let message = Message { topic, payload: payload.as_bytes(), arrival };
        findings.add(&message, auto.candidates(&message), None);
    }
    findings
}

const TASMOTA: (&str, &str) = (
    "tele/roof/SENSOR",
    r#"{"Time":"2026-11-25T14:08:41","BME280":{"Temperature":7.25,"Humidity":81.0,"Pressure":1001.2},"PressureUnit":"hPa","TempUnit":"C"}"#,
);

#[test]
fn what_is_written_reads_what_was_heard() {
    for messages in [
        vec![TASMOTA, ("tele/roof/LWT", "Online")],
        vec![("node/sensor/temperature/state", "7.25"), ("node/sensor/humidity/state", "81")],
        vec![("home/weather/loop", r#"{"dateTime":"1795612121","usUnits":"16","outTemp_C":"7.25"}"#)],
    ] {
        let findings = heard(&messages);
        let best = findings.choose(None, None).unwrap();
        let sources = Source::read_all(&findings.source(&best, None, Some(100.0))).unwrap();
        let (topic, payload) = messages[0];
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let decoded = sources[0].decode(&Message { topic, payload: payload.as_bytes(), arrival }).unwrap();
        assert_eq!(decoded.values.get(Quantity::AirTemperature), Some(7.25), "{topic}");
        assert_eq!(decoded.station.as_deref(), Some(best.station.as_str()));
    }
}

#[test]
fn what_was_heard_is_shown_with_its_preset_and_what_no_preset_reads_too() {
    let findings = heard(&[TASMOTA, ("tele/roof/LWT", "Online\u{1b}[31m")]);
    let mut text = Vec::new();
    findings.print(Some("Europe/Berlin"), None, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for part in [
        "2 messages",
        "roof: 1 message on 1 topic, by preset \"tasmota\"",
        "air_temperature 7.2 °C",
        "[[source]]",
        "time = { time_zone = \"Europe/Berlin\" }",
        "1 topic that no preset reads",
        "tele/roof/LWT Online\\u{1b}[31m",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains('\u{1b}'));
    assert!(findings.choose(Some("davis"), None).is_err() && findings.choose(None, Some("roof")).is_ok());
    let mut nothing = Vec::new();
    Findings::default().print(None, None, &mut nothing).unwrap();
    assert!(String::from_utf8(nothing).unwrap().starts_with("nothing arrived"));
}

#[test]
fn states_of_home_assistant_are_read_by_its_preset_in_the_units_that_it_publishes() {
    let messages = [
        ("ha/sensor/roof_temperature/state", "45.0"),
        ("ha/sensor/roof_humidity/state", "81"),
        ("ha/sensor/roof_temperature/unit_of_measurement", r#""\u00b0F""#),
        ("ha/sensor/roof_humidity/unit_of_measurement", "\"%\""),
    ];
    let findings = heard(&messages);
    let best = findings.choose(None, None).unwrap();
    assert_eq!(best.preset.name, "statestream");
    let written = findings.source(&best, None, None);
    assert_eq!(written.matches("[[source.value]]").count(), 1, "{written}");
    let sources = Source::read_all(&written).unwrap();
    let (topic, payload) = messages[0];
    let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
    let decoded = sources[0].decode(&Message { topic, payload: payload.as_bytes(), arrival }).unwrap();
    // (45 − 32) · 5 / 9
    let celsius = decoded.values.get(Quantity::AirTemperature).unwrap();
    assert!((celsius - 7.222).abs() < 0.001, "{celsius}");
    let mut text = Vec::new();
    findings.print(None, None, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("air_temperature 7.2 °C") && !text.contains("\"esphome\""), "{text}");
    // The same without what only Home Assistant publishes is a node of ESPHome.
    assert_eq!(heard(&messages[..2]).choose(None, None).unwrap().preset.name, "esphome");
    assert_eq!(heard(&messages[..2]).choose(Some("statestream"), None).unwrap().preset.name, "statestream");
}

#[test]
fn of_several_topics_with_one_quantity_the_best_is_written_and_the_others_are_named() {
    let node = |name: &str| format!("node/sensor/{name}/state");
    let (shed, outdoor, wall) = (node("shed_temperature"), node("outdoor_temperature"), node("temp_wall"));
    let findings =
        heard(&[(&shed, "9.5"), (&outdoor, "7.2"), (&wall, "30"), (&node("outdoor_humidity"), "81")]);
    let best = findings.choose(None, None).unwrap();
    let written = findings.source(&best, None, None);
    let source = Source::read_all(&written).unwrap().remove(0);
    assert!(source.has_topic(&outdoor) && source.has_topic(&node("outdoor_humidity")), "{written}");
    assert!(!source.has_topic(&shed) && !source.has_topic(&wall), "{written}");
    for topic in [&shed, &wall] {
        let remark = format!("# Not read: \"{topic}\", as \"{outdoor}\" has the air_temperature\n");
        assert!(written.contains(&remark), "{written}");
    }
    assert_eq!(best.values_by(&written).get(Quantity::AirTemperature), Some(7.2));
}

#[test]
fn a_topic_with_a_space_that_does_not_break_is_written_as_toml_has_it() {
    let topic = "tele/my\u{a0}\"roof\"/SENSOR";
    let findings = heard(&[(topic, TASMOTA.1)]);
    let written = findings.source(&findings.choose(None, None).unwrap(), None, None);
    let sources = Source::read_all(&written).unwrap();
    assert!(sources[0].has_topic(topic), "{written}");
}

#[test]
fn a_station_is_named_by_its_owner_where_there_is_one() {
    let one = heard(&[TASMOTA]);
    let named = one.choose(None, Some("Dach")).unwrap();
    assert!(one.source(&named, None, None).contains("station = \"Dach\"\n"));
    let two = heard(&[TASMOTA, ("tele/yard/SENSOR", TASMOTA.1)]);
    assert_eq!(two.choose(None, Some("yard")).unwrap().station, "yard");
    let several = NoChoice::Several(vec!["roof".to_owned(), "yard".to_owned()]);
    assert_eq!(two.choose(None, Some("Dach")).err(), Some(several));
    assert_eq!(heard(&[]).choose(None, Some("Dach")).err(), Some(NoChoice::Nothing));
}

#[test]
fn stations_that_come_on_one_topic_have_one_source_in_which_the_payload_names_them() {
    let sensor = |id: u32| {
        format!(r#"{{"time":"2026-11-25T13:08:41Z","model":"Bresser-6in1","id":{id},"temperature_C":7.2}}"#)
    };
    let topic = "rtl_433/host/events";
    let findings = heard(&[(topic, &sensor(7)), (topic, &sensor(8))]);
    let Suggestions { chosen, left_out } = findings.suggestions(None).unwrap();
    assert_eq!((chosen.len(), left_out.len()), (1, 0));
    let sources = Source::read_all(&findings.source(&chosen[0], None, None)).unwrap();
    let stations = [7, 8].map(|id| {
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let payload = sensor(id);
        sources[0].decode(&Message { topic, payload: payload.as_bytes(), arrival }).unwrap().station.unwrap()
    });
    assert_ne!(stations[0], stations[1]);
    let mut text = Vec::new();
    findings.print(None, None, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("[[source]]\n").count(), 1, "{text}");
    assert!(text.contains("  and Bresser-6in1-8: air_temperature 7.2 °C\n"), "{text}");
    assert!(!text.contains("station = "), "{text}");
}

#[test]
fn what_is_heard_on_a_busy_broker_is_bounded_and_what_is_not_shown_is_counted() {
    let auto = Auto::new(None, None).unwrap();
    let mut findings = Findings::default();
    let mut lines = 0;
    for id in 0..MOST_TOPICS + 10 {
        let topic = format!("tele/s{id}/SENSOR");
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let message = Message { topic: &topic, payload: TASMOTA.1.as_bytes(), arrival };
        lines += usize::from(findings.add(&message, auto.candidates(&message), None).is_some());
    }
    assert_eq!(lines, LINES_SHOWN + 1);
    assert_eq!(findings.heard.len(), MOST_TOPICS);
    let mut text = Vec::new();
    findings.print(None, None, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(&format!("\n… and {} sources more", MOST_TOPICS - SOURCES_SHOWN)), "{text}");
    assert!(text.lines().count() < 20 * SOURCES_SHOWN, "{}", text.lines().count());
}

#[test]
fn topics_of_forecastd_are_no_candidates() {
    let mut findings = heard(&[]);
    assert!(findings.add_own("forecast/roof/status", Own::Published).is_some());
    assert_eq!(findings.add_own("forecast/roof/status", Own::Published), None);
    findings.add_own("weather/roof/reading", Own::Read);
    let mut text = Vec::new();
    findings.print(None, None, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for part in [
        "1 topic that forecastd reads without a source: weather/roof/reading",
        "1 topic that forecastd itself",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("[[source]]"), "{text}");
}
