//! One pod: what the API shows of it, and what its node does with it.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::time::Moment;

use crate::level::Ready;
use crate::names::{MemberIx, Names, NodeIx, PodIx, ProcessId};
use crate::seed::SeededRng;

/// A pod as the API server shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiPod {
    /// The pod.
    pub pod: PodIx,
    /// Its node, once it is scheduled.
    pub node: Option<NodeIx>,
    /// If it is being deleted: when its grace period ends.
    pub ending: Option<Moment>,
}

impl ApiPod {
    /// What a fresh read returns of a member's pod.
    pub fn view(pod: Option<Self>, names: &Names, now: Moment) -> PodView {
        let Some(pod) = pod else { return PodView::Absent };
        let lifecycle = match pod.ending {
            None => PodLifecycle::Running,
            Some(until) => PodLifecycle::Terminating(Some(until.since(now))),
        };
        PodView::Present {
            pod: names.uid(pod.pod),
            node: pod.node.map(|node| names.node(node).name.clone()),
            lifecycle,
            controller: None,
        }
    }
}

/// Whether the API shows the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Live,
    /// Deleted; its grace period ends then.
    Ending(Moment),
    /// Gone from the API, even if containers still run.
    Gone,
}

/// Why the containers of a pod are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Deleted,
    Sandbox,
}

/// What the node does with the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No container runs; init will be started.
    Waiting,
    Init(ProcessId),
    /// Init has succeeded.
    Running,
    /// Containers are being stopped.
    Ending(Why),
    /// All containers have ended; the API does not know yet.
    Ended(Why),
    /// Its node is off.
    Lost,
    /// Nothing is left of it.
    Over,
}

#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) member: MemberIx,
    pub(super) node: NodeIx,
    pub(super) api: Api,
    pub(super) phase: Phase,
    /// Incremented to cancel pending timers.
    pub(super) generation: u16,
    /// Consecutive failures of containers, for the backoff.
    pub(super) crashes: u8,
    /// The sidecar, or the hook while it runs.
    pub(super) stop: Option<ProcessId>,
    /// The main container runs.
    pub(super) main: bool,
    /// The main container has a client that stays connected.
    pub(super) busy: bool,
    /// What its init container attached last.
    pub(super) attached: Option<Ready>,
    pub(super) ready: bool,
    /// When the present grace period ends.
    pub(super) grace_until: Moment,
    /// The grace period after its kubelet notices a force delete.
    pub(super) forced_grace: Duration,
    pub(super) rng: SeededRng,
}

impl Pod {
    pub(super) fn new(member: MemberIx, node: NodeIx, rng: SeededRng) -> Self {
        Self {
            member,
            node,
            api: Api::Live,
            phase: Phase::Waiting,
            generation: 0,
            crashes: 0,
            stop: None,
            main: false,
            busy: false,
            attached: None,
            ready: false,
            grace_until: Moment::default(),
            forced_grace: Duration::ZERO,
            rng,
        }
    }

    /// Ready, and its main container runs.
    pub(super) fn is_serving(&self) -> bool {
        self.phase == Phase::Running && self.ready && self.main && self.api == Api::Live
    }

    /// Its main container has sockets on the address.
    pub(super) fn serves(&self, address: Ipv4Addr) -> bool {
        self.main && self.attached.is_some_and(|attached| attached.address == address)
    }

    pub(super) fn api_pod(&self, pod: PodIx) -> Option<ApiPod> {
        let ending = match self.api {
            Api::Live => None,
            Api::Ending(until) => Some(until),
            Api::Gone => return None,
        };
        Some(ApiPod { pod, node: Some(self.node), ending })
    }
}
