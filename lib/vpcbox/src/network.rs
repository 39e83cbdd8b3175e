//! The box's network: the router, a namespace for each node and client, and the veth pairs between
//! them. [`Network::reconcile`] makes it match the simulated VPC.

pub(crate) mod node_interfaces;
mod processes;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_vpc::{ClientView, NodeState, NodeView, SubnetView};
use ipnet::Ipv4Net;

use crate::boot_record::ExtraEnis;
use crate::failure::Failure;
use crate::namespace_sysctls;
use crate::netlink::{self, Net};
use crate::node_namespaces::Holder;
use crate::protocol::Routed;
use node_interfaces::{Plan, Port, Site};

/// The address of the metadata service.
pub(crate) const IMDS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The address of EC2, in the benchmark range (RFC 2544), which no VPC uses.
pub(crate) const EC2: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// The address of Route 53, in the same range.
pub(crate) const ROUTE53: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 11);
/// The address of CloudWatch Logs, in the same range.
pub(crate) const LOGS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 12);
/// The address of the VPC's resolver ("Amazon DNS", VPC User Guide).
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
/// The router's address for machines outside the VPC.
pub(crate) const OUTSIDE_GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Ranges that the box uses itself; no subnet or client may overlap them.
const RESERVED: [&str; 2] = ["198.18.0.0/24", "169.254.0.0/16"];

/// The desired state, from the simulator.
pub(crate) struct DesiredState {
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) clients: Vec<ClientView>,
    /// For each address, the ENI that receives its packets.
    pub(crate) data_path: BTreeMap<Ipv4Addr, String>,
}

/// The current network.
pub(crate) struct Network {
    router: Net,
    extra: ExtraEnis,
    sites: BTreeMap<String, Site>,
    /// Ports by ENI, or by the name of a client that has none.
    ports: BTreeMap<String, Port>,
    /// The target of each `/32` route.
    routes: BTreeMap<Ipv4Addr, String>,
    next_port: u32,
}

impl Network {
    /// The router without ports. Call it in the namespace that becomes the router's.
    pub(crate) async fn new(subnets: &[SubnetView], extra: ExtraEnis) -> Result<Self, Failure> {
        check_ranges(subnets)?;
        namespace_sysctls::router()?;
        let router = Net::here("the router")?;
        let lo = router.link("lo").await?.index;
        router.set_up(lo, true).await?;
        for address in [IMDS, EC2, ROUTE53, LOGS, RESOLVER] {
            router.add_address(lo, address, 32).await?;
        }
        let sink = router.create_sink("sink", "sink-end").await?;
        for subnet in subnets {
            let net = subnet.cidr;
            let route = netlink::direct(net.network(), net.prefix_len(), sink);
            router.replace_route(route, &net.to_string()).await?;
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

    /// Reconciles the network with the desired state: routes first, because their timing matters.
    /// Returns the routes that changed.
    pub(crate) async fn reconcile(
        &mut self,
        wanted: &DesiredState,
    ) -> Result<Vec<Routed>, Failure> {
        let mut changed = self.route(&wanted.data_path).await?;
        let plans = node_interfaces::plans(wanted);
        self.reconcile_checks(&plans)?;
        if self.reconcile_sites(wanted, &plans).await? {
            changed.extend(self.route(&wanted.data_path).await?);
        }
        Ok(changed)
    }

    /// Makes the source/destination check of each port follow its ENI.
    fn reconcile_checks(&mut self, plans: &BTreeMap<String, Plan>) -> Result<(), Failure> {
        for (key, port) in &mut self.ports {
            let wanted = plans.get(key).map_or(port.checked, |plan| plan.checked);
            if wanted != port.checked {
                namespace_sysctls::source_check(&port.name, wanted)?;
                port.checked = wanted;
            }
        }
        Ok(())
    }

    /// Adds and removes sites and veth pairs. Returns whether anything changed.
    async fn reconcile_sites(
        &mut self,
        wanted: &DesiredState,
        plans: &BTreeMap<String, Plan>,
    ) -> Result<bool, Failure> {
        let mut changed = false;
        let running = running_sites(wanted);
        // A rebooted node loses everything, like a stopped one.
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
                processes::kill_site(&name, site.holder.pid())?;
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
        // The primary ENI first, as at a boot: link indexes follow this order.
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
        let port = node_interfaces::lay(&self.router, site, plan, &name).await?;
        node_interfaces::configure(site, plan, self.extra).await?;
        self.routes.insert(plan.primary, key.to_owned());
        self.ports.insert(key.to_owned(), port);
        Ok(())
    }

    async fn remove_port(&mut self, key: &str) -> Result<(), Failure> {
        let Some(port) = self.ports.remove(key) else { return Ok(()) };
        // The kernel removes the port's routes with it.
        self.routes.retain(|_, eni| eni != key);
        self.router.delete_link(port.index).await
    }

    /// Makes each `/32` route follow the data path.
    async fn route(&mut self, wanted: &BTreeMap<Ipv4Addr, String>) -> Result<Vec<Routed>, Failure> {
        let mut changed = Vec::new();
        let stale: Vec<Ipv4Addr> =
            self.routes.keys().filter(|a| !self.has_port(wanted, **a)).copied().collect();
        for address in stale {
            // The sink of its subnet drops packets to an address that no ENI holds.
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
            self.router.replace_route(route, &address.to_string()).await?;
            self.routes.insert(*address, eni.clone());
            let node = Some(port.site.clone());
            changed.push(Routed { at_us: 0, address: *address, eni: Some(eni.clone()), node });
        }
        Ok(changed)
    }

    /// Whether the address leads to a port: by the data path, or as a client outside the VPC.
    fn has_port(&self, wanted: &BTreeMap<Ipv4Addr, String>, address: Ipv4Addr) -> bool {
        let is_client = || self.ports.values().any(|p| p.outside && p.primary == address);
        wanted.get(&address).is_some_and(|eni| self.ports.contains_key(eni)) || is_client()
    }

    /// The node or client to which an address is routed.
    pub(crate) fn site_of(&self, address: Ipv4Addr) -> Option<&str> {
        let key = self.routes.get(&address)?;
        self.ports.get(key).map(|port| port.site.as_str())
    }

    /// The ENI to which an address is routed.
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

    /// The names of all running nodes and clients.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sites.keys().cloned().collect()
    }

    /// The port of an ENI.
    pub(crate) fn port(&self, eni: &str) -> Option<&Port> {
        self.ports.get(eni)
    }

    /// The node or client whose holder has this process ID.
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

/// The running nodes and clients, each with its boot count.
fn running_sites(wanted: &DesiredState) -> BTreeMap<&str, u64> {
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
                        "subnet {} ({cidr}) overlaps {reserved}, which the box uses itself",
                        subnet.name
                    ),
                    next: "choose another CIDR for the subnet in the spec",
                });
            }
        }
    }
    Ok(())
}
