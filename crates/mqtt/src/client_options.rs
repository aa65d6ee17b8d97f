//! What the client library is told before it connects.

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::tokio_rustls::rustls::ClientConfig;
use rumqttc::tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rumqttc::tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use rumqttc::{
    AckMode, Broker, ConnectProperties, LastWill, MqttOptions, NetworkOptions, PersistedAckMode,
    PersistedSession, QoS, SessionStore, SessionStoreError, SessionStoreKey, TlsConfiguration, Transport,
};

use crate::availability::Status;
use crate::disconnect::DisconnectReason;
use crate::reason::tls_fault;
use crate::settings::{MqttSettings, MqttTransport, SettingsError};

/// Requests that the library handles between two flushes. Nothing waits for a batch to fill.
const REQUESTS: usize = 64;

/// Packets that the library reads before it gives us the first. With more than one it forgets those that came before
/// an end of the connection, and with them why the broker ended it (mosquitto 2.0 answers a forbidden PUBLISH with
/// `NotAuthorized` and closes).
const PACKETS: usize = 1;

/// The options of one connection. Files are read here, so that a mended one needs no restart.
pub(crate) fn client_options(
    settings: &MqttSettings,
    status: Option<&Status>,
) -> Result<MqttOptions, DisconnectReason> {
    let mut options = target(settings)?;
    let password =
        settings.resolve_password().map_err(|error| DisconnectReason::Unauthorized(chain(&error)))?;
    match (&settings.username, password) {
        (Some(name), Some(password)) => {
            options.set_credentials(name.clone(), password.reveal().to_owned());
        }
        (Some(name), None) => {
            options.set_username(name.clone());
        }
        (None, _) => {}
    }
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(settings.session_expiry_s);
    properties.receive_maximum = Some(settings.receive_maximum);
    properties.max_packet_size = Some(settings.largest_packet_bytes());
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(settings.connect_timeout_s);
    options
        .set_connect_properties(properties)
        .set_keep_alive(settings.keep_alive_s)
        .set_clean_start(false)
        .set_ack_mode(AckMode::Manual)
        .set_connect_timeout(Duration::from_secs(settings.connect_timeout_s))
        // The library makes room for every packet identifier that it may use.
        .set_outgoing_inflight_upper_limit(settings.publish_window)
        .set_max_request_batch(REQUESTS)
        .set_read_batch_size(PACKETS)
        .set_network_options(network)
        .set_session_store(FreshSession(
            settings.client_id.clone(),
            settings.session_expiry_s,
            settings.publish_window,
        ));
    if let Some(status) = status {
        options.set_last_will(LastWill::new(
            status.topic.clone(),
            status.offline.to_vec(),
            QoS::AtLeastOnce,
            true,
            None,
        ));
    }
    Ok(options)
}

/// An error and what it comes from, on one line.
fn chain(error: &SettingsError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Where the broker is, and how it is spoken to.
fn target(settings: &MqttSettings) -> Result<MqttOptions, DisconnectReason> {
    let client_id = settings.client_id.clone();
    let tls = settings.tls.then(|| tls_configuration(settings)).transpose()?;
    let address = || settings.address();
    let bad_address =
        |error: rumqttc::OptionError| DisconnectReason::Protocol(format!("{}: {error}", settings.address()));
    match (settings.transport, tls) {
        (MqttTransport::Tcp, tls) => {
            let mut options = MqttOptions::new(client_id, (settings.host.clone(), settings.port()));
            if let Some(tls) = tls {
                options.set_transport(Transport::Tls(tls));
            }
            Ok(options)
        }
        (MqttTransport::Websocket, None) => {
            let broker = Broker::websocket(address()).map_err(bad_address)?;
            Ok(MqttOptions::new(client_id, broker))
        }
        (MqttTransport::Websocket, Some(tls)) => {
            MqttOptions::websocket_with_tls_config(client_id, address(), tls).map_err(bad_address)
        }
    }
}

fn tls_configuration(settings: &MqttSettings) -> Result<TlsConfiguration, DisconnectReason> {
    let read = |key: &str, path: &Path| {
        std::fs::read(path)
            .map_err(|error| DisconnectReason::Tls(format!("mqtt.{key} {}: {error}", path.display())))
    };
    let client_auth = match (&settings.client_certificate_file, &settings.client_key_file) {
        (Some(certificate), Some(key)) => {
            Some((read("client_certificate_file", certificate)?, read("client_key_file", key)?))
        }
        _ => None,
    };
    let ca = settings.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
    match (ca, client_auth) {
        (Some(ca), client_auth) => Ok(TlsConfiguration::Simple { ca, alpn: None, client_auth }),
        (None, None) => TlsConfiguration::try_default_rustls().map_err(|error| tls_fault(&error)),
        (None, Some(client_auth)) => system_roots_and(client_auth),
    }
}

/// The system's certificates, and a client certificate: the library has no words for both.
fn system_roots_and(client_auth: (Vec<u8>, Vec<u8>)) -> Result<TlsConfiguration, DisconnectReason> {
    let (certificate, key) = client_auth;
    let TlsConfiguration::Rustls(configuration) =
        TlsConfiguration::try_default_rustls().map_err(|error| tls_fault(&error))?
    else {
        return Err(DisconnectReason::Tls("the tls library is not rustls".to_owned()));
    };
    let mut configuration = ClientConfig::clone(&configuration);
    let pem = |key: &str, error: pem::Error| DisconnectReason::Tls(format!("mqtt.{key}: {error}"));
    let chain = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem("client_certificate_file", error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| pem("client_key_file", error))?;
    let certified = CertifiedKey::from_der(chain, key, configuration.crypto_provider())
        .map_err(|error| tls_fault(&error.into()))?;
    configuration.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    Ok(TlsConfiguration::Rustls(Arc::new(configuration)))
}

/// Tells the library that our side of the session holds nothing, which at QoS 1 it need not.
#[derive(Debug)]
struct FreshSession(String, u32, u16);

/// What the library's trait wants returned; it does not export its own alias.
type SessionStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for FreshSession {
    fn load<'a>(&'a self, _: &'a SessionStoreKey) -> SessionStoreFuture<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: self.0.clone(),
            clean_start: false,
            session_expiry_interval: Some(self.1),
            outgoing_inflight_upper_limit: Some(self.2),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(std::future::ready(Ok(Some(session))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> SessionStoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> SessionStoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
