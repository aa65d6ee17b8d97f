//! Connections of clients that may be slow, idle or many.
//!
//! Whatever clients do, they hold at most so many connections and each for a limited time without progress, so that broker
//! and journal always find a descriptor; see [`Limits`].
//!
//! When all are taken and one more client comes, the one goes that has been connected for longest without a whole request head,
//! of the address that has the most such; a client that speaks is served at once, whatever a neighbour holds open. Where every
//! connection has had a request, those that wait for their next are closed, and the new client waits for the first that ends.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};

/// The most bytes of a request's head, and of what a connection buffers.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// The most header fields of a request.
const MAX_HEADERS: usize = 64;

/// The pause after a connection could not be accepted for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. One further waits for the end of another; the rest in the listener's queue, where they hold no
    /// descriptor.
    pub connections: usize,
    /// Time for a whole request head; also for the next one, so that an idle connection is closed after it.
    pub head: Duration,
    /// Time from a request's head to the head of its response, the body of the request included.
    pub response: Duration,
    /// Time in which a client that is written to must take at least some bytes.
    pub write: Duration,
    /// Time for the responses that are in flight when the server ends.
    pub shutdown: Duration,
}

impl Limits {
    /// How many of the connections may listen for events, which keeps them open for long: half of them, so that the others
    /// always come to an end and serve the next client.
    pub(super) fn listeners(&self) -> usize {
        self.connections / 2
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            head: Duration::from_secs(10),
            response: Duration::from_secs(10),
            write: Duration::from_secs(10),
            shutdown: Duration::from_secs(1),
        }
    }
}

/// Serves on `listener` until `shutdown` completes; see [`super::serve`].
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut clients: Vec<Client> = Vec::new();
    let mut waiting: Option<(TcpStream, IpAddr)> = None;
    tokio::pin!(shutdown);
    loop {
        let has_room = connections.len() < limits.connections;
        if has_room && let Some((stream, address)) = waiting.take() {
            clients.retain(|client| !client.task.is_finished());
            let (has_head, crowded) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
            let connection = Connection {
                router: router.clone(),
                limits: limits.clone(),
                has_head: Arc::clone(&has_head),
                crowded: Arc::clone(&crowded),
                stopping: stopping.clone(),
            };
            let task = connections.spawn(connection.serve(stream));
            clients.push(Client { address, has_head, crowded, task });
            continue;
        }
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener), if waiting.is_none() => {
                waiting = Some(accepted);
                if connections.len() >= limits.connections {
                    make_room(&clients);
                }
            }
        }
    }
    drop((listener, waiting));
    stop.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // What is not written by then is cut off with the set.
    let _ = timeout(limits.shutdown, all_ended).await;
}

/// A connection, as the listener sees it.
struct Client {
    address: IpAddr,
    /// Whether it has sent a whole request head.
    has_head: Arc<AtomicBool>,
    /// Told when its place is wanted.
    crowded: Arc<Notify>,
    task: AbortHandle,
}

/// Ends a client that has yet to say what it wants; if there is none, those that may want nothing more. `clients` are in the
/// order in which they came.
fn make_room(clients: &[Client]) {
    let is_silent = |client: &&Client| !client.has_head.load(Ordering::Relaxed) && !client.task.is_finished();
    let silent = || clients.iter().filter(is_silent);
    let of_same = |client: &Client| silent().filter(|other| other.address == client.address).count();
    // Of several that are the largest it takes the last: reversed, the one that came first.
    match silent().rev().max_by_key(|client| of_same(client)) {
        Some(client) => client.task.abort(),
        None => clients.iter().for_each(|client| client.crowded.notify_one()),
    }
}

/// The next connection. Safe to cancel.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address.ip()),
            // The client has gone again.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "http connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What one connection is served with.
struct Connection {
    router: Router,
    limits: Limits,
    has_head: Arc<AtomicBool>,
    crowded: Arc<Notify>,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    /// Serves until the connection is closed, out of time, not wanted any more, or the server ends.
    async fn serve(mut self, stream: TcpStream) {
        let (has_head, service) = (self.has_head, TowerToHyperService::new(self.router));
        let service = service_fn(move |request| {
            has_head.store(true, Ordering::Relaxed);
            service.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(
                TokioIo::new(WriteLimited { stream, limit: self.limits.write, stalled: None }),
                service,
            );
        tokio::pin!(connection);
        // How a connection ends is its client's affair; what a client should know it was answered.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.stopping.wait_for(|is_stopping| *is_stopping) => {}
            () = self.crowded.notified() => {}
        }
        // At once between two requests, else after the response.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// A stream whose writing fails when the other side takes nothing for a time.
struct WriteLimited {
    stream: TcpStream,
    limit: Duration,
    /// The end of the time, while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl WriteLimited {
    /// Passes the outcome of a write on, or the error that it waits for too long.
    fn limit(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WriteLimited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WriteLimited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A TCP stream has nothing to flush: it waits in writing alone.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients that never end by themselves, with whether each has sent a head.
    fn clients(set: &mut JoinSet<()>, all: &[(&str, bool)]) -> Vec<Client> {
        let client = |&(address, has_head): &(&str, bool)| Client {
            address: address.parse().unwrap(),
            has_head: Arc::new(AtomicBool::new(has_head)),
            crowded: Arc::new(Notify::new()),
            task: set.spawn(std::future::pending()),
        };
        all.iter().map(client).collect()
    }

    /// Which of the clients has been ended, if one has.
    async fn ended(all: &[(&str, bool)]) -> Option<usize> {
        let mut set = JoinSet::new();
        let clients = clients(&mut set, all);
        make_room(&clients);
        tokio::task::yield_now().await;
        while set.try_join_next().is_some() {}
        clients.iter().position(|client| client.task.is_finished())
    }

    #[tokio::test]
    async fn the_oldest_silent_client_goes_of_the_address_that_has_most_of_them() {
        let (neighbour, other) = ("192.0.2.1", "192.0.2.2");
        let all = [(other, false), (neighbour, true), (neighbour, false), (neighbour, false), (other, true)];
        assert_eq!(ended(&all).await, Some(2));
        assert_eq!(ended(&[(neighbour, true), (other, false), (neighbour, false)]).await, Some(1));
        assert_eq!(
            ended(&[(neighbour, true), (other, true)]).await,
            None,
            "a client that is served is not cut off"
        );
    }
}
