//! The box's hardware: the router, a namespace for each node and client, and the cables between
//! them. It is made to agree with the world, again and again, by [`Plant::agree`].

pub(crate) mod cabling;
mod processes;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_vpc::{ClientView, NodeState, NodeView, SubnetView};
use ipnet::Ipv4Net;

use crate::boot::ExtraEnis;
use crate::failure::Failure;
use crate::holder::Holder;
use crate::netlink::{self, Net};
use crate::protocol::Routed;
use crate::sysctl;
use cabling::{Plan, Port, Site};

/// Where the metadata service listens.
pub(crate) const IMDS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Where EC2 listens: of the range for benchmarks (RFC 2544), so that no VPC has it.
pub(crate) const EC2: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// The router, as machines outside the VPC see it.
pub(crate) const OUTSIDE_GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// What the box keeps for itself; no subnet or client may overlap it.
const RESERVED: [&str; 2] = ["198.18.0.0/24", "169.254.0.0/16"];

/// What the world says should be.
pub(crate) struct Wanted {
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) clients: Vec<ClientView>,
    /// Address to the ENI that receives its packets.
    pub(crate) data_path: BTreeMap<Ipv4Addr, String>,
}

/// The hardware as it stands.
pub(crate) struct Plant {
    router: Net,
    extra: ExtraEnis,
    sites: BTreeMap<String, Site>,
    /// By ENI, or by the name of a client that has none.
    ports: BTreeMap<String, Port>,
    /// What each `/32` route leads to.
    routes: BTreeMap<Ipv4Addr, String>,
    next_port: u32,
}

impl Plant {
    /// The router, without any cable. To be called in the namespace that becomes the router's.
    pub(crate) async fn new(subnets: &[SubnetView], extra: ExtraEnis) -> Result<Self, Failure> {
        check_ranges(subnets)?;
        sysctl::router()?;
        let router = Net::here("the router")?;
        let lo = router.link("lo").await?.index;
        router.set_up(lo, true).await?;
        for address in [IMDS, EC2] {
            router.add_address(lo, address, 32).await?;
        }
        let sink = router.lay_sink("sink", "sink-end").await?;
        for subnet in subnets {
            let net = subnet.cidr;
            let route = netlink::direct(net.network(), net.prefix_len(), sink);
            router.put_route(route, &net.to_string()).await?;
        }
        Ok(Self {
            router,
            extra,
            sites: BTreeMap::new(),
            ports: BTreeMap::new(),
            routes: BTreeMap::new(),
            next_port: 0,
        })
    }

    /// Makes the hardware what the world says: packets first, because they are what is timed.
    /// Returns the routes that changed.
    pub(crate) async fn agree(&mut self, wanted: &Wanted) -> Result<Vec<Routed>, Failure> {
        let mut changed = self.route(&wanted.data_path).await?;
        let plans = cabling::plans(wanted);
        if self.rebuild(wanted, &plans).await? {
            changed.extend(self.route(&wanted.data_path).await?);
        }
        Ok(changed)
    }

    /// Adds and removes sites and cables. Whether anything changed.
    async fn rebuild(
        &mut self,
        wanted: &Wanted,
        plans: &BTreeMap<String, Plan>,
    ) -> Result<bool, Failure> {
        let mut changed = false;
        let running = running_sites(wanted);
        // A node that was booted again lost everything, as one that was stopped.
        let stays = |name: &str, site: &Site| running.get(name) == Some(&site.boots);
        let dead: Vec<String> = self
            .sites
            .iter()
            .filter(|(name, site)| !stays(name, site))
            .map(|(name, _)| name.clone())
            .collect();
        let gone = |(key, port): &(&String, &Port)| {
            dead.contains(&port.site) || !plans.get(*key).is_some_and(|plan| port.is_of(plan))
        };
        let gone: Vec<String> =
            self.ports.iter().filter(gone).map(|(key, _)| key.clone()).collect();
        for key in gone {
            changed = true;
            self.remove_port(&key).await?;
        }
        for name in dead {
            if let Some(site) = self.sites.remove(&name) {
                processes::end_site(&name, site.holder.pid())?;
            }
        }
        for (name, boots) in running {
            if !self.sites.contains_key(name) {
                let site = Site::open(name, boots).await?;
                self.sites.insert(name.to_owned(), site);
            }
        }
        let mut new: Vec<_> =
            plans.iter().filter(|(key, _)| !self.ports.contains_key(*key)).collect();
        // The primary one first, as at a boot: link indexes follow.
        new.sort_by_key(|(_, plan)| (&plan.site, !plan.configured, &plan.link));
        for (key, plan) in new {
            changed = true;
            self.add_port(key, plan).await?;
        }
        Ok(changed)
    }

