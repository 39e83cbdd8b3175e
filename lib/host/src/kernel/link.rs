//! Links, and which of them belongs to an ENI.

use firecamp_core::ids::Mac;
use netlink_packet_core::{NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};

use super::{Attributes, Raw, failed, fixed_part};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
/// `struct ifinfomsg`.
const HEADER: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INET_CONF: u16 = 1;
const AF_INET: u16 = 2;
/// `RTEXT_FILTER_SKIP_STATS`: counters are not needed and are the bulk of the answer.
const SKIP_STATS: u32 = 1 << 3;
const IFF_UP: u32 = 1;

/// One network interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<Mac>,
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    max_mtu: u32,
    master: Option<u32>,
    /// The index of the other end of a veth, if that is in another network namespace.
    peer: Option<u32>,
    /// Its kind (`vlan`, `bridge`, `veth`); none for a device with its own driver.
    kind: Option<String>,
    /// Its IPv4 settings (`IPV4_DEVCONF_…`, numbered from one), in the kernel's order.
    conf: Vec<u8>,
}

impl Link {
    /// Whether it is a bridge, and no link is its port.
    pub(crate) fn is_empty_bridge(&self, links: &[Self]) -> bool {
        let ports = links.iter().any(|other| other.master == Some(self.index));
        self.kind.as_deref() == Some("bridge") && !ports
    }

    /// Whether it is hardware or a tunnel: the other end is on another machine.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        const TUNNELS: [&str; 10] = [
            "vxlan",
            "geneve",
            "ipip",
            "gre",
            "gretap",
            "sit",
            "ip6tnl",
            "vti",
            "wireguard",
            "tun",
        ];
        self.kind.as_deref().is_none_or(|kind| TUNNELS.contains(&kind))
    }

    /// One of its own IPv4 settings; zero if the kernel does not list it.
    pub(crate) fn conf(&self, setting: u16) -> u32 {
        let (values, _rest) = self.conf.as_chunks::<4>();
        let value = values.get(usize::from(setting).saturating_sub(1));
        value.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

/// All links of this network namespace.
pub(crate) async fn list(netlink: &mut Netlink) -> Result<Vec<Link>, HostError> {
    let wanted = Raw(vec![0; HEADER]).attribute(IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
    let messages = netlink.dump(RTM_GETLINK, &wanted).await;
    let found = messages.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
    found.map_err(failed("list", "the links"))
}

pub(crate) fn decode(payload: &[u8]) -> Result<Link, NetlinkError> {
    let [_family, _pad, _t0, _t1, i0, i1, i2, i3, f0, f1, f2, f3, ..] =
        fixed_part::<HEADER>(payload)?;
    let attributes = Attributes::after(payload, HEADER)?;
    // A link-layer address of another length (a tunnel's) is not a MAC.
    let mac = attributes.bytes(IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok());
    let info = attributes.bytes(IFLA_LINKINFO).map(Attributes::of).transpose()?;
    let away = attributes.bytes(IFLA_LINK_NETNSID).is_some();
    Ok(Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: attributes.text(IFLA_IFNAME).ok_or_else(super::cut)?,
        mac: mac.map(Mac::from_bytes),
        up: u32::from_ne_bytes([f0, f1, f2, f3]) & IFF_UP != 0,
        mtu: attributes.u32(IFLA_MTU)?.ok_or_else(super::cut)?,
        max_mtu: attributes.u32(IFLA_MAX_MTU)?.unwrap_or(0),
        master: attributes.u32(IFLA_MASTER)?,
        peer: attributes.u32(IFLA_LINK)?.filter(|_index| away),
        kind: info.and_then(|info| info.text(IFLA_INFO_KIND)),
        conf: ipv4_conf(&attributes)?.unwrap_or_default().to_vec(),
    })
}

fn ipv4_conf<'a>(link: &Attributes<'a>) -> Result<Option<&'a [u8]>, NetlinkError> {
    let Some(families) = link.bytes(IFLA_AF_SPEC) else { return Ok(None) };
    let Some(inet) = Attributes::of(families)?.bytes(AF_INET) else { return Ok(None) };
    Ok(Attributes::of(inet)?.bytes(IFLA_INET_CONF))
}

/// The link of the ENI with this MAC, if any.
///
/// Several links may have one MAC: VLANs, bridges and bonds inherit that of the device below them.
/// The ENI's link is the device itself: a link with its own driver, or a veth (the end of an ENI in
/// a VPC in a box). If that device is a port of another link with the same MAC, the kernel passes
/// packets to that link, and an address on the port would receive none. In that case, and if two
/// devices have the MAC, the function fails instead of guessing.
pub(crate) fn of_eni(links: &[Link], mac: Mac) -> Result<Option<&Link>, HostError> {
    let same: Vec<&Link> = links.iter().filter(|link| link.mac == Some(mac)).collect();
    let device = |link: &&&Link| link.kind.as_deref().is_none_or(|kind| kind == "veth");
    let devices: Vec<&Link> = same.iter().filter(device).copied().collect();
    let unclear = |why: String| HostError::WhichLink { mac, why };
    match devices.as_slice() {
        [] if same.is_empty() => Ok(None),
        [] => Err(unclear(format!("only virtual links have it: {}", names(&same)))),
        [one] => match same.iter().find(|link| one.master == Some(link.index)) {
            Some(master) => Err(unclear(format!("{} is a port of {}", one.name, master.name))),
            None => Ok(Some(one)),
        },
        [..] => Err(unclear(format!("{} all have it", names(&devices)))),
    }
}

