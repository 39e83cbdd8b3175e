//! Results of tasks that run beside the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::Orphan;
use firecamp_core::failure::{CloudFailure, HostFailure, RegistryFailure};
use firecamp_core::ids::EniId;
use firecamp_core::interface::Interface;
use firecamp_core::node::{NodeIdentity, TypeLimits};
use firecamp_core::time::Moment;
use firecamp_engine::Ended;
use firecamp_node::preflight::facts::NodeFacts;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};

use crate::adopt::AdoptionResult;
use crate::partition::{Finding, LostAddress};
use crate::source::Listing;
use crate::status::Kind;

/// The result of a task.
#[derive(Debug)]
pub(crate) enum WorkResult {
    /// A list of the registry.
    Listed(Result<Listing, RegistryFailure>),
    /// A read of the metadata service.
    Identified(Result<NodeIdentity, CloudFailure>),
    /// The interfaces of this instance in EC2.
    Interfaces(Result<Vec<Interface>, CloudFailure>),
    /// The volumes of this instance in EC2, and where the volumes are that pods here lack.
    Attachments(Result<(Vec<Attachment>, Vec<Elsewhere>), CloudFailure>),
    /// The limits of the instance type.
    TypeLimits(Result<TypeLimits, CloudFailure>),
    /// Facts from the node's files.
    Files(NodeFacts),
    /// Whether the link of an ENI was set up.
    Raised(EniId, Result<bool, HostFailure>),
    /// Whether each of the addresses has a record.
    Claimed(BTreeMap<Ipv4Addr, bool>),
    /// Orphans of a query of EC2 that started then, and whether each has a record.
    Orphans(BTreeSet<Orphan>, BTreeMap<Ipv4Addr, bool>, Moment),
    /// The result of an attempt to adopt an orphan.
    AdoptionTried(Orphan, AdoptionResult),
    /// The finding about a misplaced address, and whether it was removed from the kernel.
    LossInvestigated(LostAddress, Finding, Option<Result<bool, HostFailure>>),
    /// An operation on the address has ended.
    Done((Ipv4Addr, Kind), Ended),
}
