//! Formats a node as text: one table for each kind of attached object.

use firecamp_registry::api::{
    AddressStatus, Condition, EniManager, EniStatus, NodeReport, Observation, Problem, Slots,
    VolumeKind, VolumeStatus,
};

use crate::common::age;
use crate::common::table::table;
use crate::status::state;

/// The tables of a node; empty tables are omitted.
pub(crate) fn people(report: &NodeReport, wide: bool) -> String {
    let status = &report.object.status;
    let head = [
        report.object.metadata.name.clone(),
        status.instance.clone().unwrap_or_default(),
        status.zone.clone().unwrap_or_default(),
        slots(status.slots),
        status.addresses_failing.to_string(),
        status.volumes_failing.to_string(),
    ];
    let headings = ["NODE", "INSTANCE", "ZONE", "SLOTS", "ADDRESSES-FAILING", "VOLUMES-FAILING"];
    let parts = [
        table(&headings, &[head.to_vec()]),
        part(&ENIS, status.enis.iter().map(eni)),
        part(&ADDRESSES, status.addresses.iter().map(address)),
        part(
            if wide { &VOLUMES_WIDE[..] } else { &VOLUMES[..] },
            status.volumes.iter().map(|one| volume(one, wide)),
        ),
        part(&CONDITIONS, status.conditions.iter().map(condition)),
        part(&OBSERVED, report.observed.iter().map(observation)),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|text| !text.is_empty()).collect();
    parts.join("\n")
}

fn part(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() { String::new() } else { table(headings, &rows) }
}

fn slots(slots: Option<Slots>) -> String {
    slots.map(|one| format!("{} of {} free", one.free, one.total)).unwrap_or_default()
}

const ENIS: [&str; 7] = ["ENI", "DEVICE", "LINK", "MAC", "SUBNET", "SLOTS", "MANAGED-BY"];

fn eni(eni: &EniStatus) -> Vec<String> {
    let manager = match eni.managed_by {
        EniManager::FireCamp => "FireCamp",
        EniManager::VpcCni => "VpcCni",
        EniManager::Other => "Other",
        EniManager::Unknown => "Unknown",
    };
    vec![
        eni.id.clone(),
        eni.device_index.to_string(),
        eni.link.clone().unwrap_or_default(),
        eni.mac.clone(),
        eni.subnet.clone(),
        slots(eni.slots),
        manager.to_owned(),
    ]
}

const ADDRESSES: [&str; 9] =
    ["ADDRESS", "MEMBER", "EPOCH", "STATE", "ENI", "EC2", "KERNEL", "FILE", "PROBLEM"];

fn address(address: &AddressStatus) -> Vec<String> {
    vec![
        address.address.clone(),
        address.member.clone(),
        address.epoch.to_string(),
        state(address.state).to_owned(),
        address.eni.clone().unwrap_or_default(),
        known(address.in_ec2),
        known(address.in_kernel),
        known(address.in_file),
        problems(address.problem.as_slice()),
    ]
}

/// Unknown is not no.
fn known(answer: Option<bool>) -> String {
    let text = match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    text.to_owned()
}

fn problems(problems: &[Problem]) -> String {
    let one = |problem: &Problem| match problem.message.as_str() {
        "" => problem.reason.clone(),
        message => format!("{}: {message}", problem.reason),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

const VOLUMES: [&str; 8] =
    ["VOLUME", "KIND", "ATTACHMENT", "DEVICE", "SIZE", "FREE", "USED-BY", "PROBLEM"];
const VOLUMES_WIDE: [&str; 11] = [
    "VOLUME",
    "KIND",
    "ATTACHMENT",
    "DEVICE",
    "SIZE",
    "FREE",
    "USED-BY",
    "PROBLEM",
    "PV",
    "FS",
    "MOUNTS",
];

fn volume(volume: &VolumeStatus, wide: bool) -> Vec<String> {
    let space = volume.file_system.as_ref().and_then(|system| system.space);
    let size = volume.bytes.or_else(|| space.map(|space| space.bytes));
    let user = volume.used_by.as_ref();
    let holder = user.and_then(|user| user.pod.clone().or_else(|| user.claim.clone()));
    let mut cells = vec![
        volume.id.clone(),
        kind(volume.kind).to_owned(),
        volume.attachment.clone().unwrap_or_default(),
        volume.device.as_ref().map(|device| device.path.clone()).unwrap_or_default(),
        size.map(bytes).unwrap_or_default(),
        space.map(|space| bytes(space.bytes_free)).unwrap_or_default(),
        holder.unwrap_or_default(),
        problems(&volume.problems),
    ];
    if wide {
        let mounts: Vec<&str> = volume.mounts.iter().map(|mount| mount.path.as_str()).collect();
        let system = volume.file_system.as_ref().map(|system| system.kind.clone());
        cells.extend([
            user.and_then(|user| user.persistent_volume.clone()).unwrap_or_default(),
            system.unwrap_or_default(),
            mounts.join(", "),
        ]);
    }
    cells
}

fn kind(kind: VolumeKind) -> &'static str {
    match kind {
        VolumeKind::Ebs => "Ebs",
        VolumeKind::InstanceStore => "InstanceStore",
        VolumeKind::Iscsi => "Iscsi",
        VolumeKind::Nfs => "Nfs",
        VolumeKind::Glusterfs => "Glusterfs",
        VolumeKind::Local => "Local",
        VolumeKind::Other => "Other",
    }
}

/// A size in the largest unit that fits, with one decimal place.
fn bytes(bytes: u64) -> String {
    let units = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let fits = units.iter().find(|(_, shift)| bytes >> shift > 0);
    let Some((unit, shift)) = fits else { return bytes.to_string() };
    let tenths = (u128::from(bytes) * 10) >> shift;
    match tenths % 10 {
        0 => format!("{}{unit}", tenths / 10),
        tenth => format!("{}.{tenth}{unit}", tenths / 10),
    }
}

const CONDITIONS: [&str; 5] = ["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"];

fn condition(condition: &Condition) -> Vec<String> {
    vec![
        condition.kind.clone(),
        condition.status.clone(),
        condition.reason.clone(),
        condition.last_transition_time.clone().unwrap_or_default(),
        condition.message.clone(),
    ]
}

const OBSERVED: [&str; 3] = ["OBSERVED", "AGO", "FAILURE"];

fn observation(observation: &Observation) -> Vec<String> {
    let ago =
        observation.seconds_ago.map(|ago| age::format(i64::try_from(ago).unwrap_or(i64::MAX)));
    vec![
        observation.of.clone(),
        ago.unwrap_or_else(|| "never".to_owned()),
        observation.failure.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_use_the_largest_unit_that_fits() {
        let cases = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1Ki"),
            (1_610_612_736, "1.5Gi"),
            (100 << 30, "100Gi"),
            (u64::MAX, "16777215.9Ti"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
