//! veth pairs: the desired ones, their creation, and the configuration of the end in the node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_vpc::{ClientView, EniView, NodeState};
use rtnetlink::packet_route::route::RouteMessage;

use super::{DesiredState, OUTSIDE_GATEWAY};
use crate::boot_record::ExtraEnis;
use crate::failure::Failure;
use crate::namespace_sysctls;
use crate::netlink::{self, Net, VethPair};
use crate::node_namespaces::Holder;

/// Number of the first interface: `ens5`, as on Nitro, so that no program relies on `eth0`.
const FIRST_LINK: u32 = 5;

/// The namespaces of a node or client.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) holder: Holder,
    pub(crate) net: Net,
    /// The boot count of the node.
    pub(crate) boots: u64,
}

/// A desired veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The node or client.
    pub(crate) site: String,
    /// The link's name in the node.
    pub(crate) link: String,
    pub(crate) mac: [u8; 6],
    pub(crate) primary: Ipv4Addr,
    /// The prefix length of the subnet; 32 outside the VPC.
    pub(crate) prefix: u8,
    pub(crate) gateway: Ipv4Addr,
    /// The link comes up with its address, as with DHCP at boot.
    pub(crate) configured: bool,
    /// A client outside the VPC.
    pub(crate) outside: bool,
    /// The ENI's source/destination check.
    pub(crate) checked: bool,
}

/// The router's end of a veth pair.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    /// The node or client at the other end.
    pub(crate) site: String,
    /// The link's name in the node.
    pub(crate) link: String,
    /// The link's name in the router.
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) primary: Ipv4Addr,
    pub(crate) outside: bool,
    pub(crate) checked: bool,
}

impl Port {
    /// Whether this port matches the plan.
    pub(crate) fn is_of(&self, plan: &Plan) -> bool {
        self.site == plan.site && self.link == plan.link
    }

    /// The route of an address to the ENI, whether or not a kernel there has the address.
    pub(crate) fn route_to(&self, address: Ipv4Addr) -> RouteMessage {
        if address == self.primary {
            netlink::direct(address, 32, self.index)
        } else {
            netlink::via(address, 32, self.primary, self.index)
        }
    }
}

/// All desired veth pairs, by ENI, or by the name of a client that has none.
pub(crate) fn plans(wanted: &DesiredState) -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    for node in wanted.nodes.iter().filter(|node| node.state == NodeState::Running) {
        // An ENI's link appears some time after the attachment in EC2, and disappears before the
        // end of the detachment.
        for eni in node.enis.iter().filter(|eni| eni.plugged) {
            plans.insert(eni.id.clone(), of_eni(&node.name, eni));
        }
    }
    for client in &wanted.clients {
        let plan = client.eni.as_ref().map_or_else(
            || (client.name.clone(), of_outside(client)),
            |eni| (eni.id.clone(), of_eni(&client.name, eni)),
        );
        plans.insert(plan.0, plan.1);
    }
    plans
}

fn of_eni(site: &str, eni: &EniView) -> Plan {
    Plan {
        site: site.to_owned(),
        link: format!("ens{}", FIRST_LINK.saturating_add(eni.device_index)),
        mac: parse_mac(&eni.mac),
        primary: eni.primary,
        prefix: eni.cidr.prefix_len(),
        gateway: eni.gateway,
        configured: eni.device_index == 0,
        outside: false,
        checked: eni.source_dest_check,
    }
}

fn of_outside(client: &ClientView) -> Plan {
    let [_, b, c, d] = client.address.octets();
    Plan {
        site: client.name.clone(),
        link: format!("ens{FIRST_LINK}"),
        mac: [0x02, 0xfc, 0x00, b, c, d],
        primary: client.address,
        prefix: 32,
        gateway: OUTSIDE_GATEWAY,
        configured: true,
        outside: true,
        checked: true,
    }
}

