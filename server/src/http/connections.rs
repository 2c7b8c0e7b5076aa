//! Accepts connections and answers on them, HTTP/1.1 alone. `axum::serve` was rejected: it looks whether a connection begins
//! like HTTP/2 before it reads on, and what it has read then makes hyper double its buffer, which every follower of the
//! watermark would keep for as long as it listens.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service;

/// How long nothing is accepted where the system has nothing left to accept it with, such as files to open.
const RESPITE: Duration = Duration::from_secs(1);

/// Answers until `stop`, then until every connection has got the answer to what it asked before.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let (stopping, _) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => accepted,
        };
        tokio::spawn(answer(stream, address, router.clone(), stopping.subscribe()));
    }
    drop(listener);
    stopping.send_replace(());
    stopping.closed().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // It was given up while it waited.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted; the next try is in a second");
                tokio::time::sleep(RESPITE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers on one connection, until either side ends it.
async fn answer(stream: TcpStream, address: SocketAddr, router: Router, mut stopping: watch::Receiver<()>) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(address));
        // A router is always ready.
        Service::<hyper::Request<Body>>::call(&mut router.clone(), request)
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
