//! The core's own machines in a small world, explored to the end.
//!
//! A world has up to three nodes with one ENI each, one or two members with one address each, a
//! few incarnations of their pods, and the processes that run in these: each holds a machine of
//! `firecamp_core`, which is asked for its action and told its reply as the real runner does it.
//! The registry, EC2, the metadata service, kernels, locks and volumes around them are as lax as
//! they may be in reality, and [stateright](https://docs.rs/stateright) takes every way through
//! that there is. What must hold is checked in every state; that it heals is checked in every
//! state by a fair run without faults from there.
//!
//! # What is split, and what is one step
//!
//! A step is one action and its reply. An EC2 mutation is sent, lands and is answered in one step
//! only if nothing goes wrong: it may be lost on the way, land without an answer, be left in
//! flight by a process that gives up or dies, and then land at any later moment within T of what
//! authorised it (with the budget `late`: at any moment at all). Whether it may still be sent is
//! asked at that moment, by the core's `Action::time_left`. A process that is not scheduled is
//! frozen; that costs nothing and may happen everywhere. Describe shows the present owner or any
//! that was replaced less than its lag ago. IMDS shows the present list or the one before. Packets
//! follow the owner within the settle time.
//!
//! # Time
//!
//! The clock has ticks of T / 2, one tick for everybody. What lasts T in the protocol takes two,
//! and what must happen within T happens before the second: so a call that was authorised before
//! a take can land until the barrier of that take ends, and not at its very end. Polls, far
//! shorter than a tick, end within it. Back-offs with jitter end at any moment. Machines are kept
//! in the core's canonical form, relative to now. Deadlines are an hour away and never come: what
//! they would cut off is a crash, and those there are.
//!
//! # Coarse steps
//!
//! Configurations with `eager` take some steps along with the one before. Each is sound for what
//! is checked, because every run has a run of coarse steps with the same effects:
//!
//! * steps that read or change nothing that anybody else changes (the file of a member, the
//!   routing that an address on a primary ENI lacks, the link);
//! * reads after which nothing was changed yet: record and pod before the take, pod, sockets and
//!   record before the first change of a release. If a later read of such a row sees a change, the
//!   process ends or starts again without effect, as if it had begun after the change; if it sees
//!   none, it could have been made earlier. The compare-and-swap and the lock notice what changes
//!   after the row;
//! * reads that can only confirm: that the kernel has what was just added, that IMDS lists what
//!   packets reach already. Not seeing that is being superseded, which the completion notices.
//!
//! A wait that is over ends together with the request that follows. Had it ended earlier, that
//! request would count as asked for earlier, and authorise less.
//!
//! With `lazy`, time passes only where somebody waits for it. That drops runs in which a process
//! is frozen for T while nobody waits for anything; configurations without it have them. With
//! `instant`, packets and IMDS follow the owner at once; configurations without it have the lag.
//!
//! Names are reused: nodes are told apart only once they were used, the number of a run is the
//! lowest of which nothing reminds, the version of a record is its epoch and the writes since.
//!
//! # What is not in here
//!
//! Allocation of a first address, several ENIs on a node, routing rules, batches, the length of
//! back-offs, throttling, refusals for want of capacity or permission, an ENI that goes away,
//! kernels that somebody else strips, a registry restored from a backup, IMDS that lists nothing
//! for ever. The seeded histories have most of them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: small fixed arrays; what fails here fails the test"
)]

mod acts;
mod agent;
mod budget;
mod cast;
mod command;
mod config;
mod heal;
mod intern;
mod kubelet;
mod machines;
mod model;
mod outside;
mod process;
mod properties;
mod run;
mod seen;
mod state;
mod trace;

pub use acts::Act;
pub use command::command;
pub use config::{CONFIGS, Config, Hooks, named};
pub use model::Small;
pub use run::{Broken, Report, explore};
pub use state::{Budget, World};
