//! Waits until mounts or devices change.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use netlink_sys::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::{Failed, uevent};
use firecamp_node::volumes::Change;

/// The mount table, which polls as urgent (POLLPRI) after a change, and kernel events.
#[derive(Debug)]
pub(super) struct Watch {
    mounts: AsyncFd<File>,
    devices: AsyncFd<Socket>,
}

impl Watch {
    pub(super) fn open(mountinfo: &Path) -> Result<Self, Failed> {
        let object = mountinfo.display().to_string();
        let failed = |source| Failed { operation: "watch the mounts in", object, source };
        let file = File::open(mountinfo);
        let mounts = file.and_then(|file| registered(file, Interest::PRIORITY)).map_err(failed)?;
        let devices = uevent::listen().and_then(|socket| registered(socket, Interest::READABLE));
        Ok(Self { mounts, devices: devices.map_err(about_devices)? })
    }

    pub(super) async fn changed(&self, within: Duration) -> Result<Change, Failed> {
        let either = async {
            tokio::select! {
                biased;
                mounts = self.mounts_changed() => mounts,
                devices = self.devices_changed() => devices,
            }
        };
        timeout(within, either).await.unwrap_or(Ok(Change::Nothing))
    }

    /// `clear_ready` consumes this change; a later change wakes the next call.
    async fn mounts_changed(&self) -> Result<Change, Failed> {
        let failed = |source| Failed { operation: "wait for", object: "mounts".to_owned(), source };
        self.mounts.ready(Interest::PRIORITY).await.map_err(failed)?.clear_ready();
        Ok(Change::Mounts)
    }

    async fn devices_changed(&self) -> Result<Change, Failed> {
        loop {
            let mut ready = self.devices.readable().await.map_err(about_devices)?;
            match ready.try_io(|socket| uevent::drain(socket.get_ref())) {
                Ok(Ok(true)) => return Ok(Change::Devices),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(source)) => return Err(about_devices(source)),
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; the descriptor of a File or Socket never changes"
)]
fn registered<T: AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, interest)
}

fn about_devices(source: io::Error) -> Failed {
    Failed { operation: "listen for", object: "kernel uevents of devices".to_owned(), source }
}
