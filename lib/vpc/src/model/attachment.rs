//! The attachment of an ENI to an instance: ec2-semantics.md sections 2.7 and 4.

use std::time::Duration;

use super::Id;

/// Where an attachment is on its way. One that is detached is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Attaching,
    Attached,
    Detaching,
}

/// An attachment of an ENI to an instance. Every instance here has one network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) id: Id,
    pub(crate) instance: Id,
    pub(crate) device_index: u32,
    pub(crate) stage: Stage,
    /// When the present stage ends, if nothing holds it up; means nothing once attached.
    pub(crate) done_at: Duration,
    /// When it was asked for; `None`: before the world began.
    pub(crate) since: Option<Duration>,
    /// When the kernel of the instance gets the link.
    pub(crate) plugged_at: Duration,
    /// When the kernel of the instance loses the link.
    pub(crate) unplugged_at: Option<Duration>,
    /// Nothing but time holds up the detachment.
    pub(crate) forced: bool,
    /// The ENI is deleted once it is detached.
    pub(crate) doomed: bool,
    pub(crate) delete_on_termination: bool,
}

impl Attachment {
    /// One that has always been there.
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
            doomed: false,
            delete_on_termination: delete,
        }
    }

    /// Whether the kernel of a running instance has the link.
    pub(crate) fn is_plugged(&self, now: Duration) -> bool {
        self.plugged_at <= now && self.unplugged_at.is_none_or(|at| now < at)
    }

    /// Begins to detach, or does it by force from now on. The kernel loses its link half-way.
    pub(crate) fn detach(&mut self, now: Duration, takes: Duration, forced: bool) {
        self.stage = Stage::Detaching;
        self.done_at = now + takes;
        let unplugged_at = now + takes / 2;
        self.unplugged_at = Some(self.unplugged_at.map_or(unplugged_at, |at| at.min(unplugged_at)));
        self.forced |= forced;
    }

    /// Its stage, as EC2 calls it.
    pub(crate) const fn status(&self) -> &'static str {
        match self.stage {
            Stage::Attaching => "attaching",
            Stage::Attached => "attached",
            Stage::Detaching => "detaching",
        }
    }
}
