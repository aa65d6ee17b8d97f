//! TLS against a real mosquitto, with certificates made for the test, and MQTT through a WebSocket.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_tungstenite::tokio::accept_hdr_async;
use async_tungstenite::tungstenite::Message as Frame;
use async_tungstenite::tungstenite::handshake::server::{Request, Response};
use forecastd_mqtt::{DisconnectReason, Message, MqttSettings, MqttTransport, News, SessionEvent};
use forecastd_testkit::events::{self, connected, disconnected, start, text_on};
use forecastd_testkit::mosquitto::{Mosquitto, Options, settings};
use futures_util::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rumqttc::tokio_rustls::TlsAcceptor;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rumqttc::tokio_rustls::rustls::server::WebPkiClientVerifier;
use rumqttc::tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A folder with certificates and keys as PEM files.
struct Certificates {
    folder: TempDir,
}

/// A certificate of its own name, so that none is taken for its own authority.
fn named(name: &str, addresses: &[&str]) -> CertificateParams {
    let addresses: Vec<String> = addresses.iter().map(|&address| address.to_owned()).collect();
    let mut parameters = CertificateParams::new(addresses).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

impl Certificates {
    /// An authority, and certificates that it signed for the broker on 127.0.0.1 and for a client.
    fn new() -> Certificates {
        let certificates = Certificates { folder: TempDir::new().unwrap() };
        let key = KeyPair::generate().unwrap();
        let mut authority = named("authority", &[]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).unwrap();
        certificates.write("authority", &certificate.pem(), &key);
        let issuer = Issuer::new(authority, key);
        for (name, usage) in
            [("broker", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
        {
            let key = KeyPair::generate().unwrap();
            let mut parameters = named(name, &["127.0.0.1"]);
            parameters.extended_key_usages = vec![usage];
            let certificate = parameters.signed_by(&key, &issuer).unwrap();
            certificates.write(name, &certificate.pem(), &key);
        }
        certificates
    }

    /// A certificate of the broker that nobody but itself vouches for.
    fn self_signed(is_ca: IsCa) -> Certificates {
        let certificates = Certificates { folder: TempDir::new().unwrap() };
        let key = KeyPair::generate().unwrap();
        let mut parameters = named("broker", &["127.0.0.1"]);
        parameters.is_ca = is_ca;
        certificates.write("broker", &parameters.self_signed(&key).unwrap().pem(), &key);
        certificates
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) {
        std::fs::write(self.certificate(name), certificate).unwrap();
        std::fs::write(self.key(name), key.serialize_pem()).unwrap();
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.key"))
    }

    /// A broker with one of them; beside its usual port it listens on one with TLS, which is given.
    fn broker(&self, vouching: &str, more: &[&str]) -> (Mosquitto, u16) {
        (0..5).find_map(|_| self.try_broker(vouching, more)).expect("ports that stay free")
    }

    fn try_broker(&self, vouching: &str, more: &[&str]) -> Option<(Mosquitto, u16)> {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut lines = vec![
            format!("listener {port} 127.0.0.1"),
            format!("cafile {}", self.certificate(vouching).display()),
            format!("certfile {}", self.certificate("broker").display()),
            format!("keyfile {}", self.key("broker").display()),
        ];
        lines.extend(more.iter().map(|&line| line.to_owned()));
        let lines: Vec<&'static str> =
            lines.into_iter().map(|line| &*Box::leak(line.into_boxed_str())).collect();
        let options = Options { lines: Vec::leak(lines), ..Options::default() };
        Mosquitto::try_start(&options).map(|mosquitto| (mosquitto, port))
    }

    fn settings(&self, port: u16, vouching: &str) -> MqttSettings {
        MqttSettings { tls: true, ca_file: Some(self.certificate(vouching)), ..settings(port, "d") }
    }
}

/// Sends a message to itself.
async fn assert_it_works(settings: &MqttSettings) {
    let (publisher, mut inbox, _handle) = start(settings, &["probe"]);
    connected(&mut inbox).await;
    publisher.publish(Message::new("probe", "there and back")).unwrap();
    assert_eq!(text_on(&mut inbox, "probe").await, "there and back");
}

/// Why no TLS connection comes about. A broker that closes at once may cut off what it says before.
async fn tls_fault(settings: &MqttSettings) -> String {
    let (_publisher, mut inbox, _handle) = start(settings, &[]);
    loop {
        match disconnected(&mut inbox).await {
            DisconnectReason::Tls(detail) => return detail,
            DisconnectReason::Closed(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_broker_that_demands_a_certificate_gets_ours_and_is_named_without() {
    let certificates = Certificates::new();
    let (_mosquitto, port) = certificates.broker("authority", &["require_certificate true"]);
    let anonymous = certificates.settings(port, "authority");
    let fault = tls_fault(&anonymous).await;
    assert!(fault.contains("mqtt.client_certificate_file"), "{fault}");
    let known = MqttSettings {
        client_certificate_file: Some(certificates.certificate("client")),
        client_key_file: Some(certificates.key("client")),
        ..anonymous.clone()
    };
    assert_it_works(&known).await;

    let mixed_up = MqttSettings { client_key_file: Some(certificates.key("broker")), ..known.clone() };
    let fault = tls_fault(&mixed_up).await;
    assert!(fault.contains("mqtt.client_key_file"), "{fault}");
    let missing = MqttSettings { client_key_file: Some("/nonexistent".into()), ..known };
    let fault = tls_fault(&missing).await;
    assert!(fault.contains("mqtt.client_key_file /nonexistent"), "{fault}");
}

#[tokio::test]
async fn a_self_signed_certificate_works_or_its_fault_is_explained() {
    let authority = Certificates::self_signed(IsCa::Ca(BasicConstraints::Unconstrained));
    let (_mosquitto, port) = authority.broker("broker", &[]);
    let fault = tls_fault(&authority.settings(port, "broker")).await;
    assert!(fault.contains("basicConstraints=CA:FALSE"), "{fault}");

    // As advised.
    let plain = Certificates::self_signed(IsCa::ExplicitNoCa);
    let (_mosquitto, port) = plain.broker("broker", &[]);
    assert_it_works(&plain.settings(port, "broker")).await;

    // Another authority, and none at all.
    let fault = tls_fault(&Certificates::new().settings(port, "authority")).await;
    assert!(fault.contains("mqtt.ca_file"), "{fault}");
    std::fs::write(plain.certificate("empty"), "no certificate").unwrap();
    let fault = tls_fault(&plain.settings(port, "empty")).await;
    assert!(fault.contains("no certificate in mqtt.ca_file"), "{fault}");
}

#[tokio::test]
async fn a_port_without_tls_is_named() {
    let certificates = Certificates::new();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 1024];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(b"\x20\x02\x00\x01 no tls here").await;
        }
    });
    let fault = tls_fault(&certificates.settings(port, "authority")).await;
    assert!(fault.contains("does not speak tls on this port"), "{fault}");
}

/// Carries a WebSocket's binary frames to the broker and back, for one path, with TLS where it is given; gives its port.
async fn websocket_before(mosquitto: &Mosquitto, tls: Option<TlsAcceptor>) -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = mosquitto.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => carry(stream, broker).await,
                    // A client that does not like what it sees has gone.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            carry(stream, broker).await;
                        }
                    }
                }
            });
        }
    });
    port
}

