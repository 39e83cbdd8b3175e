//! What a lock file says of an address, and who may act on it.

use std::fmt;

use firecamp_core::contract::protocol::{Program, Protocol};
use firecamp_core::ids::{Epoch, PodUid};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::Holder;
use thiserror::Error;

/// First words of a record; a later format begins differently and is then not taken for ours.
const HEAD: &str = "firecamp-holder v1";
/// What the record of any format begins with.
const ANY_HEAD: &str = "firecamp-holder v";
/// First word of the line after it: of which version the program was that wrote the record. One
/// that wrote no such line was of the first.
const WRITER: &str = "firecamp-program";
/// No version is longer, as far as it is told.
const MAX_VERSION: usize = 40;
/// No record is longer: a pod UID has at most 128 characters.
pub(crate) const MAX_LENGTH: usize = 512;

/// Who acted last on an address on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) holder: Holder,
    pub(crate) hold: Hold,
    /// We added the address, and did not find it. Where the kernel keeps no tag for addresses
    /// (before 5.18) this alone makes it ours.
    pub(crate) added: bool,
    /// The process that wrote this, as it sees itself.
    pub(crate) pid: u32,
}

/// What was found in a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Nobody has acted on the address since the node started.
    Nothing,
    /// Something is there that is no record.
    Torn,
    /// A record of a later format, of which nothing can be read: it is treated as a torn one.
    Later,
    /// A record.
    This(Record),
    /// A record of a program that this one does not work with, and why.
    Apart(Record, String),
}

/// Under whose records something may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// Of programs that this one works with.
    Understood,
    /// Of all whose line can be read: it names the holder and what that did, whoever wrote it. Only
    /// for who gives way, because the registry says that this holder's time is over.
    All,
}

/// Why a holder may not act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    Superseded(Record),
    Apart(String),
    Torn,
}

/// Something is in a lock file that is no record, or only a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the record is torn")]
pub struct TornRecord;

/// What the bytes of a lock file say: who acted last on the address on this node, if anybody did.
pub fn read_record(bytes: &[u8]) -> Result<Option<LockRecord>, TornRecord> {
    match Recorded::parse(bytes) {
        Recorded::Torn | Recorded::Later => Err(TornRecord),
        recorded @ (Recorded::Nothing | Recorded::This(_) | Recorded::Apart(..)) => {
            Ok(recorded.last())
        }
    }
}

impl Recorded {
    /// Reads the first line, and the second if it names the program that wrote them; what follows
    /// is left over from a longer record. A line that is not complete, or whose sum is wrong, is
    /// torn.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Nothing;
        }
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut next = || std::str::from_utf8(lines.next()?).ok()?.strip_suffix('\n');
        let first = next();
        let Some(record) = first.and_then(Record::parse) else {
            let later = first.is_some_and(is_later);
            return if later { Self::Later } else { Self::Torn };
        };
        let writer = next().and_then(program);
        let part = "the program that wrote it";
        match writer.and_then(|writer| Program::this().apart_from(&writer, part)) {
            Some(why) => Self::Apart(record, why),
            None => Self::This(record),
        }
    }

    /// Whether the holder acts for a later life of the address than the record's, whoever wrote
    /// that: it takes over by the registry's word, and writes the record anew.
    fn apart(record: &Record, why: &str, holder: &Holder) -> Result<(), Denied> {
        if record.holder.epoch < holder.epoch { Ok(()) } else { Err(Denied::Apart(why.to_owned())) }
    }

    /// Whether the holder may add. A torn record does not stop it: who adds was authorised by
    /// the registry a moment ago and takes a new epoch, adding removes nothing, and it is how a
    /// torn record is mended. Adding for an epoch that was released on this node is late.
    pub(crate) fn permits_adding(&self, holder: &Holder) -> Result<(), Denied> {
        let record = match self {
            Self::Nothing | Self::Torn | Self::Later => return Ok(()),
            Self::Apart(record, why) => return Self::apart(record, why, holder),
            Self::This(record) => record,
        };
        if record.rule().permits_adding(holder) {
            Ok(())
        } else {
            Err(Denied::Superseded(record.clone()))
        }
    }

    /// Whether the holder may remove. Under a torn record nobody may: the address could be the
    /// successor's.
    pub(crate) fn permits_removing(&self, holder: &Holder, of: Versions) -> Result<(), Denied> {
        let record = match (self, of) {
            (Self::Nothing, _) => return Ok(()),
            (Self::Torn | Self::Later, _) => return Err(Denied::Torn),
            (Self::Apart(record, why), Versions::Understood) => {
                return Self::apart(record, why, holder);
            }
            (Self::This(record), _) | (Self::Apart(record, _), Versions::All) => record,
        };
        if record.rule().permits_removing(holder) {
            Ok(())
        } else {
            Err(Denied::Superseded(record.clone()))
        }
    }

    /// Whether somebody is on record and nobody can say who.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Torn | Self::Later => true,
            Self::Nothing | Self::This(_) | Self::Apart(..) => false,
        }
    }

    /// Who acted last on the address on this node.
    pub(crate) fn last(&self) -> Option<LockRecord> {
        match self {
            Self::Nothing | Self::Torn | Self::Later => None,
            Self::This(record) | Self::Apart(record, _) => Some(record.rule()),
        }
    }

    /// Whether we are on record as the ones who added the address.
    pub(crate) fn added(&self) -> bool {
        match self {
            Self::Nothing | Self::Torn | Self::Later => false,
            Self::This(record) | Self::Apart(record, _) => record.added,
        }
    }
}

