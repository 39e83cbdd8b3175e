//! What the resolver of the VPC answers from the private zones.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::records::{Key, RecordSet, RecordType, Zone};
use crate::simulator::Simulator;

/// A record in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name, with the dot at its end.
    pub name: String,
    /// Its type.
    pub kind: RecordType,
    /// How long it may be remembered, in seconds.
    pub ttl: u32,
    /// Its value, as in a zone file.
    pub value: String,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// No private zone of the VPC contains the name.
    NotHere,
    /// The name does not exist. For how long that may be remembered: the smaller one of the SOA
    /// record's own time to live and its last field (RFC 2308, section 5).
    NoName(Record),
    /// The name exists without records of this type, which may be remembered as long.
    NoData(Record),
    /// These records.
    Records(Vec<Record>),
}

impl Simulator {
    /// What the resolver of the VPC answers now, without its cache.
    pub fn resolve(&mut self, now: Duration, name: &str, kind: RecordType) -> Lookup {
        self.advance(now);
        let now = self.now;
        let key = Key::new(name, kind);
        let zones = self.dns.zones.iter_mut().filter(|zone| key.is_below(&zone.apex));
        // The most specific zone answers.
        let Some(zone) = zones.max_by_key(|zone| zone.apex.name().len()) else {
            return Lookup::NotHere;
        };
        zone.show(now);
        zone.answer(&key)
    }

    /// The addresses of a name in all zones, as the API has them, for tests.
    pub fn recorded(&self, name: &str) -> Vec<Ipv4Addr> {
        let key = Key::new(name, RecordType::A);
        let sets = self.dns.zones.iter().filter_map(|zone| zone.records.get(&key));
        sets.flat_map(|set| &set.values).filter_map(|value| value.parse().ok()).collect()
    }
}

impl Zone {
    fn show(&mut self, now: Duration) {
        while let Some((_, key, set)) = self.pending.pop_front_if(|(at, ..)| *at <= now) {
            match set {
                Some(set) => drop(self.shown.insert(key, set)),
                None => drop(self.shown.remove(&key)),
            }
        }
    }

    fn answer(&self, key: &Key) -> Lookup {
        let wanted = |kind: RecordType| self.shown.get(&Key::new(&key.name(), kind));
        let alias = wanted(RecordType::Cname).filter(|_| key.kind != RecordType::Cname);
        if let Some(set) = alias {
            return Lookup::Records(records(key, RecordType::Cname, set));
        }
        if let Some(set) = wanted(key.kind) {
            return Lookup::Records(records(key, key.kind, set));
        }
        let soa = self.shown.get(&self.apex).map(|set| records(&self.apex, RecordType::Soa, set));
        let Some(mut soa) = soa.and_then(|all| all.into_iter().next()) else {
            return Lookup::NotHere;
        };
        let last = soa.value.rsplit(' ').next().and_then(|text| text.parse().ok());
        soa.ttl = soa.ttl.min(last.unwrap_or(soa.ttl));
        // A name above an existing one exists without records.
        let exists = self.shown.keys().any(|other| other.is_below(key));
        if exists { Lookup::NoData(soa) } else { Lookup::NoName(soa) }
    }
}

fn records(key: &Key, kind: RecordType, set: &RecordSet) -> Vec<Record> {
    let record =
        |value: &String| Record { name: key.name(), kind, ttl: set.ttl, value: value.clone() };
    set.values.iter().map(record).collect()
}
