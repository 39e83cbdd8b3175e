//! The paths of the metadata service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::calendar::iso_seconds;
use crate::ec2::{GROUP, private_dns_name};
use crate::model::{Eni, Instance, Topology};
use crate::timeline::{Item, ListingStage};
use crate::view::Credentials;

/// The IAM role of every node.
pub(crate) const ROLE: &str = "firecamp-node";

/// The data behind the tree of one instance.
pub(crate) struct Source<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) instance: &'a Instance,
    pub(crate) enis: Vec<(Arc<Eni>, Vec<Item>)>,
    pub(crate) credentials: Option<Credentials>,
    /// When the credentials were issued, since 1970.
    pub(crate) renewed: std::time::Duration,
    /// When the instance was started, since 1970.
    pub(crate) started: std::time::Duration,
}

/// Values by path, below the version.
pub(crate) type Tree = BTreeMap<String, String>;

/// The result of a path lookup.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Value(String),
    Listing(String),
    Nothing,
}

/// Looks up a path; subdirectories are listed with a slash.
pub(crate) fn look_up(tree: &Tree, path: &str) -> Lookup {
    if let Some(value) = tree.get(path) {
        return Lookup::Value(value.clone());
    }
    let directory = path.trim_end_matches('/');
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let mut names = BTreeSet::new();
    for below in tree.keys().filter_map(|key| key.strip_prefix(&prefix)) {
        names.insert(match below.split_once('/') {
            Some((name, _)) => format!("{name}/"),
            None => below.to_owned(),
        });
    }
    if names.is_empty() {
        return Lookup::Nothing;
    }
    Lookup::Listing(names.into_iter().collect::<Vec<_>>().join("\n"))
}

/// Builds the whole tree.
pub(crate) fn build(source: &Source<'_>) -> Tree {
    let Source { topology, instance, enis, .. } = source;
    let mut tree = Tree::new();
    let mut set = |path: &str, value: String| {
        tree.insert(format!("meta-data/{path}"), value);
    };
    set("ami-id", "ami-0f1ecaca000000001".to_owned());
    set("instance-id", instance.id.to_string());
    set("instance-type", instance.size.name.to_owned());
    set("placement/availability-zone", instance.zone.clone());
    set("placement/region", topology.region.clone());
    set("services/domain", "amazonaws.com".to_owned());
    set("services/partition", "aws".to_owned());
    let primary = enis
        .iter()
        .map(|(eni, _)| eni)
        .find(|eni| eni.attachment.as_ref().is_some_and(|a| a.device_index == 0));
    if let Some(eni) = primary {
        set("mac", eni.mac.clone());
        set("local-ipv4", eni.primary.to_string());
        let name = private_dns_name(eni.primary, &topology.region);
        set("local-hostname", name.clone());
        set("hostname", name);
        set("security-groups", GROUP.1.to_owned());
        if let Some(subnet) = topology.subnet(&eni.subnet) {
            set("placement/availability-zone-id", subnet.zone_id.clone());
        }
    }
    for (eni, items) in enis {
        interface(&mut tree, topology, eni, items);
    }
    identity(&mut tree, source, primary.map(|eni| eni.primary));
    role(&mut tree, source);
    tree
}

/// The directory of one ENI.
fn interface(tree: &mut Tree, topology: &Topology, eni: &Eni, items: &[Item]) {
    let mut set = |key: &str, value: String| {
        tree.insert(format!("meta-data/network/interfaces/macs/{}/{key}", eni.mac), value);
    };
    let index = eni.attachment.as_ref().map_or(0, |attachment| attachment.device_index);
    set("device-number", index.to_string());
    set("interface-id", eni.id.to_string());
    set("mac", eni.mac.clone());
    set("owner-id", topology.account.clone());
    set("local-hostname", private_dns_name(eni.primary, &topology.region));
    set("security-group-ids", GROUP.0.to_owned());
    set("security-groups", GROUP.1.to_owned());
    set("subnet-id", eni.subnet.to_string());
    set("vpc-id", topology.vpc.clone());
    set("vpc-ipv4-cidr-block", topology.vpc_cidr.to_string());
    set("vpc-ipv4-cidr-blocks", topology.vpc_cidr.to_string());
    if let Some(subnet) = topology.subnet(&eni.subnet) {
        set("subnet-ipv4-cidr-block", subnet.cidr.to_string());
    }
    let (mut addresses, mut prefixes) = (vec![eni.primary.to_string()], Vec::new());
    for item in items {
        match item {
            Item::Attached(_) => {}
            Item::Address(address) => addresses.push(address.to_string()),
            Item::Prefix(net) => prefixes.push(net.to_string()),
        }
    }
    set("local-ipv4s", addresses.join("\n"));
    if !prefixes.is_empty() {
        set("ipv4-prefix", prefixes.join("\n"));
    }
}

