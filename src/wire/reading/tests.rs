use super::*;
use proptest::prelude::*;

#[test]
fn the_canonical_reading_is_read() {
    let payload = br#"{"time":"2020-01-01T00:10:00Z","air_temperature_c":0.71,"air_pressure_hpa":"1008.89",
        "wind_gust_m_s":null,"battery":{"ok":true}}"#;
    let decoded = decode(payload).unwrap();
    assert_eq!(decoded.time.as_second(), 1_577_837_400);
    assert_eq!(decoded.values.get(Quantity::AirTemperature), Some(0.71));
    assert_eq!(decoded.values.get(Quantity::AirPressure), Some(1008.89));
    assert_eq!(decoded.values.get(Quantity::WindSpeedOfGust), None);
    assert_eq!(decoded.unreadable, []);
    assert_eq!(decoded.unknown, ["battery"]);
    assert_eq!(decoded.near_misses().count(), 0);
}

#[test]
fn where_a_reading_was_measured_is_read_and_what_is_no_place_on_earth_costs_that_alone() {
    let decoded = |keys: &str| {
        decode(format!("{{\"time\":1577837400,\"air_temperature_c\":1,{keys}}}").as_bytes()).unwrap()
    };
    let whole = decoded(r#""latitude_deg":"50,91","longitude_deg":11.57,"elevation_m":143"#);
    let jena = Site::new(50.91, 11.57);
    assert_eq!(whole.place, Some(Place::from_payload(jena.at_elevation(143.0))));
    assert_eq!((whole.unknown.len(), whole.unreadable.len()), (0, 0));
    assert_eq!(decoded(r#""latitude_deg":50.91,"elevation_m":143"#).place, None, "half a place is none");
    // A receiver without reception.
    assert_eq!(decoded(r#""latitude_deg":0,"longitude_deg":0.0"#).place, None);
    assert_eq!(decoded(r#""wind_from_direction_deg":"None""#).unreadable, []);
    let high = decoded(r#""latitude_deg":50.91,"longitude_deg":11.57,"elevation_m":99999"#);
    assert_eq!((high.place, high.unreadable[0].0), (Some(Place::from_payload(jena)), "elevation_m"));
    assert_eq!(decoded(r#""latitude_deg":null,"longitude_deg":null"#).unreadable, []);
    let beyond = decoded(r#""latitude_deg":150.91,"longitude_deg":11.57"#);
    assert_eq!((beyond.place, beyond.values.get(Quantity::AirTemperature)), (None, Some(1.0)));
    let said = ("latitude_deg", "latitude_deg = 150.91 is not between -90 and 90".to_owned());
    assert_eq!(beyond.unreadable, [said]);
    let word = decoded(r#""latitude_deg":"north","longitude_deg":11.57"#);
    assert_eq!(word.unreadable, [("latitude_deg", "\"north\"".to_owned())]);
}

#[test]
fn degrees_go_before_a_time_zone_and_that_before_a_country_as_in_the_configuration() {
    let decoded = |keys: &str| {
        decode(format!("{{\"time\":1577837400,\"air_temperature_c\":1,{keys}}}").as_bytes()).unwrap()
    };
    let denver = Place::of_time_zone("America/Denver").unwrap();
    let all = r#""time_zone":"America/Denver","country":"DE""#;
    assert_eq!(decoded(all).place, Some(denver));
    let degrees = decoded(&format!(r#""latitude_deg":50.91,"longitude_deg":11.57,{all}"#));
    assert_eq!(degrees.place, Some(Place::from_payload(Site::new(50.91, 11.57))));
    // A receiver without reception.
    assert_eq!(decoded(&format!(r#""latitude_deg":0,"longitude_deg":0,{all}"#)).place, Some(denver));
    let high = decoded(r#""time_zone":"america/denver","elevation_m":1609"#);
    assert_eq!(high.place, Some(Place { site: denver.site.at_elevation(1609.0), ..denver }));
    let germany = decoded(r#""time_zone":"","country":"de","elevation_m":9001"#);
    assert_eq!((germany.place, germany.unreadable[0].0), (Place::of_country("DE").ok(), "elevation_m"));
    assert_eq!(decoded(all).unknown.len() + decoded(all).unreadable.len(), 0);
    for (keys, key, said) in [
        (r#""time_zone":"Mars/Phobos""#, "time_zone", "\"Mars/Phobos\" is no time zone"),
        (r#""country":"US""#, "country", "US is "),
        (r#""country":49"#, "country", "49"),
    ] {
        let decoded = decoded(keys);
        assert_eq!((decoded.place, decoded.unreadable[0].0), (None, key));
        assert!(decoded.unreadable[0].1.starts_with(said), "{:?}", decoded.unreadable);
    }
    let wrong = decoded(r#""time_zone":"Mars/Phobos","country":"DE""#);
    assert_eq!((wrong.place, wrong.unreadable.len()), (Place::of_country("DE").ok(), 1));
}

#[test]
fn half_a_place_says_what_lacks() {
    let half = |keys: &str| {
        let decoded =
            decode(format!("{{\"time\":1577837400,\"air_temperature_c\":1,{keys}}}").as_bytes()).unwrap();
        decoded.half_place.map(|half| (half.key(), half.missing()))
    };
    assert_eq!(half(r#""latitude_deg":50.9"#), Some(("latitude_deg", "longitude_deg")));
    assert_eq!(half(r#""longitude_deg":11.6,"elevation_m":155"#), Some(("longitude_deg", "latitude_deg")));
    assert_eq!(half(r#""elevation_m":155"#), Some(("elevation_m", "latitude_deg and longitude_deg")));
    for whole in [
        r#""latitude_deg":50.9,"longitude_deg":11.6"#,
        r#""elevation_m":155,"time_zone":"Europe/Berlin""#,
        r#""latitude_deg":null,"longitude_deg":null"#,
        r#""latitude_deg":0,"longitude_deg":0"#,
        r#""relative_humidity_pct":80"#,
    ] {
        assert_eq!(half(whole), None, "{whole}");
    }
}

#[test]
fn times_are_read_in_every_form() {
    for time in [
        "1577837400",
        "\"1577837400\"",
        "1577837400.0",
        "\"1577837400.0\"",
        "1577837400000",
        "1577837400000000",
        "1577837400000000000",
        "\"1577837400000000000\"",
        "1577837400000.25",
        "\"2020-01-01T01:10:00+01:00\"",
        "\"2020-01-01T01:10:00+0100\"",
        "\"2020-01-01 00:10:00Z\"",
    ] {
        let payload = format!("{{\"time\":{time},\"air_temperature_c\":1}}");
        assert_eq!(decode(payload.as_bytes()).unwrap().time.as_second(), 1_577_837_400, "{time}");
    }
}

#[test]
fn fractions_of_seconds_are_kept_in_every_unit() {
    for (time, nanosecond) in [
        ("1577837400.125", 125_000_000),
        ("1577837400125", 125_000_000),
        ("1577837400125001", 125_001_000),
        ("1577837400125001002", 125_001_002),
    ] {
        let payload = format!("{{\"time\":{time},\"air_temperature_c\":1}}");
        assert_eq!(decode(payload.as_bytes()).unwrap().time.subsec_nanosecond(), nanosecond, "{time}");
    }
}

#[test]
fn a_time_without_offset_is_refused_with_what_it_lacks() {
    for time in ["2026-11-25T13:08:41", "2026-11-25 13:08:41", "2026-11-25 13:08"] {
        let payload = format!("{{\"time\":\"{time}\",\"air_temperature_c\":7.2}}");
        let error = decode(payload.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), "bad_time");
        assert!(error.to_string().contains("has no offset from UTC: \"Z\" or one such as"), "{error}");
    }
    let error = decode(br#"{"dateTime":"1795612121.0","outTemp_C":"7.2"}"#).unwrap_err();
    assert_eq!(error.to_string(), "payload has no \"time\" (it has \"dateTime\")");
}

#[test]
fn one_unreadable_value_costs_that_value_and_no_other() {
    for found in [
        "\"unavailable\"",
        "\"nan\"",
        "\"inf\"",
        "\"\"",
        "\"NW\"",
        "true",
        "[1]",
        "{\"value\":1}",
        "\"7.1 C\"",
        "\"1.013,2\"",
        "\"1,013,2\"",
    ] {
        let payload = format!("{{\"time\":0,\"air_temperature_c\":7.1,\"relative_humidity_pct\":{found}}}");
        let decoded = decode(payload.as_bytes()).unwrap();
        assert_eq!(decoded.values.get(Quantity::AirTemperature), Some(7.1), "{found}");
        assert_eq!(decoded.values.iter().count(), 1, "{found}");
        assert_eq!(decoded.unreadable, [("relative_humidity_pct", found.to_owned())]);
        let alone = format!("{{\"time\":0,\"relative_humidity_pct\":{found}}}");
        let error = decode(alone.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), "bad_value");
        assert_eq!(error.to_string(), format!("\"relative_humidity_pct\" is {found}, not a number"));
    }
}

#[test]
fn a_decimal_comma_is_read() {
    for (text, value) in [("7,1", 7.1), (" -0,5 ", -0.5), ("7.1", 7.1), ("1013", 1013.0)] {
        let payload = format!("{{\"time\":0,\"air_temperature_c\":\"{text}\"}}");
        assert_eq!(decode(payload.as_bytes()).unwrap().values.get(Quantity::AirTemperature), Some(value));
    }
}

#[test]
fn a_bare_nan_or_infinity_is_a_value_that_is_missing() {
    for bare in ["NaN", "nan", "-nan", "Infinity", "-Infinity", "inf", "-inf", "+Inf"] {
        let payload = format!(
            "{{\"time\":0,\"note\":\"NaN, \\\\\\\"nan \\u00e9 é\",\"air_temperature_c\":{bare},\"relative_humidity_pct\" : {bare} ,\
             \"air_pressure_hpa\":1000.5}}"
        );
        let decoded = decode(payload.as_bytes()).unwrap();
        assert_eq!(decoded.values.get(Quantity::AirPressure), Some(1000.5), "{bare}");
        assert_eq!(decoded.values.iter().count(), 1, "{bare}");
    }
    let alone = decode(br#"{"time":0,"air_temperature_c":NaN}"#).unwrap_err();
    assert_eq!(alone.reason(), "no_values");
    for broken in [
        "{\"time\":0,\"air_temperature_c\":NaN",
        "{\"time\":0,\"air_temperature_c\":NaNs}",
        "nan",
        "\"nan",
        "{nan:1}",
    ] {
        assert_eq!(decode(broken.as_bytes()).unwrap_err().reason(), "not_json", "{broken}");
    }
}

#[test]
fn keys_that_are_nearly_ours_are_said() {
    let payload = br#"{"time":0,"air_pressure_hpa":1000,"air_temperature_f":50,"humidity":80,"battery_ok":1,"pressure":1}"#;
    let decoded = decode(payload).unwrap();
    assert_eq!(decoded.unknown, ["air_temperature_f", "battery_ok", "humidity", "pressure"]);
    let near_misses: Vec<_> = decoded.near_misses().collect();
    assert_eq!(
        near_misses,
        [("air_temperature_f", "air_temperature_c"), ("humidity", "relative_humidity_pct")]
    );
    let error = decode(br#"{"time":0,"temperature":7.2}"#).unwrap_err();
    assert_eq!(error.reason(), "no_values");
    let hint = "\"temperature\" is no key, did you mean \"air_temperature_c\"?";
    assert!(error.to_string().ends_with(hint), "{error}");
}

#[test]
fn every_fault_has_its_reason() {
    let deep = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
    let cases: Vec<(&[u8], &str)> = vec![
        (b"", "empty"),
        (b"\xff\xfe", "not_utf8"),
        (b"temperature=3", "not_json"),
        (b"{\"time\":", "not_json"),
        (b"3.5", "not_json"),
        (b"[]", "not_json"),
        (deep.as_bytes(), "not_json"),
        (b"{\"air_temperature_c\":1}", "no_time"),
        (b"{\"time\":null,\"air_temperature_c\":1}", "bad_time"),
        (b"{\"time\":\"yesterday\",\"air_temperature_c\":1}", "bad_time"),
        (b"{\"time\":1e300,\"air_temperature_c\":1}", "bad_time"),
        (b"{\"time\":NaN,\"air_temperature_c\":1}", "bad_time"),
        (b"{\"time\":9223372036854775807,\"air_temperature_c\":1}", "ok"),
        (b"{\"time\":18446744073709551615,\"air_temperature_c\":1}", "ok"),
        (b"{\"time\":0,\"air_temperature_c\":\"NaN\"}", "bad_value"),
        (b"{\"time\":0,\"air_temperature_c\":true}", "bad_value"),
        (b"{\"time\":0,\"air_temperature_c\":null}", "no_values"),
        (b"{\"time\":0}", "no_values"),
    ];
    for (payload, reason) in cases {
        match decode(payload) {
            // The years 2262 and 2554 in nanoseconds: whether a clock can say so is not for the payload.
            Ok(_) => assert_eq!(reason, "ok"),
            Err(error) => {
                assert_eq!(error.reason(), reason, "{error}");
                assert!(PayloadError::REASONS.contains(&error.reason()));
            }
        }
    }
    assert_eq!(decode(&vec![b' '; 1 << 20]).unwrap_err().reason(), "too_large");
    let reasons =
        ["empty", "too_large", "not_utf8", "not_json", "no_time", "bad_time", "bad_value", "no_values"];
    assert_eq!(PayloadError::REASONS, reasons, "metrics and dashboards have these labels");
}

proptest! {
    #[test]
    fn a_reading_survives_writing_and_reading(
        second in -2_000_000_000_i64..4_000_000_000,
        numbers in prop::collection::vec(prop::option::of(-1e4_f32..1e4), Quantity::COUNT),
    ) {
        let mut values = Values::NONE;
        for (quantity, number) in Quantity::ALL.into_iter().zip(numbers) {
            if let Some(number) = number {
                values.set(quantity, number);
            }
        }
        let time = Timestamp::from_second(second).unwrap();
        match decode(encode(time, &values).as_bytes()) {
            Ok(decoded) => prop_assert_eq!((decoded.time, decoded.values), (time, values)),
            Err(error) => prop_assert!(values.is_empty() && error.reason() == "no_values"),
        }
    }

    #[test]
    fn no_payload_makes_the_decoder_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&payload);
    }

    /// Random text of what JSON is made of, so that the second parse is reached.
    #[test]
    fn no_text_makes_the_decoder_panic(text in "(\\{|\\}|\"|:|,|nan|NaN|-inf|\\\\|é|time|air_temperature_c|[0-9]| ){0,60}") {
        let _ = decode(text.as_bytes());
    }
}
