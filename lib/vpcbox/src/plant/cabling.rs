//! Cables: which there should be, laying one, and configuring its end in the node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_vpc::{ClientView, EniView, NodeState};
use rtnetlink::packet_route::route::RouteMessage;

use super::{OUTSIDE_GATEWAY, Wanted};
use crate::boot::ExtraEnis;
use crate::failure::Failure;
use crate::holder::Holder;
use crate::netlink::{self, Cable, Net};
use crate::sysctl;

/// Number of the first interface: `ens5`, as on Nitro, so that nobody relies on `eth0`.
const FIRST_LINK: u32 = 5;

/// The namespaces of a node or client.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) holder: Holder,
    pub(crate) net: Net,
    /// Which boot of the node this is.
    pub(crate) boots: u64,
}

/// A cable that there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The node or client.
    pub(crate) site: String,
    /// The link's name there.
    pub(crate) link: String,
    pub(crate) mac: [u8; 6],
    pub(crate) primary: Ipv4Addr,
    /// The length of the subnet's prefix; 32 outside the VPC.
    pub(crate) prefix: u8,
    pub(crate) gateway: Ipv4Addr,
    /// It comes up with its address, as by DHCP at boot.
    pub(crate) configured: bool,
    /// Not in the VPC.
    pub(crate) outside: bool,
}

/// The router's end of a cable.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    /// The node or client at the other end.
    pub(crate) site: String,
    /// The link's name there.
    pub(crate) link: String,
    pub(crate) index: u32,
    pub(crate) primary: Ipv4Addr,
    pub(crate) outside: bool,
}

impl Port {
    /// Whether it is the port of this cable.
    pub(crate) fn is_of(&self, plan: &Plan) -> bool {
        self.site == plan.site && self.link == plan.link
    }

    /// The route that takes an address to the ENI, whether or not a kernel there answers for it.
    pub(crate) fn route_to(&self, address: Ipv4Addr) -> RouteMessage {
        if address == self.primary {
            netlink::direct(address, 32, self.index)
        } else {
            netlink::via(address, 32, self.primary, self.index)
        }
    }
}

/// All cables of the world, by ENI, or by the name of a client that has none.
pub(crate) fn plans(wanted: &Wanted) -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    for node in wanted.nodes.iter().filter(|node| node.state == NodeState::Running) {
        // An ENI that is being attached comes some time after EC2 has it, and goes before.
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
    }
}

/// The world writes its MACs itself, six pairs of digits; anything else would be refused by the
/// kernel as all zeroes.
fn parse_mac(text: &str) -> [u8; 6] {
    let mut mac = [0; 6];
    for (byte, pair) in mac.iter_mut().zip(text.split(':')) {
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    mac
}

/// Lays the cable and sets up the router's end of it.
pub(crate) async fn lay(
    router: &Net,
    site: &Site,
    plan: &Plan,
    port: &str,
) -> Result<Port, Failure> {
    let cable = Cable { port, link: &plan.link, mac: plan.mac, holder: site.holder.pid() };
    let index = router.lay_cable(&cable).await?;
    sysctl::router_port(port)?;
    router.set_up(index, true).await?;
    router.add_address(index, plan.gateway, 32).await?;
    // A VPC delivers to the MAC, also to a link that has no address yet.
    router.pin_neighbour(index, plan.primary, plan.mac).await?;
    let route = netlink::direct(plan.primary, 32, index);
    router.put_route(route, &plan.primary.to_string()).await?;
    Ok(Port {
        site: plan.site.clone(),
        link: plan.link.clone(),
        index,
        primary: plan.primary,
        outside: plan.outside,
    })
}

/// Configures the node's end as its boot would.
pub(crate) async fn configure(site: &Site, plan: &Plan, extra: ExtraEnis) -> Result<(), Failure> {
    let net = &site.net;
    let index = net.link(&plan.link).await?.index;
    if plan.configured {
        net.add_address(index, plan.primary, plan.prefix).await?;
        net.set_up(index, true).await?;
        let any = Ipv4Addr::UNSPECIFIED;
        let label = format!("default by {}", plan.gateway);
        return net.put_route(netlink::via(any, 0, plan.gateway, index), &label).await;
    }
    match extra {
        ExtraEnis::Down => Ok(()),
        ExtraEnis::Up => net.set_up(index, true).await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use firecamp_vpc::{Act, Profile, Spec, World};

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

    fn world() -> World {
        let spec = Spec::from_toml(SPEC).unwrap();
        World::new(&spec, Profile::fast(), 1, Duration::from_secs(1_790_000_000)).unwrap()
    }

    fn wanted(world: &mut World, now: Duration) -> Wanted {
        Wanted { data_path: world.data_path(now), nodes: world.nodes(), clients: world.clients() }
    }

    #[test]
    fn each_eni_and_each_client_outside_gets_one_cable() {
        let wanted = wanted(&mut world(), Duration::ZERO);
        let plans = plans(&wanted);
        let mut shown: Vec<String> = plans
            .values()
            .map(|plan| {
                let Plan { site, link, primary, prefix, gateway, configured, outside, .. } = plan;
                format!("{site} {link} {primary}/{prefix} {gateway} {configured} {outside}")
            })
            .collect();
        shown.sort();
        let expected = [
            "inside ens5 10.0.1.200/24 10.0.1.1 true false",
            "node-a ens5 10.0.1.11/24 10.0.1.1 true false",
            "node-a ens7 10.0.1.21/24 10.0.1.1 false false",
            "outside ens5 192.168.7.7/32 198.18.0.1 true true",
        ];
        assert_eq!(shown, expected);
        assert!(plans.values().all(|plan| plan.mac != [0; 6]), "{plans:?}");
    }

    #[test]
    fn a_detached_eni_loses_its_cable_before_ec2_is_done_with_it() {
        let mut world = world();
        let eni = world.nodes()[0].enis[1].id.clone();
        world.act(Duration::ZERO, &Act::Detach { eni: eni.clone() }).unwrap();
        let (mut later, mut seen) = (Duration::ZERO, Vec::new());
        for _ in 0..100 {
            let wanted = wanted(&mut world, later);
            let known = wanted.nodes[0].enis.iter().any(|own| own.id == eni);
            let now = (plans(&wanted).contains_key(&eni), known);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            later += Duration::from_millis(1);
            world.advance(later);
        }
        assert_eq!(seen, [(true, true), (false, true), (false, false)]);
    }

    #[test]
    fn a_rebooted_node_has_the_same_cables() {
        let mut world = world();
        let before = plans(&wanted(&mut world, Duration::ZERO));
        let reboot = Act::Reboot { node: "node-a".to_owned(), imds_missing_ms: 0 };
        world.act(Duration::ZERO, &reboot).unwrap();
        let wanted = wanted(&mut world, Duration::ZERO);
        assert_eq!((plans(&wanted), wanted.nodes[0].boots), (before, 1));
    }

    #[test]
    fn a_stopped_node_has_no_cable_and_a_started_one_has_them_again() {
        let mut world = world();
        let node = || "node-a".to_owned();
        let mut later = Duration::ZERO;
        let mut cables = |world: &mut World, act: &Act| {
            world.act(later, act).unwrap();
            later += Duration::from_mins(10);
            world.advance(later);
            plans(&wanted(world, later)).values().filter(|plan| plan.site == "node-a").count()
        };
        assert_eq!(cables(&mut world, &Act::Stop { node: node() }), 0);
        assert_eq!(cables(&mut world, &Act::Start { node: node() }), 2);
    }
}
