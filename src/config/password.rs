//! The broker's password, looked at before a start: that there is one, and that it is one.

use forecastd_mqtt::{MqttSettings, SettingsError};

use super::diagnostic::Diagnostic;

/// The key that is blamed; the credential of systemd stands in for it.
const KEY: &str = "mqtt.password_file";

/// What is wrong with the password that a connection would take from a file. Neither the password nor the name of a file that
/// cannot be read is shown: the name may be the password.
pub fn password_diagnostics(settings: &MqttSettings) -> Vec<Diagnostic> {
    let message = match settings.resolve_password() {
        Ok(_) => return Vec::new(),
        Err(SettingsError::PasswordFile { reason, .. }) => format!("the file {reason}"),
        Err(SettingsError::File { source, .. }) => format!(
            "the file named there cannot be read: {source} (the name is not shown, in case it is a password; the key wants \
             a file that holds it)"
        ),
        Err(other) => other.to_string(),
    };
    vec![Diagnostic { key: KEY.to_owned(), line: None, message }]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(path: &Path) -> MqttSettings {
        MqttSettings {
            username: Some("u".to_owned()),
            password_file: Some(path.to_owned()),
            ..MqttSettings::default()
        }
    }

    fn diagnostic(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let diagnostics = password_diagnostics(&settings(file.path()));
        diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_password_file_that_is_empty_or_has_two_lines_or_is_no_text_is_a_fault() {
        assert_eq!(diagnostic(b"hunter2\n"), "");
        assert_eq!(diagnostic(b"hunter2\r\n"), "");
        assert_eq!(diagnostic(b""), "mqtt.password_file: the file is empty");
        assert_eq!(diagnostic(b"\n"), "mqtt.password_file: the file is empty");
        assert_eq!(diagnostic(b"user\nhunter2\n"), "mqtt.password_file: the file has more than one line");
        let message = diagnostic(b"hunter2\xff");
        assert!(message.contains("cannot be read") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn a_password_typed_where_its_file_belongs_is_not_shown() {
        let diagnostics = password_diagnostics(&settings(Path::new("/etc/forecastd/hunter2")));
        assert_eq!(diagnostics.len(), 1);
        let message = diagnostics[0].to_string();
        assert!(!message.contains("hunter2"), "{message}");
        assert!(
            message.starts_with("mqtt.password_file: the file named there cannot be read: "),
            "{message}"
        );
    }

    #[test]
    fn no_password_is_no_fault() {
        assert!(password_diagnostics(&MqttSettings::default()).is_empty());
    }
}
