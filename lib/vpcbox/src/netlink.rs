//! Links, addresses, neighbors and routes of a network namespace, one netlink request per call.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use nix::sched::{CloneFlags, setns};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, MulticastGroup, RouteMessageBuilder,
};

use tokio::time::Instant;

use crate::failure::Failure;

/// The MTU inside a VPC.
const VPC_MTU: u32 = 9001;

/// A netlink socket in one network namespace.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    handle: Handle,
    place: String,
}

/// A link as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) up: bool,
}

/// A veth pair between a port of the router and a node.
#[derive(Debug)]
pub(crate) struct VethPair<'a> {
    pub(crate) port: &'a str,
    pub(crate) link: &'a str,
    pub(crate) mac: [u8; 6],
    pub(crate) holder: u32,
}

impl Net {
    /// A socket in the network namespace of the calling thread.
    pub(crate) fn here(place: &str) -> Result<Self, Failure> {
        let (connection, handle, _messages) = rtnetlink::new_connection()
            .map_err(|e| Failure::kernel("open netlink in", place, e))?;
        tokio::spawn(connection);
        Ok(Self { handle, place: place.to_owned() })
    }

    /// A socket in the network namespace of a process. The calling thread keeps its own namespace.
    pub(crate) fn of(pid: u32, place: &str) -> Result<Self, Failure> {
        Self::at(Path::new(&format!("/proc/{pid}/ns/net")), place)
    }

    /// A socket in the network namespace of a file. The calling thread keeps its own namespace.
    pub(crate) fn at(path: &Path, place: &str) -> Result<Self, Failure> {
        let failed = |e| Failure::kernel("open", path.display().to_string(), e);
        let file = File::open(path).map_err(failed)?;
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _inside = runtime.enter();
                    setns(&file, CloneFlags::CLONE_NEWNET)
                        .map_err(|e| Failure::kernel("join the network of", place, e))?;
                    Self::here(place)
                })
                .join()
        });
        thread.unwrap_or_else(|_panic| {
            Err(Failure::Died { what: format!("the thread that joins the network of {place}") })
        })
    }

    fn failed(
        &self,
        operation: &'static str,
        object: &str,
    ) -> impl FnOnce(rtnetlink::Error) -> Failure {
        let object = format!("{object} in {}", self.place);
        move |source| Failure::netlink(operation, object, source)
    }

    /// The link with this name, if it exists.
    pub(crate) async fn link(&self, name: &str) -> Result<Link, Failure> {
        let mut links = self.handle.link().get().match_name(name.to_owned()).execute();
        let found = links.try_next().await.map_err(self.failed("look up link", name))?;
        let none = || Failure::Died { what: format!("link {name} in {} is gone", self.place) };
        let message = found.ok_or_else(none)?;
        Ok(Link { index: message.header.index, up: message.header.flags.contains(LinkFlags::Up) })
    }

    /// Creates a veth pair from a new port here to a new link in the holder's namespace.
    pub(crate) async fn create_veth_pair(&self, veth_pair: &VethPair<'_>) -> Result<u32, Failure> {
        let peer = LinkMessageBuilder::<LinkUnspec>::default()
            .name(veth_pair.link)
            .address(veth_pair.mac.to_vec())
            .mtu(VPC_MTU)
            .setns_by_pid(veth_pair.holder)
            .build();
        self.add_veth(veth_pair.port, peer).await
    }

    /// Creates a veth pair from a new link here to one in the network of a pod.
    pub(crate) async fn create_pod_link(
        &self,
        name: &str,
        (inside, network): (&str, &File),
    ) -> Result<u32, Failure> {
        let peer = LinkMessageBuilder::<LinkUnspec>::default()
            .name(inside)
            .mtu(VPC_MTU)
            .setns_by_fd(network.as_raw_fd())
            .build();
        self.add_veth(name, peer).await
    }

    /// A veth pair that leads nowhere: packets into it are dropped silently.
    pub(crate) async fn create_sink(&self, name: &str, end: &str) -> Result<u32, Failure> {
        let peer = LinkMessageBuilder::<LinkUnspec>::default().name(end).mtu(VPC_MTU).build();
        let index = self.add_veth(name, peer).await?;
        let quiet = LinkMessageBuilder::<LinkUnspec>::default().index(index).arp(false).build();
        self.set_link(quiet, name).await?;
        let end_index = self.link(end).await?.index;
        self.set_up(end_index, true).await?;
        self.set_up(index, true).await?;
        Ok(index)
    }

    async fn add_veth(&self, name: &str, peer: LinkMessage) -> Result<u32, Failure> {
        let message = LinkMessageBuilder::<LinkVeth>::new(name, "unused")
            .mtu(VPC_MTU)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        let added = self.handle.link().add(message).execute().await;
        added.map_err(self.failed("create veth", name))?;
        Ok(self.link(name).await?.index)
    }

    /// Deletes a link together with its peer.
    pub(crate) async fn delete_link(&self, index: u32) -> Result<(), Failure> {
        let deleted = self.handle.link().del(index).execute().await;
        deleted.map_err(self.failed("delete link", &index.to_string()))
    }

    /// Sets a link up or down.
    pub(crate) async fn set_up(&self, index: u32, up: bool) -> Result<(), Failure> {
        let builder = LinkMessageBuilder::<LinkUnspec>::default().index(index);
        let message = if up { builder.up() } else { builder.down() }.build();
        self.set_link(message, &index.to_string()).await
    }

    async fn set_link(&self, message: LinkMessage, name: &str) -> Result<(), Failure> {
        self.handle.link().set(message).execute().await.map_err(self.failed("set link", name))
    }

    /// Adds an address.
    pub(crate) async fn add_address(
        &self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<(), Failure> {
        let added = self.handle.address().add(index, address.into(), prefix).execute().await;
        added.map_err(self.failed("add address", &format!("{address}/{prefix}")))
    }

    /// Removes an address from all links that have it; returns the number of those links.
    pub(crate) async fn strip_address(&self, address: Ipv4Addr) -> Result<usize, Failure> {
        let request = self.handle.address().get().set_address_filter(IpAddr::V4(address));
        let found: Vec<_> =
            request.execute().try_collect().await.map_err(self.failed("list", "addresses"))?;
        let count = found.len();
        for message in found {
            let deleted = self.handle.address().del(message).execute().await;
            deleted.map_err(self.failed("remove address", &address.to_string()))?;
        }
        Ok(count)
    }

    /// Adds a permanent neighbor entry, so that the kernel never sends ARP requests for the
    /// address.
    pub(crate) async fn add_permanent_neighbor(
        &self,
        index: u32,
        address: Ipv4Addr,
        mac: [u8; 6],
    ) -> Result<(), Failure> {
        let request = self.handle.neighbours().add(index, address.into()).link_layer_address(&mac);
        let added = request.replace().execute().await;
        added.map_err(self.failed("add permanent neighbor", &address.to_string()))
    }

    /// Adds or replaces a route to a destination.
    pub(crate) async fn replace_route(
        &self,
        route: RouteMessage,
        label: &str,
    ) -> Result<(), Failure> {
        let put = self.handle.route().add(route).replace().execute().await;
        put.map_err(self.failed("replace route", label))
    }

    /// Deletes a route.
    pub(crate) async fn delete_route(&self, to: Ipv4Addr) -> Result<(), Failure> {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32).build();
        route.header.scope = RouteScope::NoWhere;
        let deleted = self.handle.route().del(route).execute().await;
        deleted.map_err(self.failed("delete route", &to.to_string()))
    }
}

