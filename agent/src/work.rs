//! What pieces of work come to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::Stray;
use firecamp_core::failure::{CloudFailure, HostFailure, RegistryFailure};
use firecamp_core::ids::EniId;
use firecamp_core::interface::Interface;
use firecamp_core::node::{NodeIdentity, TypeLimits};
use firecamp_core::time::Moment;
use firecamp_engine::Ended;
use firecamp_node::preflight::facts::NodeFacts;
use firecamp_node::volumes::seen::{Attachment, Elsewhere};

use crate::adopt::Tried;
use crate::cut_off::{Finding, Lost};
use crate::source::Listing;
use crate::status::Kind;

/// What a piece of work came to.
#[derive(Debug)]
pub(crate) enum News {
    /// What the registry lists.
    Listed(Result<Listing, RegistryFailure>),
    /// What the metadata service says.
    Identified(Result<NodeIdentity, CloudFailure>),
    /// The node's interfaces, as EC2 has them.
    Interfaces(Result<Vec<Interface>, CloudFailure>),
    /// The node's volumes, as EC2 has them, and where else those are that pods here lack.
    Attachments(Result<(Vec<Attachment>, Vec<Elsewhere>), CloudFailure>),
    /// What the instance's type allows.
    TypeLimits(Result<TypeLimits, CloudFailure>),
    /// What the node's files say.
    Files(NodeFacts),
    /// Whether the link of an ENI was brought up.
    Raised(EniId, Result<bool, HostFailure>),
    /// Of the addresses that were asked for: whether they have a record.
    Claimed(BTreeMap<Ipv4Addr, bool>),
    /// Of strays that EC2 showed in a look that was begun then: whether they have a record.
    Strays(BTreeSet<Stray>, BTreeMap<Ipv4Addr, bool>, Moment),
    /// What came of a stray that was due.
    Tried(Stray, Tried),
    /// What was found of a loss, and whether the address was taken out of the kernel.
    Lost(Lost, Finding, Option<Result<bool, HostFailure>>),
    /// An errand for the address has ended.
    Done((Ipv4Addr, Kind), Ended),
}