    async fn add_port(&mut self, key: &str, plan: &Plan) -> Result<(), Failure> {
        let Some(site) = self.sites.get(&plan.site) else {
            return Err(Failure::Died { what: format!("{} has no namespace", plan.site) });
        };
        let name = format!("port{}", self.next_port);
        self.next_port = self.next_port.saturating_add(1);
        let port = cabling::lay(&self.router, site, plan, &name).await?;
        cabling::configure(site, plan, self.extra).await?;
        self.routes.insert(plan.primary, key.to_owned());
        self.ports.insert(key.to_owned(), port);
        Ok(())
    }

    async fn remove_port(&mut self, key: &str) -> Result<(), Failure> {
        let Some(port) = self.ports.remove(key) else { return Ok(()) };
        // The kernel drops the port's routes with it.
        self.routes.retain(|_, eni| eni != key);
        self.router.delete_link(port.index).await
    }

    /// Makes each `/32` route follow the data path.
    async fn route(&mut self, wanted: &BTreeMap<Ipv4Addr, String>) -> Result<Vec<Routed>, Failure> {
        let mut changed = Vec::new();
        let stale: Vec<Ipv4Addr> =
            self.routes.keys().filter(|a| !self.has_port(wanted, **a)).copied().collect();
        for address in stale {
            // An address that nobody has falls into the sink of its subnet.
            self.router.delete_route(address).await?;
            self.routes.remove(&address);
            changed.push(Routed { at_us: 0, address, eni: None, node: None });
        }
        for (address, eni) in wanted {
            let Some(port) = self.ports.get(eni) else { continue };
            if self.routes.get(address) == Some(eni) {
                continue;
            }
            let route = port.route_to(*address);
            self.router.put_route(route, &address.to_string()).await?;
            self.routes.insert(*address, eni.clone());
            let node = Some(port.site.clone());
            changed.push(Routed { at_us: 0, address: *address, eni: Some(eni.clone()), node });
        }
        Ok(changed)
    }

    /// Whether the address leads to a port, by the data path or as a client's outside the VPC.
    fn has_port(&self, wanted: &BTreeMap<Ipv4Addr, String>, address: Ipv4Addr) -> bool {
        let outside = || self.ports.values().any(|p| p.outside && p.primary == address);
        wanted.get(&address).is_some_and(|eni| self.ports.contains_key(eni)) || outside()
    }

    /// The node or client whose port an address is routed to.
    pub(crate) fn site_of(&self, address: Ipv4Addr) -> Option<&str> {
        let key = self.routes.get(&address)?;
        self.ports.get(key).map(|port| port.site.as_str())
    }

    /// The ENI that an address is routed to.
    pub(crate) fn routed(&self, address: Ipv4Addr) -> Option<&str> {
        self.routes.get(&address).map(String::as_str)
    }

    /// The primary address of a node or client.
    pub(crate) fn primary_of(&self, name: &str) -> Option<Ipv4Addr> {
        let ports = self.ports.values().filter(|port| port.site == name);
        ports.min_by(|a, b| a.link.cmp(&b.link)).map(|port| port.primary)
    }

    /// The namespaces of a node or client.
    pub(crate) fn site(&self, name: &str) -> Option<&Site> {
        self.sites.get(name)
    }

    /// The names of all nodes and clients that stand.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sites.keys().cloned().collect()
    }

    /// The port of an ENI.
    pub(crate) fn port(&self, eni: &str) -> Option<&Port> {
        self.ports.get(eni)
    }

    /// The node or client whose holder has this process id.
    pub(crate) fn holder_named(&self, pid: u32) -> Option<&str> {
        let mut sites = self.sites.iter();
        sites.find(|(_, site)| site.holder.pid() == pid).map(|(name, _)| name.as_str())
    }
}

impl Site {
    async fn open(name: &str, boots: u64) -> Result<Self, Failure> {
        let holder = Holder::start(name)?;
        let net = Net::of(holder.pid(), name)?;
        let lo = net.link("lo").await?.index;
        net.set_up(lo, true).await?;
        Ok(Self { holder, net, boots })
    }
}

/// The nodes and clients that run, each with the number of its boot.
fn running_sites(wanted: &Wanted) -> BTreeMap<&str, u64> {
    let nodes = wanted.nodes.iter().filter(|node| node.state == NodeState::Running);
    let nodes = nodes.map(|node| (node.name.as_str(), node.boots));
    nodes.chain(wanted.clients.iter().map(|client| (client.name.as_str(), 0))).collect()
}

fn check_ranges(subnets: &[SubnetView]) -> Result<(), Failure> {
    for reserved in RESERVED.iter().filter_map(|text| text.parse::<Ipv4Net>().ok()) {
        for subnet in subnets {
            let cidr = subnet.cidr;
            if cidr.contains(&reserved.network()) || reserved.contains(&cidr.network()) {
                return Err(Failure::Usage {
                    what: format!(
                        "subnet {} ({cidr}) overlaps {reserved}, which the box needs itself",
                        subnet.name
                    ),
                    next: "choose another CIDR for the subnet in the spec",
                });
            }
        }
    }
    Ok(())
}
