//! The agent makes the interface that a pool wants, and is killed at each boundary of each step,
//! and its successor at each boundary of what is left. In the end there is one interface, and the
//! node is ready for members.
//!
//! A boundary is between a request's effect and its being heard of; of a call to EC2 also between
//! its being sent and its effect.

use std::cell::Cell;
use std::future::{Future as _, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use firecamp_core::contract::cluster::STARTUP_TAINT;
use firecamp_core::ids::EniId;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{NODE, Node, eni, until};
use super::instance::OWN;

/// A node whose pool wants interfaces, and that has the startup taint.
async fn node() -> Node {
    let node = Node::new().await;
    node.want_interfaces(true);
    let taint = json!([{ "key": STARTUP_TAINT, "effect": "NoSchedule" }]);
    let object = json!({
        "metadata": {},
        "spec": { "taints": taint },
        "status": { "capacity": { "pods": "29" } },
    });
    node.server.set("nodes", (None, NODE), object);
    let kube_system = json!({ "metadata": { "uid": "cluster-uid" } });
    node.server.set("namespaces", (None, "kube-system"), kube_system);
    node
}

impl Node {
    fn want_interfaces(&self, wanted: bool) {
        let changed = self.server.change("staticippools", None, "a", |pool| {
            let groups = json!({ "securityGroups": ["sg-0000000a"] });
            pool["spec"]["interfaces"] = if wanted { groups } else { Value::Null };
        });
        assert!(changed);
    }

    fn text(&self, plural: &'static str, name: &str, path: &str) -> Option<String> {
        let object = self.server.object(plural, None, name)?;
        object.pointer(path).and_then(Value::as_str).map(str::to_owned)
    }

    fn phase(&self) -> Option<String> {
        self.text("nodeinterfaces", &format!("{OWN}-0"), "/spec/phase")
    }

    /// The interfaces that EC2 shows on the instance, beside its primary one.
    fn made(&self) -> Vec<EniId> {
        let all = self.cloud.own(|own| own.interfaces.clone());
        all.into_iter().map(|one| one.id).filter(|id| *id != eni().id).collect()
    }

    fn is_tainted(&self) -> bool {
        let node = self.server.object("nodes", None, NODE).unwrap();
        node["spec"]["taints"].as_array().is_some_and(|taints| !taints.is_empty())
    }

    fn is_ready_for_members(&self) -> bool {
        self.phase().as_deref() == Some("Attached") && !self.is_tainted()
    }

    /// Whatever is killed, there is one interface, it has the id of the record, and nothing else
    /// was created.
    fn has_one_interface(&self, about: &str) {
        let recorded = self.text("nodeinterfaces", &format!("{OWN}-0"), "/spec/eni");
        let made: Vec<String> = self.made().iter().map(ToString::to_string).collect();
        assert_eq!(made, Vec::from_iter(recorded), "{about}");
        assert!(self.text("nodeinterfaces", &format!("{OWN}-1"), "/spec/phase").is_none());
        assert_eq!(self.cloud.account().created.count(), 1, "{about}");
    }

    /// Steps so far: requests about the record and the Node, and what changes EC2.
    fn steps(&self, before: &Cell<(usize, usize)>) -> usize {
        let (asked, found) = before.get();
        let new = self.server.requests_since(asked);
        let is_step = |one: &&String| {
            let Some((verb, object)) = one.split_once(' ') else { return false };
            let ours = object.starts_with("nodeinterfaces") || object.starts_with("nodes/");
            ours && ["POST", "PATCH", "PUT"].contains(&verb)
        };
        let found = found + new.iter().filter(is_step).count();
        before.set((asked + new.len(), found));
        found + self.cloud.account().calls.steps
    }

    /// An agent that is killed after so many steps in all, before or after it has heard of the
    /// last one. Whether it was, before the node was ready.
    async fn dies(&self, steps: usize, answered: bool, before: &Cell<(usize, usize)>) -> bool {
        let mut agent = pin!(self.agent(async |_agent| pending().await));
        let dies = poll_fn(|cx| {
            if self.steps(before) < steps {
                assert!(agent.as_mut().poll(cx).is_pending());
                return Poll::Pending;
            }
            if answered {
                assert!(agent.as_mut().poll(cx).is_pending());
            }
            Poll::Ready(true)
        });
        tokio::select! {
            biased;
            dead = dies => dead,
            _took = until("the node is ready", || self.is_ready_for_members()) => false,
        }
    }
}

/// Agents that die so, one after the other, and one that lives. The number of steps; none if the
/// node was ready before the last one was to die.
async fn run(deaths: &[(usize, bool)]) -> Option<usize> {
    let node = node().await;
    let before = Cell::new((node.server.requests().len(), 0));
    let mut steps = 0;
    for (more, answered) in deaths {
        steps += more;
        if !node.dies(steps, *answered, &before).await {
            return None;
        }
        steps = node.steps(&before);
    }
    let about = format!("{deaths:?}");
    node.agent(async |_agent| {
        until("the node is ready", || node.is_ready_for_members()).await;
    })
    .await;
    node.has_one_interface(&about);
    Some(node.steps(&before))
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_its_interface_although_the_agent_is_killed_at_any_two_steps() {
    let steps = run(&[]).await.unwrap();
    assert!(steps >= 8, "only {steps} steps");
    let (mut singles, mut pairs) = (0, 0);
    while run(&[(singles + 1, false)]).await.is_some() {
        singles += 1;
        run(&[(singles, true)]).await;
        let mut second = 1;
        while run(&[(singles, false), (second, false)]).await.is_some() {
            (second, pairs) = (second + 1, pairs + 1);
        }
    }
    println!("{singles} boundaries, {pairs} pairs");
    assert!(singles >= steps - 1 && pairs > singles, "{singles} of {steps}, {pairs} pairs");
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_ec2_has_forgotten_finds_its_interface_by_the_tag() {
    let node = node().await;
    let before = Cell::new((node.server.requests().len(), 0));
    // The record (one request), then the call: it has an effect, but the agent hears of none.
    assert!(node.dies(3, false, &before).await);
    let created = node.cloud.account().created.count();
    assert_eq!((created, node.made().len()), (1, 0));
    node.cloud.account().created.forget_tokens();
    node.agent(async |_agent| {
        until("the node is ready", || node.is_ready_for_members()).await;
    })
    .await;
    node.has_one_interface("after a day");
}

#[tokio::test(start_paused = true)]
async fn members_do_not_get_a_draining_interface_after_a_restart_without_spec_interfaces() {
    let node = node().await;
    node.agent(async |_agent| {
        until("the node is ready", || node.is_ready_for_members()).await;
    })
    .await;
    node.want_interfaces(false);
    let name = format!("{OWN}-0");
    let drained = node.server.change("nodeinterfaces", None, &name, |record| {
        record["spec"]["phase"] = json!("Draining");
    });
    assert!(drained);
    node.agent(async |agent| {
        agent.ready().await;
        until("the interface is excluded", || node.excluded().contains(&name)).await;
        until("that is recorded", || {
            let record = node.server.object("nodeinterfaces", None, &name).unwrap();
            record["spec"]["excluded"] == true
        })
        .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_no_pool_wants_interfaces_the_taint_goes_and_the_records_are_read_once() {
    let node = node().await;
    node.want_interfaces(false);
    node.agent(async |_agent| {
        until("the taint is gone", || !node.is_tainted()).await;
        sleep(Duration::from_mins(30)).await;
    })
    .await;
    let reads = node.server.requests().iter().filter(|one| one.contains("nodeinterfaces")).count();
    assert_eq!((reads, node.cloud.account().created.count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn no_interface_is_made_before_a_cni_plugin_leaves_it_alone() {
    let node = node().await;
    // So few that the VPC CNI leaves an interface.
    let few = |node: &mut Value| node["status"]["capacity"]["pods"] = json!("11");
    assert!(node.server.change("nodes", None, NODE, few));
    let mode = |on: &str| {
        let env = json!([{ "name": "ENABLE_IMDS_ONLY_MODE", "value": on }]);
        let spec = json!({ "template": { "spec": { "containers": [{ "env": env }] } } });
        let set = json!({ "metadata": {}, "spec": spec });
        node.server.set("daemonsets", (Some("kube-system"), "aws-node"), set);
    };
    mode("true");
    let excludes = |tags: Value| {
        let eni = json!({ "instance-type": "m5.large", "exclude-interface-tags": tags });
        let object = json!({ "metadata": {}, "spec": { "eni": eni } });
        node.server.set("ciliumnodes", (None, NODE), object);
    };
    excludes(json!({ "team": "db" }));
    node.agent(async |_agent| {
        sleep(Duration::from_mins(10)).await;
        assert_eq!(node.cloud.account().created.count(), 0, "the VPC CNI would take it");
        mode("false");
        sleep(Duration::from_mins(10)).await;
        assert_eq!(node.cloud.account().created.count(), 0, "Cilium would take it");
        excludes(json!({ "node.k8s.amazonaws.com/no_manage": "true" }));
        until("the node is ready", || node.is_ready_for_members()).await;
        assert!(node.excluded().is_empty());
        mode("1");
        let eni = node.made().remove(0).to_string();
        until("members do not get it any more", || node.excluded().contains(&eni)).await;
    })
    .await;
}
