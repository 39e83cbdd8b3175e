//! The ground truth: volumes that are attached, used and detached by kubelet and the EBS driver,
//! and their injected problems.

mod lifecycle;

use std::collections::VecDeque;

use crate::seed::{Purpose, SeededRng};
use firecamp_core::ids::{InstanceId, PodUid, VolumeId, Zone};
use firecamp_node::volumes::Reason;
use firecamp_node::volumes::observation::AttachmentState;

use crate::volumes::scenario::{Disruption, InjectedProblem, Ix, Shape};

/// The number of earlier states that are kept for lagging views.
const REMEMBERED: usize = 256;

/// Names that never change.
#[derive(Debug)]
pub struct Names {
    /// The volumes, by index.
    pub volumes: Vec<VolumeId>,
    /// The zone of the node.
    pub zone: Zone,
    /// Another zone.
    pub other_zone: Zone,
    /// The node's instance.
    pub instance: InstanceId,
    /// Another instance.
    pub other: InstanceId,
}

impl Names {
    /// The names of every history.
    pub fn new() -> Self {
        let volume = |ix: Ix| format!("vol-{ix:017x}").parse().expect("a volume id");
        Self {
            volumes: (0..8).map(volume).collect(),
            zone: "us-east-1a".parse().expect("a zone"),
            other_zone: "us-east-1b".parse().expect("a zone"),
            instance: "i-0000000a".parse().expect("an instance"),
            other: "i-0000000b".parse().expect("an instance"),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a volume is in EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ec2 {
    /// Not attached.
    Away,
    /// Attached to this instance, since this second.
    Here(AttachmentState, u64),
    /// Attached to another instance.
    Elsewhere(AttachmentState),
}

/// The progress of kubelet and the EBS driver with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing of it is here.
    Away,
    /// Its pod is on this node.
    Scheduled,
    /// An AttachVolume call was made.
    Attaching,
    /// EC2 has attached it.
    Attached,
    /// Its device exists.
    Plugged,
    /// It is mounted at the global path.
    Staged,
    /// It is mounted for its pod.
    Running,
    /// Its pod is terminating.
    Ending,
    /// Its pod is gone.
    Unmounting,
    /// It is unmounted.
    Unstaged,
    /// A DetachVolume call was made.
    Detaching,
}

/// One incarnation of a pod on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodIncarnation {
    /// Its number, from which its UID is derived.
    pub lifecycle: u32,
    /// It is being deleted.
    pub ending: bool,
    /// It mounts the volume read-only.
    pub reader: bool,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its index.
    pub ix: Ix,
    /// Its phase.
    pub phase: Phase,
    /// When the next phase begins.
    pub next: u64,
    /// Its pod is wanted here.
    pub wanted: bool,
    /// Its state in EC2.
    pub ec2: Ec2,
    /// The label of its attachment.
    pub label: Option<u8>,
    /// The slot of its device, which determines device name and number.
    pub slot: Option<u8>,
    /// It is mounted at the global path.
    pub staged: bool,
    /// The incarnation of the pod for which it is mounted.
    pub mounted: Option<u32>,
    /// Its filesystem was mounted read-only.
    pub frozen: bool,
    /// Its pod.
    pub pod: Option<PodIncarnation>,
    /// Its `VolumeAttachment`, and whether that reports attached.
    pub believed: Option<bool>,
    /// Its injected problem.
    pub problem: Option<InjectedProblem>,
    /// Used bytes and inodes, in percent.
    pub used: (u8, u8),
    lives: u32,
}

impl Volume {
    /// Whether it has this injected problem.
    pub fn has(&self, reason: Reason) -> bool {
        self.problem.is_some_and(|problem| problem.reason == reason && !problem.elsewhere)
    }

    fn stuck_elsewhere(&self) -> Option<AttachmentState> {
        self.problem.filter(|problem| problem.elsewhere)?.state()
    }

    /// Whether any mount of it exists.
    pub fn is_mounted(&self) -> bool {
        self.staged || self.mounted.is_some()
    }

    /// The UID of one of its pods.
    pub fn uid(&self, lifecycle: u32) -> PodUid {
        format!("pod-{}-{lifecycle}", self.ix).parse().expect("a UID")
    }
}

/// The node, its volumes, and their users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The initial state.
    pub shape: Shape,
    /// The volumes: root, data, export, orphan.
    pub volumes: Vec<Volume>,
}

/// The ground truth, now and in the past.
#[derive(Debug)]
pub struct SimulatedNode {
    /// Now.
    pub now: State,
    /// Earlier states, each with the second at which it began.
    past: VecDeque<(u64, State)>,
    rng: SeededRng,
    /// Number of devices that appeared in another slot than before, under another name.
    pub renamed: u64,
    /// The next label on Xen. There only EC2 maps labels to volumes, and the agent queries EC2
    /// rarely: a label that is reused within minutes would be attributed to another volume until
    /// then.
    label: u8,
}

/// What has changed within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// Anything.
    pub any: bool,
    /// Devices or mounts: the kernel sends a notification.
    pub reported: bool,
}

