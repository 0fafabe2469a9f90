//! Listens, serves each connection, and ends without losing a request that was accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::serve::gate::Gate;
use crate::serve::metrics::Metrics;
use crate::serve::routes::{App, router};
use crate::serve::scorer::{Desk, Scorer};
use crate::serve::{Limits, ServeError};

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 64 * 1024;

/// Time beyond the deadline in which accepted requests must be answered after a signal.
const GRACE: Duration = Duration::from_secs(15);

/// A server that listens but does not serve yet.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    events: Events,
}

impl Server {
    /// Listens on `HOST:PORT`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError`]: no such address, or it is taken.
    pub async fn bind(
        listen: &str,
        limits: Limits,
        scorer: Scorer,
        events: Events,
    ) -> Result<Self, ServeError> {
        let named = |source| ServeError::Address { listen: listen.to_owned(), source };
        let addresses: Vec<SocketAddr> = lookup_host(listen).await.map_err(named)?.collect();
        let mut result = Err(io::Error::other("the name has no address"));
        for address in addresses {
            result = bound(address);
            if result.is_ok() {
                break;
            }
        }
        let listener =
            result.map_err(|source| ServeError::Listen { listen: listen.to_owned(), source })?;
        let metrics = Arc::new(Metrics::default());
        let app = Arc::new(App {
            gate: Gate::new(&limits),
            desk: Desk::new(scorer, limits.workers, Arc::clone(&metrics)),
            limits,
            metrics,
            draining: AtomicBool::new(false),
        });
        Ok(Self { listener, app, events })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `cancel`, then answers what was accepted and returns.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { listener, app, events } = self;
        let routes = router(Arc::clone(&app));
        let room = Arc::new(Semaphore::new(app.limits.connections));
        let mut open = JoinSet::new();
        loop {
            let permit = tokio::select! {
                () = cancel.cancelled() => break,
                permit = Arc::clone(&room).acquire_owned() => permit,
            };
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let work = connection(stream, Arc::clone(&app), routes.clone(), cancel.clone());
                    open.spawn(async move {
                        work.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, or a client that went away: it passes.
                    events.notice(format!("a connection could not be accepted: {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while open.try_join_next().is_some() {}
        }
        app.draining.store(true, Ordering::Relaxed);
        drop(listener);
        let all = async { while open.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(app.limits.deadline + GRACE, all).await;
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn connection(stream: TcpStream, app: Arc<App>, routes: Router, cancel: CancellationToken) {
    let open = app.metrics.connection();
    // Small answers must not wait for the acknowledgement of what went before.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(routes);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.read_timeout)
        .max_buf_size(MAX_HEAD);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // Errors here are the client's: it went away or does not speak HTTP.
        _ = serving.as_mut() => {}
        () = cancel.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
    drop(open);
}
