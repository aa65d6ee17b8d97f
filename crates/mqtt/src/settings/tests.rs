//! Tests of the settings, without a broker.

use super::*;

#[test]
fn addresses_are_taken_apart() {
    let settings = MqttSettings::from_address("mqtts://roof:p%40ss%3A@broker.example:8884").unwrap();
    assert_eq!(settings.host, "broker.example");
    assert_eq!(settings.port(), 8884);
    assert!(settings.tls);
    assert_eq!(settings.username.as_deref(), Some("roof"));
    assert_eq!(settings.password.as_ref().map(Password::reveal), Some("p@ss:"));

    for (address, port, tls) in [
        ("mqtt://h", 1883, false),
        ("mqtts://h", 8883, true),
        ("h", 1883, false),
        ("h:1884", 1884, false),
        ("mqtt://h/", 1883, false),
        ("ws://h", 80, false),
        ("wss://h/broker", 443, true),
    ] {
        let settings = MqttSettings::from_address(address).unwrap();
        assert_eq!((settings.host.as_str(), settings.port(), settings.tls), ("h", port, tls), "{address}");
    }
    let settings = MqttSettings::from_address("wss://h/broker").unwrap();
    assert_eq!((settings.transport, settings.websocket_path.as_str()), (MqttTransport::Websocket, "/broker"));
    assert_eq!(settings.address(), "wss://h:443/broker");
    assert_eq!(MqttSettings::from_address("ws://h").unwrap().websocket_path, "/mqtt");
    assert_eq!(MqttSettings::from_address("mqtt://[::1]:1883").unwrap().host, "[::1]");
}

#[test]
fn a_broken_address_is_named_without_its_password() {
    for address in [
        "http://u:secret@h",
        "mqtt://u:secret@h:99999",
        "mqtt://u:secret@",
        "mqtt://secret@h/x",
        "secret@h/x",
    ] {
        let error = MqttSettings::from_address(address).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(error.contains("(hidden)"), "{error}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let settings = MqttSettings::from_address("mqtt://u:secret@h").unwrap();
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn the_defaults_have_no_fault_and_every_fault_is_listed() {
    assert!(MqttSettings::default().faults().is_empty());
    let settings: MqttSettings = serde_json::from_str(
        r#"{"host":"","port":0,"client_id":"","password":"x","receive_maximum":0,"reconnect_min_s":5,"reconnect_max_s":0.5}"#,
    )
    .unwrap();
    let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 5, "{faults:#?}");
    assert_eq!(settings.port(), 1883, "0 is the usual port");
    assert!(serde_json::from_str::<MqttSettings>(r#"{"hots":"x"}"#).is_err());
}

#[test]
fn the_password_comes_from_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let mut settings =
        MqttSettings { password_file: Some(file.path().to_owned()), ..MqttSettings::default() };
    assert_eq!(settings.resolve_password().unwrap().unwrap().reveal(), "hunter2");
    settings.password_file = Some("/nonexistent/password".into());
    let error = settings.resolve_password().unwrap_err().to_string();
    assert_eq!(error, "mqtt.password_file: cannot read /nonexistent/password");
}

#[test]
fn a_host_that_holds_more_than_a_host_is_refused_without_being_shown() {
    for host in ["mqtt://u:secret@h", "u:secret@h", "secret@h", "mqtt://h", "h/secret", "h secret"] {
        let settings = MqttSettings { host: host.to_owned(), ..MqttSettings::default() };
        let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
        assert!(
            matches!(faults.as_slice(), [fault] if fault.starts_with("mqtt.host: ")),
            "{host}: {faults:?}"
        );
        assert!(!faults[0].contains("secret"), "{faults:?}");
    }
    for host in ["h", "broker.example", "::1", "[::1]", "10.0.0.1"] {
        let settings = MqttSettings { host: host.to_owned(), ..MqttSettings::default() };
        assert!(settings.faults().is_empty(), "{host}");
    }
}

#[test]
fn a_password_file_holds_one_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = MqttSettings { password_file: Some(file.path().to_owned()), ..MqttSettings::default() };
    for (content, expected) in [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("secret\nsecret\n", "has more than one line"),
        ("secret\r\nsecret", "has more than one line"),
    ] {
        std::fs::write(file.path(), content).unwrap();
        let error = settings.resolve_password().unwrap_err().to_string();
        assert!(error.starts_with("mqtt.password_file: ") && error.ends_with(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = || Some(file.path().to_owned());
    let settings = MqttSettings { password_file: path(), client_key_file: path(), ..MqttSettings::default() };
    let set_mode = |mode| std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
    set_mode(0o640);
    assert_eq!(settings.warnings(), []);
    set_mode(0o644);
    let warnings: Vec<String> = settings.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("mqtt.password_file: "), "{warnings:?}");
    assert!(warnings[1].starts_with("mqtt.client_key_file: "), "{warnings:?}");
}

#[test]
fn a_client_certificate_needs_its_key_and_tls_and_a_path_its_slash() {
    let settings: MqttSettings = serde_json::from_str(
        r#"{"client_certificate_file":"c","transport":"websocket","websocket_path":"mqtt","acknowledge_timeout_s":0}"#,
    )
    .unwrap();
    let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    let keys: Vec<&str> = faults.iter().filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(
        keys,
        [
            "mqtt.client_certificate_file",
            "mqtt.client_key_file",
            "mqtt.websocket_path",
            "mqtt.acknowledge_timeout_s"
        ]
    );
    assert!(serde_json::from_str::<MqttSettings>(r#"{"transport":"udp"}"#).is_err());
}
