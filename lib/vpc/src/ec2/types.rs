//! DescribeInstanceTypes: ec2-semantics.md section 2.11.

use std::collections::BTreeMap;

use super::actions::{ActionContext, Effect};
use super::filters::{Filter, boolean, known, pass};
use super::pages::{Bounds, Listing, PageRequest, check_bounds};
use super::xml::Xml;
use super::{ApiError, Form};
use crate::model::{InstanceType, TYPES, type_named};
use crate::rng::key_of;

/// The supported filters.
pub(crate) const FILTERS: [&str; 7] = [
    "bare-metal",
    "ebs-info.attachment-limit-type",
    "hypervisor",
    "instance-type",
    "network-info.ipv4-addresses-per-interface",
    "network-info.maximum-network-cards",
    "network-info.maximum-network-interfaces",
];

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct InstanceTypes {
    names: Vec<String>,
    filters: Vec<Filter>,
    page: PageRequest,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<InstanceTypes, ApiError> {
    let names: Vec<String> = form.list("InstanceType").into_iter().map(str::to_owned).collect();
    let filters = form.filters()?;
    let max = form.number("MaxResults")?;
    let token = form.text("NextToken").map(str::to_owned);
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    if let Some(tag) = filters.iter().find(|filter| filter.name.starts_with("tag:")) {
        return Err(ApiError::invalid_filter(&tag.name));
    }
    known(&filters, &FILTERS)?;
    check_bounds(max, Bounds { least: 5, most: 100 })?;
    if dry {
        return Err(ApiError::dry_run());
    }
    Ok(InstanceTypes { names, filters, page: PageRequest { max, token } })
}

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
pub(crate) fn execute(request: &InstanceTypes, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    if let Some(unknown) = request.names.iter().find(|name| type_named(name).is_none()) {
        return Err(ApiError::no_type(unknown));
    }
    let named = |kind: &&&'static InstanceType| {
        request.names.is_empty() || request.names.iter().any(|name| name == kind.name)
    };
    let no_tags = BTreeMap::new();
    let all: Vec<&'static InstanceType> = TYPES.iter().collect();
    let found: Vec<&'static InstanceType> = all
        .iter()
        .filter(named)
        .filter(|kind| pass(&request.filters, &no_tags, |name| values(name, kind, on)))
        .copied()
        .collect();
    let name = super::Action::InstanceTypes.name();
    let fingerprint = key_of(&format!("{:?}{:?}", request.names, request.filters));
    let listing = Listing { rng: on.rng, action: name, fingerprint };
    let page = on.page(&listing, found, |k| k.name.to_owned(), &request.page)?;
    let mut xml = Xml::answer(name, on.request_id);
    xml.set("instanceTypeSet", page.items, |xml, kind| item(xml, kind, on));
    if let Some(token) = page.token {
        xml.leaf("nextToken", token);
    }
    Ok(Effect::read(xml.finish(name)))
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

#[cfg(test)]
mod tests {
    use super::FILTERS;

    #[test]
    fn the_table_of_filters_is_in_order() {
        assert!(FILTERS.is_sorted());
    }
}
