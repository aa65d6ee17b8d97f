//! Asks a running daemon whether it works: for container runtimes, whose image has no HTTP client.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest answer that is read; the real one is a few lines.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Why a daemon does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// Nobody answers at the address, or not in time.
    #[error("no answer from http://{address}/healthz")]
    NoAnswer {
        /// Where it was looked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// What answers says that it does not work, or is no daemon.
    #[error("http://{address}/healthz answers {answer:?}")]
    Unhealthy {
        /// Where it was looked for.
        address: SocketAddr,
        /// The status line, and what is stuck.
        answer: String,
    },
}

/// Asks `/healthz` of the daemon that listens on `listen` (`http.listen`), and waits at most `within` for each step.
///
/// # Errors
/// [`HealthcheckError`] when it does not answer or is stuck.
pub fn run(listen: SocketAddr, within: Duration) -> Result<(), HealthcheckError> {
    let address = reachable(listen);
    let answer = ask(address, within).map_err(|source| HealthcheckError::NoAnswer { address, source })?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let answer = [status].into_iter().chain(body.lines()).collect::<Vec<_>>().join(", ");
    Err(HealthcheckError::Unhealthy { address, answer })
}

/// Where a listener is reached from its own machine: one on all addresses, on the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr, within: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// What a server that gives `answer` to the first request makes of the check.
    fn checked(answer: &'static str) -> Result<(), HealthcheckError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let listen = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        let result = run(listen, PATIENCE);
        assert!(server.join().unwrap().starts_with("GET /healthz HTTP/1.1\r\n"));
        result
    }

    #[test]
    fn a_daemon_that_works_is_healthy_and_one_that_is_stuck_says_what() {
        assert!(checked("HTTP/1.1 200 OK\r\n\r\nok\n").is_ok());
        let error = checked("HTTP/1.1 503 Service Unavailable\r\n\r\nthe network is stuck\n").unwrap_err();
        assert!(
            error.to_string().ends_with("\"HTTP/1.1 503 Service Unavailable, the network is stuck\""),
            "{error}"
        );
        assert!(checked("220 mail.example ESMTP\r\n").is_err());
    }

    #[test]
    fn a_daemon_that_is_away_is_not_healthy() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(run(free, PATIENCE), Err(HealthcheckError::NoAnswer { .. })));
    }
}
