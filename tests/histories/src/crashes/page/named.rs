//! The named crash points of the protocol, and what covers each.

use std::fmt::Write as _;

use firecamp_core::step::{
    AttachStep, FreeStep, ReassertStep, ReleaseStep, RestoreStep, Step, WithdrawStep,
};

use super::counts;
use crate::crashes::enumerate::Tally;

/// What covers a crash point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoveredBy {
    /// Single kills in this enumeration, with each recovery.
    Enumerated(Step),
    /// Not a boundary of our processes: another test covers it.
    Elsewhere(&'static str),
}

/// A named crash point.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// What covers it.
    pub shown: CoveredBy,
    /// What the real containers go through in a VPC in a box.
    pub boxed: &'static str,
}

const fn attach(name: &'static str, step: AttachStep, boxed: &'static str) -> Named {
    Named { name, shown: CoveredBy::Enumerated(Step::Attach(step)), boxed }
}

const fn release(name: &'static str, step: ReleaseStep) -> Named {
    Named { name, shown: CoveredBy::Enumerated(Step::Release(step)), boxed: STOPS }
}

const fn free(name: &'static str, step: FreeStep) -> Named {
    Named { name, shown: CoveredBy::Enumerated(Step::Free(step)), boxed: STOPS }
}

const fn agents(name: &'static str, step: Step) -> Named {
    Named { name, shown: CoveredBy::Enumerated(step), boxed: "kill, and the next agent" }
}

const fn elsewhere(name: &'static str, who: &'static str, boxed: &'static str) -> Named {
    Named { name, shown: CoveredBy::Elsewhere(who), boxed }
}

const MOVES: &str = "kill (a), (b), (c); freeze";
const FIRST: &str = "kill (a), (b); freeze";
const STOPS: &str = "kill: stop runs again, (b), (c), an agent's release; freeze";
/// Crashes of the leader, with a strict API server and a stateful EC2.
const HOLDER: &str = "`firecamp-agent`, `leader::killed`: the leader crashes there, and its \
                      successor at each later boundary";

/// The same for the names of members.
const NAMES: &str = "`firecamp-agent`, `leader::names`: the leader dies at any moment, and its \
                     successor removes the record";

/// All crash points, in the order of the protocol.
pub const NAMED: &[Named] = &[
    attach("attach.0", AttachStep::RecordsRead, MOVES),
    attach("attach.1", AttachStep::NodeIdentified, MOVES),
    attach("attach.2", AttachStep::PodConfirmed, MOVES),
    attach("attach.3", AttachStep::ClaimWritten, FIRST),
    attach("attach.4", AttachStep::AddressAllocated, FIRST),
    attach("attach.5", AttachStep::FileProbed, MOVES),
    attach("attach.6", AttachStep::LinkFound, MOVES),
    attach("attach.7", AttachStep::EpochAcquired, MOVES),
    attach("attach.8", AttachStep::AssignSent, MOVES),
    attach("attach.9", AttachStep::AssignAnswered, MOVES),
    attach("attach.10", AttachStep::DataPathSwitched, MOVES),
    attach("attach.11", AttachStep::AddressAdded, MOVES),
    attach("attach.12", AttachStep::RoutingAdded, MOVES),
    attach("attach.13", AttachStep::KernelVerified, MOVES),
    attach("attach.14", AttachStep::FileStaged, MOVES),
    attach("attach.15", AttachStep::FilePublished, MOVES),
    attach("attach.16", AttachStep::FileDurable, MOVES),
    attach("attach.17", AttachStep::AttachRecorded, MOVES),
    elsewhere(
        "attach.18",
        "a process that has ended cannot crash; for the re-run see `sandbox`",
        "f004",
    ),
    elsewhere("attach.19", "the same while the service runs: `sandbox`, `zombie-restarts`", "f004"),
    release("release.0", ReleaseStep::RecordsRead),
    release("release.1", ReleaseStep::PodConfirmed),
    release("release.2", ReleaseStep::DrainEnded),
    release("release.3", ReleaseStep::AddressRemoved),
    release("release.4", ReleaseStep::RoutingRemoved),
    release("release.5", ReleaseStep::ReleaseRecorded),
    elsewhere("release.6", "a process that has ended cannot crash", "stop runs again"),
    elsewhere("stop twice", "`zombie-restarts`", "f023, f113"),
    elsewhere("stop never", "(c) of every row: the agent releases", "(c): f026, f027"),
    agents("withdraws.1", Step::Withdraw(WithdrawStep::HolderSuperseded)),
    agents("withdraws.2", Step::Withdraw(WithdrawStep::AddressRemoved)),
    agents("withdraws.3", Step::Withdraw(WithdrawStep::RoutingRemoved)),
    elsewhere(
        "withdraws.0, 4",
        "nothing has changed yet, or nothing is left to do; there is no Event",
        "the address is lost while no agent runs",
    ),
    agents("re-assert.1", Step::Reassert(ReassertStep::AssignPending)),
    agents("re-assert.2", Step::Reassert(ReassertStep::AssignAnswered)),
    agents("re-assert.3", Step::Reassert(ReassertStep::ReassertEnded)),
    agents("restore.1", Step::Restore(RestoreStep::AddressAdded)),
    agents("restore.2", Step::Restore(RestoreStep::RoutingAdded)),
    agents("restore.3", Step::Restore(RestoreStep::KernelVerified)),
    elsewhere("free.0, 1", HOLDER, ""),
    free("free.2", FreeStep::UnassignPending),
    free("free.3", FreeStep::UnassignSent),
    free("free.4", FreeStep::UnassignAnswered),
    free("free.5", FreeStep::ReleaseRecorded),
    elsewhere("free.6", NAMES, ""),
    elsewhere("free.7", HOLDER, ""),
];

pub(super) fn table(text: &mut String, tally: &Tally) {
    text.push_str(
        "\n## Named crash points\n\nSingle kills in the enumeration, by the boundary that the \
         process had crossed last (attach.8 and free.3: a call to EC2 was sent, without an answer \
         yet), and what the real containers go through in a VPC in a box (`tests/box`: each is \
         killed or frozen at exactly that boundary, and the recoveries follow).\n\n\
         | Crashes after | (a) | (b) | (c) | Real containers |\n| --- | --- | --- | --- | --- |\n",
    );
    for Named { name, shown, boxed } in NAMED {
        match shown {
            CoveredBy::Enumerated(step) => {
                writeln!(text, "| {name} | {} | {boxed} |", counts(tally, *step)).ok();
            }
            CoveredBy::Elsewhere(who) => {
                writeln!(text, "| {name} | {who} | | | {boxed} |").ok();
            }
        }
    }
}
