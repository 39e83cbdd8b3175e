//! Errors of kernel and lock operations, which become a [`HostFailure`].

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use firecamp_core::failure::{HostFailure, HostKind, chain};
use firecamp_core::ids::{Mac, PodUid};
use thiserror::Error;

use crate::lock::record::Record;

/// Why a netlink request failed.
#[derive(Debug, Error)]
pub(crate) enum NetlinkError {
    #[error("the netlink socket failed")]
    Socket(#[source] io::Error),
    #[error("the kernel refused the request")]
    Refused(#[source] io::Error),
    #[error("the kernel did not answer within {0:?}")]
    Silent(Duration),
    #[error("failed to parse the kernel's answer: {0}")]
    Garbled(String),
    #[error("the kernel's answer is incomplete")]
    Incomplete,
}

impl NetlinkError {
    /// The error number of the kernel, if it refused the request.
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
    #[error("failed to {operation} {object}")]
    Kernel {
        operation: &'static str,
        object: String,
        #[source]
        source: NetlinkError,
    },
    #[error("no link in this network namespace has the MAC {0}; is the ENI attached?")]
    NoLink(Mac),
    #[error(
        "{0} has no IPv4 address of its own yet, without which the node cannot reach the subnet's \
         router for a pod"
    )]
    NoAddress(String),
    #[error("failed to choose the link with the MAC {mac}: {why}")]
    WhichLink { mac: Mac, why: String },
    #[error(
        "routing table {table} has a route that FireCamp did not add: {route}; remove it by hand"
    )]
    ForeignRoute { table: u32, route: String },
    #[error("failed to set reverse-path filtering of {link} from strict to loose")]
    StrictFilter {
        link: String,
        #[source]
        source: NetlinkError,
    },
    #[error("failed to {operation} {}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to give the agent's endpoint the address {address}: {why}")]
    Endpoint { address: Ipv4Addr, why: String },
    #[error("failed to use the network of pod {pod}: {why}")]
    PodNetwork { pod: PodUid, why: String },
    #[error("refused to use {}: {why}", path.display())]
    Untrusted { path: PathBuf, why: String },
    #[error("failed to lock {} within {waited:?}: {holder}", path.display())]
    Busy { path: PathBuf, waited: Duration, holder: String },
    #[error("pod {pod} acts for an old epoch: the lock {} has {record}", path.display())]
    Superseded { path: PathBuf, pod: PodUid, record: Record },
    #[error("an incompatible version wrote the lock record {}: {why}", path.display())]
    Apart { path: PathBuf, why: String },
    #[error(
        "the lock record {} is incomplete or damaged, so the holder of the address is unknown; \
         nothing was removed; the next attach on this node replaces the record",
        path.display()
    )]
    Torn { path: PathBuf },
}

impl HostError {
    fn kind(&self) -> HostKind {
        match self {
            Self::NoLink(_) | Self::NoAddress(_) | Self::WhichLink { .. } => HostKind::NoLink,
            Self::Busy { .. } => HostKind::Busy,
            Self::Superseded { .. } => HostKind::Superseded,
            Self::Kernel { .. }
            | Self::ForeignRoute { .. }
            | Self::StrictFilter { .. }
            | Self::Endpoint { .. }
            | Self::PodNetwork { .. }
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
