//! Nodes whose pool wants interfaces, beside programs that attach interfaces to the same node:
//! Amazon's VPC CNI, the VPC resource controller, Cilium's operator. Each races the real agent.
//! EC2's state judges, while Describe lags.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::cluster::STARTUP_TAINT;
use firecamp_vpc::{Fault, Selector};
use serde_json::json;
use vpcbox::protocol::Call;
use vpcbox::recorded_calls::begin_as_recorded;
use vpcbox::vpc::Act;

use crate::support::member::Member;
use crate::support::neighbours::{
    CILIUM, Neighbourhood, NodeSpec, VPC_CNI, assigned, is_of_pool, spec, wait_assigned,
};
use crate::support::test_box::TestBox;
use crate::support::{eventually, within};

/// What the real ipamd sends; the end-to-end scenarios with it compare it with the same file.
const RECORDED: &str = include_str!("../../recorded/vpc-cni-m5.xlarge.txt");
/// EC2 attaches the slowest interfaces within a minute, and knows the slowest new ones as late.
const SLOWEST: Duration = Duration::from_mins(3);
/// How old the answers of Describe are.
const LAG: Fault = Fault::StaleDescribe { lag_ms: Some(1_000) };

/// Pods that get an address of their own, with this maximum of pods: two are in the host network.
fn pods(most: usize) -> usize {
    most - 2
}

#[test]
fn the_ipamd_of_these_tests_sends_the_calls_of_the_real_one() {
    const NODES: [NodeSpec; 1] = [("node-a", "m5.xlarge", 44)];
    const LEFT_ALONE: &str = "eni-0000000000000a001";
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 230);
    let test_box = TestBox::of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, VPC_CNI);
    let no_manage = "node.k8s.amazonaws.com/no_manage".to_owned();
    for act in [
        Act::CreateEni { id: LEFT_ALONE.to_owned(), address: ADDRESS },
        Act::TagEni { eni: LEFT_ALONE.to_owned(), key: no_manage, value: Some("true".to_owned()) },
        Act::AttachEni { eni: LEFT_ALONE.to_owned(), node: "node-a".to_owned(), device_index: 2 },
    ] {
        test_box.control().act(act).unwrap();
    }
    eventually("the metadata service lists the interface", || {
        let truth = nodes.truth();
        let found = truth.addresses.iter().find(|one| one.address == ADDRESS)?;
        (!found.imds.is_empty()).then_some(())
    });
    let ipamd = nodes.ipamd("node-a", false);
    nodes.set_pods("node-a", 16);
    wait_assigned(&ipamd, 16);
    eventually("its next interfaces are attached and modified", || {
        let modified = nodes.calls_of("ipamd", "ModifyNetworkInterfaceAttribute");
        let attachment = |call: &&Call| call.parameters.contains_key("Attachment.AttachmentId");
        (modified.iter().filter(attachment).count() == 2).then_some(())
    });
    let calls = test_box.control().calls(0).unwrap();
    let sent = calls.iter().filter(|call| call.app == "ipamd");
    begin_as_recorded(sent, RECORDED).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_new_node_becomes_ready_for_members_with_few_ec2_calls_at_ec2s_own_pace() {
    const NODES: [NodeSpec; 1] = [("node-a", "m5.large", 20)];
    let test_box = TestBox::realistic_of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, VPC_CNI);
    assert!(nodes.cluster.api.change("nodes", None, "node-a", |node| {
        node["spec"]["taints"] = json!([{ "key": STARTUP_TAINT, "effect": "NoSchedule" }]);
    }));
    let _agent = nodes.agent("node-a");
    within(SLOWEST, "the node is ready for members", || {
        let node = nodes.cluster.api.object("nodes", None, "node-a")?;
        let free = node["spec"]["taints"].as_array().is_none_or(Vec::is_empty);
        nodes.offered("node-a").filter(|_| free)
    });
    let mut calls = test_box.control().calls(0).unwrap();
    calls.retain(|call| call.service == "ec2" && call.app.contains("firecamp"));
    let made = calls.iter().filter(|call| call.mutating && call.code.is_none());
    let made: Vec<&str> = made.map(|call| call.action.as_str()).collect();
    assert_eq!(made, ["CreateNetworkInterface", "AttachNetworkInterface"]);
    // EC2 may not know a new interface for some seconds.
    assert!(calls.len() <= 12, "{calls:?}");
}

