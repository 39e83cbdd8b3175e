//! A data volume with injected faults.

use std::net::Ipv4Addr;

use firecamp_core::failure::FileFailure;
use firecamp_core::ports::MemberFile;

use crate::sim::script::{Op, Script};

/// Wraps any member file and injects the faults of a script.
#[derive(Debug, Clone)]
pub struct FaultyFile<F> {
    inner: F,
    script: Script,
}

impl<F> FaultyFile<F> {
    /// Wraps a member file.
    pub fn new(inner: F, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> FileFailure {
    move |_| FileFailure { detail: format!("{op:?}: fault injected by the script") }
}

impl<F: MemberFile> MemberFile for FaultyFile<F> {
    async fn probe(&self) -> Result<(), FileFailure> {
        self.script.around(Op::Probe, || self.inner.probe(), broken(Op::Probe)).await
    }

    async fn stage(&self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.script.around(Op::Stage, || self.inner.stage(address), broken(Op::Stage)).await
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        self.script.around(Op::Publish, || self.inner.publish(), broken(Op::Publish)).await
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        self.script.around(Op::Sync, || self.inner.sync(), broken(Op::Sync)).await
    }
}
