//! Looks up owners ahead: between the moment at which a pod is bound to this node and the first
//! request of its init container, the kubelet creates its sandbox and its volumes.
//!
//! Guarantees: the record is read, then the owner is looked up; nothing is changed. A look-up is
//! made once for each pod, and kept for half of T. Caveats: for a pod that starts later than that,
//! EC2 is asked twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use firecamp_core::contract::timing;
use firecamp_core::failure::chain;
use firecamp_core::ids::{Member, PodUid};
use firecamp_core::ports::Registry as _;
use firecamp_engine::EarlyLookUp;
use firecamp_run::connect::AnyRegistry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Endpoint;
use crate::ports::Environment;
use crate::source::BoundPod;

/// Look-ups at once.
const MOST: usize = 64;

/// The look-ups that no attach has used yet.
#[derive(Debug, Default)]
pub(super) struct EarlyLookUps(RefCell<BTreeMap<PodUid, EarlyLookUp>>);

impl EarlyLookUps {
    /// That of a pod. Each is used at most once.
    pub(super) fn take(&self, pod: &PodUid) -> Option<EarlyLookUp> {
        self.0.borrow_mut().remove(pod)
    }

    fn keep(&self, pod: PodUid, found: EarlyLookUp) {
        let mut all = self.0.borrow_mut();
        all.retain(|_, one| !one.is_too_old());
        all.insert(pod, found);
    }
}

impl<W: Environment<Registry = AnyRegistry>> Endpoint<W> {
    /// Looks up the owners of the addresses of these pods' members, until nobody tells of pods.
    pub(super) async fn look_ahead(self: &Rc<Self>, mut bound: mpsc::Receiver<BoundPod>) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                told = bound.recv(), if open.len() < MOST => match told {
                    Some(told) => {
                        let endpoint = Rc::clone(self);
                        open.spawn_local(async move { endpoint.look_up(told).await });
                    }
                    None => return,
                },
                Some(ended) = open.join_next() => if let Err(why) = ended {
                    Self::task_failed(why);
                },
            }
        }
    }

    async fn look_up(&self, BoundPod { member, pod }: BoundPod) {
        match timeout(timing::EARLY_LOOK_UP, self.find_owner(&member)).await {
            Ok(Ok(Some(found))) => {
                tracing::debug!(%member, podUID = %pod, "owner looked up ahead");
                self.early.keep(pod, found);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%member, error, "failed to look up owner ahead"),
            Err(_late) => tracing::debug!(%member, "owner not looked up ahead in time"),
        }
    }

    /// The owner of a member's address, if its attach will look it up.
    async fn find_owner(&self, member: &Member) -> Result<Option<EarlyLookUp>, String> {
        let read = self.systems.registry.member(member, None).await;
        let stored = read.map_err(|why| chain(&why))?.static_ip;
        let own = stored.filter(|stored| stored.object.member == *member);
        let node = &self.served.node;
        let Some(stored) = own.filter(|stored| stored.object.rests_elsewhere(node)) else {
            return Ok(None);
        };
        let sent = Instant::now();
        let found = self.queues.look_up(stored.object.address, &stored.object.subnet).await;
        let owner = found.map_err(|why| chain(&why))?;
        Ok(Some(EarlyLookUp { version: stored.version, owner, sent }))
    }
}
