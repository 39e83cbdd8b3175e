//! The records of a hosted zone.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The types that the simulator serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// The name servers of the zone.
    Ns,
    /// The start of authority of the zone.
    Soa,
    /// A text.
    Txt,
}

impl FromStr for RecordType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "A" => Self::A,
            "AAAA" => Self::Aaaa,
            "CNAME" => Self::Cname,
            "NS" => Self::Ns,
            "SOA" => Self::Soa,
            "TXT" => Self::Txt,
            _ => return Err(format!("{text} is no type of this simulator")),
        })
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Ns => "NS",
            Self::Soa => "SOA",
            Self::Txt => "TXT",
        })
    }
}

/// Which record set: Route 53 sorts them by the labels of the name from the right, then by type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    labels: Vec<String>,
    pub(super) kind: RecordType,
}

impl Key {
    /// The key of a name, with or without the dot at its end.
    pub(super) fn new(name: &str, kind: RecordType) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        Self { labels: name.rsplit('.').map(str::to_owned).collect(), kind }
    }

    /// The name with the dot at its end.
    pub(super) fn name(&self) -> String {
        let labels: Vec<&str> = self.labels.iter().rev().map(String::as_str).collect();
        format!("{}.", labels.join("."))
    }

    pub(super) fn is_below(&self, zone: &Self) -> bool {
        self.labels.starts_with(&zone.labels)
    }

    pub(super) fn same_name(&self, other: &Self) -> bool {
        self.labels == other.labels
    }
}

/// The records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordSet {
    pub(super) ttl: u32,
    pub(super) values: Vec<String>,
}

/// A change that the resolver does not show yet.
pub(super) type Pending = (Duration, Key, Option<RecordSet>);

/// A private hosted zone that is associated with the VPC.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(super) id: String,
    pub(super) apex: Key,
    pub(super) records: BTreeMap<Key, RecordSet>,
    /// What the resolver shows, and what it will show, by time.
    pub(super) shown: BTreeMap<Key, RecordSet>,
    pub(super) pending: VecDeque<Pending>,
}

impl Zone {
    /// A zone as Route 53 creates it: with its NS and SOA records.
    pub(super) fn new(id: String, name: &str) -> Self {
        let apex = Key::new(name, RecordType::Soa);
        let servers = ["ns-0.awsdns-00.com.", "ns-512.awsdns-00.net."].map(str::to_owned);
        let soa = "ns-0.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
        let records = BTreeMap::from([
            (apex.clone(), RecordSet { ttl: 900, values: vec![soa.to_owned()] }),
            (Key::new(name, RecordType::Ns), RecordSet { ttl: 172_800, values: servers.into() }),
        ]);
        Self { id, apex, shown: records.clone(), records, pending: VecDeque::new() }
    }
}
