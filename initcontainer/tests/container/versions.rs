//! The init container compares its version with the agent's before it does anything else.

use firecamp_core::contract::protocol::{Protocol, VERSION};

use crate::INIT;
use crate::ends::{HERE, failed, on};
use crate::node::Node;
use crate::process::{Run, invalid_values};
use crate::records::Records;

#[test]
fn f097_init_container_starts_beside_an_agent_of_a_neighbouring_version() {
    let Protocol { current, .. } = Protocol::OURS;
    for theirs in [current, current + 1] {
        let run = on(&Node::in_subnet(HERE, "127.77.0.0/24")).beside_agent(theirs);
        let records = Records::held_by(&run, "uid-0");
        // The node has no link for the ENI, so the attach fails there, as without an agent.
        failed(&run.end(), 17, "NodeUnsuitable", &[]);
        assert_eq!(records.read().object.epoch.0, 1);
    }
}

#[test]
fn f097_init_container_refuses_to_start_beside_an_agent_two_versions_ahead() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node).beside_agent(Protocol::OURS.current + 2);
    let (records, conf) = (Records::held_by(&run, "uid-0"), run.path("conf"));
    let before = records.read();
    let ended = run.end();
    let this = format!("this is FireCamp {VERSION}");
    failed(&ended, 23, "VersionMismatch", &["FireCamp 9.8.7", &this, "nothing was changed"]);
    assert_eq!(ended.report()["retryable"], false);
    assert!(ended.report()["advice"].as_str().unwrap().contains("compatible versions"));
    assert_eq!(records.read(), before);
    assert!(node.ec2_calls().is_empty() && !conf.exists());
}

#[test]
fn f097_version_file_of_an_agent_that_has_ended_is_ignored() {
    let run = on(&Node::in_subnet(HERE, "127.77.0.0/24"));
    drop(run.after_agent(Protocol::OURS.current + 2));
    let records = Records::held_by(&run, "uid-0");
    failed(&run.end(), 17, "NodeUnsuitable", &[]);
    assert_eq!(records.read().object.epoch.0, 1);
}

#[test]
fn a_debug_build_with_an_emulated_version_is_checked_as_that_version() {
    let ahead = Protocol::OURS.current + 2;
    let as_next = |theirs: u32| {
        let run = on(&Node::in_subnet(HERE, "127.77.0.0/24")).beside_agent(theirs);
        let run = run.set("FIRECAMP_PASSES_FOR", format!("{ahead}:{}:7.7.7", ahead - 1));
        let _records = Records::held_by(&run, "uid-0");
        run.end()
    };
    failed(&as_next(ahead - 1), 17, "NodeUnsuitable", &[]);
    let apart = as_next(ahead - 2);
    failed(&apart, 23, "VersionMismatch", &["FireCamp 9.8.7", "this is FireCamp 7.7.7"]);
}

#[test]
fn an_invalid_version_to_emulate_is_refused_by_name() {
    for (kind, value) in invalid_values() {
        let ended = Run::configured(INIT).set("FIRECAMP_PASSES_FOR", &value).end();
        println!("{kind}");
        ended.is_refused_naming(&["FIRECAMP_PASSES_FOR", "exitCode\":2"]);
    }
}
