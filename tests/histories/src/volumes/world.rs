//! The truth: volumes that come, are used and go, as kubelet and the EBS driver make them, and what
//! is really wrong with them.

mod life;

use std::collections::VecDeque;

use crate::seed::{Chance, Purpose};
use firecamp_core::ids::{InstanceId, PodUid, VolumeId, Zone};
use firecamp_node::volumes::Reason;
use firecamp_node::volumes::seen::AttachmentState;

use crate::volumes::scenario::{Deed, Ix, Shape, Trouble};

/// So many earlier states are known, for whatever lags.
const REMEMBERED: usize = 256;

/// What never changes.
#[derive(Debug)]
pub struct Names {
    /// The volumes, by number.
    pub volumes: Vec<VolumeId>,
    /// The zone of the node.
    pub zone: Zone,
    /// Another one.
    pub other_zone: Zone,
    /// The node's instance.
    pub instance: InstanceId,
    /// Another one.
    pub other: InstanceId,
}

impl Names {
    /// Those of every history.
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
    /// Attached to nothing.
    Away,
    /// This instance has it, since this second.
    Here(AttachmentState, u64),
    /// Another one has it.
    Elsewhere(AttachmentState),
}

/// How far kubelet and the EBS driver are with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing of it is here.
    Away,
    /// Its pod is on this node.
    Scheduled,
    /// EC2 has been asked to attach it.
    Attaching,
    /// EC2 has attached it.
    Attached,
    /// Its device is there.
    Plugged,
    /// It is mounted for all pods.
    Staged,
    /// It is mounted for its pod.
    Running,
    /// Its pod ends.
    Ending,
    /// Its pod is gone.
    Unmounting,
    /// It is mounted no more.
    Unstaged,
    /// EC2 has been asked to detach it.
    Detaching,
}

/// The life of a pod on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodLife {
    /// Its number, which makes its UID.
    pub life: u32,
    /// It is being deleted.
    pub ending: bool,
    /// It only reads.
    pub reader: bool,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its number.
    pub ix: Ix,
    /// How far it is.
    pub phase: Phase,
    /// When it goes on.
    pub next: u64,
    /// Its pod is wanted here.
    pub wanted: bool,
    /// EC2.
    pub ec2: Ec2,
    /// The label of its attachment.
    pub label: Option<u8>,
    /// The slot of its device: names and numbers of devices follow from it.
    pub slot: Option<u8>,
    /// It is mounted for all pods.
    pub staged: bool,
    /// The life of the pod for which it is mounted.
    pub mounted: Option<u32>,
    /// Its filesystem was mounted to be read.
    pub frozen: bool,
    /// Its pod.
    pub pod: Option<PodLife>,
    /// Its `VolumeAttachment`, and whether it says attached.
    pub believed: Option<bool>,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
    /// Used parts of bytes and inodes, in percent.
    pub used: (u8, u8),
    lives: u32,
}

impl Volume {
    /// This is wrong with it.
    pub fn has(&self, reason: Reason) -> bool {
        self.trouble.is_some_and(|trouble| trouble.reason == reason && !trouble.elsewhere)
    }

    fn stuck_elsewhere(&self) -> Option<AttachmentState> {
        self.trouble.filter(|trouble| trouble.elsewhere)?.state()
    }

    /// Something of it is mounted.
    pub fn is_mounted(&self) -> bool {
        self.staged || self.mounted.is_some()
    }

    /// The UID of one of its pods.
    pub fn uid(&self, life: u32) -> PodUid {
        format!("pod-{}-{life}", self.ix).parse().expect("a UID")
    }
}

/// The node, its volumes, and all who use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What it was before anything happened.
    pub shape: Shape,
    /// The volumes: root, data, export, stray.
    pub volumes: Vec<Volume>,
}

/// The truth, now and a while ago.
#[derive(Debug)]
pub struct World {
    /// Now.
    pub now: State,
    /// Earlier states, each with the second at which it began.
    past: VecDeque<(u64, State)>,
    chance: Chance,
    /// Devices of another slot than before: they have another name now.
    pub renamed: u64,
    /// The next label on Xen. There only EC2 knows which volume a label is, and EC2 is asked
    /// rarely: one that came back within minutes would be another volume's until then.
    label: u8,
}

/// What has changed within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// Anything.
    pub any: bool,
    /// Devices or mounts, of which the kernel tells.
    pub told: bool,
}

