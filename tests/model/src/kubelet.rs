//! The lifecycle of pods: the API server, the StatefulSet controller and the kubelets.

use firecamp_core::machine::Release as Released;

use crate::agent::of_execution;
use crate::config::Hooks;
use crate::fixture::{HolderId, Kind, NODES, small};
use crate::machines::{End, Request};
use crate::model::ProtocolModel;
use crate::reply::Answer;
use crate::state::{Api, File, Kernel, ModelState, Phase, Pod, Proc, Violation};

impl ProtocolModel {
    /// The member's pod in the API.
    pub(crate) fn live(&self, state: &ModelState, member: usize) -> Option<usize> {
        let mut pods = state.pods.iter().enumerate();
        let there = |api: Api| api == Api::Running || api == Api::Terminating;
        pods.find(|(n, p)| self.machines.fixture.member_of(*n) == member && there(p.api))
            .map(|(number, _)| number)
    }

    pub(crate) fn pod_view(&self, state: &ModelState, member: usize) -> Answer {
        match self.live(state, member) {
            _ if self.config.vouched => Answer::Vouched,
            None => Answer::NoPod,
            Some(pod) => {
                let Pod { node, api, .. } = state.pods[pod];
                Answer::Pod { pod: small(pod), node, ending: api == Api::Terminating }
            }
        }
    }

    /// The member's next incarnation, if it can be created now.
    pub(crate) fn next_pod(&self, state: &ModelState, member: usize, most: usize) -> Option<usize> {
        if self.live(state, member).is_some() {
            return None;
        }
        let each = self.machines.fixture.pods_each();
        let mut slots = member * each..member * each + most.min(each);
        slots.find(|slot| state.pods[*slot].api == Api::Future)
    }

    /// The nodes to which a pod can be scheduled. Unused nodes are equivalent, so only the first of
    /// them is tried.
    pub(crate) fn places(&self, state: &ModelState) -> impl Iterator<Item = u8> {
        let used = state.pods.iter().filter(|p| p.api != Api::Future).map(|p| p.node + 1).max();
        let gone = state.gone;
        (0..(used.unwrap_or(0) + 1).min(self.config.nodes)).filter(move |n| gone & (1 << n) == 0)
    }

    pub(crate) fn schedule(&self, state: &mut ModelState, pod: usize, node: u8) {
        state.pods[pod] = Pod { node, api: Api::Running, ..Pod::default() };
        self.spawn_init(state, small(pod));
    }

    /// A graceful deletion: the main container ends, then the stop container receives SIGTERM.
    pub(crate) fn delete(&self, state: &mut ModelState, pod: usize) {
        let was = state.pods[pod];
        state.kill(|p| p.of(pod) && p.kind == Kind::Init);
        state.pods[pod].api = if was.phase == Phase::Up { Api::Terminating } else { Api::Gone };
        if was.phase == Phase::Up {
            self.signal(state, pod);
        }
    }

    /// The kubelet signals the containers of a pod that is up and terminates.
    fn signal(&self, state: &mut ModelState, pod: usize) {
        let number = small(pod);
        if self.config.hooks == Hooks::PreStop {
            self.spawn_stop(state, number, false);
        } else {
            state.pods[pod].serving = false;
        }
        for proc in state.procs.iter_mut().flatten().filter(|p| p.of(pod)) {
            proc.signalled |= proc.kind == Kind::Stop;
        }
        Self::gone_if_ended(state, pod);
    }

    /// A forced deletion: gone from the API at once, while the containers run on.
    pub(crate) fn force(&self, state: &mut ModelState, pod: usize) {
        let was = state.pods[pod];
        state.pods[pod].api = Api::Gone;
        if was.api == Api::Running && was.phase == Phase::Up {
            self.signal(state, pod);
            state.pods[pod].serving = self.config.linger;
        }
    }

    /// The sandbox dies: all containers receive SIGTERM, the pod stays, and init runs again.
    pub(crate) fn sandbox(&self, state: &mut ModelState, pod: usize) {
        self.signal(state, pod);
        state.pods[pod].serving = false;
        if self.config.vouched {
            // A late sidecar cannot tell that its pod continues: the new init container has seen
            // the one end that had not started.
            let unfixed = |p: &Proc| self.machines.known(p.machine).action == Request::Member;
            state.kill(|p| p.of(pod) && p.kind == Kind::Stop && unfixed(p));
        }
        self.restart(state, pod);
    }

    /// A process dies. The kubelet restarts an init container.
    pub(crate) fn crash(&self, state: &mut ModelState, slot: usize) {
        let proc = state.proc(slot);
        state.procs[slot] = None;
        self.after_death(state, proc);
    }

    fn after_death(&self, state: &mut ModelState, proc: Proc) {
        let pod = usize::from(proc.pod);
        match proc.kind {
            Kind::Init if state.pods[pod].api == Api::Running => self.restart(state, pod),
            Kind::Init | Kind::Agent => {}
            Kind::Stop => Self::gone_if_ended(state, pod),
        }
    }

