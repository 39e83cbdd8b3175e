//! DescribeInstanceTypes: ec2-semantics.md section 2.11.

use std::collections::BTreeMap;

use super::ApiError;
use super::actions::{Action, ActionContext, Effect};
use super::describe::{Describe, DescribeRequest};
use super::filters::{boolean, pass};
use super::xml::Xml;
use crate::model::{InstanceType, TYPES, type_named};

/// The action.
pub(super) const DESCRIBE: Describe = Describe {
    action: Action::InstanceTypes,
    ids: Some("InstanceType"),
    ids_without_pages: None,
    filters: &[
        "bare-metal",
        "ebs-info.attachment-limit-type",
        "hypervisor",
        "instance-type",
        "network-info.ipv4-addresses-per-interface",
        "network-info.maximum-network-cards",
        "network-info.maximum-network-interfaces",
    ],
    tags: false,
    most: 100,
    managed: false,
    set: "instanceTypeSet",
    empty_set: None,
};

/// The address limit of a type, as the caller sees it.
fn ips(kind: &InstanceType, on: &ActionContext<'_>) -> u32 {
    match on.knobs.limits.get(kind.name) {
        Some((ips, fault)) => {
            on.knobs.fire(*fault);
            *ips
        }
        None => kind.ips,
    }
}

/// The ENI limit of a type, as the caller sees it.
fn enis(kind: &InstanceType, on: &ActionContext<'_>) -> u32 {
    match on.knobs.eni_limits.get(kind.name) {
        Some((enis, fault)) => {
            on.knobs.fire(*fault);
            *enis
        }
        None => kind.enis,
    }
}

/// Executes a request. The table never changes.
pub(crate) fn execute(
    request: &DescribeRequest,
    on: &ActionContext<'_>,
) -> Result<Effect, ApiError> {
    if let Some(unknown) = request.ids.iter().find(|name| type_named(name).is_none()) {
        return Err(ApiError::no_type(unknown));
    }
    let named = |kind: &&&'static InstanceType| request.names(kind.name);
    let no_tags = BTreeMap::new();
    let all: Vec<&'static InstanceType> = TYPES.iter().collect();
    let found: Vec<&'static InstanceType> = all
        .iter()
        .filter(named)
        .filter(|kind| pass(&request.filters, &no_tags, |name| values(name, kind, on)))
        .copied()
        .collect();
    let page = DESCRIBE.page(request, on, found, |k| k.name.to_owned())?;
    Ok(DESCRIBE.answer(on, page, |xml, kind| item(xml, kind, on)))
}

const fn hypervisor(kind: &InstanceType) -> &'static str {
    if kind.nitro { "nitro" } else { "xen" }
}

const fn limit_type(kind: &InstanceType) -> &'static str {
    if kind.shared { "shared" } else { "dedicated" }
}

fn item(xml: &mut Xml, kind: &InstanceType, on: &ActionContext<'_>) {
    let (enis, ips) = (enis(kind, on), ips(kind, on));
    // The API counts the primary ENI's slot where slots are shared.
    let volumes = kind.shared_slots().unwrap_or(kind.volumes);
    xml.leaf("instanceType", kind.name)
        .leaf("currentGeneration", kind.nitro)
        .leaf("bareMetal", false)
        .leaf("hypervisor", hypervisor(kind));
    xml.node("networkInfo", |xml| {
        xml.leaf("maximumNetworkInterfaces", enis)
            .leaf("maximumNetworkCards", 1)
            .leaf("defaultNetworkCardIndex", 0)
            .set("networkCards", [enis], |xml, enis| {
                xml.leaf("networkCardIndex", 0).leaf("maximumNetworkInterfaces", enis);
            })
            .leaf("ipv4AddressesPerInterface", ips);
    });
    xml.node("ebsInfo", |xml| {
        xml.leaf("nvmeSupport", if kind.nitro { "required" } else { "unsupported" })
            .leaf("maximumEbsAttachments", volumes)
            .leaf("attachmentLimitType", limit_type(kind));
    });
}

/// The values of a type for a filter.
fn values(name: &str, kind: &InstanceType, on: &ActionContext<'_>) -> Vec<String> {
    match name {
        "bare-metal" => boolean(false),
        "ebs-info.attachment-limit-type" => vec![limit_type(kind).to_owned()],
        "hypervisor" => vec![hypervisor(kind).to_owned()],
        "instance-type" => vec![kind.name.to_owned()],
        "network-info.ipv4-addresses-per-interface" => vec![ips(kind, on).to_string()],
        "network-info.maximum-network-cards" => vec!["1".to_owned()],
        "network-info.maximum-network-interfaces" => vec![enis(kind, on).to_string()],
        _ => Vec::new(),
    }
}
