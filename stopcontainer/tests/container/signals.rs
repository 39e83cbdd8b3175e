//! What signals do to a stop container.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use crate::process::Run;
use crate::records::Records;
use crate::{STOP, stop};

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

#[test]
fn a_sigterm_before_there_is_any_record_ends_well_and_writes_nothing() {
    let run = stop();
    let records = Records::with_pool(&run);
    let sidecar = run.start();
    sidecar.says("release.0");
    sidecar.signal(Signal::SIGTERM);
    let ended = sidecar.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.report()["path"], "not-holder");
    assert_eq!(records.allocated(), 0);
}

#[test]
fn a_hook_ends_within_a_second_of_a_signal_and_leaves_the_rest_to_others() {
    // A busy machine may be late once.
    assert!((0..3).any(|_try| signalled() < Duration::from_secs(1)), "each time it took longer");
}

/// How long a hook goes on after its signal.
fn signalled() -> Duration {
    let run = stop().arg("release").arg("--drain=30s").set("FIRECAMP_GRACE", "30s");
    let records = Records::held_by(&run, "uid-1");
    let before = records.read();
    let service = TcpListener::bind((records.address, 0)).unwrap();
    let _client = TcpStream::connect(service.local_addr().unwrap()).unwrap();
    let hook = run.start();
    hook.says("release.1");
    hook.signal(Signal::SIGTERM);
    let begun = SystemTime::now();
    let ended = hook.end();
    let took = begun.elapsed().unwrap();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert_eq!(ended.report()["reason"], "Interrupted");
    assert_eq!(records.read(), before);
    took
}

#[test]
fn a_person_who_interrupts_twice_ends_a_sidecar() {
    let run = stop().set("FIRECAMP_GRACE", "30s");
    let records = Records::held_by(&run, "uid-1");
    let _service = TcpListener::bind((records.address, 0)).unwrap();
    let before = records.read();
    let sidecar = run.start();
    sidecar.says("release.0");
    sidecar.signal(Signal::SIGINT);
    sidecar.says("release.1");
    sidecar.signal(Signal::SIGINT);
    let ended = sidecar.end();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert_eq!(records.read(), before);
}

#[test]
fn a_registry_that_cannot_be_reached_is_told_from_one_that_is_wrong() {
    let run = stop().arg("release");
    std::fs::remove_dir(run.path("registry")).unwrap();
    let ended = run.end();
    assert_eq!(ended.code, Some(15), "{}", ended.stderr);
    assert_eq!(ended.report()["retryable"], true);
    let ended = stop().arg("release").end();
    assert_eq!(ended.code, Some(16), "{}", ended.stderr);
    assert!(ended.stderr.contains("contains no registry"), "{}", ended.stderr);
}
