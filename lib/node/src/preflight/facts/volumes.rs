//! The volumes of the instance.

use crate::volumes::observation::Attachment;

/// The volumes attached to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachedVolumes {
    /// All of them.
    pub count: u32,
    /// Those that EC2 deletes with the instance: the root volume and others of its launch. The EBS
    /// CSI driver attaches none of this kind.
    pub of_launch: u32,
}

impl AttachedVolumes {
    /// Counts attachments.
    pub fn of(attachments: &[Attachment]) -> Self {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let of_launch = attachments.iter().filter(|one| one.delete_on_termination).count();
        Self { count: number(attachments.len()), of_launch: number(of_launch) }
    }

    /// The volumes that the driver did not attach: at least the root volume, even if EC2 keeps it.
    pub(crate) fn of_others(self) -> u32 {
        self.of_launch.max(self.count.min(1))
    }
}
