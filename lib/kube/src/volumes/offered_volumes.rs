//! When the CSINode of the node is read.

/// Without a change the CSINode is read with every twelfth read, about once an hour: Kubernetes may
/// update it (`MutableCSINodeAllocatableCount`).
const EVERY: u32 = 12;

/// How many volumes the EBS CSI driver offers on the node.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered {
    /// The last count; none if the driver reports none.
    pub(super) count: Option<u32>,
    /// The number of reads since the pods of the node changed.
    reads: u32,
}

impl Offered {
    /// Whether the CSINode is read. `moved`: a pod of the node, maybe the driver's, came or went.
    /// The driver registers soon after its pod appears, so the next read includes it, too.
    pub(super) fn is_due(&self, moved: bool) -> bool {
        moved || self.reads < 2 || self.reads.is_multiple_of(EVERY)
    }

    /// The read succeeded.
    pub(super) fn read_ended(&mut self, moved: bool) {
        self.reads = if moved { 1 } else { self.reads.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reads, by number, that include the CSINode.
    fn due(reads: u32, moved: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut offered = Offered::default();
        let is_due = |read: &u32| {
            let due = offered.is_due(moved(*read));
            offered.read_ended(moved(*read));
            due
        };
        (0..reads).filter(is_due).collect()
    }

    #[test]
    fn f085_the_csi_node_is_read_once_an_hour_while_no_pod_changes() {
        assert_eq!(due(30, |_| false), [0, 1, 12, 24]);
    }

    #[test]
    fn f085_the_csi_node_is_read_twice_after_a_pod_came_or_went() {
        assert_eq!(due(15, |read| read == 5), [0, 1, 5, 6]);
    }
}
