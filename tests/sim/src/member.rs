//! The pods of a member: each init or stop container is one run of the engine.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a failure here fails the test"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::attach::{AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Member, PodUid};
use firecamp_core::machine::{Attached, Failure, Outcome, Release as Done};
use firecamp_core::ports::{Cloud, SocketScope};
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_engine::{Ended, NoFile, Rng, Run, Signal, Systems, run};
use firecamp_testkit::sim::{FaultyCloud, FaultyFile, FaultyHost, FaultyRegistry, Script};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;

/// One pod of a member on one node.
#[derive(Debug, Clone)]
pub struct Pod {
    member: Member,
    uid: PodUid,
    node: String,
    /// Injects faults into the calls of this pod's containers.
    pub script: Script,
    /// Interrupts its init container.
    pub interrupt: CancellationToken,
    deadline: Duration,
    predecessor_grace: Duration,
    rule: EniRule,
    avoided: BTreeSet<EniId>,
    rng: Rng,
}

/// How a stop container runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Release {
    /// `--unassign`
    pub unassign: bool,
}

impl Pod {
    /// A pod of `demo/redis-0`.
    pub fn new(uid: &str, node: &str) -> Self {
        Self::of("redis-0", uid, node)
    }

    /// A pod of another member.
    pub fn of(member: &str, uid: &str, node: &str) -> Self {
        Self {
            member: Member::new("demo", member).expect("a member"),
            uid: uid.parse().expect("a pod UID"),
            node: node.to_owned(),
            script: Script::new(),
            interrupt: CancellationToken::new(),
            deadline: timing::ATTACH_DEADLINE,
            predecessor_grace: timing::PREDECESSOR_GRACE,
            rule: EniRule::Primary,
            avoided: BTreeSet::new(),
            rng: Rng::seeded(number_of(uid)),
        }
    }

    /// Sets the deadline of the init container.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Any interface in the subnet of the address may carry it, but these only if no other one
    /// may.
    #[must_use]
    pub fn avoiding(mut self, avoided: BTreeSet<EniId>) -> Self {
        (self.rule, self.avoided) = (EniRule::Auto, avoided);
        self
    }

    /// The random numbers of its containers.
    #[must_use]
    pub fn with_rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// Injects the faults of the script into the calls of its containers.
    #[must_use]
    pub fn breaking(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// The member.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The UID.
    pub fn uid(&self) -> &PodUid {
        &self.uid
    }

    fn run(&self, signal: Signal) -> Run {
        Run {
            member: self.member.clone(),
            pool: None,
            signal,
            rng: self.rng.clone(),
            watcher: None,
        }
    }

    /// Runs the init container to its end.
    pub async fn init(&self, cluster: &Cluster) -> Ended {
        let cloud = cluster.node(&self.node).cloud();
        self.attach_polling(timing::METADATA_POLL, cluster, cloud).await
    }

    /// The same through this cloud, as the agent of its node does.
    pub async fn attach(&self, cluster: &Cluster, cloud: impl Cloud) -> Ended {
        self.attach_polling(timing::QUEUED_METADATA_POLL, cluster, cloud).await
    }

    async fn attach_polling(
        &self,
        metadata_poll: Duration,
        cluster: &Cluster,
        cloud: impl Cloud,
    ) -> Ended {
        let node = cluster.node(&self.node);
        let systems = Systems {
            cloud: FaultyCloud::new(cloud, self.script.clone()),
            host: FaultyHost::new(node.host.clone(), self.script.clone()),
            registry: FaultyRegistry::new(&cluster.registry, self.script.clone()),
            file: FaultyFile::new(cluster.volume.clone(), self.script.clone()),
        };
        let input = AttachInput {
            member: self.member.clone(),
            pod: self.uid.clone(),
            node: self.node.parse().expect("a node name"),
            cluster: "demo".parse().expect("a cluster name"),
            pool: None,
            pool_is_approved: false,
            rule: self.rule,
            unwanted: UnwantedEnis { avoided: self.avoided.clone(), ..UnwantedEnis::default() },
            metadata_poll,
            run: self.rng.run_id(),
            deadline: self.deadline,
            predecessor_grace: self.predecessor_grace,
            looked_up: None,
        };
        let signal = Signal::Interrupt(self.interrupt.clone());
        Box::pin(run(input, &systems, &self.run(signal))).await
    }

    /// Runs the init container until its script kills it. `None` if the script does not.
    pub async fn killed_in_init(&self, cluster: &Cluster) -> Option<()> {
        tokio::select! {
            biased;
            () = self.script.death() => Some(()),
            _ended = self.init(cluster) => None,
        }
    }

    /// Runs the stop container until its script kills it. `None` if the script does not.
    pub async fn killed_in_stop(&self, cluster: &Cluster, how: Release) -> Option<()> {
        tokio::select! {
            biased;
            () = self.script.death() => Some(()),
            _ended = self.stop(cluster, how) => None,
        }
    }

    /// Runs the stop container to its end, as a preStop hook.
    pub async fn stop(&self, cluster: &Cluster, how: Release) -> Ended {
        self.release(cluster, how, false, CancellationToken::new()).await
    }

    /// Runs the stop container as a sidecar: it reads its epoch now and releases when `stop` is
    /// cancelled.
    pub async fn sidecar(&self, cluster: &Cluster, stop: CancellationToken) -> Ended {
        self.release(cluster, Release::default(), true, stop).await
    }

    async fn release(
        &self,
        cluster: &Cluster,
        how: Release,
        await_stop: bool,
        stop: CancellationToken,
    ) -> Ended {
        let node = cluster.node(&self.node);
        let systems = Systems {
            cloud: FaultyCloud::new(node.cloud(), self.script.clone()),
            host: FaultyHost::new(node.host.clone(), self.script.clone()),
            registry: FaultyRegistry::new(&cluster.registry, self.script.clone()),
            file: NoFile,
        };
        let input = ReleaseInput {
            member: self.member.clone(),
            pod: self.uid.clone(),
            run: self.rng.run_id(),
            unassign: how.unassign,
            await_stop,
            by: Releaser::Stop,
            scope: SocketScope::All,
            drain: timing::DRAIN,
            grace: Duration::from_secs(30),
        };
        let signal = Signal::Stop(stop);
        run(input, &systems, &self.run(signal)).await
    }
}

/// Asserts that the attach succeeded.
pub fn attached(ended: Ended) -> Attached {
    let Ended::Outcome(Outcome::Attached(attached)) = ended else {
        panic!("not attached: {ended:?}")
    };
    attached
}

/// Asserts that the run failed.
pub fn failed(ended: Ended) -> Failure {
    let Ended::Outcome(Outcome::Failed(failure)) = ended else { panic!("did not fail: {ended:?}") };
    failure
}

/// Asserts that the release succeeded.
#[expect(clippy::needless_pass_by_value, reason = "the same signature as the two functions above")]
pub fn released(ended: Ended) -> Done {
    let Ended::Outcome(Outcome::Released { release, .. }) = ended else {
        panic!("not released: {ended:?}")
    };
    release
}

/// A seed from the UID, so that each pod has its own, reproducible jitter.
fn number_of(uid: &str) -> u64 {
    uid.bytes().fold(7, |number, byte| number.wrapping_mul(257).wrapping_add(u64::from(byte)))
}
