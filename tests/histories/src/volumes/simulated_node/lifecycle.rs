//! The phases of a volume, step by step, and where a problem stops it.

use firecamp_node::volumes::Reason;
use firecamp_node::volumes::observation::AttachmentState;

use super::{Ec2, Phase, PodIncarnation, Volume};

impl Phase {
    /// The longest duration in seconds.
    pub(super) fn longest(self) -> u64 {
        match self {
            Self::Attaching | Self::Detaching | Self::Ending => 20,
            Self::Away | Self::Unmounting | Self::Unstaged => 10,
            Self::Scheduled | Self::Attached | Self::Plugged | Self::Staged | Self::Running => 5,
        }
    }
}

impl Volume {
    /// The slot at which the kernel shows its device.
    pub fn visible_slot(&self) -> Option<u8> {
        self.slot.filter(|_| !self.has(Reason::DeviceMissing))
    }

    /// The next phase, or the same one if it is blocked.
    pub(super) fn step(
        &mut self,
        second: u64,
        free: (u8, u8),
        (reader, export): (bool, bool),
    ) -> Phase {
        if !self.wanted && self.phase > Phase::Away && self.phase < Phase::Running {
            self.pod = None;
            return Phase::Unmounting;
        }
        match self.phase {
            Phase::Away if self.wanted => {
                self.lives += 1;
                self.pod = Some(PodIncarnation { lifecycle: self.lives, ending: false, reader });
                self.believed = (!export).then_some(false);
                self.ec2 = self.stuck_elsewhere().map_or(self.ec2, Ec2::Elsewhere);
                if export { Phase::Plugged } else { Phase::Scheduled }
            }
            Phase::Away => Phase::Away,
            Phase::Scheduled => self.attach(second, free.0),
            Phase::Attaching if self.has(Reason::StuckAttaching) => Phase::Attaching,
            Phase::Attaching => {
                self.ec2 = Ec2::Here(AttachmentState::Attached, second);
                self.believed = Some(true);
                Phase::Attached
            }
            Phase::Attached => {
                self.slot = Some(free.1);
                Phase::Plugged
            }
            Phase::Plugged => self.stage(export),
            Phase::Staged => self.mount(),
            Phase::Running => self.end(),
            Phase::Ending => {
                if !self.has(Reason::PodGone) {
                    self.mounted = None;
                }
                self.pod = None;
                Phase::Unmounting
            }
            Phase::Unmounting => self.unmount(),
            Phase::Unstaged => self.detach(second, export),
            Phase::Detaching => self.detached(),
        }
    }

    fn attach(&mut self, second: u64, label: u8) -> Phase {
        if let Some(state) = self.stuck_elsewhere() {
            self.ec2 = Ec2::Elsewhere(state);
            return Phase::Scheduled;
        }
        self.ec2 = Ec2::Here(AttachmentState::Attaching, second);
        self.label = Some(label);
        Phase::Attaching
    }

    fn stage(&mut self, export: bool) -> Phase {
        // A volume without a device, or with an ambiguous one, cannot be mounted.
        let blind = self.has(Reason::DeviceMissing) || self.has(Reason::SerialUnreadable);
        if blind && !export {
            return Phase::Plugged;
        }
        self.staged = !export;
        self.frozen = self.pod.is_some_and(|pod| pod.reader);
        Phase::Staged
    }

    fn mount(&mut self) -> Phase {
        if self.has(Reason::NotMounted) {
            return Phase::Staged;
        }
        self.mounted = self.pod.map(|pod| pod.lifecycle);
        Phase::Running
    }

    fn end(&mut self) -> Phase {
        if self.wanted {
            return Phase::Running;
        }
        if let Some(pod) = &mut self.pod {
            pod.ending = true;
        }
        Phase::Ending
    }

    fn unmount(&mut self) -> Phase {
        if self.has(Reason::PodGone) && self.mounted.is_some() {
            return Phase::Unmounting;
        }
        self.mounted = None;
        self.staged = false;
        self.frozen = false;
        Phase::Unstaged
    }

    fn detach(&mut self, second: u64, export: bool) -> Phase {
        if !matches!(self.ec2, Ec2::Here(..)) {
            self.ec2 = Ec2::Away;
            self.believed = None;
            return Phase::Away;
        }
        if export {
            return Phase::Away;
        }
        self.ec2 = Ec2::Here(AttachmentState::Detaching, second);
        Phase::Detaching
    }

    fn detached(&mut self) -> Phase {
        if let Ec2::Here(_, since) = self.ec2 {
            let stuck = [(Reason::StuckDetaching, AttachmentState::Detaching)];
            let busy = [(Reason::Busy, AttachmentState::Busy)];
            for (reason, state) in stuck.into_iter().chain(busy) {
                if self.has(reason) {
                    self.ec2 = Ec2::Here(state, since);
                    return Phase::Detaching;
                }
            }
        }
        self.ec2 = Ec2::Away;
        (self.label, self.slot) = (None, None);
        if !self.has(Reason::StaleAttachment) {
            self.believed = None;
        }
        Phase::Away
    }
}
