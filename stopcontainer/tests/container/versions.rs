//! The stop container compares its version with the agent's before it does anything else.

use firecamp_core::contract::protocol::{Protocol, VERSION};
use firecamp_core::record::State;

use crate::records::Records;
use crate::stop;

#[test]
fn f097_stop_container_releases_beside_an_agent_of_a_neighbouring_version() {
    let Protocol { current, .. } = Protocol::OURS;
    for theirs in [current, current + 1] {
        let run = stop().arg("release").beside_agent(theirs);
        let records = Records::held_by(&run, "uid-1");
        let ended = run.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(records.read().object.attachment.unwrap().state, State::Parked);
    }
}

#[test]
fn f097_stop_container_warns_and_releases_beside_an_agent_two_versions_ahead() {
    let run = stop().arg("release").beside_agent(Protocol::OURS.current + 2);
    let records = Records::held_by(&run, "uid-1");
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for text in ["FireCamp 9.8.7", &format!("this is FireCamp {VERSION}")] {
        assert!(ended.stderr.contains(text), "{text} is not in {}", ended.stderr);
    }
    // That agent would not release the address, so the stop container must.
    assert_eq!(records.read().object.attachment.unwrap().state, State::Parked);
}
