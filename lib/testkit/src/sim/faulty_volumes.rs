//! A node's volumes with injected faults.

use std::time::Duration;

use firecamp_node::volumes::observation::{BlockDevice, Mount, Usage};
use firecamp_node::volumes::{Change, Volumes, VolumesFailure, VolumesKind};

use crate::sim::script::{Op, Script};

/// Wraps any volumes and injects the faults of a script.
#[derive(Debug, Clone)]
pub struct FaultyVolumes<V> {
    inner: V,
    script: Script,
}

impl<V> FaultyVolumes<V> {
    /// Wraps volumes.
    pub fn new(inner: V, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> VolumesFailure {
    let detail = format!("{op:?}: fault injected by the script");
    move |_| VolumesFailure { kind: VolumesKind::Refused, detail: detail.clone() }
}

impl<V: Volumes> Volumes for FaultyVolumes<V> {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        self.script.around(Op::Devices, || self.inner.devices(), broken(Op::Devices)).await
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        self.script.around(Op::Mounts, || self.inner.mounts(), broken(Op::Mounts)).await
    }

    async fn space(&self, mount: &Mount) -> Result<Usage, VolumesFailure> {
        self.script.around(Op::Space, || self.inner.space(mount), broken(Op::Space)).await
    }

    async fn changed(&self, within: Duration) -> Result<Change, VolumesFailure> {
        let call = || self.inner.changed(within);
        self.script.around(Op::Changed, call, broken(Op::Changed)).await
    }
}