#[test]
fn members_and_pods_of_the_vpc_cni_never_share_an_interface() {
    const NODES: [NodeSpec; 2] = [("node-a", "m5.xlarge", 44), ("node-b", "m5.large", 20)];
    let test_box = TestBox::of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, VPC_CNI);
    test_box.fault(LAG, Selector::default());
    let running = NODES.map(|(name, ..)| (nodes.ipamd(name, false), nodes.agent(name)));
    for ((name, ..), count) in NODES.into_iter().zip([16, 4]) {
        nodes.set_pods(name, count);
    }
    let mut members = Vec::new();
    for (number, (name, ..)) in NODES.into_iter().enumerate() {
        let eni = nodes.wait_made(name);
        let member = Member::new(&test_box, &format!("redis-{number}"));
        let pod = member.pod(&format!("pod-{number}"), name);
        nodes.cluster.set_pod(&pod);
        let started = pod.started(&nodes.cluster.init(&pod).end());
        assert_eq!(started.report["eni"].as_str(), Some(eni.as_str()), "{}", started.report);
        members.push(started.address);
    }
    // The pods come and go, and in the end there are as many as the kubelet takes.
    for share in [1, 8, 1] {
        for ((name, _, most), (ipamd, _)) in NODES.into_iter().zip(&running) {
            nodes.set_pods(name, pods(most) / share);
            let used = wait_assigned(ipamd, pods(most) / share);
            assert!(!used.iter().any(|one| members.contains(one)), "{used:?} {members:?}");
        }
        nodes.assert_apart();
    }
    assert!(members.iter().all(|address| is_of_pool(*address)), "{members:?}");
    for (name, ..) in NODES {
        assert_eq!(nodes.made(name).len(), 1, "{:?}", nodes.made(name));
    }
}

/// The views of the agent are as old as its start, so it chooses the index that the controller took
/// meanwhile.
#[test]
fn an_index_that_was_taken_meanwhile_leads_to_another_one() {
    const NODES: [NodeSpec; 1] = [("node-a", "m5.large", 11)];
    let test_box = TestBox::of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, VPC_CNI);
    let _controller = nodes.resource_controller("node-a");
    let old = [Fault::ImdsFrozen {}, Fault::StaleDescribe { lag_ms: None }];
    let old = old.map(|fault| test_box.fault(fault, Selector::default()));
    nodes.ask_for_trunk("node-a");
    eventually("the trunk is attached", || {
        nodes.truth().nodes[0].enis.iter().any(|eni| eni.device_index == 2).then_some(())
    });
    let _agent = nodes.agent("node-a");
    let attached = || nodes.calls_of("firecamp", "AttachNetworkInterface");
    eventually("an attachment is refused", || {
        attached().iter().any(|call| call.code.is_some()).then_some(())
    });
    for fault in old {
        test_box.control().fault_clear(Some(fault)).unwrap();
    }
    let eni = nodes.wait_made("node-a");
    let indexes: Vec<String> =
        attached().iter().map(|call| call.parameters["DeviceIndex"].clone()).collect();
    assert_eq!((indexes.first(), indexes.last()), (Some(&"2".into()), Some(&"1".into())));
    assert_eq!(nodes.calls_of("firecamp", "CreateNetworkInterface").len(), 1);
    assert_eq!(nodes.made("node-a").into_keys().collect::<Vec<String>>(), [eni]);
    nodes.assert_apart();
}

