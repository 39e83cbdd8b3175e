//! Progress of long runs, on standard error.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Does the work, and writes a line every two seconds on a terminal, every half minute in a log.
pub fn shown<T>(line: impl Fn() -> String + Sync, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&line, &over));
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    })
}

fn watch(line: &impl Fn() -> String, over: &AtomicBool) {
    let (pause, end) = if stderr().is_terminal() { (20, '\r') } else { (300, '\n') };
    let mut slept = 0;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        slept += 1;
        if slept % pause == 0 {
            drop(stderr().write_all(format!("{}{end}", line()).as_bytes()));
        }
    }
}