    /// The kubelet restarts a failed init container until its limit is reached.
    fn again(&self, state: &mut ModelState, pod: usize) {
        state.pods[pod].failed += 1;
        if state.pods[pod].failed < self.config.inits {
            self.restart(state, pod);
        } else {
            state.pods[pod].phase = Phase::Stuck;
        }
    }

    /// Starts an init container once more.
    pub(crate) fn restart(&self, state: &mut ModelState, pod: usize) {
        state.pods[pod].phase = Phase::Init;
        self.spawn_init(state, small(pod));
    }

    /// A terminating pod is gone once its containers have ended.
    fn gone_if_ended(state: &mut ModelState, pod: usize) {
        let runs = state.procs.iter().flatten().any(|p| p.of(pod));
        if state.pods[pod].api == Api::Terminating && !runs {
            state.pods[pod].api = Api::Gone;
            state.pods[pod].serving = false;
        }
    }

    /// The node loses power and restarts, or does not: processes, kernel state and locks are gone,
    /// and what was not synced is not on the volume.
    pub(crate) fn reboot(&self, state: &mut ModelState, node: u8, lost: bool) {
        let here: Vec<usize> =
            (0..state.pods.len()).filter(|pod| state.pods[*pod].node == node).collect();
        let on = |p: &Proc| {
            if p.kind == Kind::Agent {
                of_execution(p.pod).0 == node
            } else {
                here.contains(&usize::from(p.pod))
            }
        };
        state.kill(on);
        for address in &mut state.addresses {
            address.kernel[usize::from(node)] = Kernel::default();
        }
        if lost {
            state.gone |= 1 << node;
        }
        for pod in here.iter().copied() {
            let member = self.machines.fixture.member_of(pod);
            let was = state.pods[pod];
            state.pods[pod].serving = false;
            if was.api == Api::Running {
                let file = &mut state.addresses[member].file;
                *file = File { staged: false, visible: file.durable, durable: file.durable };
                state.pods[pod].phase = Phase::Init;
                if !lost {
                    self.restart(state, pod);
                }
            } else {
                Self::gone_if_ended(state, pod);
            }
        }
    }

    /// A machine has an outcome.
    pub(crate) fn ended(&self, state: &mut ModelState, proc: Proc, end: End) {
        let pod = usize::from(proc.pod);
        match end {
            End::Attached { overlapped, path } => {
                self.settle(state, proc, path);
                self.attached(state, proc, overlapped);
            }
            _ if proc.kind == Kind::Agent => {}
            End::Released(released) => {
                self.released(state, pod, released);
                self.after_death(state, proc);
            }
            End::Failed(_) if proc.kind == Kind::Init && state.pods[pod].api == Api::Running => {
                self.again(state, pod);
            }
            End::Maintenance | End::Failed(_) => self.after_death(state, proc),
        }
    }

    fn attached(&self, state: &mut ModelState, proc: Proc, overlapped: bool) {
        let pod = usize::from(proc.pod);
        let it = state.pods[pod];
        let member = self.machines.fixture.member_of(pod);
        if it.api != Api::Running {
            return;
        }
        let others = state.pods.iter().enumerate().any(|(n, p)| {
            n != pod
                && self.machines.fixture.member_of(n) == member
                && p.node == it.node
                && p.serving
        });
        // A later run of one pod need not wait for its own service, nor again for a predecessor's.
        if others && !overlapped && proc.run == 0 {
            state.record_violation(Violation::Overlap);
        }
        state.pods[pod].phase = Phase::Up;
        state.pods[pod].serving = true;
        if self.config.hooks == Hooks::Sidecar {
            self.spawn_stop(state, small(pod), true);
        }
    }

    /// Checks that a release that reports success left nothing of its own in the kernel, and that
    /// the pod was terminating.
    fn released(&self, state: &mut ModelState, pod: usize, released: Released) {
        if released == Released::NotHolder || released == Released::NotEnding {
            return;
        }
        let member = self.machines.fixture.member_of(pod);
        let Pod { node, api, .. } = state.pods[pod];
        let kernel = state.addresses[member].kernel[usize::from(node)];
        let own = |holder: HolderId| usize::from(holder.pod) == pod;
        if kernel.present && kernel.lock.is_some_and(|lock| own(lock.holder)) {
            state.record_violation(Violation::Left);
        }
        if api == Api::Running && !self.config.vouched {
            state.record_violation(Violation::Early);
        }
    }

    /// Whether a pod was ever scheduled to the node.
    pub(crate) fn used(state: &ModelState, node: u8) -> bool {
        usize::from(node) < NODES
            && state.pods.iter().any(|p| p.api != Api::Future && p.node == node)
    }
}
