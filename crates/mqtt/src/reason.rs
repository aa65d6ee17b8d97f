//! What the errors of the client library mean. Whatever the broker wrote is escaped and cut short.

use std::error::Error;
use std::io;

use rumqttc::tokio_rustls::rustls;
use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, TlsError};
use rustls::{AlertDescription, InvalidMessage};

use crate::disconnect::DisconnectReason;
use crate::foreign;

/// What an error of the library means. `connected` tells whether the broker had accepted us.
pub(crate) fn reason(error: &ConnectionError, connected: bool) -> DisconnectReason {
    match error {
        ConnectionError::Timeout(_) | ConnectionError::DisconnectTimeout => DisconnectReason::Timeout,
        ConnectionError::Io(error) => broken(error, connected),
        ConnectionError::Tls(error) => tls_fault(error),
        ConnectionError::ConnectionRefused(code) => refusal(*code),
        ConnectionError::NotConnAck(_) => {
            DisconnectReason::Protocol("the first packet of the broker is no CONNACK".to_owned())
        }
        ConnectionError::Websocket(failed) => match find::<io::Error>(failed) {
            Some(error) => broken(error, connected),
            None => DisconnectReason::Refused(foreign::shown(&format!("websocket: {failed}"))),
        },
        ConnectionError::ResponseValidation(_) => {
            DisconnectReason::Refused(foreign::shown(&format!("websocket: {error}")))
        }
        ConnectionError::MqttState(error) => match error {
            StateError::Io(error) => broken(error, connected),
            StateError::AwaitPingResp => DisconnectReason::Timeout,
            StateError::ConnectionAborted => DisconnectReason::Closed("closed by the broker".to_owned()),
            StateError::Deserialization(rumqttc::Error::Io(error)) => broken(error, connected),
            StateError::ConnFail { reason } => refusal(*reason),
            StateError::IncomingPacketTooLarge { .. } | StateError::OutgoingPacketTooLarge { .. } => {
                DisconnectReason::PacketTooLarge(error.to_string())
            }
            StateError::ServerDisconnect { reason_code, reason_string } => {
                farewell(*reason_code, reason_string.as_deref())
            }
            other => DisconnectReason::Protocol(foreign::shown(&other.to_string())),
        },
        other => DisconnectReason::Protocol(foreign::shown(&other.to_string())),
    }
}

fn broken(error: &io::Error, connected: bool) -> DisconnectReason {
    // With TLS 1.3 the broker refuses a client certificate after the handshake: the next read fails.
    if let Some(error) = find::<rustls::Error>(error) {
        return DisconnectReason::Tls(explained(error));
    }
    let detail = foreign::shown(&error.to_string());
    match error.kind() {
        _ if connected => DisconnectReason::Closed(detail),
        io::ErrorKind::TimedOut => DisconnectReason::Timeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => DisconnectReason::Closed(detail),
        _ => DisconnectReason::Unreachable(detail),
    }
}

/// The first error of this type in the chain that begins with `error`.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An `io::Error` passes over the error it was made of.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What keeps a TLS connection from coming about.
pub(crate) fn tls_fault(error: &TlsError) -> DisconnectReason {
    DisconnectReason::Tls(find::<rustls::Error>(error).map_or_else(
        || match error {
            TlsError::NoValidCertInChain => "no certificate in mqtt.ca_file".to_owned(),
            TlsError::NoValidClientCertInChain => "no certificate in mqtt.client_certificate_file".to_owned(),
            TlsError::NoValidKeyInChain => "no private key in mqtt.client_key_file".to_owned(),
            other => foreign::shown(&other.to_string()),
        },
        explained,
    ))
}

/// What an error of the TLS library means, and what to do.
fn explained(error: &rustls::Error) -> String {
    let detail = foreign::shown(&error.to_string());
    let meaning = match error {
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the broker demands a client certificate: set mqtt.client_certificate_file and mqtt.client_key_file"
        }
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => "the broker refuses mqtt.client_certificate_file, or demands one",
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the broker does not speak tls on this port"
        }
        rustls::Error::InconsistentKeys(_) => {
            "mqtt.client_key_file is not the key of mqtt.client_certificate_file"
        }
        // The type of it belongs to a crate of the library's, which says it by this word alone.
        _ if detail.contains("CaUsedAsEndEntity") => {
            "the broker shows the certificate of an authority as its own; make a self-signed one with \
             basicConstraints=CA:FALSE, or sign the broker's with an authority and name that one in mqtt.ca_file"
        }
        // The second is one of an authority that was made anew under its old name.
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        ) => "the broker's certificate is signed by none of mqtt.ca_file, or of the system's without it",
        _ => return detail,
    };
    format!("{meaning} ({detail})")
}

fn refusal(code: ConnectReturnCode) -> DisconnectReason {
    let detail = format!("{code:?}");
    match code {
        ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
            DisconnectReason::ProtocolVersion(detail)
        }
        ConnectReturnCode::BadUserNamePassword
        | ConnectReturnCode::NotAuthorized
        | ConnectReturnCode::BadAuthenticationMethod
        | ConnectReturnCode::Banned => DisconnectReason::Unauthorized(detail),
        _ => DisconnectReason::Refused(detail),
    }
}

fn farewell(code: DisconnectReasonCode, text: Option<&str>) -> DisconnectReason {
    let detail =
        text.map_or_else(|| format!("{code:?}"), |text| format!("{code:?}: {}", foreign::shown(text)));
    match code {
        DisconnectReasonCode::ServerShuttingDown => DisconnectReason::ServerShutdown,
        DisconnectReasonCode::SessionTakenOver => DisconnectReason::SessionTakenOver,
        DisconnectReasonCode::PacketTooLarge => DisconnectReason::PacketTooLarge(detail),
        DisconnectReasonCode::KeepAliveTimeout => DisconnectReason::Timeout,
        DisconnectReasonCode::NotAuthorized => DisconnectReason::Unauthorized(detail),
        _ => DisconnectReason::ServerDisconnect(detail),
    }
}
