//! A network namespace, kept alive by a file, and its operations for tests.

use std::fmt::Display;
use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::address::{AddressAttribute, AddressProtocol};
use rtnetlink::packet_route::link::{
    InfoData, InfoVeth, LinkAttribute, LinkLayerType, LinkMessage, State,
};
use rtnetlink::packet_route::route::{RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// The file of the calling thread's network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace. It exists as long as this value, a clone of it, or a process in it.
#[derive(Debug, Clone)]
pub struct Net(Arc<File>);

fn must<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

impl Net {
    /// The namespace of the calling thread.
    pub fn current() -> Self {
        Self(Arc::new(must(File::open(OWN), "open the network namespace")))
    }

    /// A new namespace with the loopback up.
    #[expect(clippy::new_without_default, reason = "it has an effect on the kernel")]
    pub fn new() -> Self {
        let make = || {
            must(unshare(CloneFlags::CLONE_NEWNET), "create a network namespace");
            Self::current()
        };
        let net =
            thread::scope(|scope| scope.spawn(make).join()).unwrap_or_else(|e| resume_unwind(e));
        net.up("lo");
        net
    }

    /// A new namespace that belongs to a user namespace of its own, as that of a pod with
    /// `hostUsers: false`.
    pub fn of_other_users() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "cat"]);
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = must(started, "start unshare");
        // Its answer shows that it is in its namespaces. It runs until its input ends.
        let mut input = child.stdin.take().expect("an input");
        input.write_all(b"in\n").expect("write to cat");
        let mut answer = [0_u8; 3];
        let mut output = child.stdout.take().expect("an output");
        output.read_exact(&mut answer).expect("read from cat");
        let file = File::open(format!("/proc/{}/ns/net", child.id()));
        let net = Self(Arc::new(must(file, "open the network namespace")));
        drop(input);
        must(child.wait(), "wait for cat");
        net.up("lo");
        net
    }

    /// Shows this namespace as a file, as a container runtime does. The file must not exist.
    pub fn show_at(&self, path: &Path) {
        must(File::create_new(path), "create the file of a namespace");
        let own = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let (none, bind) = (None::<&str>, MsFlags::MS_BIND);
        must(mount(Some(own.as_str()), path, none, bind, none), "mount a namespace");
    }

    /// Runs the closure in this namespace, on its own thread; a panic propagates.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            must(setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET), "enter the network namespace");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|e| resume_unwind(e))
    }

    /// Runs the future in this namespace, on its own runtime whose blocking threads are in it as
    /// well.
    pub fn block_on<T: Send, F: Future<Output = T>>(&self, work: impl FnOnce() -> F + Send) -> T {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            must(runtime, "create a runtime").block_on(async { work().await })
        })
    }

    /// Runs the future with a netlink connection of this namespace.
    pub fn netlink<T: Send, F: Future<Output = T>>(
        &self,
        work: impl FnOnce(Handle) -> F + Send,
    ) -> T {
        self.block_on(|| async {
            let (connection, handle, _) = must(rtnetlink::new_connection(), "open netlink");
            let task = tokio::spawn(connection);
            let result = work(handle).await;
            task.abort();
            result
        })
    }

    fn change(&self, message: LinkMessage, what: &str) {
        must(self.netlink(|h| async move { h.link().change(message).execute().await }), what);
    }

    fn add_link(&self, message: LinkMessage, what: &str) {
        must(self.netlink(|h| async move { h.link().add(message).execute().await }), what);
    }

    /// All links, as kernel messages.
    pub fn link_messages(&self) -> Vec<LinkMessage> {
        let all = self.netlink(|h| async move { h.link().get().execute().try_collect().await });
        must::<Vec<LinkMessage>, _>(all, "list links")
    }

    /// Waits until the kernel has reported each veth as up, which it does with a delay.
    pub fn settle(&self) {
        let pending = |link: &LinkMessage| {
            let of = |wanted: &LinkAttribute| link.attributes.contains(wanted);
            let is_lo = link.header.link_layer_type == LinkLayerType::Loopback;
            !is_lo && !of(&LinkAttribute::OperState(State::Up))
        };
        for _attempt in 0..6_000 {
            if !self.link_messages().iter().any(pending) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("a link did not come up within 30 s");
    }

    /// The index of the link with this name.
    pub fn index(&self, name: &str) -> u32 {
        let link = self.link(name);
        link.header.index
    }

    /// The link with this name.
    pub fn link(&self, name: &str) -> LinkMessage {
        let named = |link: &LinkMessage| {
            link.attributes.iter().any(|a| matches!(a, LinkAttribute::IfName(n) if n == name))
        };
        self.link_messages().into_iter().find(named).unwrap_or_else(|| panic!("no link {name}"))
    }

    /// Creates a veth pair, both ends up: `name` here, `peer_name` in `peer`.
    pub fn veth(&self, name: &str, peer: &Self, peer_name: &str) {
        let other = LinkUnspec::new_with_name(peer_name).setns_by_fd(peer.0.as_raw_fd()).build();
        let pair = LinkVeth::new(name, peer_name);
        let pair = pair.set_info_data(InfoData::Veth(InfoVeth::Peer(other))).build();
        self.add_link(pair, "create a veth pair");
        self.up(name);
        peer.up(peer_name);
    }

    /// Creates a bridge.
    pub fn bridge(&self, name: &str) {
        self.add_link(LinkBridge::new(name).build(), "create a bridge");
    }

    /// Sets the master of a link, or removes the link from its master.
    pub fn set_master(&self, name: &str, master: Option<&str>) {
        let master = master.map_or(0, |master| self.index(master));
        let port = LinkUnspec::new_with_index(self.index(name)).controller(master).build();
        self.change(port, "set the master of a link");
    }

    /// Sets a link up.
    pub fn up(&self, name: &str) {
        self.change(LinkUnspec::new_with_index(self.index(name)).up().build(), "set a link up");
    }

    /// Sets a link down.
    pub fn down(&self, name: &str) {
        self.change(LinkUnspec::new_with_index(self.index(name)).down().build(), "set a link down");
    }

    /// Renames a link.
    pub fn rename(&self, name: &str, new: &str) {
        let link = LinkUnspec::new_with_index(self.index(name)).name(new.to_owned()).build();
        self.change(link, "rename a link");
    }

    /// Deletes a link; deleting one end of a veth pair deletes the other as well.
    pub fn delete_link(&self, name: &str) {
        let index = self.index(name);
        must(self.netlink(|h| async move { h.link().del(index).execute().await }), "delete a link");
    }

    /// Sets the MAC of a link.
    pub fn set_mac(&self, name: &str, mac: [u8; 6]) {
        let link = LinkUnspec::new_with_index(self.index(name)).address(mac.to_vec()).build();
        self.change(link, "set a MAC");
    }

    /// Sets the MTU of a link.
    pub fn set_mtu(&self, name: &str, mtu: u32) {
        let link = LinkUnspec::new_with_index(self.index(name)).mtu(mtu).build();
        self.change(link, "set an MTU");
    }

    /// The MTU of a link.
    pub fn mtu(&self, name: &str) -> u32 {
        let mtu =
            |a: &LinkAttribute| if let LinkAttribute::Mtu(mtu) = a { Some(*mtu) } else { None };
        self.link(name).attributes.iter().find_map(mtu).expect("a link has an MTU")
    }

    /// The MAC of a link.
    pub fn mac(&self, name: &str) -> [u8; 6] {
        let mac = |a: &LinkAttribute| match a {
            LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok(),
            _other => None,
        };
        self.link(name).attributes.iter().find_map(mac).expect("a link has a MAC")
    }

    /// Adds an address, tagged with a protocol or not.
    pub fn add_address(&self, link: &str, address: Ipv4Addr, prefix: u8, protocol: Option<u8>) {
        let index = self.index(link);
        let added = self.netlink(|h| async move {
            let mut request = h.address().add(index, address.into(), prefix);
            let tag = protocol.map(AddressProtocol::from).map(AddressAttribute::Protocol);
            request.message_mut().attributes.extend(tag);
            request.execute().await
        });
        must(added, "add an address");
    }

    /// Deletes an address.
    pub fn delete_address(&self, link: &str, address: Ipv4Addr, prefix: u8) {
        let index = self.index(link);
        let deleted = self.netlink(|h| async move {
            let message = h.address().add(index, address.into(), prefix).message_mut().clone();
            h.address().del(message).execute().await
        });
        must(deleted, "delete an address");
    }

    /// Adds a route; `0.0.0.0/0` is the default route, table 254 the main one.
    pub fn add_route(&self, to: (Ipv4Addr, u8), via: Option<Ipv4Addr>, link: &str, table: u32) {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.0, to.1)
            .output_interface(self.index(link))
            .protocol(RouteProtocol::Boot)
            .table_id(table);
        route = match via {
            Some(via) => route.gateway(via),
            None => route.scope(RouteScope::Link),
        };
        let route = route.build();
        must(self.netlink(|h| async move { h.route().add(route).execute().await }), "add a route");
    }

    /// Adds a route that refuses packets to this destination, in the main table.
    pub fn prohibit(&self, to: (Ipv4Addr, u8)) {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.0, to.1)
            .kind(RouteType::Prohibit)
            .build();
        must(self.netlink(|h| async move { h.route().add(route).execute().await }), "add a route");
    }

    /// Sets the MAC of an address on a link for good, as the mapping of a VPC does.
    pub fn add_neighbour(&self, link: &str, address: Ipv4Addr, mac: [u8; 6]) {
        let index = self.index(link);
        let added = self.netlink(|h| async move {
            h.neighbours().add(index, address.into()).link_layer_address(&mac).execute().await
        });
        must(added, "add a neighbour");
    }

    /// Adds a rule `from SOURCE/32 lookup TABLE` with this priority and protocol.
    pub fn add_rule(&self, source: Ipv4Addr, table: u32, priority: u32, protocol: u8) {
        let added = self.netlink(|h| async move {
            let rule = h.rule().add().v4().source_prefix(source, 32).table_id(table);
            let mut rule = rule.priority(priority).action(RuleAction::ToTable);
            let tag = RuleAttribute::Protocol(RouteProtocol::from(protocol));
            rule.message_mut().attributes.push(tag);
            rule.execute().await
        });
        must(added, "add a rule");
    }

    /// Deletes the rule `from SOURCE/32 lookup TABLE` with this priority and protocol.
    pub fn delete_rule(&self, source: Ipv4Addr, table: u32, priority: u32, protocol: u8) {
        let deleted = self.netlink(|h| async move {
            let rule = h.rule().add().v4().source_prefix(source, 32).table_id(table);
            let mut rule = rule.priority(priority).action(RuleAction::ToTable);
            let tag = RuleAttribute::Protocol(RouteProtocol::from(protocol));
            rule.message_mut().attributes.push(tag);
            let message = rule.message_mut().clone();
            h.rule().del(message).execute().await
        });
        must(deleted, "delete a rule");
    }

    /// Deletes the first route to this destination in this table, whatever its protocol.
    pub fn delete_route(&self, to: (Ipv4Addr, u8), table: u32) {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.0, to.1)
            .table_id(table)
            .build();
        route.header.protocol = RouteProtocol::Unspec;
        route.header.scope = RouteScope::NoWhere;
        let deleted = self.netlink(|h| async move { h.route().del(route).execute().await });
        must(deleted, "delete a route");
    }

    /// The source address that this namespace chooses for a destination.
    pub fn source_for(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        self.run(|| {
            let socket = must(UdpSocket::bind("0.0.0.0:0"), "bind");
            socket.connect((destination, 9)).ok()?;
            match socket.local_addr().ok()?.ip() {
                std::net::IpAddr::V4(source) => Some(source),
                std::net::IpAddr::V6(_) => None,
            }
        })
    }

    /// Sets a value below `/proc/sys` for this namespace.
    pub fn set_sysctl(&self, key: &str, value: &str) {
        self.run(|| must(std::fs::write(format!("/proc/sys/{key}"), value), key));
    }

    /// Reads a value below `/proc/sys` of this namespace.
    pub fn sysctl(&self, key: &str) -> String {
        let text = self.run(|| must(std::fs::read_to_string(format!("/proc/sys/{key}")), key));
        text.trim().to_owned()
    }
}
