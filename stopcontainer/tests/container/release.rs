//! How a release changes the record, with EC2 unreachable.

use std::net::{TcpListener, TcpStream};

use firecamp_core::ids::Epoch;
use firecamp_core::record::State;
use nix::sys::signal::Signal;

use crate::process::{Ended, Run};
use crate::records::{ENI, Records};
use crate::stop;

fn held(run: &Run) -> Records {
    Records::held_by(run, "uid-1")
}

fn state(records: &Records) -> State {
    records.read().object.attachment.unwrap().state
}

/// The release succeeded on this path of the protocol.
#[track_caller]
fn succeeded(ended: &Ended, path: &str) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["result"], "succeeded", "{}", ended.stderr);
    assert_eq!(report["path"], path, "{}", ended.stderr);
    assert_eq!(report["member"], "demo/redis-0");
    assert_eq!(report["podUID"], "uid-1");
}

#[test]
fn f031_hook_releases_at_once_without_an_ec2_call() {
    let run = stop().arg("release");
    let records = held(&run);
    let ended = run.end();
    succeeded(&ended, "parked");
    assert_eq!(ended.report()["address"], records.address.to_string());
    let record = records.read().object;
    assert_eq!(record.epoch, Epoch(1));
    assert_eq!(record.attachment.unwrap().state, State::Parked);
    assert_eq!(record.reserved_on.unwrap().as_str(), ENI);
}

#[test]
fn invalid_aws_settings_do_not_fail_a_release() {
    let run = stop().arg("release").set("AWS_ENDPOINT_URL_EC2", "nonsense");
    let records = held(&run);
    succeeded(&run.end(), "parked");
    assert_eq!(state(&records), State::Parked);
}

#[test]
fn a_sidecar_releases_only_after_its_signal() {
    let run = stop();
    let records = held(&run);
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    assert_eq!(state(&records), State::Attached);
    sidecar.signal(Signal::SIGTERM);
    succeeded(&sidecar.end(), "parked");
    assert_eq!(state(&records), State::Parked);
}

#[test]
fn a_second_sigterm_does_not_stop_a_release() {
    let run = stop().arg("wait").set("FIRECAMP_GRACE", "20s");
    let records = held(&run);
    let service = TcpListener::bind((records.address, 0)).unwrap();
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for_log("release.1");
    sidecar.signal(Signal::SIGTERM);
    drop(service);
    succeeded(&sidecar.end(), "parked");
    assert_eq!(state(&records), State::Parked);
}

#[test]
fn f023_stop_of_a_superseded_pod_changes_nothing() {
    for command in ["wait", "release"] {
        let run = stop().arg(command);
        let records = Records::held_by(&run, "uid-of-the-successor");
        let before = records.read();
        let releasing = run.start();
        if command == "wait" {
            releasing.wait_for_log("release.0");
            releasing.signal(Signal::SIGTERM);
        }
        succeeded(&releasing.end(), "not-holder");
        assert_eq!(records.read(), before);
    }
}

#[test]
fn f023_sidecar_releases_only_the_epoch_of_its_start() {
    let run = stop();
    let records = held(&run);
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    records.attach("uid-1");
    let before = records.read();
    sidecar.signal(Signal::SIGTERM);
    succeeded(&sidecar.end(), "not-holder");
    assert_eq!(records.read(), before);
}

#[test]
fn a_second_release_changes_nothing() {
    let run = stop().arg("release");
    let records = held(&run);
    let registry = format!("file://{}", run.path("registry").display());
    succeeded(&run.end(), "parked");
    let parked = records.read();
    let again = stop().arg("release").set("FIRECAMP_REGISTRY", registry);
    succeeded(&again.end(), "not-holder");
    assert_eq!(records.read(), parked);
}

#[test]
fn f025_sidecar_waits_until_the_service_has_closed_its_sockets() {
    let run = stop().set("FIRECAMP_GRACE", "20s");
    let records = held(&run);
    let service = TcpListener::bind((records.address, 0)).unwrap();
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for_log("release.1");
    assert_eq!(state(&records), State::Attached);
    drop(service);
    let ended = sidecar.end();
    succeeded(&ended, "parked");
    assert!(!ended.stderr.contains("drain timeout expired"), "{}", ended.stderr);
}

#[test]
fn f112_draining_ends_early_when_the_grace_period_is_used_up() {
    let run = stop().set("FIRECAMP_GRACE", "1500ms");
    let records = held(&run);
    let _service = TcpListener::bind((records.address, 0)).unwrap();
    let sidecar = run.start();
    sidecar.wait_for_log("release.0");
    sidecar.signal(Signal::SIGTERM);
    let ended = sidecar.end();
    succeeded(&ended, "parked");
    assert!(ended.report()["elapsedMs"].as_u64().is_some());
    assert!(ended.stderr.contains("drain timeout expired"), "{}", ended.stderr);
    assert_eq!(state(&records), State::Parked);
}

#[test]
fn f025_hook_drains_connections_but_not_listeners() {
    let run = stop().arg("release").arg("--drain=20s");
    let records = held(&run);
    let service = TcpListener::bind((records.address, 0)).unwrap();
    let client = TcpStream::connect(service.local_addr().unwrap()).unwrap();
    let connection = service.accept().unwrap();
    let hook = run.start();
    hook.wait_for_log("release.1");
    assert_eq!(state(&records), State::Attached);
    drop((client, connection));
    succeeded(&hook.end(), "parked");
}

#[test]
fn f029_nothing_is_released_without_the_node_local_lock() {
    let run = stop().arg("release");
    let records = held(&run);
    let before = records.read();
    std::fs::write(run.path("run"), "a file where the directory should be").unwrap();
    let ended = run.end();
    assert_eq!(ended.code, Some(19), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["reason"], "KernelRefused");
    assert_eq!(report["address"], records.address.to_string());
    assert_eq!(records.read(), before);
}

#[test]
fn f029_invalid_record_is_named_and_not_changed() {
    let run = stop().arg("release");
    let records = held(&run);
    let file = records.file();
    std::fs::write(&file, "kind: StaticIP\nspec: [garbage\n").unwrap();
    let ended = run.end();
    assert_eq!(ended.code, Some(16), "{}", ended.stderr);
    assert_eq!(ended.report()["reason"], "RegistryInvalid");
    assert!(ended.stderr.contains(&records.address.to_string()), "{}", ended.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), b"kind: StaticIP\nspec: [garbage\n");
}
