//! Instructions that a process and its children retire, where the kernel counts them.

use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

/// A counter over this process and what it starts from now on, in user mode, which an ordinary
/// user may count. None where the machine offers none, as most virtual machines do.
pub(crate) fn start() -> Option<Counter> {
    let mut counter = Builder::new(Hardware::INSTRUCTIONS).inherit(true).build().ok()?;
    counter.enable().ok()?;
    Some(counter)
}

/// What it has counted; children count once they have ended.
pub(crate) fn read(mut counter: Counter) -> Option<u64> {
    counter.disable().ok()?;
    counter.read().ok()
}