#[test]
fn a_trunk_finds_its_slot_beside_busy_pods_and_an_interface_for_members() {
    const NODES: [NodeSpec; 1] = [("node-a", "m5.xlarge", 30)];
    let test_box = TestBox::of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, VPC_CNI);
    test_box.fault(LAG, Selector::default());
    let label = |value: &str| {
        assert!(nodes.cluster.api.change("nodes", None, "node-a", |node| {
            node["metadata"]["labels"]["vpc.amazonaws.com/has-trunk-attached"] = value.into();
        }));
    };
    label("false");
    nodes.set_pods("node-a", 5);
    let mut controller = nodes.resource_controller("node-a");
    let (ipamd, _agent) = (nodes.ipamd("node-a", true), nodes.agent("node-a"));
    nodes.wait_made("node-a");
    controller.wait_for_log("trunk: attached");
    label("true");
    nodes.set_pods("node-a", pods(30));
    wait_assigned(&ipamd, pods(30));
    let indexes: BTreeSet<u32> =
        nodes.truth().nodes[0].enis.iter().map(|eni| eni.device_index).collect();
    assert_eq!(indexes, (0..4).collect());
    nodes.assert_apart();
}

#[test]
fn a_trunk_is_not_counted_as_an_interface_that_pods_can_use() {
    const NODES: [NodeSpec; 1] = [("node-a", "m5.large", 20)];
    let test_box = TestBox::of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, VPC_CNI);
    let _controller = nodes.resource_controller("node-a");
    let ipamd = nodes.ipamd("node-a", true);
    eventually("the trunk is attached", || (nodes.truth().nodes[0].enis.len() == 2).then_some(()));
    let _agent = nodes.agent("node-a");
    let refused = eventually("the agent reports that no interface is left", || {
        nodes.interfaces_made("node-a").filter(|(status, _)| status.starts_with("False"))
    });
    assert_eq!(refused.0, "False NoInterfaceLeft", "{}", refused.1);
    nodes.set_pods("node-a", pods(20));
    wait_assigned(&ipamd, pods(20));
    assert!(nodes.made("node-a").is_empty());
    nodes.assert_apart();
}

/// Cilium's operator takes every interface that its tags do not exclude, and gives all of its
/// addresses to pods.
#[test]
fn an_interface_is_made_beside_cilium_only_if_its_tags_exclude_it() {
    const NODES: [NodeSpec; 2] = [("node-a", "m5.xlarge", 40), ("node-b", "m5.large", 20)];
    let test_box = TestBox::of(&spec(&NODES));
    let nodes = Neighbourhood::start(&test_box, &NODES, CILIUM);
    test_box.fault(LAG, Selector::default());
    let taken = nodes.cilium("node-a", &[("team", "db")]);
    let left_alone = nodes.cilium("node-b", &[("node.k8s.amazonaws.com/no_manage", "true")]);
    let _agents = NODES.map(|(name, ..)| nodes.agent(name));
    let refused = eventually("the agent reports what Cilium would do", || {
        nodes.interfaces_made("node-a").filter(|(status, _)| status.starts_with("False"))
    });
    assert!(refused.1.contains("excludeInterfaceTags"), "{refused:?}");
    nodes.wait_made("node-b");
    let member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", "node-b");
    nodes.cluster.set_pod(&pod);
    let address = pod.started(&nodes.cluster.init(&pod).end()).address;
    for (count_a, count_b) in [(20, 8), (2, 1), (30, 9)] {
        nodes.set_pods("node-a", count_a);
        nodes.set_pods("node-b", count_b);
        wait_assigned(&taken, count_a);
        wait_assigned(&left_alone, count_b);
    }
    assert!(!assigned(&left_alone).contains(&address), "a pod has the address of a member");
    assert!(nodes.made("node-a").is_empty(), "{:?}", nodes.made("node-a"));
    assert_eq!(nodes.made("node-b").len(), 1);
    nodes.assert_apart();
}