impl SimulatedNode {
    /// The healthy node of a scenario.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let volume = |ix: Ix| Volume {
            ix,
            phase: if ix == 0 { Phase::Running } else { Phase::Away },
            next: 0,
            wanted: false,
            ec2: if ix == 0 { Ec2::Here(AttachmentState::Attached, 0) } else { Ec2::Away },
            label: (ix == 0).then_some(0),
            slot: (ix == 0).then_some(0),
            staged: false,
            mounted: None,
            frozen: false,
            pod: None,
            believed: None,
            problem: None,
            used: (30 + ix * 5, 10),
            lives: 0,
        };
        let now = State { shape, volumes: (0..=shape.orphan()).map(volume).collect() };
        let past = VecDeque::from([(0, now.clone())]);
        Self { now, past, rng: SeededRng::new(seed, Purpose::Volumes, 1), renamed: 0, label: 1 }
    }

    /// The state at this second.
    pub fn at(&self, second: u64) -> &State {
        let before = self.past.iter().rev().find(|(began, _)| *began <= second);
        before.or(self.past.front()).map_or(&self.now, |(_, state)| state)
    }

    /// Applies a disruption, if it concerns volumes.
    pub fn disruption(&mut self, disruption: Disruption, second: u64) {
        match disruption {
            Disruption::Start(ix) => self.now.volumes[usize::from(ix)].wanted = true,
            Disruption::Stop(ix) => self.now.volumes[usize::from(ix)].wanted = false,
            Disruption::Break(ix, problem) => self.inject_problem(ix, problem, second),
            Disruption::Mend(ix) => self.repair(ix),
            Disruption::Away(_) | Disruption::Back(_) | Disruption::Restart => {}
        }
    }

    fn inject_problem(&mut self, ix: Ix, problem: InjectedProblem, second: u64) {
        let full = 90 + self.rng.small(10);
        if problem.reason == Reason::NotInKubernetes {
            return self.attach_orphan(ix, problem, second);
        }
        let volume = &mut self.now.volumes[usize::from(ix)];
        volume.problem = Some(problem);
        if problem.reason == Reason::AlmostFull {
            volume.used.0 = full;
        } else if problem.reason == Reason::InodesAlmostFull {
            volume.used.1 = full;
        }
    }

    fn attach_orphan(&mut self, ix: Ix, problem: InjectedProblem, second: u64) {
        if self.now.volumes[usize::from(ix)].problem.is_some() {
            return;
        }
        let (label, slot) = (self.free_label(), self.free(|v| v.slot));
        let volume = &mut self.now.volumes[usize::from(ix)];
        self.label = self.label.max(label + 1);
        volume.ec2 = Ec2::Here(AttachmentState::Attached, second);
        (volume.label, volume.slot) = (Some(label), Some(slot));
        volume.problem = Some(problem);
    }

    fn repair(&mut self, ix: Ix) {
        let orphan = ix == self.now.shape.orphan();
        let volume = &mut self.now.volumes[usize::from(ix)];
        if orphan {
            volume.ec2 = Ec2::Away;
            (volume.label, volume.slot) = (None, None);
        }
        // A repair that leaves the `VolumeAttachment` as it was.
        if volume.has(Reason::StaleAttachment) && volume.phase == Phase::Away {
            volume.believed = None;
        }
        volume.problem = None;
        volume.used = (30 + ix * 5, 10);
    }

    fn free_label(&self) -> u8 {
        if self.now.shape.xen { self.label } else { self.free(|volume| volume.label) }
    }

    /// The lowest number that is not in use.
    fn free(&self, of: impl Fn(&Volume) -> Option<u8>) -> u8 {
        let taken = |number: &u8| self.now.volumes.iter().any(|v| of(v) == Some(*number));
        (1..=u8::MAX).find(|number| !taken(number)).expect("fewer volumes than numbers")
    }

    /// One second passes.
    pub fn tick(&mut self, second: u64) -> Changed {
        for ix in 1..self.now.volumes.len() {
            self.advance_phase(ix, second);
        }
        let before = &self.past.back().expect("the past is never empty").1;
        if *before == self.now {
            return Changed::default();
        }
        let visible = |state: &State| -> Vec<_> {
            let seen = |v: &Volume| (v.visible_slot(), v.staged, v.mounted);
            state.volumes.iter().map(seen).collect()
        };
        let reported = visible(before) != visible(&self.now);
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((second, self.now.clone()));
        Changed { any: true, reported }
    }

    fn advance_phase(&mut self, ix: usize, second: u64) {
        let (label, slot) = (self.free_label(), self.free(|v| v.slot));
        let shape = self.now.shape;
        let volume = &mut self.now.volumes[ix];
        if usize::from(shape.orphan()) == ix || second < volume.next {
            return;
        }
        let reader = self.rng.once_in(6);
        let export = usize::from(shape.export()) == ix;
        let earlier = volume.slot;
        let before = volume.phase;
        let phase = volume.step(second, (label, slot), (reader, export));
        if phase != before {
            volume.phase = phase;
            volume.next = second + 1 + self.rng.below(phase.longest());
        }
        self.label = self.label.max(volume.label.unwrap_or_default() + 1);
        if earlier.is_none() && volume.slot.is_some_and(|new| new != volume.ix) {
            self.renamed += 1;
        }
    }
}
