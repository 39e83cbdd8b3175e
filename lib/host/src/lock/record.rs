//! What a lock file says of an address, and who may act on it.

use std::fmt;

use firecamp_core::ids::{Epoch, PodUid};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::Holder;
use thiserror::Error;

/// First words of a record; a later format begins differently and is then not taken for ours.
const HEAD: &str = "firecamp-holder v1";
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
    /// A record.
    This(Record),
}

/// Why a holder may not act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    Superseded(Record),
    Torn,
}

/// Something is in a lock file that is no record, or only a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the record is torn")]
pub struct TornRecord;

/// What the bytes of a lock file say: who acted last on the address on this node, if anybody did.
pub fn read_record(bytes: &[u8]) -> Result<Option<LockRecord>, TornRecord> {
    match Recorded::parse(bytes) {
        Recorded::Torn => Err(TornRecord),
        recorded @ (Recorded::Nothing | Recorded::This(_)) => Ok(recorded.last()),
    }
}

impl Recorded {
    /// Reads the first line; what follows it is left over from a longer record. A line that is
    /// not complete, or whose sum is wrong, is torn.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Nothing;
        }
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let complete = line.len() < bytes.len();
        let text = std::str::from_utf8(line).ok().filter(|_text| complete);
        text.and_then(Record::parse).map_or(Self::Torn, Self::This)
    }

    /// Whether the holder may add. A torn record does not stop it: who adds was authorised by
    /// the registry a moment ago and takes a new epoch, adding removes nothing, and it is how a
    /// torn record is mended. Adding for an epoch that was released on this node is late.
    pub(crate) fn permits_adding(&self, holder: &Holder) -> Result<(), Denied> {
        let Self::This(record) = self else { return Ok(()) };
        if record.rule().permits_adding(holder) {
            Ok(())
        } else {
            Err(Denied::Superseded(record.clone()))
        }
    }

    /// Whether the holder may remove. Under a torn record nobody may: the address could be the
    /// successor's.
    pub(crate) fn permits_removing(&self, holder: &Holder) -> Result<(), Denied> {
        let record = match self {
            Self::Nothing => return Ok(()),
            Self::Torn => return Err(Denied::Torn),
            Self::This(record) => record,
        };
        if record.rule().permits_removing(holder) {
            Ok(())
        } else {
            Err(Denied::Superseded(record.clone()))
        }
    }

    /// Who acted last on the address on this node.
    pub(crate) fn last(&self) -> Option<LockRecord> {
        match self {
            Self::Nothing | Self::Torn => None,
            Self::This(record) => Some(record.rule()),
        }
    }

    /// Whether we are on record as the ones who added the address.
    pub(crate) fn added(&self) -> bool {
        match self {
            Self::Nothing | Self::Torn => false,
            Self::This(record) => record.added,
        }
    }
}

impl Record {
    /// What the rule of the lock looks at.
    fn rule(&self) -> LockRecord {
        LockRecord { holder: self.holder.clone(), hold: self.hold }
    }

    /// The line that is written.
    pub(crate) fn line(&self) -> String {
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

/// FNV-1a: tells a torn line from a whole one; it protects against nothing else.
fn sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
