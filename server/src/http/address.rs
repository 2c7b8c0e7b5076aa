//! Where a request comes from: the peer, or what the proxies in front of us say, as far as they are trusted.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::App;

const FORWARDED: &str = "x-forwarded-for";

/// The address of the client itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, &parts.extensions, app))
    }
}

impl ClientAddress {
    /// The same, of a request that was taken apart already.
    pub fn of(headers: &HeaderMap, extensions: &Extensions, app: &App) -> Self {
        // Every connection is accepted with its peer; were it not, all would count as one client, which is the safe side.
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(peer)| peer.ip().to_canonical());
        Self(client(peer, headers, &app.proxies))
    }
}

/// Each proxy appends who spoke to it. Read from the end, the first that is no proxy of ours is the client: what stands
/// before it, the client may have written itself.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|range| range.contains(&address));
    let lines: Vec<&str> = headers.get_all(FORWARDED).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut named = lines.iter().flat_map(|line| line.split(',')).rev();
    let mut client = peer;
    while trusted(client) {
        // Past what cannot be read nothing can be believed.
        let Some(before) = named.next().and_then(address) else { break };
        client = before;
    }
    client
}

/// An address as proxies write it: bare, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse();
    bare.ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip())).map(|address| address.to_canonical())
}
