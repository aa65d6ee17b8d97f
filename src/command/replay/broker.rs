//! The broker that is replayed to: how it is reached, and whether there is hope.

use std::time::Duration;

use forecastd_mqtt::{
    DisconnectReason, Inbox, MqttSettings, News, PublishError, Refusal, SessionEvent, SettingsError,
};
use tokio::time::timeout;
use tracing::warn;

use super::{ReplayError, ReplayOptions};

/// How long a broker that is away is waited for, before the first reading and in the middle.
const PATIENCE: Duration = Duration::from_secs(15);

/// How the broker is reached. The password is that of the file, else of the environment, else of the address.
pub(super) fn settings(options: &ReplayOptions) -> Result<MqttSettings, SettingsError> {
    let mut settings = MqttSettings::from_address(&options.broker)?;
    if settings.password.is_some() {
        warn!(
            "the password in --broker can be read by every user of this machine; --password-file or \
             FORECASTD_BROKER_PASSWORD keep it"
        );
    }
    if options.password_file.is_some() {
        (settings.password, settings.password_file) = (None, options.password_file.clone());
    } else if options.password.is_some() && settings.username.is_some() {
        settings.password = options.password.clone();
    }
    settings.ca_file = options.ca_file.clone();
    Ok(settings)
}

/// Waits for the first connection.
pub(super) async fn connect(inbox: &mut Inbox, address: &str) -> Result<(), ReplayError> {
    let mut last = DisconnectReason::Timeout;
    let connected = timeout(PATIENCE, async {
        while let Some(event) = inbox.recv().await {
            match event {
                SessionEvent::News(News::Connected { .. }) => return Ok(()),
                SessionEvent::News(News::Disconnected { reason, .. }) => {
                    if reason.is_permanent() {
                        return Err(hopeless(address, &reason));
                    }
                    last = reason;
                }
                SessionEvent::News(News::Subscribed | News::Refused(_)) | SessionEvent::Message(_) => {}
            }
        }
        Err(ReplayError::Publish(PublishError::Closed))
    });
    match connected.await {
        Ok(result) => result,
        Err(_) => Err(hopeless(address, &last)),
    }
}

fn hopeless(address: &str, reason: &DisconnectReason) -> ReplayError {
    let (address, text) = (address.to_owned(), reason.to_string());
    match reason {
        DisconnectReason::Unauthorized(_) => ReplayError::Unauthorized { address, reason: text },
        _ => ReplayError::NoBroker { address, reason: text },
    }
}

/// Watches the connection; returns when there is no hope left.
pub(super) async fn watch(inbox: &mut Inbox, address: &str) -> ReplayError {
    loop {
        match inbox.recv().await {
            None => return PublishError::Closed.into(),
            Some(SessionEvent::News(News::Disconnected { .. })) => {
                if let Err(error) = connect(inbox, address).await {
                    return error;
                }
            }
            Some(SessionEvent::News(News::Refused(Refusal::Publication { topic, reason }))) => {
                return ReplayError::Refused { topic, reason };
            }
            Some(_) => {}
        }
    }
}
