//! What a fact consists of, and the words in which its steps are written.

use firecamp_core::failure::CloudKind;

/// One fact.
#[derive(Debug)]
pub(super) struct Fact {
    /// Its stable name.
    pub(super) id: &'static str,
    /// What is tried.
    pub(super) what: &'static str,
    /// What FireCamp relies on.
    pub(super) expected: &'static str,
    /// Who says so.
    pub(super) source: &'static str,
    pub(super) by: By,
}

/// How a fact is tried.
#[derive(Debug)]
pub(super) enum By {
    /// By calls whose answers decide.
    Steps(&'static [Step]),
    Measured(Measure),
    /// Not at all, for this reason.
    NotObservable(&'static str),
}

/// What is measured: see the fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Tags,
    Token,
    NewInterface,
    Move,
    Gap,
    ReadLag,
    Filter,
    Pages,
    ByTag,
    UnknownId,
    DeleteFrees,
    Deleted,
    Identity,
    Lists,
    Drops,
}

#[derive(Debug)]
pub(super) enum Step {
    /// The address is brought to the interface.
    Have(Place, Side),
    /// The address is unassigned, if one of our interfaces has it.
    Free(Place),
    /// A call whose answer decides.
    Try(Call, Expect),
    /// Reads have to show the address on this one of our interfaces alone.
    Shown(Place, Side),
}

#[derive(Debug)]
pub(super) enum Call {
    /// AssignPrivateIpAddresses without AllowReassignment.
    Assign(Side, &'static [Place]),
    /// AssignPrivateIpAddresses with AllowReassignment.
    Force(Side, &'static [Place]),
    /// UnassignPrivateIpAddresses.
    Unassign(Side, Place),
}

/// The answer that FireCamp relies on, by the class that it gives to refusals.
#[derive(Debug)]
pub(super) enum Expect {
    Done,
    Refused(&'static [CloudKind]),
    DoneOrRefused(&'static [CloudKind]),
}

/// One of the two interfaces of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// X, Y and Z: addresses of the subnet that were free before the run.
    X,
    Y,
    Z,
    /// The primary address of interface B.
    PrimaryOfB,
    /// The subnet's router, which EC2 reserves.
    Router,
    /// An address outside of the subnet and of every VPC.
    Outside,
}
