//! CreateNetworkInterface and DeleteNetworkInterface: ec2-semantics.md sections 2.6 and 2.7.
//!
//! Where the documentation is open, the simulator takes the choice that is worse for the caller:
//! other calls do not see a new ENI for a while, a client token whose ENI was deleted creates no
//! second one, and a dry run does not check addresses and limits.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::actions::{ActionContext, Effect};
use super::interface_xml::{GROUP, described};
use super::tags::{check_tags, same_key_twice};
use super::xml::Xml;
use super::{ApiError, Form, assign, automatic_addresses, is_id};
use crate::model::{Eni, EniKind, Id, Subnet, UNATTACHED_SLOTS, VpcState};
use crate::rng::key_of;

/// ENIs of the account per region (NetworkInterfaceLimitExceeded), unless a fault changes the
/// quota.
const QUOTA: u32 = 5_000;
/// Security groups per ENI.
const MAX_GROUPS: usize = 5;
/// The longest client token (Ensuring idempotency in Amazon EC2 API requests: 64 ASCII characters).
const MAX_TOKEN: usize = 64;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Create {
    subnet: String,
    description: String,
    kind: EniKind,
    /// The address, and whether it is to be the primary one.
    addresses: Vec<(String, bool)>,
    count: u32,
    /// How many /28 prefixes.
    prefixes: u32,
    groups: Vec<String>,
    tags: Vec<(String, String)>,
    token: Option<String>,
    dry: bool,
}

/// Parses a request.
pub(crate) fn parse(form: &Form) -> Result<Create, ApiError> {
    let subnet = form.required("SubnetId")?.to_owned();
    let description = form.text("Description").unwrap_or_default().to_owned();
    let addresses = addresses(form)?;
    let count = form.number("SecondaryPrivateIpAddressCount")?;
    let prefixes = form.number("Ipv4PrefixCount")?;
    let groups: Vec<String> = form.list("SecurityGroupId").into_iter().map(str::to_owned).collect();
    let kind = form.text("InterfaceType").unwrap_or("interface");
    let tags = tags(form)?;
    let token = form.text("ClientToken").map(str::to_owned);
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    let kind = match kind {
        "interface" => EniKind::Ordinary,
        "trunk" => EniKind::Trunk,
        other => return Err(ApiError::value(format!("Invalid value '{other}' for InterfaceType"))),
    };
    valid_description(&description)?;
    // "You can't specify this option and specify more than one private IP address".
    if count.is_some() && addresses.len() > 1 {
        return Err(ApiError::combination(
            "The parameter secondaryPrivateIpAddressCount cannot be used with more than one of \
             privateIpAddresses",
        ));
    }
    // "You can't use this option if you use the SecondaryPrivateIpAddressCount option", nor with
    // more than one address.
    if prefixes.is_some() && (count.is_some() || addresses.len() > 1) {
        return Err(ApiError::combination(
            "The parameter ipv4PrefixCount cannot be used with secondary private IP addresses",
        ));
    }
    if token.as_ref().is_some_and(|token| token.len() > MAX_TOKEN || !token.is_ascii()) {
        return Err(ApiError::value("ClientToken has up to 64 ASCII characters"));
    }
    few_groups(&groups)?;
    let (count, prefixes) = (count.unwrap_or(0), prefixes.unwrap_or(0));
    Ok(Create { subnet, description, kind, addresses, count, prefixes, groups, tags, token, dry })
}

/// Checks the length of a description.
pub(super) fn valid_description(description: &str) -> Result<(), ApiError> {
    if description.len() > 255 {
        return Err(ApiError::value("The description has more than 255 characters"));
    }
    Ok(())
}

/// Checks the number of security groups.
pub(super) fn few_groups(groups: &[String]) -> Result<(), ApiError> {
    if groups.len() > MAX_GROUPS { Err(ApiError::too_many_groups()) } else { Ok(()) }
}

/// Checks that every security group exists; the VPC has one.
pub(super) fn known_groups(groups: &[String]) -> Result<(), ApiError> {
    if let Some(bad) = groups.iter().find(|group| !is_id("sg", group)) {
        return Err(ApiError::malformed_id("InvalidGroupId.Malformed", bad, "sg"));
    }
    let unknown = groups.iter().find(|group| *group != GROUP.0);
    unknown.map_or(Ok(()), |group| Err(ApiError::no_group(group)))
}

/// `PrivateIpAddress` is the primary one; one of `PrivateIpAddresses` may be.
fn addresses(form: &Form) -> Result<Vec<(String, bool)>, ApiError> {
    let first = form.text("PrivateIpAddress").map(|address| (address.to_owned(), true));
    let mut found: Vec<(String, bool)> = first.into_iter().collect();
    for n in 1..=UNATTACHED_SLOTS + 1 {
        let primary = form.flag(&format!("PrivateIpAddresses.{n}.Primary"))?;
        let Some(address) = form.text(&format!("PrivateIpAddresses.{n}.PrivateIpAddress")) else {
            break;
        };
        found.push((address.to_owned(), primary));
    }
    if found.iter().filter(|(_, primary)| *primary).count() > 1 {
        return Err(ApiError::combination("Only one primary private IP address can be specified"));
    }
    Ok(found)
}

