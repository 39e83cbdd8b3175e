//! DescribeNetworkInterfaces: ec2-semantics.md section 2.3.

use std::sync::Arc;

use super::actions::{Action, ActionContext, Effect};
use super::describe::{Describe, DescribeRequest};
use super::filters::{boolean, pass};
use super::interface_xml::{GROUP, described, private_dns_name, status};
use super::{ApiError, is_id};
use crate::model::Eni;

/// The action.
pub(super) const DESCRIBE: Describe = Describe {
    action: Action::Interfaces,
    ids: Some("NetworkInterfaceId"),
    ids_without_pages: Some("networkInterfaceIdSet"),
    filters: &[
        "addresses.primary",
        "addresses.private-ip-address",
        "attachment.attachment-id",
        "attachment.delete-on-termination",
        "attachment.device-index",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "description",
        "group-id",
        "interface-type",
        "mac-address",
        "network-interface-id",
        "operator.managed",
        "operator.principal",
        "owner-id",
        "private-dns-name",
        "private-ip-address",
        "requester-id",
        "requester-managed",
        "source-dest-check",
        "status",
        "subnet-id",
        "tag-key",
        "vpc-id",
    ],
    tags: true,
    most: 1_000,
    managed: true,
    set: "networkInterfaceSet",
    empty_set: None,
};

/// Executes a request on the caller's view.
pub(crate) fn execute(
    request: &DescribeRequest,
    on: &ActionContext<'_>,
) -> Result<Effect, ApiError> {
    let visible = |eni: &Eni| {
        let hidden = eni.operator().is_some_and(|operator| operator.hidden);
        !hidden || request.managed
    };
    if let Some(bad) = request.ids.iter().find(|id| !is_id("eni", id)) {
        return Err(ApiError::malformed_eni(bad));
    }
    // EC2 names only the first unknown one.
    let there = |id: &String| on.vpc.enis.get(id.as_str()).is_some_and(|eni| visible(eni));
    if let Some(unknown) = request.ids.iter().find(|id| !there(id)) {
        return Err(ApiError::no_eni(unknown));
    }
    let wanted = |eni: &&Arc<Eni>| {
        let named = request.names(&eni.id);
        named && visible(eni) && pass(&request.filters, &eni.tags, |name| values(name, eni, on))
    };
    let not_omitted = |eni: &&Arc<Eni>| !on.knobs.omitted(|name| is_about(eni, name));
    let found: Vec<&Arc<Eni>> = on.vpc.enis.values().filter(wanted).filter(not_omitted).collect();
    let page = DESCRIBE.page(request, on, found, |eni| eni.id.to_string())?;
    Ok(DESCRIBE.answer(on, page, |xml, eni| {
        described(xml, eni, on.topology.subnet(&eni.subnet), on);
    }))
}

/// Whether the resource of a fault names this ENI.
pub(super) fn is_about(eni: &Eni, name: &str) -> bool {
    let address = name.parse().is_ok_and(|address| eni.holds(address).is_some());
    let attached = eni.attachment.as_ref().is_some_and(|a| &*a.instance == name);
    address || attached || &*eni.id == name || &*eni.subnet == name
}

/// The values of an ENI for a filter.
fn values(name: &str, eni: &Eni, on: &ActionContext<'_>) -> Vec<String> {
    let singles = || std::iter::once(&eni.primary).chain(&eni.secondary);
    let attachment = eni.attachment.as_ref();
    let one = |text: &str| vec![text.to_owned()];
    match name {
        "addresses.primary" if eni.secondary.is_empty() => boolean(true),
        "addresses.primary" => [boolean(true), boolean(false)].concat(),
        "addresses.private-ip-address" | "private-ip-address" => {
            singles().map(ToString::to_string).collect()
        }
        "attachment.attachment-id" => attachment.map(|a| a.id.to_string()).into_iter().collect(),
        "attachment.delete-on-termination" => {
            attachment.map(|a| boolean(a.delete_on_termination)).unwrap_or_default()
        }
        "attachment.device-index" => {
            attachment.map(|a| a.device_index.to_string()).into_iter().collect()
        }
        "attachment.instance-id" => {
            attachment.map(|a| a.instance.to_string()).into_iter().collect()
        }
        "attachment.status" => attachment.map(|a| one(a.status())).unwrap_or_default(),
        "availability-zone" => {
            on.topology.subnet(&eni.subnet).map(|s| s.zone.clone()).into_iter().collect()
        }
        "description" => one(&eni.description),
        "group-id" => one(GROUP.0),
        "interface-type" => one(eni.kind.name()),
        "mac-address" => one(&eni.mac),
        "network-interface-id" => one(&eni.id),
        "operator.managed" | "requester-managed" => boolean(eni.operator().is_some()),
        "operator.principal" => eni.operator().map(|o| o.principal.clone()).into_iter().collect(),
        "owner-id" => one(&on.topology.account),
        "private-dns-name" => one(&private_dns_name(eni.primary, &on.topology.region)),
        "requester-id" => eni.operator().map(|_| one("amazon-aws")).unwrap_or_default(),
        "source-dest-check" => boolean(eni.source_dest_check),
        "status" => one(status(eni, on.now)),
        "subnet-id" => one(&eni.subnet),
        "vpc-id" => one(&on.topology.vpc),
        _ => Vec::new(),
    }
}
