//! Model checking of the core's own machines: a small model, explored exhaustively.
//!
//! The model has up to three nodes with one ENI each, one or two members with one address each, a
//! few incarnations of their pods, and the processes that run in them. Each process holds a machine
//! of `firecamp_core`, which names its action and receives the reply as in the real runner. The
//! registry, EC2, the metadata service, kernels, locks and volumes behave as badly as they may in
//! reality, and [stateright](https://docs.rs/stateright) explores every execution. Every state is
//! checked against the properties, and for healing: a fair execution without faults from that state
//! must end well.
//!
//! # Atomic steps
//!
//! A step is one action and its reply. An EC2 mutation is sent, takes effect and is answered in one
//! step only if nothing fails. It may also be lost on the way, take effect without an answer, or be
//! left in flight by a process that gives up or dies; then it takes effect at any later moment
//! within T of what authorised it (with the budget `late`: at any moment at all). The core's
//! `Action::time_left` decides at that moment whether it may still be sent. A process that is not
//! scheduled is frozen; that needs no fault and may happen anywhere. Describe shows the current
//! owner or any that was replaced less than its lag ago. IMDS shows the current list or an earlier
//! one. Packets follow the owner within the settle time.
//!
//! # Time
//!
//! The clock has ticks of T / 2, one tick for all processes. What lasts T in the protocol takes two
//! ticks, and what must happen within T happens before the second: a call that was authorised
//! before an epoch was acquired can take effect until the barrier of that epoch ends, but not at
//! its very end. Polls are far shorter than a tick and end within it. Backoffs with jitter end at
//! any moment. Machines are kept in a [`canonical`] form, relative to now. Deadlines are an
//! hour away and never come: a crash, which the model has, cuts off the same executions.
//!
//! # Coarse steps
//!
//! Configurations with `eager` combine some steps with the one before. Each combination is sound
//! for what is checked, because every execution has one of coarse steps with the same effects:
//!
//! * steps that read or change nothing that another process changes (the file of a member, the
//!   routing that an address on a primary ENI does not need, the link);
//! * reads before the first change: record and pod before the epoch is acquired; pod, sockets and
//!   record before the first change of a release. If a later one of these reads sees a change, the
//!   process ends or starts again without effect, as if it had started after the change; if it sees
//!   none, it could have been made earlier. The compare-and-swap and the lock detect later changes;
//! * reads that can only confirm: that the kernel has what was just added, that IMDS lists what
//!   packets already reach. If they do not, the process is superseded, which completion detects.
//!
//! A wait that is over ends together with the request that follows. If it ended earlier, that
//! request would count as sent earlier, and authorise less.
//!
//! With `lazy`, time passes only while a process waits for it. That drops executions in which a
//! process is frozen for T while no other waits; configurations without it have them. With
//! `instant`, packets and IMDS follow the owner at once; configurations without it have the lag.
//!
//! Names are reused: nodes are distinguished only once they were used, the number of a run is the
//! lowest that nothing refers to, the version of a record is its epoch and the writes since.
//!
//! # Not modelled
//!
//! Allocation of a first address, several ENIs on a node, routing rules, batches, the length of
//! backoffs, throttling, errors for lack of capacity or permission, an ENI that is deleted, other
//! programs that remove addresses from a kernel, a registry that is restored from a backup, IMDS
//! that never lists anything. The seeded histories have most of them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: small fixed arrays; a failure here fails the test"
)]

mod agent;
pub mod canonical;
mod command;
mod config;
mod ec2_call_limits;
mod enabled_transitions;
mod explore;
mod fixture;
mod intern;
mod kubelet;
mod liveness;
mod machines;
mod model;
mod process;
mod properties;
mod reply;
mod simulated_systems;
mod state;
mod trace;
pub mod transition_table;

pub use command::command;
pub use config::{CONFIGS, Config, Hooks, named};
pub use enabled_transitions::Transition;
pub use explore::{Broken, Report, explore};
pub use model::ProtocolModel;
pub use state::{Budget, ModelState};
