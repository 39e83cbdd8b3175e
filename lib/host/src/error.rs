//! What can go wrong in the kernel and at the lock, before it becomes a [`HostFailure`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::{Mac, PodUid};
use thiserror::Error;

use crate::lock::record::Record;

/// Why one exchange with the kernel over netlink failed.
#[derive(Debug, Error)]
pub(crate) enum NetlinkError {
    #[error("the netlink socket failed")]
    Socket(#[source] io::Error),
    #[error("the kernel refuses")]
    Refused(#[source] io::Error),
    #[error("the kernel did not answer within {0:?}")]
    Silent(Duration),
    #[error("the kernel's answer cannot be read: {0}")]
    Garbled(String),
    #[error("the kernel's answer is incomplete")]
    Incomplete,
}

impl NetlinkError {
    /// The error number with which the kernel refused, if it did.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(source) => source.raw_os_error(),
            Self::Socket(_) | Self::Silent(_) | Self::Garbled(_) | Self::Incomplete => None,
        }
    }
}

/// A failed operation on the kernel or on the node-local lock.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    #[error("{operation} {object}")]
    Kernel {
        operation: &'static str,
        object: String,
        #[source]
        source: NetlinkError,
    },
    #[error("no link of this network namespace has the MAC {0}")]
    NoLink(Mac),
    #[error("cannot tell which link carries addresses for the MAC {mac}: {why}")]
    WhichLink { mac: Mac, why: String },
    #[error("table {table} has a foreign route {route}; it is not ours to change")]
    ForeignRoute { table: u32, route: String },
    #[error("reverse-path filtering of {link} is strict and cannot be made loose")]
    StrictFilter {
        link: String,
        #[source]
        source: NetlinkError,
    },
    #[error("{operation} {}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is refused: {why}", path.display())]
    Untrusted { path: PathBuf, why: String },
    #[error("no lock on {} within {waited:?}: {holder}", path.display())]
    Busy { path: PathBuf, waited: Duration, holder: String },
    #[error("pod {pod} acts for an old epoch: {} has {record}", path.display())]
    Superseded { path: PathBuf, pod: PodUid, record: Record },
    #[error("the record in {} is another version's: {why}", path.display())]
    Apart { path: PathBuf, why: String },
    #[error(
        "the record in {} is torn, so nobody can tell whose the address is; nothing was removed, \
         the next attach on this node writes it anew",
        path.display()
    )]
    Torn { path: PathBuf },
}

impl HostError {
    fn kind(&self) -> HostKind {
        match self {
            Self::NoLink(_) | Self::WhichLink { .. } => HostKind::NoLink,
            Self::Busy { .. } => HostKind::Busy,
            Self::Superseded { .. } => HostKind::Superseded,
            Self::Kernel { .. }
            | Self::ForeignRoute { .. }
            | Self::StrictFilter { .. }
            | Self::File { .. }
            | Self::Untrusted { .. }
            | Self::Apart { .. }
            | Self::Torn { .. } => HostKind::Refused,
        }
    }
}

impl From<HostError> for HostFailure {
    fn from(error: HostError) -> Self {
        Self { kind: error.kind(), detail: chain(&error) }
    }
}

/// The error and all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
