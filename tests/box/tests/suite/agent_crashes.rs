//! The agent is killed at each step of each operation, and the next agent starts. The final state
//! and the number of EC2 changes equal those of an undisturbed run; other members and addresses on
//! the node do not change.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use firecamp_core::contract::path;
use firecamp_core::contract::protocol::Protocol;
use firecamp_core::record::{Attachment, ReleasePolicy, State, StaticIp};
use firecamp_vpc::Act;
use nix::sys::signal::Signal;
use vpcbox::protocol::KernelAct;

use crate::support::cluster::Cluster;
use crate::support::member::{Cost, Member};
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::test_box::TestBox;
use crate::support::{parallel, within};

const NODE: &str = "node-a";
/// Where a member moves to.
const OTHER: &str = "node-b";
/// An address in the node's kernel that FireCamp does not manage.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 250);

/// The agent trusts metadata only after a delay, polls EC2 once a minute and waits for an Assign in
/// flight; besides, the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(4);

/// One operation of the agent.
struct Operation {
    name: &'static str,
    /// Its steps. At `attach.8` and `free.3` EC2 has answered and the agent has not read it.
    steps: &'static [&'static str],
    policy: ReleasePolicy,
    /// Causes the operation while no agent runs.
    cause: fn(&Scene<'_>),
    /// How many calls of the operation change EC2.
    changes: usize,
}

const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "restore",
        steps: &["restore.1", "restore.2", "restore.3"],
        policy: ReleasePolicy::Keep,
        cause: remove_from_kernel,
        changes: 0,
    },
    Operation {
        name: "withdraw",
        steps: &["withdraw.1", "withdraw.2", "withdraw.3"],
        policy: ReleasePolicy::Keep,
        cause: move_member,
        changes: 0,
    },
    Operation {
        name: "withdraw for a version that is not understood",
        steps: &["withdraw.1", "withdraw.2", "withdraw.3"],
        policy: ReleasePolicy::Keep,
        cause: move_from_a_later_version,
        changes: 0,
    },
    Operation {
        name: "re-assert",
        steps: &["reassert.1", "attach.8", "reassert.2", "reassert.3"],
        policy: ReleasePolicy::Keep,
        cause: unassign_externally,
        changes: 1,
    },
    Operation {
        name: "release",
        steps: &["release.0", "release.1", "release.2", "release.3", "release.4", "release.5"],
        policy: ReleasePolicy::Keep,
        cause: delete_pod,
        changes: 0,
    },
    Operation {
        name: "unassign",
        steps: &[
            "release.0",
            "release.1",
            "release.2",
            "release.3",
            "release.4",
            "free.2",
            "free.3",
            "free.4",
            "free.5",
        ],
        policy: ReleasePolicy::Unassign,
        cause: delete_pod,
        changes: 1,
    },
];

/// A member on the node, which has no agent yet.
struct Scene<'w> {
    test_box: &'w TestBox,
    cluster: &'w Cluster<'w>,
    member: Member<'w>,
    pod: Pod<'w>,
    address: Ipv4Addr,
}

/// The state of a member: its record's attachment, the node that has the address in EC2, and the
/// lines of the node's kernel about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Observed {
    state: State,
    pod: String,
    node: String,
    owner: Option<String>,
    kernel: Vec<String>,
}

impl<'w> Scene<'w> {
    fn new(test_box: &'w TestBox, cluster: &'w Cluster<'w>, name: &str) -> Self {
        let member = Member::new(test_box, name);
        let pod = member.pod("pod-1", NODE);
        cluster.set_pod(&pod);
        let address = pod.started(&cluster.init(&pod).end()).address;
        Self { test_box, cluster, member, pod, address }
    }

    fn record(&self) -> StaticIp {
        self.cluster.record(self.address)
    }

    fn observe(&self) -> Observed {
        let Attachment { state, pod, node, .. } = self.record().attachment.unwrap();
        let text = self.address.to_string();
        let of_it = |line: String| line.contains(&text).then(|| line.replace(&text, "IT"));
        Observed {
            state,
            pod: pod.to_string(),
            node: node.to_string(),
            owner: self.test_box.control().address(self.address).unwrap().and_then(|now| now.node),
            kernel: self.test_box.kernel(NODE).into_iter().filter_map(of_it).collect(),
        }
    }
}

fn remove_from_kernel(scene: &Scene<'_>) {
    let strip = KernelAct::KernelStrip { node: NODE.to_owned(), address: scene.address };
    scene.test_box.control().kernel(strip).unwrap();
}

fn unassign_externally(scene: &Scene<'_>) {
    scene.test_box.control().act(Act::Unassign { address: scene.address }).unwrap();
}

fn delete_pod(scene: &Scene<'_>) {
    scene.cluster.remove_pod(&scene.pod);
}

/// The pod is deleted by force, and the next one starts on the other node.
fn move_member(scene: &Scene<'_>) {
    let next = scene.member.pod("pod-2", OTHER);
    scene.cluster.set_pod(&next);
    next.started(&scene.cluster.init(&next).end());
}

