//! Connections of clients that may be slow, idle or many.
//!
//! Whatever clients do, they hold at most so many connections and each for a limited time without progress, so that broker
//! and journal always find a descriptor; see [`Limits`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
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
    /// Connections at a time. Further ones wait in the listener's queue, where they hold no descriptor.
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
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < limits.connections => {
                connections.spawn(serve_connection(stream, router.clone(), limits.clone(), stopping.clone()));
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // What is not written by then is cut off with the set.
    let _ = timeout(limits.shutdown, all_ended).await;
}

/// The next connection. Safe to cancel.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
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

/// Serves one connection until it is closed, out of time, or the server ends.
async fn serve_connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(
            TokioIo::new(WriteLimited { stream, limit: limits.write, stalled: None }),
            TowerToHyperService::new(router),
        );
    tokio::pin!(connection);
    // How a connection ends is its client's affair; what a client should know it was answered.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
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
