//! EBS volumes and their attachments: ec2-semantics.md section 7.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Id, VpcState};

/// All volumes.
pub(crate) type Volumes = BTreeMap<Id, Arc<Volume>>;

/// The stage of a volume's attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The volume is in use, but EC2 shows no attachment yet.
    Reserved,
    Attaching,
    Attached,
    Detaching,
    /// The guest still uses the device.
    Busy,
    /// EC2 no longer shows an attachment, but the volume is still in use.
    Released,
}

impl Step {
    /// The state in EC2's terms; `None`: not shown.
    pub(crate) const fn status(self) -> Option<&'static str> {
        match self {
            Self::Reserved | Self::Released => None,
            Self::Attaching => Some("attaching"),
            Self::Attached => Some("attached"),
            Self::Detaching => Some("detaching"),
            Self::Busy => Some("busy"),
        }
    }
}

/// The attachment of a volume to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeAttachment {
    pub(crate) instance: Id,
    pub(crate) device: String,
    pub(crate) step: Step,
    /// When the current stage ends unless a fault holds it; unused once attached.
    pub(crate) done_at: Duration,
    /// The total duration of attaching or detaching.
    pub(crate) takes: Duration,
    /// When it was requested; `None`: before the simulation started.
    pub(crate) since: Option<Duration>,
    /// The detachment only waits for time (forced).
    pub(crate) forced: bool,
    pub(crate) delete_on_termination: bool,
}

impl VolumeAttachment {
    /// An attachment that exists from the start.
    pub(crate) fn old(instance: Id, device: String, delete: bool) -> Self {
        Self {
            instance,
            device,
            step: Step::Attached,
            done_at: Duration::ZERO,
            takes: Duration::ZERO,
            since: None,
            forced: false,
            delete_on_termination: delete,
        }
    }

    /// Starts to detach, or forces the detachment from now on.
    pub(crate) fn detach(&mut self, now: Duration, takes: Duration, forced: bool) {
        self.step = Step::Detaching;
        (self.takes, self.done_at) = (takes, now + takes);
        self.forced |= forced;
    }

    /// Whether it is being detached.
    pub(crate) const fn leaves(&self) -> bool {
        matches!(self.step, Step::Detaching | Step::Busy | Step::Released)
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) id: Id,
    pub(crate) zone: String,
    pub(crate) size_gib: u32,
    pub(crate) kind: String,
    pub(crate) encrypted: bool,
    pub(crate) multi_attach: bool,
    /// Whether it is in the state `error`.
    pub(crate) failed: bool,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) attachments: Vec<VolumeAttachment>,
}

impl Volume {
    /// A volume that is not attached.
    pub(crate) fn empty(id: Id, zone: &str, size_gib: u32) -> Self {
        Self {
            id,
            zone: zone.to_owned(),
            size_gib,
            kind: "gp3".to_owned(),
            encrypted: false,
            multi_attach: false,
            failed: false,
            tags: BTreeMap::new(),
            attachments: Vec::new(),
        }
    }

    /// Its state in EC2's terms.
    pub(crate) fn status(&self) -> &'static str {
        if self.failed {
            return "error";
        }
        if self.attachments.is_empty() { "available" } else { "in-use" }
    }

    /// The attachments that EC2 shows.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&VolumeAttachment, &'static str)> {
        self.attachments.iter().filter_map(|a| Some((a, a.step.status()?)))
    }

    /// Its attachment to an instance.
    pub(crate) fn on(&mut self, instance: &str) -> Option<&mut VolumeAttachment> {
        self.attachments.iter_mut().find(|a| &*a.instance == instance)
    }
}

impl VpcState {
    /// A volume, mutable.
    pub(crate) fn volume_mut(&mut self, id: &str) -> Option<&mut Volume> {
        Arc::make_mut(&mut self.volumes).get_mut(id).map(Arc::make_mut)
    }

    /// The volumes of an instance, in any attachment state.
    pub(crate) fn volumes_of(&self, instance: &str) -> Vec<&Arc<Volume>> {
        let here =
            |volume: &&Arc<Volume>| volume.attachments.iter().any(|a| &*a.instance == instance);
        self.volumes.values().filter(here).collect()
    }

    /// The number of volumes of an instance.
    pub(crate) fn volume_count(&self, instance: &str) -> u32 {
        u32::try_from(self.volumes_of(instance).len()).unwrap_or(u32::MAX)
    }

    /// The number of ENIs of an instance.
    pub(crate) fn eni_count(&self, instance: &str) -> u32 {
        u32::try_from(self.enis_of(instance).len()).unwrap_or(u32::MAX)
    }
}
