//! The attachment of an ENI to an instance: ec2-semantics.md sections 2.7 and 4.

use std::time::Duration;

use super::Id;

/// The stage of an attachment. A detached attachment no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Attaching,
    Attached,
    Detaching,
}

/// The attachment of an ENI to an instance. Every instance here has one network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) id: Id,
    pub(crate) instance: Id,
    pub(crate) device_index: u32,
    pub(crate) stage: Stage,
    /// When the current stage ends unless a fault holds it; unused once attached.
    pub(crate) done_at: Duration,
    /// When it was requested; `None`: before the simulation started.
    pub(crate) since: Option<Duration>,
    /// When the kernel of the instance gets the link.
    pub(crate) plugged_at: Duration,
    /// When the kernel of the instance loses the link.
    pub(crate) unplugged_at: Option<Duration>,
    /// The detachment only waits for time (forced).
    pub(crate) forced: bool,
    /// Delete the ENI once it is detached.
    pub(crate) delete_when_detached: bool,
    pub(crate) delete_on_termination: bool,
}

impl Attachment {
    /// An attachment that exists from the start.
    pub(crate) fn old(id: Id, instance: Id, device_index: u32, delete: bool) -> Self {
        Self {
            id,
            instance,
            device_index,
            stage: Stage::Attached,
            done_at: Duration::ZERO,
            since: None,
            plugged_at: Duration::ZERO,
            unplugged_at: None,
            forced: false,
            delete_when_detached: false,
            delete_on_termination: delete,
        }
    }

    /// Whether the kernel of a running instance has the link.
    pub(crate) fn is_plugged(&self, now: Duration) -> bool {
        self.plugged_at <= now && self.unplugged_at.is_none_or(|at| now < at)
    }

    /// Starts to detach, or forces the detachment from now on. The kernel loses its link half-way.
    pub(crate) fn detach(&mut self, now: Duration, takes: Duration, forced: bool) {
        self.stage = Stage::Detaching;
        self.done_at = now + takes;
        let unplugged_at = now + takes / 2;
        self.unplugged_at = Some(self.unplugged_at.map_or(unplugged_at, |at| at.min(unplugged_at)));
        self.forced |= forced;
    }

    /// Its stage, in EC2's terms.
    pub(crate) const fn status(&self) -> &'static str {
        match self.stage {
            Stage::Attaching => "attaching",
            Stage::Attached => "attached",
            Stage::Detaching => "detaching",
        }
    }
}
