//! Instructions that a process and its children retire, where the kernel counts them.

use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

/// Counts instructions of this process and its later children in user mode, which needs no
/// privileges. `None` if the machine has no counter, as most virtual machines.
pub(crate) fn start() -> Option<Counter> {
    let mut counter = Builder::new(Hardware::INSTRUCTIONS).inherit(true).build().ok()?;
    counter.enable().ok()?;
    Some(counter)
}

/// The count, including the children that have ended.
pub(crate) fn read(mut counter: Counter) -> Option<u64> {
    counter.disable().ok()?;
    counter.read().ok()
}
