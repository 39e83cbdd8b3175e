//! Looks up owners ahead: between the moment at which a pod is bound to this node and the first
//! request of its init container, the kubelet creates its sandbox.
//!
//! Guarantees: the record is read, then the owner is looked up; nothing is changed. An answer is
//! kept for half of T. However many pods there are, a node sends one request a second, and no
//! attach waits for it in a queue. Caveats: it is a hint, so pods that were bound too long ago, or
//! before the watch began, are left out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::failure::{RegistryFailure, chain};
use firecamp_core::ids::{Member, PodUid, SubnetId};
use firecamp_core::ports::{Cloud as _, Registry as _};
use firecamp_core::record::{StaticIp, Stored};
use firecamp_engine::EarlyLookUp;
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::Endpoint;
use crate::ports::Environment;
use crate::source::BoundPod;

/// Pods whose owners are looked up together.
const MOST: usize = 50;
/// Pods that are bound at the same time share a request.
const GATHER: Duration = Duration::from_millis(25);
/// Pause after a request. EC2's bucket of describing requests gains 20 a second (ec2-semantics,
/// throttling).
const PAUSE: Duration = Duration::from_secs(1);
/// How long an attach waits for a look-up that has not ended. Its own one would probably end later:
/// EC2 answers a Describe in 60 ms at the median and in 400 ms at the 99th percentile
/// (ec2-semantics, timing model).
const PATIENCE: Duration = Duration::from_millis(400);

/// The pods that have a look-up or do not need one any more.
#[derive(Debug, Default)]
pub(super) struct EarlyLookUps(RefCell<BTreeMap<PodUid, Pod>>);

#[derive(Debug)]
struct Pod {
    since: Instant,
    /// Its look-up; `None` once it has asked for its address.
    begun: Option<oneshot::Receiver<EarlyLookUp>>,
}

impl EarlyLookUps {
    /// That of a pod which asks now. Each is used at most once.
    pub(super) async fn take(&self, pod: &PodUid) -> Option<EarlyLookUp> {
        let found = self.insert(pod.clone(), None)?.begun?;
        timeout(PATIENCE, found).await.ok()?.ok()
    }

    /// A look-up for a pod begins, unless it has asked and so looks up by itself.
    fn begin(&self, pod: PodUid) -> Option<oneshot::Sender<EarlyLookUp>> {
        let (answer, found) = oneshot::channel();
        let has_asked = self.0.borrow().get(&pod).is_some_and(|pod| pod.begun.is_none());
        if has_asked {
            return None;
        }
        self.insert(pod, Some(found));
        Some(answer)
    }

    fn insert(&self, pod: PodUid, begun: Option<oneshot::Receiver<EarlyLookUp>>) -> Option<Pod> {
        let mut all = self.0.borrow_mut();
        // A look-up ends within this time, and its answer may be used for as long again.
        all.retain(|_, one| one.since.elapsed() < timing::EARLY_LOOK_UP.saturating_mul(2));
        all.insert(pod, Pod { since: Instant::now(), begun })
    }
}

/// A record whose owner is looked up, and where the answer goes.
struct Read {
    stored: Stored<StaticIp>,
    answer: oneshot::Sender<EarlyLookUp>,
}

impl<W: Environment<Registry = AnyRegistry>> Endpoint<W> {
    /// Looks up the owners of the addresses of bound pods, as long as pods are reported.
    pub(super) async fn look_ahead(&self, mut bound: mpsc::Receiver<BoundPod>) {
        let mut pods = Vec::new();
        while bound.recv_many(&mut pods, 1).await > 0 {
            sleep(GATHER).await;
            while let (true, Ok(pod)) = (pods.len() < MOST, bound.try_recv()) {
                pods.push(pod);
            }
            pods.retain(|pod| pod.since.elapsed() < timing::EARLY_LOOK_UP);
            let all = std::mem::take(&mut pods);
            if timeout(timing::EARLY_LOOK_UP, self.look_up(all)).await.is_err() {
                tracing::debug!("owners not looked up ahead in time");
            }
            sleep(PAUSE).await;
        }
    }

    async fn look_up(&self, pods: Vec<BoundPod>) {
        let mut read: BTreeMap<SubnetId, Vec<Read>> = BTreeMap::new();
        for BoundPod { member, pod, .. } in pods {
            let Some(answer) = self.early.begin(pod) else { continue };
            match self.read_bound(&member).await {
                Ok(Some(stored)) => {
                    let subnet = stored.object.subnet.clone();
                    read.entry(subnet).or_default().push(Read { stored, answer });
                }
                Ok(None) => {}
                Err(why) => tracing::debug!(%member, error = chain(&why), "failed to read record"),
            }
        }
        for (subnet, read) in read {
            self.find_owners(&subnet, read).await;
        }
    }

    /// The record of a member whose attach will look up the owner. A member without a claim costs
    /// one request.
    async fn read_bound(
        &self,
        member: &Member,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        let OpenRegistry::Kube(registry) = self.systems.registry.get().await? else {
            return Ok(None);
        };
        let claim = Box::pin(registry.claim(member)).await?;
        let Some(address) = claim.and_then(|stored| stored.object.address) else {
            return Ok(None);
        };
        let stored = registry.static_ip(address).await?;
        let own = stored.filter(|stored| stored.object.member == *member);
        Ok(own.filter(|stored| stored.object.last_held_elsewhere(&self.served.node)))
    }

    async fn find_owners(&self, subnet: &SubnetId, read: Vec<Read>) {
        if self.queues.is_paused() {
            return;
        }
        let addresses: Vec<_> = read.iter().map(|one| one.stored.object.address).collect();
        let sent = Instant::now();
        let mut owners = match self.systems.cloud.owners(&addresses, subnet).await {
            Ok(owners) => owners,
            Err(why) => {
                return tracing::debug!(%subnet, error = chain(&why), "failed to look up owners");
            }
        };
        for Read { stored, answer } in read {
            if let Some(owner) = owners.remove(&stored.object.address) {
                // The pod may have asked and gone on without it.
                answer.send(EarlyLookUp { version: stored.version, owner, sent }).ok();
            }
        }
    }
}
