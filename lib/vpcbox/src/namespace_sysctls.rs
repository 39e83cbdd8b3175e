//! Kernel settings of a network namespace. A new namespace starts with the machine's settings, so
//! everything that the box depends on is set explicitly.

use std::fs;

use crate::failure::Failure;

/// Writes one setting of the network namespace of the calling thread.
pub(crate) fn set(name: &str, value: &str) -> Result<(), Failure> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).map_err(|e| Failure::kernel("write", path, e))
}

/// The router's settings before it has any port.
pub(crate) fn router() -> Result<(), Failure> {
    set("ipv4/ip_forward", "1")?;
    // The effective value is the maximum of this and the port's own.
    set("ipv4/conf/all/rp_filter", "0")?;
    set("ipv4/conf/all/send_redirects", "0")?;
    set("ipv4/conf/default/send_redirects", "0")?;
    set("ipv4/conf/all/proxy_arp", "0")?;
    // No ICMP errors: a VPC does not report an address that no ENI holds.
    set("ipv4/conf/default/proxy_arp", "1")?;
    set("ipv4/conf/default/rp_filter", "1")?;
    set("ipv6/conf/all/disable_ipv6", "1")
}

/// The settings of one port of the router.
pub(crate) fn router_port(port: &str) -> Result<(), Failure> {
    set(&format!("ipv4/conf/{port}/proxy_arp"), "1")?;
    set(&format!("ipv4/conf/{port}/send_redirects"), "0")?;
    // Without this, proxy ARP delays its answers by up to 0.8 s.
    set(&format!("ipv4/neigh/{port}/proxy_delay"), "0")
}

/// The source/destination check of the ENI behind a port. Strict reverse-path filtering: the route
/// back to the source must leave by this port.
pub(crate) fn source_check(port: &str, on: bool) -> Result<(), Failure> {
    set(&format!("ipv4/conf/{port}/rp_filter"), if on { "1" } else { "0" })
}

/// A node's settings, as in the EKS image where they matter (rp_filter loose, no forwarding).
pub(crate) fn node() -> Result<(), Failure> {
    for scope in ["all", "default"] {
        set(&format!("ipv4/conf/{scope}/rp_filter"), if scope == "all" { "0" } else { "2" })?;
        set(&format!("ipv4/conf/{scope}/arp_ignore"), "0")?;
        set(&format!("ipv4/conf/{scope}/arp_announce"), "0")?;
        set(&format!("ipv4/conf/{scope}/accept_redirects"), "0")?;
    }
    set("ipv4/ip_forward", "0")
}
