//! A node's devices and mounts in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firecamp_node::volumes::observation::{BlockDevice, DeviceNumber, Mount, Usage};
use firecamp_node::volumes::{Change, Volumes, VolumesFailure, VolumesKind};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The timeout of a read from a filesystem that hangs.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A node's devices and mounts. Clones share them. It refuses what a kernel refuses: methods that
/// change something return whether they did.
#[derive(Debug, Clone, Default)]
pub struct SimVolumes {
    state: Arc<Mutex<State>>,
    reported: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    devices: BTreeMap<String, BlockDevice>,
    mounts: Vec<Mount>,
    space: BTreeMap<DeviceNumber, Usage>,
    hanging: BTreeSet<DeviceNumber>,
    /// Changes that have not been reported yet.
    changed: BTreeSet<Change>,
}

impl State {
    fn has(&self, number: DeviceNumber) -> bool {
        self.devices.values().any(|device| {
            device.number == number || device.partitions.iter().any(|part| part.number == number)
        })
    }
}

impl SimVolumes {
    /// A device appears. False if its name or number is in use.
    pub fn plug(&self, device: BlockDevice) -> bool {
        self.change(Change::Devices, |state| {
            let free = !state.devices.contains_key(&device.name) && !state.has(device.number);
            if free {
                state.devices.insert(device.name.clone(), device);
            }
            free
        })
    }

    /// A device disappears. Its filesystems stay mounted.
    pub fn unplug(&self, name: &str) -> bool {
        self.change(Change::Devices, |state| state.devices.remove(name).is_some())
    }

    /// Mounts a filesystem with this usage; a mounted filesystem keeps its own. False if the device
    /// does not exist.
    pub fn mount(&self, mount: Mount, space: Usage) -> bool {
        self.change(Change::Mounts, |state| {
            let possible = mount.device.major == 0 || state.has(mount.device);
            if possible {
                state.space.entry(mount.device).or_insert(space);
                state.mounts.push(mount);
            }
            possible
        })
    }

    /// Removes the latest mount at this point.
    pub fn unmount(&self, point: &str) -> bool {
        self.change(Change::Mounts, |state| {
            let at = state.mounts.iter().rposition(|mount| mount.point == point);
            let mount = at.map(|index| state.mounts.remove(index));
            let idle = mount
                .as_ref()
                .filter(|gone| !state.mounts.iter().any(|mount| mount.device == gone.device));
            if let Some(gone) = idle {
                state.space.remove(&gone.device);
                state.hanging.remove(&gone.device);
            }
            mount.is_some()
        })
    }

    /// Remounts a filesystem read-only.
    pub fn remount_read_only(&self, device: DeviceNumber) -> bool {
        self.change(Change::Mounts, |state| freeze(state, device))
    }

    /// A filesystem fails and becomes read-only. The mount table does not change, so nothing is
    /// reported.
    pub fn fail(&self, device: DeviceNumber) -> bool {
        freeze(&mut self.lock(), device)
    }

    /// Sets the usage of a mounted filesystem.
    pub fn fill(&self, device: DeviceNumber, usage: Usage) -> bool {
        let mut state = self.lock();
        let known = state.space.get_mut(&device);
        known.map(|space| *space = usage).is_some()
    }

    /// A mounted filesystem hangs, or answers again.
    pub fn hang(&self, device: DeviceNumber, hangs: bool) -> bool {
        let mut state = self.lock();
        let known = state.space.contains_key(&device);
        if known && hangs {
            state.hanging.insert(device);
        } else {
            state.hanging.remove(&device);
        }
        known
    }

    /// The node reboots: its devices remain, its mounts do not.
    pub fn reboot(&self) {
        self.change(Change::Mounts, |state| {
            let devices = std::mem::take(&mut state.devices);
            *state = State { devices, ..State::default() };
            true
        });
    }

    fn change(&self, what: Change, how: impl FnOnce(&mut State) -> bool) -> bool {
        let mut state = self.lock();
        let done = how(&mut state);
        if done {
            state.changed.insert(what);
            self.reported.notify_one();
        }
        done
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next_change(&self) -> Change {
        loop {
            if let Some(change) = self.lock().changed.pop_first() {
                return change;
            }
            self.reported.notified().await;
        }
    }
}

fn freeze(state: &mut State, device: DeviceNumber) -> bool {
    let mut any = false;
    for mount in state.mounts.iter_mut().filter(|mount| mount.device == device) {
        mount.filesystem_read_only = true;
        any = true;
    }
    any
}

impl Volumes for SimVolumes {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        Ok(self.lock().devices.values().cloned().collect())
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        Ok(self.lock().mounts.clone())
    }

    async fn space(&self, mount: &Mount) -> Result<Usage, VolumesFailure> {
        let failure = |kind, what: &str| VolumesFailure {
            kind,
            detail: format!("failed to read the space on {}: {what}", mount.point),
        };
        if self.lock().hanging.contains(&mount.device) {
            sleep(TIMEOUT).await;
            return Err(failure(VolumesKind::NotResponding, "no answer"));
        }
        let state = self.lock();
        // A path that now leads to another filesystem must not return that one's space.
        let there = state.mounts.iter().rfind(|other| other.point == mount.point);
        let space = there.filter(|other| other.device == mount.device);
        let space = space.and_then(|mount| state.space.get(&mount.device)).copied();
        space.ok_or_else(|| failure(VolumesKind::Gone, "another filesystem is mounted there"))
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        Ok(timeout(within, self.next_change()).await.unwrap_or(Change::Nothing))
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