/// The simulator writes MAC addresses as six pairs of digits; the kernel would refuse anything else
/// as all zeroes.
fn parse_mac(text: &str) -> [u8; 6] {
    let mut mac = [0; 6];
    for (byte, pair) in mac.iter_mut().zip(text.split(':')) {
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    mac
}

/// Creates the veth pair and sets up the router's end.
pub(crate) async fn lay(
    router: &Net,
    site: &Site,
    plan: &Plan,
    port: &str,
) -> Result<Port, Failure> {
    let veth_pair = VethPair { port, link: &plan.link, mac: plan.mac, holder: site.holder.pid() };
    let index = router.create_veth_pair(&veth_pair).await?;
    namespace_sysctls::router_port(port)?;
    namespace_sysctls::source_check(port, plan.checked)?;
    router.set_up(index, true).await?;
    router.add_address(index, plan.gateway, 32).await?;
    // A VPC delivers to the MAC, even if the link has no address yet.
    router.add_permanent_neighbor(index, plan.primary, plan.mac).await?;
    let route = netlink::direct(plan.primary, 32, index);
    router.replace_route(route, &plan.primary.to_string()).await?;
    Ok(Port {
        site: plan.site.clone(),
        link: plan.link.clone(),
        name: port.to_owned(),
        index,
        primary: plan.primary,
        outside: plan.outside,
        checked: plan.checked,
    })
}

/// Configures the node's end as a boot would.
pub(crate) async fn configure(site: &Site, plan: &Plan, extra: ExtraEnis) -> Result<(), Failure> {
    let net = &site.net;
    let index = net.link(&plan.link).await?.index;
    if plan.configured {
        net.add_address(index, plan.primary, plan.prefix).await?;
        net.set_up(index, true).await?;
        let any = Ipv4Addr::UNSPECIFIED;
        let label = format!("default by {}", plan.gateway);
        return net.replace_route(netlink::via(any, 0, plan.gateway, index), &label).await;
    }
    match extra {
        ExtraEnis::Down => Ok(()),
        ExtraEnis::Up => net.set_up(index, true).await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use firecamp_vpc::{Act, Profile, Simulator, Spec};

    use super::*;

    const SPEC: &str = r#"
        [vpc]
        cidr = "10.0.0.0/16"
        [[subnets]]
        name = "a"
        cidr = "10.0.1.0/24"
        zone = "us-east-1a"
        [[nodes]]
        name = "node-a"
        subnet = "a"
        instance_type = "m5.large"
        address = "10.0.1.11"
        [[nodes.enis]]
        subnet = "a"
        device_index = 2
        address = "10.0.1.21"
        [[clients]]
        name = "inside"
        subnet = "a"
        address = "10.0.1.200"
        [[clients]]
        name = "outside"
        address = "192.168.7.7"
    "#;

    fn simulator() -> Simulator {
        let spec = Spec::from_toml(SPEC).unwrap();
        Simulator::new(&spec, Profile::fast(), 1, Duration::from_secs(1_790_000_000)).unwrap()
    }

    fn wanted(simulator: &mut Simulator, now: Duration) -> DesiredState {
        DesiredState {
            data_path: simulator.data_path(now),
            nodes: simulator.nodes(),
            clients: simulator.clients(),
        }
    }

    #[test]
    fn each_eni_and_each_outside_client_gets_one_veth_pair() {
        let wanted = wanted(&mut simulator(), Duration::ZERO);
        let plans = plans(&wanted);
        let mut lines: Vec<String> = plans
            .values()
            .map(|plan| {
                let Plan { site, link, primary, prefix, gateway, configured, outside, .. } = plan;
                format!("{site} {link} {primary}/{prefix} {gateway} {configured} {outside}")
            })
            .collect();
        lines.sort();
        let expected = [
            "inside ens5 10.0.1.200/24 10.0.1.1 true false",
            "node-a ens5 10.0.1.11/24 10.0.1.1 true false",
            "node-a ens7 10.0.1.21/24 10.0.1.1 false false",
            "outside ens5 192.168.7.7/32 198.18.0.1 true true",
        ];
        assert_eq!(lines, expected);
        assert!(plans.values().all(|plan| plan.mac != [0; 6]), "{plans:?}");
    }

    #[test]
    fn a_detaching_eni_loses_its_link_before_the_end_of_the_detachment() {
        let mut simulator = simulator();
        let eni = simulator.nodes()[0].enis[1].id.clone();
        simulator.act(Duration::ZERO, &Act::Detach { eni: eni.clone() }).unwrap();
        let (mut later, mut states) = (Duration::ZERO, Vec::new());
        for _ in 0..100 {
            let wanted = wanted(&mut simulator, later);
            let known = wanted.nodes[0].enis.iter().any(|own| own.id == eni);
            let now = (plans(&wanted).contains_key(&eni), known);
            if states.last() != Some(&now) {
                states.push(now);
            }
            later += Duration::from_millis(1);
            simulator.advance(later);
        }
        assert_eq!(states, [(true, true), (false, true), (false, false)]);
    }

    #[test]
    fn a_rebooted_node_has_the_same_links() {
        let mut simulator = simulator();
        let before = plans(&wanted(&mut simulator, Duration::ZERO));
        let reboot = Act::Reboot { node: "node-a".to_owned(), imds_missing_ms: 0 };
        simulator.act(Duration::ZERO, &reboot).unwrap();
        let wanted = wanted(&mut simulator, Duration::ZERO);
        assert_eq!((plans(&wanted), wanted.nodes[0].boots), (before, 1));
    }

    #[test]
    fn a_stopped_node_has_no_links_and_a_started_one_has_them_again() {
        let mut simulator = simulator();
        let node = || "node-a".to_owned();
        let mut later = Duration::ZERO;
        let mut links_after = |simulator: &mut Simulator, act: &Act| {
            simulator.act(later, act).unwrap();
            later += Duration::from_mins(10);
            simulator.advance(later);
            plans(&wanted(simulator, later)).values().filter(|plan| plan.site == "node-a").count()
        };
        assert_eq!(links_after(&mut simulator, &Act::Stop { node: node() }), 0);
        assert_eq!(links_after(&mut simulator, &Act::Start { node: node() }), 2);
    }
}