fn names(links: &[&Link]) -> String {
    links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The link of this namespace through which a pod's end of a veth is reached: the bridge that the
/// other end is a port of, or that end itself. Both ends must name each other.
pub(crate) fn towards<'a>(links: &'a [Link], pods_end: &Link) -> Option<&'a Link> {
    let veth = |link: &Link| link.kind.as_deref() == Some("veth");
    let end = links.iter().find(|link| {
        veth(link) && Some(link.index) == pods_end.peer && link.peer == Some(pods_end.index)
    });
    let end = end.filter(|_end| veth(pods_end))?;
    let bridge =
        |link: &&Link| end.master == Some(link.index) && link.kind.as_deref() == Some("bridge");
    if end.master.is_none() { Some(end) } else { links.iter().find(bridge) }
}

/// The MTU to set on an unconfigured link: that of the example (the link with the default route),
/// up to the device's maximum. None if the link's MTU is not smaller.
pub(crate) fn better_mtu(link: &Link, example: &Link) -> Option<u32> {
    let limit = if link.max_mtu == 0 { u32::MAX } else { link.max_mtu };
    Some(example.mtu.min(limit)).filter(|mtu| *mtu > link.mtu)
}

/// Sets the link up, and its MTU if one is given.
pub(crate) async fn bring_up(
    netlink: &mut Netlink,
    link: &Link,
    mtu: Option<u32>,
) -> Result<(), HostError> {
    let mut header = header(link.index);
    header.splice(8..16, [IFF_UP, IFF_UP].into_iter().flat_map(u32::to_ne_bytes));
    let body = match mtu {
        Some(mtu) => Raw(header).attribute(IFLA_MTU, &mtu.to_ne_bytes()),
        None => Raw(header),
    };
    netlink.change(RTM_SETLINK, 0, &body).await.map_err(failed("bring up link", &link.name))
}

/// Creates a bridge without ports.
pub(crate) async fn create_bridge(netlink: &mut Netlink, name: &str) -> Result<(), HostError> {
    let info = Raw(Vec::new()).attribute(IFLA_INFO_KIND, b"bridge\0");
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    let body = Raw(vec![0; HEADER])
        .attribute(IFLA_IFNAME, &bytes)
        .attribute(IFLA_LINKINFO | NLA_F_NESTED, &info.0);
    let created = netlink.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body).await;
    created.map_err(failed("create bridge", name))
}

/// Removes a link.
pub(crate) async fn remove(netlink: &mut Netlink, link: &Link) -> Result<(), HostError> {
    let removed = netlink.change(RTM_DELLINK, 0, &Raw(header(link.index))).await;
    removed.map_err(failed("remove link", &link.name))
}

/// Sets one of the link's IPv4 settings (`IPV4_DEVCONF_…`) by the link's index. Unlike
/// `/proc/sys/net`, this works in a container, where that is mounted read-only, and cannot change
/// another link after a rename.
pub(crate) async fn set_conf(
    netlink: &mut Netlink,
    link: u32,
    setting: u16,
    value: u32,
) -> Result<(), NetlinkError> {
    let conf = Raw(Vec::new()).attribute(setting, &value.to_ne_bytes());
    let inet = Raw(Vec::new()).attribute(IFLA_INET_CONF | NLA_F_NESTED, &conf.0);
    let spec = Raw(Vec::new()).attribute(AF_INET | NLA_F_NESTED, &inet.0);
    let body = Raw(header(link)).attribute(IFLA_AF_SPEC | NLA_F_NESTED, &spec.0);
    netlink.change(RTM_SETLINK, 0, &body).await
}

fn header(link: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.splice(4..8, link.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn link(index: u32, name: &str, kind: Option<&str>, master: Option<u32>) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some(Mac::from_bytes(MAC)),
            up: true,
            mtu: 1500,
            max_mtu: 9216,
            master,
            peer: None,
            kind: kind.map(str::to_owned),
            conf: Vec::new(),
        }
    }

    fn chosen(links: &[Link]) -> Result<Option<String>, String> {
        let found = of_eni(links, Mac::from_bytes(MAC));
        found.map(|link| link.map(|l| l.name.clone())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_vlan_that_inherits_the_mac_is_not_the_eni() {
        let links = [link(3, "ens6.100", Some("vlan"), None), link(2, "ens6", None, None)];
        assert_eq!(chosen(&links), Ok(Some("ens6".to_owned())));
    }

    #[test]
    fn a_port_of_a_bridge_with_its_mac_is_refused_by_name() {
        let links = [link(2, "ens6", None, Some(9)), link(9, "br0", Some("bridge"), None)];
        assert!(chosen(&links).unwrap_err().contains("ens6 is a port of br0"));
    }

    #[test]
    fn a_device_in_a_vrf_is_the_eni() {
        let links = [link(2, "ens6", None, Some(40))];
        assert_eq!(chosen(&links), Ok(Some("ens6".to_owned())));
    }

    #[test]
    fn two_devices_with_one_mac_are_refused_by_name() {
        let links = [link(2, "ens6", None, None), link(3, "veth1", Some("veth"), None)];
        assert!(chosen(&links).unwrap_err().contains("ens6, veth1 all have it"));
    }

    #[test]
    fn a_mac_without_a_link_finds_nothing() {
        let mut other = link(2, "ens6", None, None);
        other.mac = None;
        assert_eq!(chosen(&[other]), Ok(None));
    }

    #[test]
    fn mtu_follows_the_example_up_to_the_maximum_of_the_device() {
        let mut example = link(2, "ens5", None, None);
        example.mtu = 9001;
        let mut eni = link(3, "ens6", None, None);
        assert_eq!(better_mtu(&eni, &example), Some(9001));
        eni.max_mtu = 4000;
        assert_eq!(better_mtu(&eni, &example), Some(4000));
        eni.mtu = 9001;
        assert_eq!(better_mtu(&eni, &example), None);
    }
}
