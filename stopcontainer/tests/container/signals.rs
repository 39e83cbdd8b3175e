//! What signals do to a stop container.

use nix::sys::signal::Signal;

use crate::STOP;
use crate::process::Run;

#[test]
fn testmode_waits_for_its_signal_and_ends_well() {
    let waiting = Run::bare(STOP).set("TESTMODE", "true").start();
    waiting.says("waiting for SIGTERM");
    waiting.signal(Signal::SIGTERM);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn testmode_of_a_pre_stop_hook_ends_at_once() {
    let ended = Run::bare(STOP).set("TESTMODE", "true").arg("release").end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
