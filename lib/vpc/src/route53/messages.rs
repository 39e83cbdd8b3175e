//! The XML of Route 53's API.

use std::fmt::Write as _;

use quick_xml::escape::escape;
use serde::Deserialize;

use super::changes::{Change, Verb};
use super::records::{Key, RecordSet, Zone};
use crate::ec2::ApiError;
use crate::model::Topology;
use crate::wire::WireRequest;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
/// Record sets of a page, unless the request asks for fewer.
const PAGE: usize = 300;

fn document(root: &str, inside: &str) -> Vec<u8> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    format!("{head}<{root} xmlns=\"{NAMESPACE}\">{inside}</{root}>").into_bytes()
}

/// An error document.
pub(super) fn error_body(error: &ApiError, request_id: &str) -> Vec<u8> {
    let (code, message) = (escape(&error.code), escape(&error.message));
    let inside = format!(
        "<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>{request_id}</RequestId>"
    );
    document("ErrorResponse", &inside)
}

fn hosted_zone(zone: &Zone) -> String {
    format!(
        "<HostedZone><Id>/hostedzone/{}</Id><Name>{}</Name><CallerReference>{}</CallerReference>\
         <Config><PrivateZone>true</PrivateZone></Config>\
         <ResourceRecordSetCount>{}</ResourceRecordSetCount></HostedZone>",
        zone.id,
        escape(zone.apex.name()),
        zone.id,
        zone.records.len()
    )
}

/// ListHostedZones.
pub(super) fn zones(zones: &[Zone]) -> Vec<u8> {
    let all: String = zones.iter().map(hosted_zone).collect();
    let inside = format!(
        "<HostedZones>{all}</HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>"
    );
    document("ListHostedZonesResponse", &inside)
}

/// GetHostedZone.
pub(super) fn zone(zone: &Zone, topology: &Topology) -> Vec<u8> {
    let vpcs = format!(
        "<VPCs><VPC><VPCRegion>{}</VPCRegion><VPCId>{}</VPCId></VPC></VPCs>",
        topology.region, topology.vpc
    );
    document("GetHostedZoneResponse", &format!("{}{vpcs}", hosted_zone(zone)))
}

/// ListResourceRecordSets, from the name and type that the request asks for.
pub(super) fn records(zone: &Zone, request: &WireRequest) -> Result<Vec<u8>, ApiError> {
    let (_, query) = request.path_and_query.split_once('?').unwrap_or_default();
    let query: std::collections::BTreeMap<_, _> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let wrong = |text: String| ApiError::new(400, "InvalidInput", text);
    let page = match query.get("maxitems") {
        Some(text) => text.parse::<usize>().map_err(|_source| wrong(format!("maxitems {text}")))?,
        None => PAGE,
    };
    let page = page.clamp(1, PAGE);
    let from = match (query.get("name"), query.get("type")) {
        (Some(name), kind) => {
            let kind = kind.map_or("A", String::as_str).parse().map_err(wrong)?;
            Some(Key::new(name, kind))
        }
        (None, _) => None,
    };
    let mut rest =
        zone.records.iter().skip_while(|(key, _)| from.as_ref().is_some_and(|it| *key < it));
    let sets: String = rest.by_ref().take(page).map(|(key, set)| record_set(key, set)).collect();
    let mut inside = format!("<ResourceRecordSets>{sets}</ResourceRecordSets>");
    let next = rest.next();
    let _infallible = write!(inside, "<IsTruncated>{}</IsTruncated>", next.is_some());
    if let Some((key, _)) = next {
        let (name, kind) = (escape_name(&key.name()), key.kind);
        let _infallible = write!(
            inside,
            "<NextRecordName>{name}</NextRecordName><NextRecordType>{kind}</NextRecordType>"
        );
    }
    let _infallible = write!(inside, "<MaxItems>{page}</MaxItems>");
    Ok(document("ListResourceRecordSetsResponse", &inside))
}

/// Route 53 escapes what is no letter, digit, hyphen, underscore or dot as octal digits.
fn escape_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let escaped =
        |c: char| if plain(c) { c.to_string() } else { format!("\\{:03o}", u32::from(c)) };
    name.chars().map(escaped).collect()
}

fn record_set(key: &Key, set: &RecordSet) -> String {
    let value = |value: &String| {
        format!("<ResourceRecord><Value>{}</Value></ResourceRecord>", escape(value))
    };
    let values: String = set.values.iter().map(value).collect();
    format!(
        "<ResourceRecordSet><Name>{}</Name><Type>{}</Type><TTL>{}</TTL>\
         <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>",
        escape_name(&key.name()),
        key.kind,
        set.ttl
    )
}

/// ChangeResourceRecordSets and GetChange.
pub(super) fn change(action: &str, (id, is_done): (&str, bool), at: &str) -> Vec<u8> {
    let status = if is_done { "INSYNC" } else { "PENDING" };
    let inside = format!(
        "<ChangeInfo><Id>/change/{id}</Id><Status>{status}</Status>\
         <SubmittedAt>{at}</SubmittedAt></ChangeInfo>"
    );
    document(&format!("{action}Response"), &inside)
}

#[derive(Deserialize)]
struct WireBatch {
    #[serde(rename = "ChangeBatch")]
    batch: WireChanges,
}

#[derive(Deserialize)]
struct WireChanges {
    #[serde(rename = "Changes")]
    changes: WireList,
}

#[derive(Deserialize)]
struct WireList {
    #[serde(rename = "Change", default)]
    all: Vec<WireChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireChange {
    action: String,
    resource_record_set: WireSet,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WireSet {
    name: String,
    r#type: String,
    #[serde(rename = "TTL")]
    ttl: Option<u32>,
    resource_records: Option<WireValues>,
}

#[derive(Deserialize)]
struct WireValues {
    #[serde(rename = "ResourceRecord", default)]
    all: Vec<WireValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireValue {
    value: String,
}

/// The changes of a request. Record sets with routing policies and alias targets are not served.
pub(super) fn batch(body: &[u8]) -> Result<Vec<Change>, ApiError> {
    let wrong = |text: String| ApiError::new(400, "InvalidInput", text);
    let text = std::str::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    let parsed: WireBatch = quick_xml::de::from_str(text).map_err(|e| wrong(e.to_string()))?;
    let change = |wire: WireChange| {
        let verb = match wire.action.as_str() {
            "CREATE" => Verb::Create,
            "DELETE" => Verb::Delete,
            "UPSERT" => Verb::Upsert,
            other => return Err(wrong(format!("Invalid action {other}"))),
        };
        let WireSet { name, r#type, ttl, resource_records } = wire.resource_record_set;
        let kind = r#type.parse().map_err(wrong)?;
        let (Some(ttl), Some(records)) = (ttl, resource_records) else {
            return Err(wrong(format!(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and \
                 ResourceRecords], or TrafficPolicyInstanceId], but found none in Change with \
                 [Action={}, Name={name}, Type={kind}, SetIdentifier=null]",
                wire.action
            )));
        };
        let values = records.all.into_iter().map(|one| one.value).collect();
        Ok(Change { verb, key: Key::new(&name, kind), set: RecordSet { ttl, values } })
    };
    let changes =
        parsed.batch.changes.all.into_iter().map(change).collect::<Result<Vec<_>, _>>()?;
    if changes.is_empty() {
        return Err(wrong("The request contains no changes".to_owned()));
    }
    Ok(changes)
}
