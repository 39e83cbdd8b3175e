//! A node's devices and mounts in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firecamp_node::volumes::seen::{BlockDevice, DeviceNumber, Mount, Usage};
use firecamp_node::volumes::{Change, Volumes, VolumesFailure, VolumesKind};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a filesystem that hangs is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node's devices and mounts. Clones share them. What a kernel refuses is refused: the methods
/// that change something say whether they did.
#[derive(Debug, Clone, Default)]
pub struct SimVolumes {
    state: Arc<Mutex<State>>,
    told: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    devices: BTreeMap<String, BlockDevice>,
    mounts: Vec<Mount>,
    space: BTreeMap<DeviceNumber, Usage>,
    hanging: BTreeSet<DeviceNumber>,
    /// What changed since somebody was told.
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
    /// A device comes. Refused if its name or number is taken.
    pub fn plug(&self, device: BlockDevice) -> bool {
        self.change(Change::Devices, |state| {
            let free = !state.devices.contains_key(&device.name) && !state.has(device.number);
            if free {
                state.devices.insert(device.name.clone(), device);
            }
            free
        })
    }

    /// A device goes. What is mounted from it stays mounted.
    pub fn unplug(&self, name: &str) -> bool {
        self.change(Change::Devices, |state| state.devices.remove(name).is_some())
    }

    /// A filesystem with this much room is mounted; one that is mounted already keeps its own.
    /// Refused if there is no such device.
    pub fn mount(&self, mount: Mount, room: Usage) -> bool {
        self.change(Change::Mounts, |state| {
            let possible = mount.device.major == 0 || state.has(mount.device);
            if possible {
                state.space.entry(mount.device).or_insert(room);
                state.mounts.push(mount);
            }
            possible
        })
    }

    /// The latest mount at this point goes.
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

    /// Somebody remounts a filesystem so that it refuses writes.
    pub fn remount_read_only(&self, device: DeviceNumber) -> bool {
        self.change(Change::Mounts, |state| freeze(state, device))
    }

    /// A filesystem fails and refuses writes from now on: no table of mounts changes by that, so
    /// nobody is told.
    pub fn fail(&self, device: DeviceNumber) -> bool {
        freeze(&mut self.lock(), device)
    }

    /// The room on a mounted filesystem is this now.
    pub fn fill(&self, device: DeviceNumber, room: Usage) -> bool {
        let mut state = self.lock();
        let known = state.space.get_mut(&device);
        known.map(|space| *space = room).is_some()
    }

    /// A mounted filesystem does not answer any more, or again.
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

    /// The node reboots: nothing is mounted, and its devices are there.
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
            self.told.notify_one();
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
            self.told.notified().await;
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
            detail: format!("ask {} for its room: {what}", mount.point),
        };
        if self.lock().hanging.contains(&mount.device) {
            sleep(PATIENCE).await;
            return Err(failure(VolumesKind::NotResponding, "no answer"));
        }
        let state = self.lock();
        // Whoever is asked by a path that leads elsewhere by now is another filesystem.
        let there = state.mounts.iter().rfind(|other| other.point == mount.point);
        let room = there.filter(|other| other.device == mount.device);
        let room = room.and_then(|mount| state.space.get(&mount.device)).copied();
        room.ok_or_else(|| failure(VolumesKind::Gone, "another filesystem is there"))
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        Ok(timeout(within, self.next_change()).await.unwrap_or(Change::Nothing))
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
