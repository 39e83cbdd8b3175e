//! Hidden commands, with which the binary starts itself.

use std::ffi::OsString;

/// A hidden command. Not for users, so it is not in the help.
#[derive(Debug)]
pub(in crate::cli) enum Hidden {
    /// The first process of a box.
    Init { pipe: i32 },
    /// The holder process of a node's namespaces.
    Holder { name: String },
    /// A command started by a process outside the box.
    Guest { command: Vec<OsString> },
    /// One step of `vpcbox doctor`.
    Probe { step: String },
}

impl Hidden {
    /// The hidden command of a command line, if any.
    pub(in crate::cli) fn of(words: &[OsString]) -> Option<Self> {
        let mut words = words.iter().skip(1);
        let first = words.next()?.to_str()?;
        let second = words.next();
        let text = || second.and_then(|word| word.to_str()).map(str::to_owned);
        match first {
            "box-init" => Some(Self::Init { pipe: text()?.parse().ok()? }),
            "box-holder" => Some(Self::Holder { name: text()? }),
            "box-guest" => Some(Self::Guest { command: words.cloned().collect() }),
            "box-probe" => Some(Self::Probe { step: text()? }),
            _ => None,
        }
    }
}
