//! V1, V2, V4, V7 and V8 of one table.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_node::volumes::reason::LEAVE;
use firecamp_node::volumes::{Reason, Table, VolumeRow};

use super::{Audit, Key, Promise};
use crate::volumes::scenario::Ix;
use crate::volumes::simulated_node::Names;
use crate::volumes::views::{bytes, owner, pv};

/// For how long the past may still be reported: EC2 lags by half a minute and answers within ten
/// seconds, and an observation is up to 15 seconds old.
const LAG: u64 = 60;

/// By when a lasting problem is reported, from its beginning: its patience in `volumes.md`, and how
/// often the sources are queried.
fn bound(reason: Reason) -> u64 {
    // The node every 15 s. Kubernetes every 5 minutes, and every 30 s if there is a suspicion. EC2
    // every 5 minutes, and if there is a suspicion in turn with the interfaces, up to 75 s each.
    let (node, cluster, turns) = (17, 300, 150);
    let sides = match reason {
        Reason::SerialUnreadable
        | Reason::LinkMismatch
        | Reason::ReadOnly
        | Reason::NotResponding
        | Reason::AlmostFull
        | Reason::InodesAlmostFull => 2 * node,
        Reason::AttachmentFailing | Reason::NotMounted | Reason::PodGone => cluster + 30 + 3 * node,
        Reason::StuckAttaching
        | Reason::StuckDetaching
        | Reason::Busy
        | Reason::DeviceMissing
        | Reason::DeviceWithoutVolume => 300 + cluster + 3 * turns + 3 * node,
        Reason::StaleAttachment | Reason::NotInKubernetes | Reason::ZoneMismatch => {
            300 + cluster + 4 * turns + 3 * node
        }
    };
    sides + reason.patience().as_secs()
}

impl Audit {
    /// The node was observed. `devices`: the volumes of the devices that were read last.
    pub fn table(
        &mut self,
        table: &Table,
        devices: &BTreeMap<String, Ix>,
        (names, second): (&Names, u64),
    ) {
        self.coverage.passes += 1;
        let mut reported = BTreeSet::new();
        let mut rows = BTreeSet::new();
        let mut points = BTreeSet::new();
        for row in &table.volumes {
            rows.insert(row.name.clone());
            let Some(ix) = self.about(row, devices, names) else { continue };
            let reasons = row.problems.iter().map(|problem| problem.reason);
            reported.extend(reasons.map(|reason| (row.name.clone(), (ix, reason))));
            if let Some(text) = mixed_up(row, ix, devices, names) {
                self.broken(Promise::V2, second, text);
            }
            let twice = row.mounts.iter().find(|mount| !points.insert(mount.point.as_str()));
            if let Some(mount) = twice {
                self.broken(Promise::V2, second, format!("{} is in two rows", mount.point));
            }
        }
        let before = std::mem::replace(&mut self.reported, reported);
        self.began(&before, second);
        self.ended(&before, &rows, second);
        self.in_time(second);
    }

    fn about(&self, row: &VolumeRow, devices: &BTreeMap<String, Ix>, names: &Names) -> Option<Ix> {
        let by_mount = || row.mounts.first().and_then(|mount| owner(&mount.point, names));
        let by_device = || devices.get(row.name.as_str()).copied();
        self.owner(&row.name, names).or_else(by_device).or_else(by_mount)
    }

    fn began(&mut self, before: &BTreeSet<(String, Key)>, second: u64) {
        let earlier: BTreeSet<Key> = before.iter().map(|(_, key)| *key).collect();
        for key in self.reported().difference(&earlier) {
            let (ix, reason) = *key;
            self.coverage.reported(reason, true);
            let patience = reason.patience().as_secs();
            if !self.truths.was_since(*key, second.saturating_sub(LAG)) {
                let text =
                    format!("{reason} is reported for volume {ix}, which has no such problem");
                return self.broken(Promise::V1, second, text);
            }
            let by = second.checked_sub(patience);
            if !by.is_some_and(|by| self.truths.began_by(*key, by)) {
                let text = format!("{reason} of volume {ix} is reported too early");
                return self.broken(Promise::V1, second, text);
            }
            let began_count = self.began_count.entry(*key).or_default();
            *began_count += 1;
            let began_count = *began_count;
            let most = self.truths.times(*key) + self.processes;
            if began_count > most {
                let text =
                    format!("{reason} of volume {ix} began {began_count} times, at most {most}");
                return self.broken(Promise::V4, second, text);
            }
        }
    }

    /// The problems of a row end with the row.
    fn ended(&mut self, before: &BTreeSet<(String, Key)>, rows: &BTreeSet<String>, second: u64) {
        let now = self.reported();
        let gone = before.iter().filter(|(row, key)| rows.contains(row) && !now.contains(key));
        for (_, key) in gone {
            let (ix, reason) = *key;
            self.coverage.reported(reason, false);
            let lasts = self.truths.lasts_since(*key);
            if lasts.is_some_and(|from| from + LAG + LEAVE.as_secs() < second) {
                let text = format!("{reason} of volume {ix} lasts and was cleared");
                return self.broken(Promise::V8, second, text);
            }
        }
    }

    fn in_time(&mut self, second: u64) {
        let Some(clear) = self.clear_from else { return };
        let reported = self.reported();
        let due = |(key, from): &(Key, u64)| {
            let by = (*from).max(clear) + bound(key.1);
            second > by && !reported.contains(key)
        };
        let late = self.truths.open().find(due);
        if let Some(((ix, reason), from)) = late {
            let text =
                format!("{reason} of volume {ix} has lasted since {from} s and is not reported");
            self.broken(Promise::V7, second, text);
        }
    }
}

fn mixed_up(
    row: &VolumeRow,
    ix: Ix,
    devices: &BTreeMap<String, Ix>,
    names: &Names,
) -> Option<String> {
    let other = |found: Option<Ix>| found.is_some_and(|found| found != ix);
    let device = row.device.as_ref().filter(|name| other(devices.get(*name).copied()));
    if let Some(device) = device {
        return Some(format!("{device} is reported for volume {ix}"));
    }
    let mount = row.mounts.iter().find(|mount| other(owner(&mount.point, names)));
    if let Some(mount) = mount {
        return Some(format!("{} is reported for volume {ix}", mount.point));
    }
    let total = row.space.map(|space| space.bytes_total);
    if total.is_some_and(|total| total != bytes(ix)) {
        return Some(format!("{total:?} bytes are reported for volume {ix}"));
    }
    if row.size.is_some_and(|size| size != bytes(ix)) {
        return Some(format!("a size of {:?} is reported for volume {ix}", row.size));
    }
    let claimed = row.persistent_volume.as_ref().filter(|name| **name != pv(ix));
    claimed.map(|name| format!("{name} is reported for volume {ix}"))
}
