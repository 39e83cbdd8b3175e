//! Lives of pods: what the API server, the StatefulSet's controller and the kubelets do.

use firecamp_core::machine::Release as Released;

use crate::agent::of_errand;
use crate::cast::{Kind, NODES, Who, small};
use crate::config::Hooks;
use crate::machines::{Ask, End};
use crate::model::Small;
use crate::seen::Seen;
use crate::state::{Api, File, Kernel, Phase, Pod, Proc, World, Wrong};

impl Small {
    /// The member's pod in the API.
    pub(crate) fn live(&self, world: &World, member: usize) -> Option<usize> {
        let mut pods = world.pods.iter().enumerate();
        let there = |api: Api| api == Api::Running || api == Api::Terminating;
        pods.find(|(n, p)| self.machines.cast.member_of(*n) == member && there(p.api))
            .map(|(number, _)| number)
    }

    pub(crate) fn pod_view(&self, world: &World, member: usize) -> Seen {
        match self.live(world, member) {
            _ if self.config.vouched => Seen::Vouched,
            None => Seen::NoPod,
            Some(pod) => {
                let Pod { node, api, .. } = world.pods[pod];
                Seen::Pod { pod: small(pod), node, ending: api == Api::Terminating }
            }
        }
    }

    /// The member's next incarnation, if it may have one now.
    pub(crate) fn next_pod(&self, world: &World, member: usize, most: usize) -> Option<usize> {
        if self.live(world, member).is_some() {
            return None;
        }
        let each = self.machines.cast.pods_each();
        let mut slots = member * each..member * each + most.min(each);
        slots.find(|slot| world.pods[*slot].api == Api::Future)
    }

    /// The nodes on which a pod may be put. All nodes are alike until they are used, so of those
    /// that never were only the first is tried.
    pub(crate) fn places(&self, world: &World) -> impl Iterator<Item = u8> {
        let used = world.pods.iter().filter(|p| p.api != Api::Future).map(|p| p.node + 1).max();
        let gone = world.gone;
        (0..(used.unwrap_or(0) + 1).min(self.config.nodes)).filter(move |n| gone & (1 << n) == 0)
    }

    pub(crate) fn schedule(&self, world: &mut World, pod: usize, node: u8) {
        world.pods[pod] = Pod { node, api: Api::Running, ..Pod::default() };
        self.spawn_init(world, small(pod));
    }

    /// Graceful: the main container ends, then the stop container is told.
    pub(crate) fn delete(&self, world: &mut World, pod: usize) {
        let was = world.pods[pod];
        world.kill(|p| p.of(pod) && p.kind == Kind::Init);
        world.pods[pod].api = if was.phase == Phase::Up { Api::Terminating } else { Api::Gone };
        if was.phase == Phase::Up {
            self.signal(world, pod);
        }
    }

    /// What the kubelet does to the containers of a pod that is up and is to end.
    fn signal(&self, world: &mut World, pod: usize) {
        let number = small(pod);
        if self.config.hooks == Hooks::PreStop {
            self.spawn_stop(world, number, false);
        } else {
            world.pods[pod].serving = false;
        }
        for proc in world.procs.iter_mut().flatten().filter(|p| p.of(pod)) {
            proc.signalled |= proc.kind == Kind::Stop;
        }
        Self::gone_if_ended(world, pod);
    }

    /// By force: gone from the API at once; the containers live on for as long as they like.
    pub(crate) fn force(&self, world: &mut World, pod: usize) {
        let was = world.pods[pod];
        world.pods[pod].api = Api::Gone;
        if was.api == Api::Running && was.phase == Phase::Up {
            self.signal(world, pod);
            world.pods[pod].serving = self.config.linger;
        }
    }

    /// The sandbox dies: all containers get SIGTERM, nobody deleted the pod, init runs again.
    pub(crate) fn sandbox(&self, world: &mut World, pod: usize) {
        self.signal(world, pod);
        world.pods[pod].serving = false;
        if self.config.vouched {
            // Nobody else tells a late sidecar that its pod lives on: whoever starts a member again
            // has seen the one end that had not begun.
            let unfixed = |p: &Proc| self.machines.known(p.machine).ask == Ask::Member;
            world.kill(|p| p.of(pod) && p.kind == Kind::Stop && unfixed(p));
        }
        self.restart(world, pod);
    }

    /// A process dies. An init container is started again.
    pub(crate) fn crash(&self, world: &mut World, slot: usize) {
        let proc = world.proc(slot);
        world.procs[slot] = None;
        self.after_death(world, proc);
    }

