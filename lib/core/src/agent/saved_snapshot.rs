//! The agent's last snapshot, as a text on disk: an agent that starts while the registry and the
//! metadata service are unavailable still knows what to restore.
//!
//! Guarantees: decoding returns exactly what was encoded; a text that is truncated, malformed or of
//! another version is refused. Caveats: a snapshot is stale and authorises nothing: the node's lock
//! guards every operation that follows from it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use crate::ids::{Epoch, NodeName};
use crate::node_identity::Eni;
use crate::record::{Attachment, Mutation, PendingMutation, State, StaticIp};

/// First line of a snapshot of this version.
const HEADER: &str = "firecamp-agent-snapshot 1";
/// Stands for a missing value.
const NONE: &str = "-";

/// What an agent keeps for its next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its node.
    pub node: NodeName,
    /// The node's ENIs, without what changes: listed addresses and prefixes.
    pub enis: Vec<Eni>,
    /// The records of the addresses of this node.
    pub records: Vec<StaticIp>,
}

/// Why a text is not a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadSnapshot {
    /// It is of another version, or something else.
    #[error("the first line is not {HEADER:?}")]
    Version,
    /// A line does not have the form that it was written in.
    #[error("line {0} of the snapshot is damaged")]
    Line(usize),
    /// Its end is missing.
    #[error("the snapshot is truncated")]
    CutShort,
}

impl Snapshot {
    /// As a text.
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nnode {}\n", self.node);
        for eni in &self.enis {
            let Eni { id, mac, device_index, network_card, subnet, cidr, primary_address, .. } =
                eni;
            let _infallible = writeln!(
                text,
                "eni {id} {mac} {device_index} {network_card} {subnet} {cidr} {primary_address}"
            );
        }
        for record in &self.records {
            encode_record(&mut text, record);
        }
        let _infallible = writeln!(text, "end {} {}", self.enis.len(), self.records.len());
        text
    }

    /// From a text.
    pub fn decode(text: &str) -> Result<Self, BadSnapshot> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(BadSnapshot::Version);
        }
        let (mut node, mut enis, mut records) = (None, Vec::new(), Vec::new());
        while let Some((number, line)) = lines.next() {
            let damaged = BadSnapshot::Line(number.saturating_add(1));
            let mut words = Words(line.split(' '));
            match words.text() {
                Some("node") if node.is_none() => node = words.parsed().ok(),
                Some("eni") => enis.push(eni(&mut words).map_err(|Damaged| damaged.clone())?),
                Some("record") => {
                    records.push(record(&mut words).map_err(|Damaged| damaged.clone())?);
                }
                Some("end") => {
                    let counts = (words.parsed(), words.parsed());
                    let whole = counts == (Ok(enis.len()), Ok(records.len()));
                    let last = text.ends_with('\n') && lines.next().is_none() && words.is_over();
                    let node = node.filter(|_| whole && last).ok_or(damaged)?;
                    return Ok(Self { node, enis, records });
                }
                Some(_) | None => return Err(damaged),
            }
            if node.is_none() || !words.is_over() {
                return Err(damaged);
            }
        }
        Err(BadSnapshot::CutShort)
    }
}

fn encode_record(text: &mut String, record: &StaticIp) {
    let StaticIp { address, pool, subnet, cidr, zone, member, epoch, .. } = record;
    let _infallible =
        write!(text, "record {address} {pool} {subnet} {cidr} {zone} {member} {epoch}");
    let reserved = record.reserved_on.as_ref().map_or(NONE, |eni| eni.as_str());
    let _infallible = write!(text, " {reserved}");
    match &record.attachment {
        None => {
            let _infallible = write!(text, " {NONE}");
        }
        Some(Attachment { state, pod, node, eni, run, served }) => {
            let eni = eni.as_ref().map_or(NONE, |eni| eni.as_str());
            let state = name(*state);
            let _infallible = write!(text, " {state} {pod} {node} {eni} {run} {served}");
        }
    }
    for PendingMutation { mutation, eni, run } in &record.pending_mutations {
        let what = match mutation {
            Mutation::Assign => "assign",
            Mutation::Unassign => "unassign",
        };
        let _infallible = write!(text, " {what} {eni} {run}");
    }
    text.push('\n');
}

const STATES: [State; 5] =
    [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];

fn name(state: State) -> &'static str {
    match state {
        State::Attaching => "attaching",
        State::Attached => "attached",
        State::Parked => "parked",
        State::Releasing => "releasing",
        State::Released => "released",
    }
}

/// A word is missing or malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Damaged;

/// The words of one line.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn text(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, Damaged> {
        self.text().and_then(|text| text.parse().ok()).ok_or(Damaged)
    }

    fn optional<T: FromStr>(&mut self) -> Result<Option<T>, Damaged> {
        match self.text() {
            Some(NONE) => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_source| Damaged),
            None => Err(Damaged),
        }
    }

    fn is_over(&mut self) -> bool {
        self.text().is_none()
    }
}

fn eni(words: &mut Words<'_>) -> Result<Eni, Damaged> {
    Ok(Eni {
        id: words.parsed()?,
        mac: words.parsed()?,
        device_index: words.parsed()?,
        network_card: words.parsed()?,
        subnet: words.parsed()?,
        cidr: words.parsed()?,
        primary_address: words.parsed()?,
        listed: BTreeSet::new(),
        prefixes: 0,
    })
}

fn record(words: &mut Words<'_>) -> Result<StaticIp, Damaged> {
    Ok(StaticIp {
        address: words.parsed()?,
        pool: words.parsed()?,
        subnet: words.parsed()?,
        cidr: words.parsed()?,
        zone: words.parsed()?,
        member: words.parsed()?,
        epoch: Epoch(words.parsed()?),
        reserved_on: words.optional()?,
        attachment: attachment(words)?,
        pending_mutations: pending_mutations(words)?,
    })
}

fn attachment(words: &mut Words<'_>) -> Result<Option<Attachment>, Damaged> {
    let text = words.text().ok_or(Damaged)?;
    if text == NONE {
        return Ok(None);
    }
    let state = STATES.into_iter().find(|state| name(*state) == text).ok_or(Damaged)?;
    Ok(Some(Attachment {
        state,
        pod: words.parsed()?,
        node: words.parsed()?,
        eni: words.optional()?,
        run: words.parsed()?,
        served: words.parsed()?,
    }))
}

fn pending_mutations(words: &mut Words<'_>) -> Result<BTreeSet<PendingMutation>, Damaged> {
    let mut pending = BTreeSet::new();
    while let Some(text) = words.text() {
        let mutation = match text {
            "assign" => Mutation::Assign,
            "unassign" => Mutation::Unassign,
            _other => return Err(Damaged),
        };
        pending.insert(PendingMutation { mutation, eni: words.parsed()?, run: words.parsed()? });
    }
    Ok(pending)
}