/// The member moves, and its address was attached on this node by a program two protocol versions
/// ahead of the agent (decision 0024).
fn move_from_a_later_version(scene: &Scene<'_>) {
    let Protocol { current, oldest } = Protocol::OURS;
    let text = |current, oldest| format!("protocol={current} oldest={oldest} ");
    let file = Path::new(path::RUN_DIR).join(path::LOCK_SUBDIR).join(scene.address.to_string());
    let (file, old) = (file.display().to_string(), text(current, oldest));
    let words = ["replace", &file, &old, &text(current + 2, current + 1)];
    let ended = scene.test_box.tool(NODE, &words).end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    move_member(scene);
}

/// Starts an agent that kills itself at this step.
#[track_caller]
fn kill_agent_at(cluster: &Cluster<'_>, step: &str) {
    let mut agent = cluster.agent_that_crashes_at(NODE, step);
    within(PATIENCE, "the agent kills itself", || (!agent.is_running()).then_some(()));
    let ended = agent.end();
    assert_eq!(ended.code, Some(128 + Signal::SIGKILL as i32), "{}", ended.log);
    assert!(ended.log.contains("crashing at the requested step"), "{}", ended.log);
}

/// Terminates the agent, which must exit with 0. Afterwards nothing changes.
#[track_caller]
fn stop_agent(agent: Process) {
    agent.terminate();
    agent.end().assert_ended_well();
}

/// The cost of the node's EC2 calls after this number.
fn cost(test_box: &TestBox, since: u64) -> Cost {
    Cost::of(&test_box.calls_of(NODE, since), NODE)
}

/// Runs the operation undisturbed and returns the final state.
fn undisturbed(operation: &Operation, scene: &Scene<'_>) -> Observed {
    (operation.cause)(scene);
    let since = scene.test_box.last_call();
    let agent = scene.cluster.agent(NODE);
    within(PATIENCE, "the operation ends", || {
        agent.log().contains("operation succeeded").then_some(())
    });
    stop_agent(agent);
    let cost = cost(scene.test_box, since);
    assert_eq!((cost.mutating, cost.moves), (operation.changes, operation.changes), "{cost:?}");
    assert!(scene.record().pending_mutations.is_empty(), "{:?}", scene.record());
    scene.observe()
}

/// Kills an agent at the step and asserts that the next one reaches the state of an undisturbed
/// run. A call without a known answer may be sent once more, and then changes nothing.
fn disturbed(operation: &Operation, scene: &Scene<'_>, step: &str, wanted: &Observed) {
    (operation.cause)(scene);
    let (since, epoch) = (scene.test_box.last_call(), scene.record().epoch);
    kill_agent_at(scene.cluster, step);
    let agent = scene.cluster.agent(NODE);
    within(PATIENCE, &format!("{step}: {wanted:?}"), || (scene.observe() == *wanted).then_some(()));
    stop_agent(agent);
    assert_eq!(scene.observe(), *wanted, "{step}");
    let cost = cost(scene.test_box, since);
    assert_eq!(cost.moves, operation.changes, "{step}: {cost:?}");
    assert!(cost.mutating <= operation.changes * 2, "{step}: {cost:?}");
    assert!(scene.record().epoch >= epoch, "{step}: the epoch decreased");
    assert_eq!(
        scene.test_box.control().truth().unwrap().violations,
        Vec::<serde_json::Value>::new()
    );
}

/// What the operation must not change: another member on the node, and kernel addresses that
/// FireCamp does not manage.
fn bystanders(test_box: &TestBox, other: &Scene<'_>) -> (StaticIp, Observed, Vec<String>) {
    let foreign = FOREIGN.to_string();
    let mut kernel = test_box.kernel(NODE);
    kernel.retain(|line| line.contains(&foreign) || line.starts_with("10.0.1.11/"));
    assert_eq!(kernel.len(), 3, "expected two addresses and the route to one of them: {kernel:?}");
    (other.record(), other.observe(), kernel)
}

/// Runs one operation in its own box: undisturbed, and then with a kill at each step.
fn play(operation: &Operation) {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    cluster.set_release_policy(operation.policy);
    let _forwards = (cluster.connect(NODE), cluster.connect(OTHER));
    let node = NODE.to_owned();
    let foreign = KernelAct::KernelAdd { node, address: FOREIGN, link: None };
    test_box.control().kernel(foreign).unwrap();
    let other = Scene::new(&test_box, &cluster, "web-0");
    let before = bystanders(&test_box, &other);
    let wanted = undisturbed(operation, &Scene::new(&test_box, &cluster, "redis-0"));
    for (step, number) in operation.steps.iter().zip(1..) {
        let scene = Scene::new(&test_box, &cluster, &format!("redis-{number}"));
        disturbed(operation, &scene, step, &wanted);
    }
    assert_eq!(
        bystanders(&test_box, &other),
        before,
        "the operation changed another member or a foreign address"
    );
}

#[test]
fn next_agent_completes_an_operation_after_a_kill_at_any_step() {
    parallel::each(&OPERATIONS, |operation| operation.name.to_owned(), play);
}