fn tags(form: &Form) -> Result<Vec<(String, String)>, ApiError> {
    let Some(kind) = form.text("TagSpecification.1.ResourceType") else { return Ok(Vec::new()) };
    if kind != "network-interface" {
        let text = format!("'{kind}' is not a valid taggable resource type for this operation.");
        return Err(ApiError::value(text));
    }
    let tags = form.pairs("TagSpecification.1.Tag")?;
    same_key_twice(&tags)?;
    Ok(tags)
}

/// Executes a request on the current state.
pub(crate) fn execute(request: &Create, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    if !is_id("subnet", &request.subnet) {
        return Err(ApiError::malformed_id("InvalidSubnetID.Malformed", &request.subnet, "subnet"));
    }
    let subnet = on.topology.subnet(&request.subnet);
    let subnet = subnet.ok_or_else(|| ApiError::no_subnet(&request.subnet))?;
    known_groups(&request.groups)?;
    let none = BTreeMap::new();
    check_tags(&request.tags, &none)?;
    if request.dry {
        return Err(ApiError::dry_run());
    }
    let fingerprint = key_of(&format!("{request:?}"));
    if let Some(eni) = made_before(request, fingerprint, on)? {
        return Ok(Effect::read(answer(request, eni, on)));
    }
    within_quota(on)?;
    let eni = Arc::new(make(request, subnet, on)?);
    let body = answer(request, &eni, on);
    let mut next = (*on.vpc).clone();
    if let Some(token) = &request.token {
        let created = (fingerprint, Arc::clone(&eni.id));
        Arc::make_mut(&mut next.tokens).insert(token.clone(), created);
    }
    next.enis.insert(Arc::clone(&eni.id), eni);
    Ok(Effect { body, next: Some(next) })
}

/// The ENI that an earlier call with this client token created. If it was deleted, no other one is
/// created in its place (unverified).
fn made_before<'a>(
    request: &Create,
    fingerprint: u64,
    on: &'a ActionContext<'_>,
) -> Result<Option<&'a Eni>, ApiError> {
    let Some(token) = &request.token else { return Ok(None) };
    let Some((made_by, id)) = on.vpc.tokens.get(token) else { return Ok(None) };
    if *made_by != fingerprint {
        return Err(ApiError::idempotent_mismatch());
    }
    let eni = on.vpc.enis.get(id).ok_or_else(|| ApiError::no_eni(id))?;
    Ok(Some(eni))
}

fn within_quota(on: &ActionContext<'_>) -> Result<(), ApiError> {
    let quota = on.knobs.quota.map_or(QUOTA, |(quota, _)| quota);
    if on.vpc.enis.len() < usize::try_from(quota).unwrap_or(usize::MAX) {
        return Ok(());
    }
    if let Some((_, fault)) = on.knobs.quota {
        on.knobs.fire(fault);
    }
    Err(ApiError::eni_quota())
}

fn make(request: &Create, subnet: &Subnet, on: &ActionContext<'_>) -> Result<Eni, ApiError> {
    let texts: Vec<String> = request.addresses.iter().map(|(text, _)| text.clone()).collect();
    let given = assign::addresses(&texts, subnet)?;
    if given.iter().any(|address| on.vpc.holder(*address).is_some()) {
        return Err(ApiError::address_in_use());
    }
    let chosen = request.addresses.iter().position(|(_, primary)| *primary);
    let mut primary = chosen.and_then(|at| given.get(at)).copied();
    let mut secondary: Vec<Ipv4Addr> =
        given.iter().filter(|address| Some(**address) != primary).copied().collect();
    let wanted = request.count.saturating_add(request.prefixes);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    if secondary.len().saturating_add(wanted) >= UNATTACHED_SLOTS {
        return Err(ApiError::limit());
    }
    let missing = request.count.saturating_add(u32::from(primary.is_none()));
    let mut picked = automatic_addresses::free(missing, (subnet, &given), on)?.into_iter();
    primary = primary.or_else(|| picked.next());
    secondary.extend(picked);
    let primary = primary.ok_or_else(ApiError::subnet_full)?;
    let prefixes = free_prefixes(request.prefixes, (subnet, primary), on)?;
    let lag = on.rng.draw(&on.profile.eni_create, "eni-create", on.call, 0);
    Ok(Eni {
        id: Id::from(format!("eni-{}", on.rng.hex17("eni-made", on.call))),
        mac: crate::spec::mac_of("0a", on.rng.bits("mac-made", on.call, 0)),
        subnet: Arc::clone(&subnet.id),
        description: request.description.clone(),
        source_dest_check: true,
        tags: request.tags.iter().cloned().collect(),
        primary,
        secondary,
        prefixes,
        attachment: None,
        kind: request.kind.clone(),
        known_at: on.now + lag,
    })
}