/// Removes an address from the kernel of this network namespace, and waits until it is restored.
/// Returns how long it was missing, according to netlink notifications.
pub(crate) async fn measure_restore(
    address: Ipv4Addr,
    timeout: Duration,
) -> Result<Duration, Failure> {
    let (connection, _handle, mut notifications) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv4Ifaddr])
            .map_err(|e| Failure::kernel("open netlink in", "this node", e))?;
    tokio::spawn(connection);
    let start = Instant::now();
    let stripped = Net::here("this node")?.strip_address(address).await?;
    if stripped == 0 {
        let missing = std::io::Error::other("no link of this node has it");
        return Err(Failure::kernel("remove", address.to_string(), missing));
    }
    let late = || Failure::TimedOut {
        what: format!("{address} restored in the kernel"),
        seconds: timeout.as_secs_f64(),
        last: "no link has it".to_owned(),
    };
    let wait = async {
        while let Some((message, _from)) = notifications.next().await {
            if is_new_address(&message.payload, address) {
                return Ok(start.elapsed());
            }
        }
        Err(Failure::Died { what: "the stream of netlink notifications ended".to_owned() })
    };
    tokio::time::timeout(timeout, wait).await.unwrap_or_else(|_elapsed| Err(late()))
}

fn is_new_address(message: &NetlinkPayload<RouteNetlinkMessage>, address: Ipv4Addr) -> bool {
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(new)) = message else {
        return false;
    };
    let local = AddressAttribute::Local(IpAddr::V4(address));
    new.attributes.contains(&local)
}

/// A directly connected route through a link.
pub(crate) fn direct(to: Ipv4Addr, prefix: u8, index: u32) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to, prefix)
        .output_interface(index)
        .scope(RouteScope::Link)
        .build()
}

/// A route through a gateway that is assumed to be on the link.
pub(crate) fn via(to: Ipv4Addr, prefix: u8, gateway: Ipv4Addr, index: u32) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to, prefix)
        .gateway(gateway)
        .output_interface(index)
        .onlink()
        .build()
}
