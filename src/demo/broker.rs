//! An MQTT 5 broker within the process, for the demo: loopback only, nothing kept on disk.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

/// How long the broker may take until it listens.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Another program can take the free port before the broker does.
const PORTS_TRIED: usize = 3;

/// Why the broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port or no thread is to be had.
    #[error("embedded broker")]
    Io(#[from] io::Error),
    /// It does not listen.
    #[error("embedded broker does not listen on {0}")]
    Silent(SocketAddr),
}

/// A running broker. Its threads last as long as the process.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
}

impl Broker {
    /// Starts a broker on a free port of the loopback interface, without user names, and waits until it listens.
    ///
    /// # Errors
    /// [`BrokerError`] when it does not.
    pub fn start() -> Result<Broker, BrokerError> {
        let mut tries = 1;
        loop {
            let address = free_address()?;
            match start_at(address) {
                Err(BrokerError::Silent(_)) if tries < PORTS_TRIED => tries += 1,
                result => return result.map(|()| Broker { address }),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn start_at(address: SocketAddr) -> Result<(), BrokerError> {
    let server = ServerSettings {
        name: "broker".to_owned(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: 10_000,
            max_payload_size: 4 << 20,
            max_inflight_count: 200,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            max_segment_size: 16 << 20,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("loopback".to_owned(), server)])),
        ..Config::default()
    };
    let thread = thread::Builder::new().name("broker".to_owned()).spawn(move || {
        // It returns when it cannot listen; then nobody answers at the address, which is looked at below.
        let _ = rumqttd::Broker::new(config).start();
    })?;
    let deadline = Instant::now() + START_WITHIN;
    while Instant::now() < deadline && !thread.is_finished() {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(BrokerError::Silent(address))
}
