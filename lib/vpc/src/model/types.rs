//! The known instance types: ec2-semantics.md section 1.

use std::collections::BTreeMap;

/// An instance type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InstanceType {
    pub(crate) name: &'static str,
    /// ENIs, including the primary one.
    pub(crate) enis: u32,
    /// IPv4 addresses per ENI, including the primary one.
    pub(crate) ips: u32,
    /// EBS volumes, as the API reports them.
    pub(crate) volumes: u32,
    /// Volumes and ENIs share slots.
    pub(crate) shared: bool,
    pub(crate) nitro: bool,
}

const fn of(
    name: &'static str,
    (enis, ips): (u32, u32),
    (volumes, shared): (u32, bool),
) -> InstanceType {
    InstanceType { name, enis, ips, volumes, shared, nitro: true }
}

const fn xen(name: &'static str, (enis, ips): (u32, u32)) -> InstanceType {
    InstanceType { name, enis, ips, volumes: 39, shared: true, nitro: false }
}

const SHARED: (u32, bool) = (27, true);
const SHARED_WITH_DISK: (u32, bool) = (26, true);
const DEDICATED: (u32, bool) = (32, false);

/// All known types.
pub(crate) static TYPES: [InstanceType; 23] = [
    of("c5.xlarge", (4, 15), SHARED),
    xen("i3.2xlarge", (4, 15)),
    of("i4i.xlarge", (4, 15), SHARED_WITH_DISK),
    xen("m4.xlarge", (4, 15)),
    of("m5.16xlarge", (15, 50), SHARED),
    of("m5.4xlarge", (8, 30), SHARED),
    of("m5.large", (3, 10), SHARED),
    of("m5.xlarge", (4, 15), SHARED),
    of("m5d.large", (3, 10), SHARED_WITH_DISK),
    of("m6i.large", (3, 10), SHARED),
    of("m6i.xlarge", (4, 15), SHARED),
    of("m7g.large", (3, 10), SHARED),
    of("m7i.large", (3, 10), DEDICATED),
    of("m7i.xlarge", (4, 15), DEDICATED),
    of("m8g.large", (3, 10), DEDICATED),
    of("m8g.xlarge", (4, 15), DEDICATED),
    of("r5.2xlarge", (4, 15), SHARED),
    of("r6i.4xlarge", (8, 30), SHARED),
    of("r7i.2xlarge", (4, 15), DEDICATED),
    of("r8g.2xlarge", (4, 15), DEDICATED),
    xen("t2.medium", (3, 6)),
    of("t3.large", (3, 12), SHARED),
    of("t3.medium", (3, 6), SHARED),
];

impl InstanceType {
    /// The address slots of an ENI, with a limit that a fault changed.
    pub(crate) fn slots(&self, limits: &BTreeMap<String, u32>) -> usize {
        let limit = limits.get(self.name).copied().unwrap_or(self.ips);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// The slots that ENIs and volumes share, if they do.
    pub(crate) const fn shared_slots(&self) -> Option<u32> {
        // The table counts the volumes without the primary ENI.
        if self.shared && self.nitro { Some(self.volumes + 1) } else { None }
    }
}

/// The type with this name.
pub(crate) fn type_named(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|known| known.name == name)
}