    fn after_death(&self, world: &mut World, proc: Proc) {
        let pod = usize::from(proc.pod);
        match proc.kind {
            Kind::Init if world.pods[pod].api == Api::Running => self.restart(world, pod),
            Kind::Init | Kind::Agent => {}
            Kind::Stop => Self::gone_if_ended(world, pod),
        }
    }

    /// The kubelet starts a failed init container again, until it has had enough of it.
    fn again(&self, world: &mut World, pod: usize) {
        world.pods[pod].failed += 1;
        if world.pods[pod].failed < self.config.inits {
            self.restart(world, pod);
        } else {
            world.pods[pod].phase = Phase::Stuck;
        }
    }

    /// An init container is started, once more.
    pub(crate) fn restart(&self, world: &mut World, pod: usize) {
        world.pods[pod].phase = Phase::Init;
        self.spawn_init(world, small(pod));
    }

    /// A pod that terminates is gone once its containers have ended.
    fn gone_if_ended(world: &mut World, pod: usize) {
        let runs = world.procs.iter().flatten().any(|p| p.of(pod));
        if world.pods[pod].api == Api::Terminating && !runs {
            world.pods[pod].api = Api::Gone;
            world.pods[pod].serving = false;
        }
    }

    /// The node loses power and comes back, or does not: no process, no kernel state, no lock;
    /// what was not synced is not on the volume.
    pub(crate) fn reboot(&self, world: &mut World, node: u8, lost: bool) {
        let here: Vec<usize> =
            (0..world.pods.len()).filter(|pod| world.pods[*pod].node == node).collect();
        let on = |p: &Proc| {
            if p.kind == Kind::Agent {
                of_errand(p.pod).0 == node
            } else {
                here.contains(&usize::from(p.pod))
            }
        };
        world.kill(on);
        for address in &mut world.addresses {
            address.kernel[usize::from(node)] = Kernel::default();
        }
        if lost {
            world.gone |= 1 << node;
        }
        for pod in here.iter().copied() {
            let member = self.machines.cast.member_of(pod);
            let was = world.pods[pod];
            world.pods[pod].serving = false;
            if was.api == Api::Running {
                let file = &mut world.addresses[member].file;
                *file = File { staged: false, visible: file.durable, durable: file.durable };
                world.pods[pod].phase = Phase::Init;
                if !lost {
                    self.restart(world, pod);
                }
            } else {
                Self::gone_if_ended(world, pod);
            }
        }
    }

    /// A machine has come to its end.
    pub(crate) fn ended(&self, world: &mut World, proc: Proc, end: End) {
        let pod = usize::from(proc.pod);
        match end {
            End::Attached { overlapped, path } => {
                self.settle(world, proc, path);
                self.attached(world, proc, overlapped);
            }
            _ if proc.kind == Kind::Agent => {}
            End::Released(released) => {
                self.released(world, pod, released);
                self.after_death(world, proc);
            }
            End::Failed(_) if proc.kind == Kind::Init && world.pods[pod].api == Api::Running => {
                self.again(world, pod);
            }
            End::Mended | End::Failed(_) => self.after_death(world, proc),
        }
    }

    fn attached(&self, world: &mut World, proc: Proc, overlapped: bool) {
        let pod = usize::from(proc.pod);
        let it = world.pods[pod];
        let member = self.machines.cast.member_of(pod);
        if it.api != Api::Running {
            return;
        }
        let others = world.pods.iter().enumerate().any(|(n, p)| {
            n != pod && self.machines.cast.member_of(n) == member && p.node == it.node && p.serving
        });
        // A later run of one pod need not wait for its own service, nor again for another's.
        if others && !overlapped && proc.run == 0 {
            world.blame(Wrong::Overlap);
        }
        world.pods[pod].phase = Phase::Up;
        world.pods[pod].serving = true;
        if self.config.hooks == Hooks::Sidecar {
            self.spawn_stop(world, small(pod), true);
        }
    }

    /// A release that says that it is done has left nothing of its own in the kernel, and was
    /// asked for.
    fn released(&self, world: &mut World, pod: usize, released: Released) {
        if released == Released::NotHolder || released == Released::NotEnding {
            return;
        }
        let member = self.machines.cast.member_of(pod);
        let Pod { node, api, .. } = world.pods[pod];
        let kernel = world.addresses[member].kernel[usize::from(node)];
        let own = |who: Who| usize::from(who.pod) == pod;
        if kernel.present && kernel.lock.is_some_and(|lock| own(lock.who)) {
            world.blame(Wrong::Left);
        }
        if api == Api::Running && !self.config.vouched {
            world.blame(Wrong::Early);
        }
    }

    /// Nodes that a pod was ever put on.
    pub(crate) fn used(world: &World, node: u8) -> bool {
        usize::from(node) < NODES
            && world.pods.iter().any(|p| p.api != Api::Future && p.node == node)
    }
}