/// Removes what the service does not show yet of a new ENI. Which keys are missing first is
/// unverified; the device number reads 0 until the last stage (ec2-semantics.md section 4).
pub(crate) fn apply_listing_stage(tree: &mut Tree, eni: &Eni, stage: ListingStage) {
    let directory = format!("meta-data/network/interfaces/macs/{}/", eni.mac);
    if stage == ListingStage::Whole {
        return;
    }
    tree.insert(format!("{directory}device-number"), "0".to_owned());
    if stage == ListingStage::Bare {
        let early = ["device-number", "interface-id", "mac"];
        tree.retain(|path, _| path.strip_prefix(&directory).is_none_or(|key| early.contains(&key)));
    }
}

fn identity(tree: &mut Tree, source: &Source<'_>, address: Option<std::net::Ipv4Addr>) {
    let Source { topology, instance, started, .. } = source;
    let document = serde_json::json!({
        "accountId": topology.account,
        "architecture": "x86_64",
        "availabilityZone": instance.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": "ami-0f1ecaca000000001",
        "instanceId": &*instance.id,
        "instanceType": instance.size.name,
        "kernelId": null,
        "pendingTime": iso_seconds(*started),
        "privateIp": address,
        "ramdiskId": null,
        "region": topology.region,
        "version": "2017-09-30",
    });
    tree.insert("dynamic/instance-identity/document".to_owned(), pretty(&document));
}

fn role(tree: &mut Tree, source: &Source<'_>) {
    let Source { topology, credentials, renewed, .. } = source;
    let Some(own) = credentials else { return };
    let account = &topology.account;
    let expires = std::time::Duration::from_secs(own.expires_unix.unwrap_or_default());
    let document = serde_json::json!({
        "Code": "Success",
        "LastUpdated": iso_seconds(*renewed),
        "Type": "AWS-HMAC",
        "AccessKeyId": own.access_key,
        "SecretAccessKey": own.secret_key,
        "Token": own.session_token,
        "Expiration": iso_seconds(expires),
    });
    let info = serde_json::json!({
        "Code": "Success",
        "LastUpdated": iso_seconds(*renewed),
        "InstanceProfileArn": format!("arn:aws:iam::{account}:instance-profile/{ROLE}"),
        "InstanceProfileId": "AIPAFIRECAMPNODE00001",
    });
    tree.insert("meta-data/iam/info".to_owned(), pretty(&info));
    tree.insert(format!("meta-data/iam/security-credentials/{ROLE}"), pretty(&document));
}

fn pretty(document: &serde_json::Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lists_its_children_and_marks_directories() {
        let tree: Tree = [("a/b", "1"), ("a/c/d", "2"), ("e", "3")]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        assert_eq!(look_up(&tree, "a/"), Lookup::Listing("b\nc/".to_owned()));
        assert_eq!(look_up(&tree, "a"), Lookup::Listing("b\nc/".to_owned()));
        assert_eq!(look_up(&tree, ""), Lookup::Listing("a/\ne".to_owned()));
        assert_eq!(look_up(&tree, "a/c/d"), Lookup::Value("2".to_owned()));
        for nothing in ["a/x", "e/", "a/b/c", "a/c/d/"] {
            assert_eq!(look_up(&tree, nothing), Lookup::Nothing, "{nothing}");
        }
    }
}