/// Prefixes that EC2 selects, without the new ENI's own address.
fn free_prefixes(
    count: u32,
    (subnet, primary): (&Subnet, Ipv4Addr),
    on: &ActionContext<'_>,
) -> Result<Vec<Ipv4Net>, ApiError> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut free = on.vpc.free_prefixes_in(subnet);
    free.retain(|net| !net.contains(&primary));
    free.truncate(count);
    if free.len() < count { Err(ApiError::no_free_block()) } else { Ok(free) }
}

fn answer(request: &Create, eni: &Eni, on: &ActionContext<'_>) -> Vec<u8> {
    let name = super::Action::Create.name();
    let mut xml = Xml::answer(name, on.request_id);
    xml.node("networkInterface", |xml| {
        described(xml, eni, on.topology.subnet(&eni.subnet), on);
    });
    if let Some(token) = &request.token {
        xml.leaf("clientToken", token);
    }
    xml.finish(name)
}

/// A request to delete an ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delete {
    eni: String,
    dry: bool,
}

/// Parses a request to delete an ENI.
pub(crate) fn parse_delete(form: &Form) -> Result<Delete, ApiError> {
    let eni = form.required("NetworkInterfaceId")?.to_owned();
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    Ok(Delete { eni, dry })
}

/// Deletes an ENI without an attachment in any state.
pub(crate) fn delete(request: &Delete, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let eni = assign::interface(&request.eni, on)?;
    if request.dry {
        return Err(ApiError::dry_run());
    }
    if eni.attachment.is_some() {
        return Err(ApiError::eni_in_use("InvalidParameterValue", &request.eni));
    }
    let mut next: VpcState = (*on.vpc).clone();
    next.enis.remove(&eni.id);
    let body = Xml::done(super::Action::Delete.name(), on.request_id);
    Ok(Effect { body, next: Some(next) })
}

#[cfg(test)]
mod tests {
    use super::super::read_form;
    use super::*;

    fn code(body: &str) -> String {
        let form = read_form(body.as_bytes()).unwrap();
        parse(&form).map_or_else(|error| error.code, |_| "good".to_owned())
    }

    #[test]
    fn the_syntax_of_a_request_is_checked() {
        let groups = (1..=6).map(|n| format!("&SecurityGroupId.{n}=sg-0000000{n}"));
        let six: String = groups.collect();
        for (rest, expected) in [
            ("", "good"),
            ("&PrivateIpAddress=10.0.1.9&SecondaryPrivateIpAddressCount=2", "good"),
            ("&SecondaryPrivateIpAddressCount=x", "InvalidParameterValue"),
            ("&InterfaceType=branch", "InvalidParameterValue"),
            ("&Ipv6AddressCount=1", "UnknownParameter"),
            ("&TagSpecification.1.ResourceType=volume", "InvalidParameterValue"),
            ("&TagSpecification.2.ResourceType=network-interface", "UnknownParameter"),
            (six.as_str(), "SecurityGroupsPerInterfaceLimitExceeded"),
        ] {
            assert_eq!(code(&format!("SubnetId=subnet-00000001{rest}")), expected, "{rest}");
        }
        assert_eq!(code("Description=x"), "MissingParameter");
    }

    #[test]
    fn one_address_is_the_primary_one() {
        let of = |n: u32, primary: bool| {
            format!(
                "&PrivateIpAddresses.{n}.PrivateIpAddress=10.0.1.{n}\
                 &PrivateIpAddresses.{n}.Primary={primary}"
            )
        };
        let body = |rest: &str| format!("SubnetId=subnet-00000001{rest}");
        let two = format!("{}{}", of(1, true), of(2, false));
        assert_eq!(code(&body(&two)), "good");
        let both = format!("{}{}", of(1, true), of(2, true));
        assert_eq!(code(&body(&both)), "InvalidParameterCombination");
        let beside = format!("&PrivateIpAddress=10.0.1.9{}", of(1, true));
        assert_eq!(code(&body(&beside)), "InvalidParameterCombination");
        let counted = format!("&SecondaryPrivateIpAddressCount=1{two}");
        assert_eq!(code(&body(&counted)), "InvalidParameterCombination");
    }

    #[test]
    fn a_client_token_has_64_ascii_characters_at_most() {
        let with = |token: &str| code(&format!("SubnetId=subnet-00000001&ClientToken={token}"));
        assert_eq!(with(&"x".repeat(64)), "good");
        assert_eq!(with(&"x".repeat(65)), "InvalidParameterValue");
        assert_eq!(with("%C3%A9"), "InvalidParameterValue");
    }

    #[test]
    fn duplicate_tag_keys_are_refused() {
        let tag = |n: u32| format!("&TagSpecification.1.Tag.{n}.Key=a");
        let kind = "SubnetId=subnet-00000001&TagSpecification.1.ResourceType=network-interface";
        assert_eq!(code(&format!("{kind}{}", tag(1))), "good");
        assert_eq!(code(&format!("{kind}{}{}", tag(1), tag(2))), "InvalidParameterValue");
    }
}