#[expect(clippy::result_large_err, reason = "the library's type")]
async fn carry(stream: impl AsyncRead + AsyncWrite + Unpin, broker: u16) {
    let accepted = accept_hdr_async(stream, |request: &Request, mut response: Response| {
        if request.uri().path() != "/broker" {
            return Err(Response::builder().status(404).body(None).unwrap());
        }
        response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        Ok(response)
    });
    let Ok(mut socket) = accepted.await else { return };
    let mut broker = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
    let mut bytes = [0; 4096];
    loop {
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Frame::Binary(payload))) => broker.write_all(&payload).await.unwrap(),
                Some(Ok(_)) => {}
                _ => return,
            },
            read = broker.read(&mut bytes) => match read {
                Ok(count) if count > 0 => {
                    if socket.send(Frame::binary(bytes[..count].to_vec())).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

#[tokio::test]
async fn mqtt_goes_through_a_websocket() {
    let mosquitto = Mosquitto::start(&Options::default());
    let port = websocket_before(&mosquitto, None).await;
    let through = MqttSettings {
        transport: MqttTransport::Websocket,
        websocket_path: "/broker".to_owned(),
        ..settings(port, "d")
    };
    assert_it_works(&through).await;

    let elsewhere = MqttSettings { websocket_path: "/mqtt".to_owned(), ..through };
    let (_publisher, mut inbox, _handle) = start(&elsewhere, &[]);
    let reason = disconnected(&mut inbox).await;
    assert!(reason.is_permanent() && reason.to_string().contains("404"), "{reason}");
}

impl Certificates {
    /// The broker's side of TLS, which wants a certificate of the client.
    fn acceptor(&self) -> TlsAcceptor {
        let certificate = |name| CertificateDer::from_pem_file(self.certificate(name)).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate("authority")).unwrap();
        let known = WebPkiClientVerifier::builder(roots.into()).build().unwrap();
        let key = PrivateKeyDer::from_pem_file(self.key("broker")).unwrap();
        let config = ServerConfig::builder()
            .with_client_cert_verifier(known)
            .with_single_cert(vec![certificate("broker")], key)
            .unwrap();
        TlsAcceptor::from(std::sync::Arc::new(config))
    }
}

/// The settings of the client whose certificate is in `folder`; its authority is not named.
fn client(folder: &Path, port: u16) -> MqttSettings {
    MqttSettings {
        tls: true,
        client_certificate_file: Some(folder.join("client.pem")),
        client_key_file: Some(folder.join("client.key")),
        ..settings(port, "d")
    }
}

fn websocket(settings: MqttSettings) -> MqttSettings {
    MqttSettings { transport: MqttTransport::Websocket, websocket_path: "/broker".to_owned(), ..settings }
}

#[tokio::test]
async fn mqtt_goes_through_a_websocket_with_tls_and_a_certificate_of_ours() {
    let certificates = Certificates::new();
    let mosquitto = Mosquitto::start(&Options::default());
    let port = websocket_before(&mosquitto, Some(certificates.acceptor())).await;
    let authority = Some(certificates.certificate("authority"));
    let known = MqttSettings { ca_file: authority, ..client(certificates.folder.path(), port) };
    assert_it_works(&websocket(known.clone())).await;

    let stranger = MqttSettings { ca_file: Some(Certificates::new().certificate("authority")), ..known };
    let fault = tls_fault(&websocket(stranger)).await;
    assert!(fault.contains("mqtt.ca_file"), "{fault}");
}

/// Where [`as_the_system_trusts`] finds its certificates, and the port that it connects to.
const FOLDER: &str = "TEST_CERTIFICATES";
const PORT: &str = "TEST_PORT";
const WEBSOCKET_PORT: &str = "TEST_WEBSOCKET_PORT";

/// The system's roots are read once and for a whole process: this test runs again in one of its own.
#[tokio::test]
async fn an_authority_that_the_system_trusts_need_not_be_named() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return as_the_system_trusts(folder.into()).await;
    }
    let certificates = Certificates::new();
    let (mosquitto, port) = certificates.broker("authority", &["require_certificate true"]);
    let websocket_port = websocket_before(&mosquitto, Some(certificates.acceptor())).await;
    let run = |roots: PathBuf| {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "an_authority_that_the_system_trusts_need_not_be_named", "--nocapture"])
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .env(FOLDER, certificates.folder.path())
            .env(PORT, port.to_string())
            .env(WEBSOCKET_PORT, websocket_port.to_string());
        tokio::task::spawn_blocking(move || test.output().unwrap())
    };
    let output = run(certificates.certificate("authority")).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // With another authority the system does not trust the broker.
    let others = Certificates::new();
    let output = run(others.certificate("authority")).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Disconnected"), "{said}");
}

async fn as_the_system_trusts(folder: PathBuf) {
    let port = |name: &str| std::env::var(name).unwrap().parse().unwrap();
    for settings in [client(&folder, port(PORT)), websocket(client(&folder, port(WEBSOCKET_PORT)))] {
        let (_publisher, mut inbox, _handle) = start(&settings, &[]);
        // The first news: a connection, or why there is none.
        let news = events::next(&mut inbox).await;
        assert!(matches!(news, SessionEvent::News(News::Connected { .. })), "{news:?}");
    }
}
