//! Adopts one orphaned address: reads everything that could forbid it, then creates its StaticIP.
//!
//! Guarantees: there is one write, a create, which is also the allocation, so of two claimants one
//! succeeds. A failed read ends the attempt before the write. Nothing changes in EC2 or the kernel.

use std::collections::BTreeSet;

use firecamp_core::agent::{Evidence, KernelOwner, Orphan, adopt};
use firecamp_core::ids::{Member, PodUid, RunId};
use firecamp_core::lock_rule::LockRecord;
use firecamp_core::ports::{Owner, SocketUse};
use firecamp_core::record::{Pool, StaticIp};

use super::{AdoptionResult, AgentIdentity};

/// The next step of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptStep {
    /// Read all pools, the claims of the address, and the node's pods.
    ReadCensus,
    /// Look the owner up in EC2.
    ReadOwner,
    /// Read the kernel's state of the address, and its lock.
    ReadKernel,
    /// Read the sockets that use the address.
    ReadSockets,
    /// Read the record: last, because the write depends on it.
    ReadRecord,
    /// Create the record.
    Create(Box<StaticIp>),
    /// Nothing: the attempt has ended.
    End(AdoptionResult),
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptAnswer {
    /// What the registry has that concerns the address.
    Census {
        /// All pools.
        pools: Vec<Pool>,
        /// A member whose claim is bound to the address or requests it.
        claimed: Option<Member>,
        /// The pods of the node that are not terminated.
        pods: BTreeSet<PodUid>,
    },
    /// The owner in EC2.
    Owner(Owner),
    /// What the node has of the address.
    Kernel {
        /// The owner in the kernel.
        kernel: Option<KernelOwner>,
        /// The record of the lock.
        lock: Option<LockRecord>,
        /// The lock's record is torn.
        torn: bool,
    },
    /// The sockets on the node that use it.
    Sockets(SocketUse),
    /// Whether a record exists.
    Recorded(bool),
    /// The record was created.
    Created,
    /// Another process created the record first.
    AlreadyExists,
    /// The step failed.
    Failed(String),
}

/// An attempt to adopt an orphaned address: a state machine without I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptionAttempt {
    orphan: Orphan,
    run: RunId,
    evidence: Evidence,
    step: AttemptStep,
}

impl AdoptionAttempt {
    /// Starts without evidence. `run` is the run ID of the write.
    pub fn new(orphan: Orphan, own: AgentIdentity, run: RunId) -> Self {
        let AgentIdentity { node, instance, cluster } = own;
        let evidence = Evidence {
            node,
            instance,
            cluster,
            recorded: false,
            pools: Vec::new(),
            claimed: None,
            owner: Owner::Unassigned,
            kernel: None,
            lock: None,
            torn: false,
            sockets: SocketUse::default(),
            pods: BTreeSet::new(),
        };
        Self { orphan, run, evidence, step: AttemptStep::ReadCensus }
    }

    /// The orphan.
    pub fn orphan(&self) -> &Orphan {
        &self.orphan
    }

    /// The run ID of the write.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The evidence so far.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The next step.
    pub fn step(&self) -> &AttemptStep {
        &self.step
    }

    /// The answer to the step. One that does not answer it ends the attempt, like a failure.
    pub fn answered(&mut self, answer: AttemptAnswer) {
        let evidence = &mut self.evidence;
        self.step = match (&self.step, answer) {
            (AttemptStep::ReadCensus, AttemptAnswer::Census { pools, claimed, pods }) => {
                (evidence.pools, evidence.claimed, evidence.pods) = (pools, claimed, pods);
                AttemptStep::ReadOwner
            }
            (AttemptStep::ReadOwner, AttemptAnswer::Owner(owner)) => {
                evidence.owner = owner;
                AttemptStep::ReadKernel
            }
            (AttemptStep::ReadKernel, AttemptAnswer::Kernel { kernel, lock, torn }) => {
                (evidence.kernel, evidence.lock, evidence.torn) = (kernel, lock, torn);
                AttemptStep::ReadSockets
            }
            (AttemptStep::ReadSockets, AttemptAnswer::Sockets(sockets)) => {
                evidence.sockets = sockets;
                AttemptStep::ReadRecord
            }
            (AttemptStep::ReadRecord, AttemptAnswer::Recorded(recorded)) => {
                evidence.recorded = recorded;
                match adopt(&self.orphan, evidence, self.run.clone()) {
                    Ok(record) => AttemptStep::Create(Box::new(record)),
                    Err(why) => AttemptStep::End(AdoptionResult::Refused(why)),
                }
            }
            (AttemptStep::Create(_), AttemptAnswer::Created) => {
                AttemptStep::End(AdoptionResult::Adopted)
            }
            (AttemptStep::Create(_), AttemptAnswer::AlreadyExists) => {
                AttemptStep::End(AdoptionResult::Moot)
            }
            (_, AttemptAnswer::Failed(why)) => AttemptStep::End(AdoptionResult::Failed(why)),
            (step, answer) => {
                let why = format!("{answer:?} does not answer {step:?}");
                AttemptStep::End(AdoptionResult::Failed(why))
            }
        };
    }
}

#[cfg(test)]
#[path = "adoption_attempt_tests.rs"]
mod tests;
