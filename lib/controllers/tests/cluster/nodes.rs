//! Nodes that are gone.

use firecamp_controllers::leader::{Duty, Gone, NodeLife};
use firecamp_core::agent::Duty as Errand;
use firecamp_core::record::State;
use firecamp_core::release::Releaser;

use super::support::{MINUTE, Town, gone, live, parsed};

/// The pod is gone without a stop, and its node is in this state.
fn town(node: Option<NodeLife>, held: bool) -> Town {
    let mut town = Town::with_member(State::Attached);
    match node {
        Some(life) => drop(town.view.nodes.insert(parsed("n1"), Some(life.into()))),
        None => drop(town.view.nodes.remove(&parsed("n1"))),
    }
    town.pod("redis-0", gone());
    town.ec2(held);
    town
}

fn released(duties: &[Duty]) -> Option<Gone> {
    duties.iter().find_map(|duty| {
        let Duty::Release { errand, why, .. } = duty else { return None };
        let Errand::Release { by, .. } = errand else { panic!("{errand:?}") };
        assert_eq!(*by, Releaser::AgentElsewhere);
        Some(*why)
    })
}

#[test]
fn f077_a_dead_node_object_does_not_block_the_release_of_a_machine_that_is_gone() {
    let mut town = town(Some(NodeLife::NotReady), false);
    assert_eq!(released(&town.after(MINUTE)), None, "one pass proves nothing");
    assert_eq!(released(&town.after(MINUTE)), None, "nor does a minute");
    assert_eq!(released(&town.after(MINUTE)), Some(Gone::NoMachine));
}

#[test]
fn f077_a_missing_node_object_proves_nothing_while_a_machine_has_the_address() {
    let mut town = town(None, true);
    assert_eq!(released(&town.during(MINUTE * 9)), None);
    assert_eq!(released(&town.during(MINUTE * 2)), Some(Gone::Silent));
}

#[test]
fn f077_a_missing_node_object_whose_machine_is_gone_is_released_for() {
    let mut town = town(None, false);
    assert_eq!(released(&town.during(MINUTE * 3)), Some(Gone::NoMachine));
}

#[test]
fn f077_a_node_out_of_service_is_released_for_though_its_machine_is_there() {
    let mut town = town(Some(NodeLife::OutOfService), true);
    assert_eq!(released(&town.during(MINUTE * 3)), Some(Gone::OutOfService));
}

#[test]
fn a_node_that_answers_is_its_own_agent_s_business() {
    let mut town = town(Some(NodeLife::Ready), false);
    let asked = town.planner.ask(&town.view, &town.site);
    assert!(asked.owners.is_empty(), "{asked:?}");
    assert_eq!(released(&town.during(MINUTE * 30)), None);
}

#[test]
fn the_agent_s_own_node_answers_whatever_its_node_object_says() {
    let mut town = town(Some(NodeLife::Ready), false);
    town.site.node = parsed("n1");
    town.view.nodes.insert(parsed("n1"), Some(NodeLife::NotReady.into()));
    assert_eq!(released(&town.during(MINUTE * 30)), None);
}

#[test]
fn a_live_pod_is_never_released_for_whatever_its_node_looks_like() {
    for node in [None, Some(NodeLife::NotReady), Some(NodeLife::OutOfService)] {
        let mut town = town(node, false);
        town.pod("redis-0", live("pod-1", None));
        assert_eq!(released(&town.during(MINUTE * 30)), None, "{node:?}");
    }
}

#[test]
fn a_pod_or_an_owner_that_could_not_be_read_releases_nothing() {
    let mut unread = town(None, false);
    unread.answers.pods.clear();
    assert_eq!(released(&unread.during(MINUTE * 30)), None);
    let mut unasked = town(None, false);
    unasked.answers.held.clear();
    assert_eq!(released(&unasked.during(MINUTE * 30)), None);
}

#[test]
fn a_read_that_fails_between_two_passes_begins_nothing_anew() {
    let mut town = town(None, false);
    assert_eq!(released(&town.after(MINUTE)), None);
    let answers = std::mem::take(&mut town.answers);
    assert_eq!(released(&town.after(MINUTE)), None);
    town.answers = answers;
    assert_eq!(released(&town.after(MINUTE)), Some(Gone::NoMachine));
}

#[test]
fn a_node_that_comes_back_ends_the_suspicion() {
    let mut town = town(Some(NodeLife::NotReady), false);
    assert_eq!(released(&town.during(MINUTE)), None);
    town.view.nodes.insert(parsed("n1"), Some(NodeLife::Ready.into()));
    assert_eq!(released(&town.after(MINUTE)), None);
    town.view.nodes.insert(parsed("n1"), Some(NodeLife::NotReady.into()));
    assert_eq!(released(&town.during(MINUTE)), None, "its time begins anew");
    assert_eq!(released(&town.after(MINUTE)), Some(Gone::NoMachine));
}

#[test]
fn f093_a_list_of_nodes_that_lacks_our_own_is_not_believed() {
    let mut town = town(None, false);
    town.view.nodes.clear();
    assert_eq!(town.pass(), Vec::new());
    assert_eq!(released(&town.during(MINUTE * 30)), None);
}

#[test]
fn what_is_released_already_is_left_alone() {
    for state in [State::Parked, State::Released] {
        let mut town = Town::with_member(state);
        town.view.nodes.remove(&parsed("n1"));
        town.pod("redis-0", gone());
        town.ec2(false);
        assert_eq!(released(&town.during(MINUTE * 30)), None, "{state:?}");
    }
}

#[test]
fn a_node_object_that_cannot_be_read_says_nothing() {
    let mut town = town(Some(NodeLife::NotReady), false);
    town.view.nodes.insert(parsed("n1"), None);
    assert_eq!(released(&town.during(MINUTE * 30)), None);
}

#[test]
fn an_address_whose_claim_and_pod_are_gone_is_released_though_its_node_answers() {
    let mut town = town(Some(NodeLife::Ready), true);
    town.unclaim("redis-0");
    assert_eq!(released(&town.during(MINUTE)), None);
    assert_eq!(released(&town.during(MINUTE * 2)), Some(Gone::NoClaim));
    town.pod("redis-0", live("pod-1", None));
    assert_eq!(released(&town.during(MINUTE * 30)), None, "not under a live pod");
}
