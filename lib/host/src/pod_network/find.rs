//! Which network namespace a connection comes from.
//!
//! Routes, neighbours and forwarding tables of bridges prove nothing: with NET_RAW a pod moves them
//! by gratuitous ARP. The other end of the connection itself is in the namespace of the pod.
//!
//! Other namespaces are asked only about this address and this connection, because their pods may
//! have filled them with anything.

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use super::PodNetwork;
use super::namespace::{Namespace, enter, names, own_cookie};
use crate::error::HostError;
use crate::kernel::{route, socket};

/// The network of the pod at the other end of the connection from `peer` to `own`, or why it is not
/// clear: exactly one namespace has that end, and it is the only one with the address `peer`.
pub(super) async fn of_connection(
    dir: &Path,
    limit: Duration,
    (peer, own): (SocketAddrV4, SocketAddrV4),
) -> Result<Result<PodNetwork, String>, HostError> {
    let mut seen = vec![own_cookie().map_err(|source| super::failed("read", dir, source))?];
    let mut with_address = Vec::new();
    for name in names(dir)? {
        // One at a time: a node has a hundred pods, and each open namespace costs sockets.
        for mut one in enter(dir, limit, vec![(name, None)]).await? {
            let Namespace { cookie, route, sockets, .. } = &mut one;
            if seen.contains(cookie) || !route::is_local(route, *peer.ip()).await? {
                continue;
            }
            seen.push(*cookie);
            let connected = socket::is_connected(sockets, (peer, own)).await?;
            let network = PodNetwork { cookie: *cookie, ip: *peer.ip(), name: one.name };
            with_address.push((network, connected));
        }
    }
    let count = with_address.len();
    let mut connected = with_address.into_iter().filter(|(_, connected)| *connected);
    Ok(match (connected.next(), count) {
        (Some((network, _)), 1) => Ok(network),
        (None, _) => {
            Err(format!("no network namespace in {} has the connection from {peer}", dir.display()))
        }
        (Some(_), _) => Err(format!("{count} network namespaces have the address {}", peer.ip())),
    })
}
