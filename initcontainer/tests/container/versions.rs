//! What the node's agent says of its version comes before anything else.

use firecamp_core::contract::protocol::{Protocol, VERSION};

use crate::INIT;
use crate::ends::{HERE, failed, on};
use crate::node::Node;
use crate::process::{Run, garbage};
use crate::records::Records;

#[test]
fn f097_an_init_container_begins_beside_an_agent_of_a_neighbouring_version() {
    let Protocol { current, .. } = Protocol::OURS;
    for theirs in [current, current + 1] {
        let run = on(&Node::in_subnet(HERE, "127.77.0.0/24")).beside_agent(theirs);
        let records = Records::held_by(&run, "uid-0");
        // This node has no link for the interface: as without any agent.
        failed(&run.end(), 17, "NodeUnsuitable", &[]);
        assert_eq!(records.read().object.epoch.0, 1);
    }
}

#[test]
fn f097_beside_an_agent_that_is_two_versions_ahead_it_says_so_and_begins_nothing() {
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
fn f097_what_an_agent_has_said_that_runs_no_more_refuses_nobody() {
    let run = on(&Node::in_subnet(HERE, "127.77.0.0/24"));
    drop(run.after_agent(Protocol::OURS.current + 2));
    let records = Records::held_by(&run, "uid-0");
    failed(&run.end(), 17, "NodeUnsuitable", &[]);
    assert_eq!(records.read().object.epoch.0, 1);
}

#[test]
fn a_debug_build_that_passes_for_another_version_meets_agents_as_that_one() {
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
fn what_is_no_version_to_pass_for_is_refused_by_name() {
    for (kind, value) in garbage() {
        let ended = Run::configured(INIT).set("FIRECAMP_PASSES_FOR", &value).end();
        println!("{kind}");
        ended.is_refused_naming(&["FIRECAMP_PASSES_FOR", "exitCode\":2"]);
    }
}
