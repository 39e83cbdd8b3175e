//! The lock record of an address, and who may act on the address.

use std::fmt;

use firecamp_core::contract::protocol::{Program, Protocol};
use firecamp_core::ids::{Epoch, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::Holder;
use thiserror::Error;

/// First words of a record of this format.
const HEAD: &str = "firecamp-holder v1";
/// First characters of a record of any format.
const ANY_HEAD: &str = "firecamp-holder v";
/// First word of the second line, which names the version of the program that wrote the record. The
/// first version wrote no such line.
const WRITER: &str = "firecamp-program";
/// Maximum length of a displayed version.
const MAX_VERSION: usize = 40;
/// Maximum length of a record: a pod UID has at most 128 characters.
pub(crate) const MAX_LENGTH: usize = 512;

/// The last holder of an address on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) holder: Holder,
    pub(crate) hold: Hold,
    /// FireCamp added the address instead of finding it. On kernels without address tags (before
    /// 5.18) only this identifies it as FireCamp's.
    pub(crate) added: bool,
    /// The PID of the writer in its own namespace.
    pub(crate) pid: u32,
}

/// The content of a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// No process has acted on the address since the node booted.
    Nothing,
    /// The content is not a complete record.
    Torn,
    /// A record of a later format that cannot be parsed; treated like a torn one.
    Later,
    /// A record.
    This(Record),
    /// A record of an incompatible program, and why it is incompatible.
    Apart(Record, String),
}

/// The records under which an address may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// Records of compatible programs.
    Understood,
    /// All records that can be parsed, whoever wrote them. Only for a withdraw, because the
    /// registry says that the holder is superseded.
    All,
}

/// Why a holder may not act on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    Superseded(Record),
    Apart(String),
    Torn,
}

/// The lock file has no complete record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the lock record is incomplete or damaged")]
pub struct TornRecord;

/// Parses a lock file: the last holder of the address on this node, if any.
pub fn read_record(bytes: &[u8]) -> Result<Option<LockRecord>, TornRecord> {
    match Recorded::parse(bytes) {
        Recorded::Torn | Recorded::Later => Err(TornRecord),
        recorded @ (Recorded::Nothing | Recorded::This(_) | Recorded::Apart(..)) => {
            Ok(recorded.last())
        }
    }
}

impl Recorded {
    /// Parses the first line, and the second if it names the writer. The rest is left over from a
    /// longer record. An incomplete line or a wrong checksum is a torn record.
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
        match writer.and_then(|writer| Program::this().incompatibility_with(&writer, part)) {
            Some(why) => Self::Apart(record, why),
            None => Self::This(record),
        }
    }

    /// Whether the holder has a later epoch than an incompatible record. Then the registry has
    /// authorised it, and it replaces the record.
    fn apart(record: &Record, why: &str, holder: &Holder) -> Result<(), Denied> {
        if record.holder.epoch < holder.epoch { Ok(()) } else { Err(Denied::Apart(why.to_owned())) }
    }

    /// Whether the holder may add the address. A torn record does not prevent it: the registry has
    /// just authorised the holder with a new epoch, adding removes nothing, and the new record
    /// replaces the torn one. An epoch that was released on this node may not be added again.
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

    /// Whether the holder may remove the address. A torn record forbids it, because the address may
    /// belong to a successor.
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

    /// Whether there is a record that cannot be parsed.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Torn | Self::Later => true,
            Self::Nothing | Self::This(_) | Self::Apart(..) => false,
        }
    }

    /// The last holder of the address on this node.
    pub(crate) fn last(&self) -> Option<LockRecord> {
        match self {
            Self::Nothing | Self::Torn | Self::Later => None,
            Self::This(record) | Self::Apart(record, _) => Some(record.rule()),
        }
    }

    /// Whether the record says that FireCamp added the address.
    pub(crate) fn added(&self) -> bool {
        match self {
            Self::Nothing | Self::Torn | Self::Later => false,
            Self::This(record) | Self::Apart(record, _) => record.added,
        }
    }
}

impl Record {
    /// The input of the lock rule.
    fn rule(&self) -> LockRecord {
        LockRecord { holder: self.holder.clone(), hold: self.hold }
    }

    /// The file content: the record line and the writer line.
    pub(crate) fn text(&self) -> String {
        let Program { protocol: Protocol { current, oldest }, version } = Program::this();
        let line = self.line();
        format!("{line}{WRITER} protocol={current} oldest={oldest} version={version}\n")
    }

    /// The record line.
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
        // Accept only the canonical line, including its checksum.
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

/// Whether the first line of a record is of a later format.
fn is_later(line: &str) -> bool {
    let number = line.strip_prefix(ANY_HEAD).and_then(|rest| rest.split(' ').next());
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 1)
}

/// The program in the second line of a record.
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

/// FNV-1a checksum: detects a torn line, nothing else.
fn sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