impl Record {
    /// What the rule of the lock looks at.
    fn rule(&self) -> LockRecord {
        LockRecord { holder: self.holder.clone(), hold: self.hold }
    }

    /// What is written: the line, and who wrote it.
    pub(crate) fn text(&self) -> String {
        let Program { protocol: Protocol { current, oldest }, version } = Program::this();
        let line = self.line();
        format!("{line}{WRITER} protocol={current} oldest={oldest} version={version}\n")
    }

    /// The record alone.
    fn line(&self) -> String {
        let body = self.body();
        format!("{body} sum={:016x}\n", sum(&body))
    }

    fn body(&self) -> String {
        let hold = match self.hold {
            Hold::Held => "held",
            Hold::Released => "released",
        };
        let added = if self.added { "yes" } else { "no" };
        let Holder { pod, epoch } = &self.holder;
        format!("{HEAD} pod={pod} epoch={epoch} state={hold} added={added} pid={}", self.pid)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(HEAD)?.strip_prefix(' ')?.split(' ');
        let mut next = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        let pod = PodUid::new(next("pod")?).ok()?;
        let epoch = Epoch(next("epoch")?.parse().ok()?);
        let hold = match next("state")? {
            "held" => Hold::Held,
            "released" => Hold::Released,
            _other => return None,
        };
        let added = match next("added")? {
            "yes" => true,
            "no" => false,
            _other => return None,
        };
        let pid = next("pid")?.parse().ok()?;
        let record = Self { holder: Holder { pod, epoch }, hold, added, pid };
        // Written again it must be the same line, sum included: one record, one spelling.
        (record.line().strip_suffix('\n') == Some(line)).then_some(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hold = match self.hold {
            Hold::Held => "held by",
            Hold::Released => "released by",
        };
        let Self { holder: Holder { pod, epoch }, pid, .. } = self;
        write!(f, "epoch {epoch}, {hold} pod {pod}, written by process {pid}")
    }
}

/// Whether the first line of a record is of a later format than ours.
fn is_later(line: &str) -> bool {
    let number = line.strip_prefix(ANY_HEAD).and_then(|rest| rest.split(' ').next());
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 1)
}

/// The program that a record's second line names.
fn program(line: &str) -> Option<Program> {
    let mut words = line.strip_prefix(WRITER)?.strip_prefix(' ')?.split(' ');
    let mut next = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
    let protocol = Protocol {
        current: next("protocol")?.parse().ok()?,
        oldest: next("oldest")?.parse().ok()?,
    };
    let version = next("version")?.chars().filter(|c| !c.is_control()).take(MAX_VERSION).collect();
    Some(Program { protocol, version })
}

/// FNV-1a: tells a torn line from a whole one; it protects against nothing else.
fn sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
