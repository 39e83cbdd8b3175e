//! ChangeResourceRecordSets: what may change, all or nothing.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::records::{Key, RecordSet, RecordType, Zone};
use crate::ec2::ApiError;

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Delete,
    Upsert,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) verb: Verb,
    pub(super) key: Key,
    pub(super) set: RecordSet,
}

/// Quotas of a batch: ResourceRecord elements, and characters of all values. Those of an UPSERT
/// count twice.
const RECORDS: usize = 1_000;
const CHARACTERS: usize = 32_000;
/// The longest label of a name.
const LABEL: usize = 63;
/// The longest quoted part of a TXT value.
const QUOTED: usize = 255;

impl Zone {
    /// Applies a batch, which the resolver shows from that time on, or from that of the last
    /// change. Returns when that is.
    pub(super) fn apply(
        &mut self,
        batch: &[Change],
        shown_at: Duration,
    ) -> Result<Duration, ApiError> {
        let problems: Vec<String> = self.problems(batch);
        if !problems.is_empty() {
            let text = format!("[{}]", problems.join(", "));
            return Err(ApiError::new(400, "InvalidChangeBatch", text));
        }
        // Changes become visible in their order.
        let last = self.pending.back().map_or(shown_at, |(at, ..)| shown_at.max(*at));
        for Change { verb, key, set } in batch {
            let next = (*verb != Verb::Delete).then(|| set.clone());
            match &next {
                Some(set) => drop(self.records.insert(key.clone(), set.clone())),
                None => drop(self.records.remove(key)),
            }
            self.pending.push_back((last, key.clone(), next));
        }
        Ok(last)
    }

    fn problems(&self, batch: &[Change]) -> Vec<String> {
        let weight = |change: &Change| if change.verb == Verb::Upsert { 2 } else { 1 };
        let records = |change: &Change| weight(change) * change.set.values.len();
        let characters = |change: &Change| {
            weight(change) * change.set.values.iter().map(String::len).sum::<usize>()
        };
        if batch.iter().map(records).sum::<usize>() > RECORDS {
            return vec![format!("Number of records limit of {RECORDS} exceeded.")];
        }
        if batch.iter().map(characters).sum::<usize>() > CHARACTERS {
            return vec![format!("RDATA character limit of {CHARACTERS} exceeded.")];
        }
        let mut after = self.clone();
        let mut problems = Vec::new();
        let mut set = BTreeSet::new();
        for change in batch {
            // Only a deletion and then a creation of the same record set may be in one batch.
            let is_second = !set.insert(&change.key) && change.verb != Verb::Create;
            if is_second {
                let (kind, name) = (change.key.kind, change.key.name());
                problems.push(format!(
                    "The request contains an invalid set of changes for a resource record set \
                     '{kind} {name}'"
                ));
                continue;
            }
            match after.problem(change) {
                Some(problem) => problems.push(problem),
                None if change.verb == Verb::Delete => drop(after.records.remove(&change.key)),
                None => drop(after.records.insert(change.key.clone(), change.set.clone())),
            }
        }
        problems
    }

    fn problem(&self, change: &Change) -> Option<String> {
        let Change { verb, key, set } = change;
        let (name, kind) = (key.name(), key.kind);
        let named = format!("resource record set [name='{name}', type='{kind}']");
        if !key.is_below(&self.apex) {
            let zone = self.apex.name();
            return Some(format!("RRSet with DNS name {name} is not permitted in zone {zone}"));
        }
        if let Some(label) = name.split('.').find(|label| label.len() > LABEL) {
            return Some(format!(
                "FATAL problem: DomainLabelTooLong (Domain label is too long) encountered with \
                 '{label}'"
            ));
        }
        let stored = self.records.get(key);
        match (verb, stored) {
            (Verb::Create, Some(_)) => {
                return Some(format!("Tried to create {named} but it already exists"));
            }
            (Verb::Delete, None) => {
                return Some(format!("Tried to delete {named} but it was not found"));
            }
            (Verb::Delete, Some(stored)) if stored != set => {
                return Some(format!(
                    "Tried to delete {named} but the values provided do not match the current \
                     values"
                ));
            }
            _ => {}
        }
        if matches!(kind, RecordType::Soa | RecordType::Ns) && key.same_name(&self.apex) {
            let text = format!("A HostedZone must contain exactly one SOA record, and NS: {named}");
            return (*verb == Verb::Delete).then_some(text);
        }
        if *verb == Verb::Delete {
            return None;
        }
        let others = self.records.keys().filter(|other| other.same_name(key) && *other != key);
        let mut kinds = others.map(|other| other.kind);
        let conflicts =
            kinds.any(|other| (other == RecordType::Cname) || (kind == RecordType::Cname));
        if conflicts {
            return Some(format!(
                "RRSet of type {kind} with DNS name {name} is not permitted because a conflicting \
                 RRSet of another type with the same DNS name already exists in zone {}",
                self.apex.name()
            ));
        }
        invalid_value(kind, set).map(|value| {
            format!("Invalid Resource Record: 'FATAL problem: {value}' encountered with {named}")
        })
    }
}

fn invalid_value(kind: RecordType, set: &RecordSet) -> Option<&'static str> {
    if set.values.is_empty() || set.values.len() > 400 {
        return Some("NumberOfValues");
    }
    if set.values.iter().collect::<BTreeSet<_>>().len() != set.values.len() {
        return Some("Duplicate Resource Record");
    }
    let wrong = |value: &String| match kind {
        RecordType::A => value.parse::<Ipv4Addr>().is_err(),
        RecordType::Aaaa => value.parse::<Ipv6Addr>().is_err(),
        RecordType::Txt => {
            let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            quoted.is_none_or(|text| text.len() > QUOTED)
        }
        RecordType::Cname | RecordType::Ns | RecordType::Soa => value.is_empty(),
    };
    let problem = match kind {
        RecordType::A => "InvalidIPv4Address",
        RecordType::Aaaa => "InvalidIPv6Address",
        RecordType::Txt => "InvalidCharacterString",
        RecordType::Cname | RecordType::Ns | RecordType::Soa => "InvalidDomainName",
    };
    set.values.iter().any(wrong).then_some(problem)
}