impl World {
    /// The node of a scenario, in order.
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
            trouble: None,
            used: (30 + ix * 5, 10),
            lives: 0,
        };
        let now = State { shape, volumes: (0..=shape.stray()).map(volume).collect() };
        let past = VecDeque::from([(0, now.clone())]);
        Self { now, past, chance: Chance::new(seed, Purpose::Volumes, 1), renamed: 0, label: 1 }
    }

    /// What was true at this second.
    pub fn at(&self, second: u64) -> &State {
        let before = self.past.iter().rev().find(|(began, _)| *began <= second);
        before.or(self.past.front()).map_or(&self.now, |(_, state)| state)
    }

    /// A deed, as far as it is one of volumes.
    pub fn deed(&mut self, deed: Deed, second: u64) {
        match deed {
            Deed::Start(ix) => self.now.volumes[usize::from(ix)].wanted = true,
            Deed::Stop(ix) => self.now.volumes[usize::from(ix)].wanted = false,
            Deed::Break(ix, trouble) => self.breaks(ix, trouble, second),
            Deed::Mend(ix) => self.mends(ix),
            Deed::Away(_) | Deed::Back(_) | Deed::Restart => {}
        }
    }

    fn breaks(&mut self, ix: Ix, trouble: Trouble, second: u64) {
        let full = 90 + self.chance.small(10);
        if trouble.reason == Reason::NotInKubernetes {
            return self.attach_stray(ix, trouble, second);
        }
        let volume = &mut self.now.volumes[usize::from(ix)];
        volume.trouble = Some(trouble);
        if trouble.reason == Reason::AlmostFull {
            volume.used.0 = full;
        } else if trouble.reason == Reason::InodesAlmostFull {
            volume.used.1 = full;
        }
    }

    fn attach_stray(&mut self, ix: Ix, trouble: Trouble, second: u64) {
        if self.now.volumes[usize::from(ix)].trouble.is_some() {
            return;
        }
        let (label, slot) = (self.free_label(), self.free(|v| v.slot));
        let volume = &mut self.now.volumes[usize::from(ix)];
        self.label = self.label.max(label + 1);
        volume.ec2 = Ec2::Here(AttachmentState::Attached, second);
        (volume.label, volume.slot) = (Some(label), Some(slot));
        volume.trouble = Some(trouble);
    }

    fn mends(&mut self, ix: Ix) {
        let stray = ix == self.now.shape.stray();
        let volume = &mut self.now.volumes[usize::from(ix)];
        if stray {
            volume.ec2 = Ec2::Away;
            (volume.label, volume.slot) = (None, None);
        }
        // A cure that leaves what had been believed of an attachment.
        if volume.has(Reason::StaleAttachment) && volume.phase == Phase::Away {
            volume.believed = None;
        }
        volume.trouble = None;
        volume.used = (30 + ix * 5, 10);
    }

    fn free_label(&self) -> u8 {
        if self.now.shape.xen { self.label } else { self.free(|volume| volume.label) }
    }

    /// The lowest that nobody has.
    fn free(&self, of: impl Fn(&Volume) -> Option<u8>) -> u8 {
        let taken = |number: &u8| self.now.volumes.iter().any(|v| of(v) == Some(*number));
        (1..=u8::MAX).find(|number| !taken(number)).expect("fewer volumes than numbers")
    }

    /// A second passes.
    pub fn tick(&mut self, second: u64) -> Changed {
        for ix in 1..self.now.volumes.len() {
            self.go_on(ix, second);
        }
        let before = &self.past.back().expect("there was something before").1;
        if *before == self.now {
            return Changed::default();
        }
        let visible = |state: &State| -> Vec<_> {
            let seen = |v: &Volume| (v.visible_slot(), v.staged, v.mounted);
            state.volumes.iter().map(seen).collect()
        };
        let told = visible(before) != visible(&self.now);
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((second, self.now.clone()));
        Changed { any: true, told }
    }

    fn go_on(&mut self, ix: usize, second: u64) {
        let (label, slot) = (self.free_label(), self.free(|v| v.slot));
        let shape = self.now.shape;
        let volume = &mut self.now.volumes[ix];
        if usize::from(shape.stray()) == ix || second < volume.next {
            return;
        }
        let reader = self.chance.once_in(6);
        let export = usize::from(shape.export()) == ix;
        let earlier = volume.slot;
        let before = volume.phase;
        let phase = volume.step(second, (label, slot), (reader, export));
        if phase != before {
            volume.phase = phase;
            volume.next = second + 1 + self.chance.below(phase.longest());
        }
        self.label = self.label.max(volume.label.unwrap_or_default() + 1);
        if earlier.is_none() && volume.slot.is_some_and(|new| new != volume.ix) {
            self.renamed += 1;
        }
    }
}
