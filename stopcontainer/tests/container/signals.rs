//! How a stop container handles signals.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use crate::process::Run;
use crate::records::Records;
use crate::{STOP, stop};

#[test]
fn testmode_waits_for_its_signal_and_succeeds() {
    let waiting = Run::bare(STOP).set("TESTMODE", "true").start();
    waiting.wait_for_log("waiting for SIGTERM");
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
fn without_a_record_sigterm_ends_the_sidecar_without_changes() {
    let run = stop();
    let records = Records::with_pool(&run);
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    sidecar.signal(Signal::SIGTERM);
    let ended = sidecar.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.report()["path"], "not-holder");
    assert_eq!(records.allocated(), 0);
}

#[test]
fn a_signal_ends_a_hook_within_a_second_without_a_release() {
    // On a busy machine a single attempt may be late.
    assert!(
        (0..3).any(|_attempt| signalled() < Duration::from_secs(1)),
        "three attempts took longer than a second"
    );
}

/// The time between the signal and the exit of a hook.
fn signalled() -> Duration {
    let run = stop().arg("release").arg("--drain=30s").set("FIRECAMP_GRACE", "30s");
    let records = Records::held_by(&run, "uid-1");
    let before = records.read();
    let service = TcpListener::bind((records.address, 0)).unwrap();
    let _client = TcpStream::connect(service.local_addr().unwrap()).unwrap();
    let hook = run.start();
    hook.wait_for_log("release.1");
    hook.signal(Signal::SIGTERM);
    let start = SystemTime::now();
    let ended = hook.end();
    let took = start.elapsed().unwrap();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert_eq!(ended.report()["reason"], "Interrupted");
    assert_eq!(records.read(), before);
    took
}

#[test]
fn a_second_sigint_ends_a_sidecar() {
    let run = stop().set("FIRECAMP_GRACE", "30s");
    let records = Records::held_by(&run, "uid-1");
    let _service = TcpListener::bind((records.address, 0)).unwrap();
    let before = records.read();
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    sidecar.signal(Signal::SIGINT);
    sidecar.wait_for_log("release.1");
    sidecar.signal(Signal::SIGINT);
    let ended = sidecar.end();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert_eq!(records.read(), before);
}

#[test]
fn an_unavailable_registry_differs_from_an_invalid_one() {
    let run = stop().arg("release");
    std::fs::remove_dir(run.path("registry")).unwrap();
    let ended = run.end();
    assert_eq!(ended.code, Some(15), "{}", ended.stderr);
    assert_eq!(ended.report()["retryable"], true);
    let ended = stop().arg("release").end();
    assert_eq!(ended.code, Some(16), "{}", ended.stderr);
    assert!(ended.stderr.contains("contains no registry"), "{}", ended.stderr);
}
