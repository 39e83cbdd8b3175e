//! Validation of a spec.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;

use super::{Spec, SpecError};

/// The largest number of subnets.
const MAX_SUBNETS: usize = 64;
/// The largest number of nodes: a run with 1000 of them still fits.
const MAX_NODES: usize = 2_000;
/// The largest number of clients.
const MAX_CLIENTS: usize = 500;
/// The largest number of foreign ENIs: EC2's default quota of interfaces of a Region.
const MAX_FOREIGN: usize = 5_000;
/// The largest number of volumes: 25 for each of 200 nodes.
const MAX_VOLUMES: usize = 5_000;
/// The largest number of tags of a resource, EC2's own limit.
const MAX_TAGS: usize = 50;
/// The longest text in a field.
const MAX_TEXT: usize = 255;

pub(super) fn field(name: impl Into<String>, problem: impl Into<String>) -> SpecError {
    SpecError::Field { field: name.into(), problem: problem.into() }
}

/// Checks everything that does not depend on the placement of addresses.
pub(super) fn check(spec: &Spec) -> Result<(), SpecError> {
    sizes(spec)?;
    texts(spec)?;
    networks(spec)?;
    names(spec)
}

fn sizes(spec: &Spec) -> Result<(), SpecError> {
    let counts = [
        ("subnets", spec.subnets.len(), MAX_SUBNETS),
        ("nodes", spec.nodes.len(), MAX_NODES),
        ("clients", spec.clients.len(), MAX_CLIENTS),
        ("foreign", spec.foreign.len(), MAX_FOREIGN),
        ("volumes", spec.volumes.len(), MAX_VOLUMES),
    ];
    if spec.subnets.is_empty() {
        return Err(field("subnets", "at least one is required"));
    }
    match counts.iter().find(|(_, count, most)| count > most) {
        Some((name, count, most)) => {
            Err(field(*name, format!("{count} entries; the maximum is {most}")))
        }
        None => Ok(()),
    }
}

fn texts(spec: &Spec) -> Result<(), SpecError> {
    if spec.account.len() != 12 || !spec.account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(field("account", "must have 12 digits"));
    }
    let region_like = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !region_like(&spec.region) || spec.region.len() > 32 {
        return Err(field("region", "expected a name like us-east-1"));
    }
    if spec.cluster.len() > MAX_TEXT || !is_tag_key(&spec.cluster_tag) {
        return Err(field("cluster_tag", "expected 1 to 127 characters, none of them control"));
    }
    for (at, subnet) in spec.subnets.iter().enumerate() {
        let zone_of_region = subnet.zone.strip_prefix(spec.region.as_str());
        if zone_of_region.is_none_or(|rest| rest.is_empty() || !region_like(rest)) {
            let problem = format!("{:?} is not a zone of {}", subnet.zone, spec.region);
            return Err(field(format!("subnets[{at}].zone"), problem));
        }
        tags(&format!("subnets[{at}].tags"), &subnet.tags)?;
    }
    for (at, node) in spec.nodes.iter().enumerate() {
        tags(&format!("nodes[{at}].tags"), &node.tags)?;
        for (index, eni) in node.enis.iter().enumerate() {
            tags(&format!("nodes[{at}].enis[{index}].tags"), &eni.tags)?;
        }
    }
    for (at, foreign) in spec.foreign.iter().enumerate() {
        tags(&format!("foreign[{at}].tags"), &foreign.tags)?;
        if foreign.description.len() > MAX_TEXT {
            return Err(field(format!("foreign[{at}].description"), "longer than 255 bytes"));
        }
    }
    Ok(())
}

fn is_tag_key(key: &str) -> bool {
    (1..=127).contains(&key.len()) && !key.starts_with("aws:") && !key.chars().any(char::is_control)
}

pub(super) fn tags(
    name: &str,
    tags: &std::collections::BTreeMap<String, String>,
) -> Result<(), SpecError> {
    let bad = |(key, value): &(&String, &String)| {
        !is_tag_key(key) || value.len() > MAX_TEXT || value.chars().any(char::is_control)
    };
    if tags.len() >= MAX_TAGS {
        return Err(field(name, "a resource can have at most 50 tags"));
    }
    match tags.iter().find(bad) {
        Some((key, _)) => Err(field(name, format!("{key:?} is not a valid tag"))),
        None => Ok(()),
    }
}

fn networks(spec: &Spec) -> Result<(), SpecError> {
    cidr("vpc.cidr", spec.vpc.cidr)?;
    for (at, subnet) in spec.subnets.iter().enumerate() {
        let name = format!("subnets[{at}].cidr");
        cidr(&name, subnet.cidr)?;
        if !spec.vpc.cidr.contains(&subnet.cidr) {
            return Err(field(name, format!("{} is not in {}", subnet.cidr, spec.vpc.cidr)));
        }
        let overlaps =
            |other: &Ipv4Net| other.contains(&subnet.cidr) || subnet.cidr.contains(other);
        if let Some(other) = spec.subnets.iter().take(at).find(|other| overlaps(&other.cidr)) {
            return Err(field(name, format!("overlaps the CIDR of {}", other.name)));
        }
        for (index, reservation) in subnet.reservations.iter().enumerate() {
            if reservation.trunc() != *reservation || !subnet.cidr.contains(reservation) {
                let name = format!("subnets[{at}].reservations[{index}]");
                return Err(field(
                    name,
                    format!("{reservation} is not a network in {}", subnet.cidr),
                ));
            }
        }
    }
    Ok(())
}

fn cidr(name: &str, net: Ipv4Net) -> Result<(), SpecError> {
    if net.trunc() != net {
        return Err(field(name, format!("{net} has host bits; use {}", net.trunc())));
    }
    if !(16..=28).contains(&net.prefix_len()) {
        return Err(field(name, format!("the prefix of {net} is not from /16 to /28")));
    }
    Ok(())
}

fn names(spec: &Spec) -> Result<(), SpecError> {
    let mut seen = BTreeSet::from(["admin", "external", "unknown"]);
    let nodes = spec.nodes.iter().map(|node| ("nodes", &node.name));
    let clients = spec.clients.iter().map(|client| ("clients", &client.name));
    let foreign = spec.foreign.iter().map(|foreign| ("foreign", &foreign.name));
    for (kind, name) in nodes.chain(clients).chain(foreign) {
        unique(&mut seen, kind, name)?;
    }
    let mut seen = BTreeSet::new();
    for volume in &spec.volumes {
        unique(&mut seen, "volumes", &volume.name)?;
    }
    let mut seen = BTreeSet::new();
    for subnet in &spec.subnets {
        unique(&mut seen, "subnets", &subnet.name)?;
    }
    Ok(())
}

fn unique<'a>(seen: &mut BTreeSet<&'a str>, kind: &str, name: &'a str) -> Result<(), SpecError> {
    // A name becomes a network namespace and a directory.
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=63).contains(&name.len()) || !name.bytes().all(good) || name.starts_with('-') {
        let problem = format!("{name:?} is not 1 to 63 characters of a-z, 0-9 and -");
        return Err(field(format!("{kind}.name"), problem));
    }
    if !seen.insert(name) {
        return Err(field(format!("{kind}.name"), format!("{name:?} is a duplicate or reserved")));
    }
    Ok(())
}
