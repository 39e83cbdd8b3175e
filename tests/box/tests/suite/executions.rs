//! The agent is killed at each boundary of each operation for its node, and the next one
//! begins: it leaves what an agent leaves that nothing disturbs, EC2 is changed as often as then,
//! and what is others' stays as it is.

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
use crate::support::world::World;
use crate::support::{crowd, within};

const NODE: &str = "node-a";
/// Where a member moves to.
const OTHER: &str = "node-b";
/// Somebody else's, in the kernel of the node.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 250);

/// The metadata service is believed late, EC2 is asked once a minute, an Assign that may be in
/// flight is waited for, and the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(4);

/// One operation.
struct Execution {
    name: &'static str,
    /// Its boundaries. At `attach.8` and `free.3` EC2 was called and its answer not read.
    steps: &'static [&'static str],
    policy: ReleasePolicy,
    /// What happens while no agent runs.
    cause: fn(&Scene<'_>),
    /// How often EC2 changes by it.
    changes: usize,
}

const OPERATIONS: [Execution; 6] = [
    Execution {
        name: "restore",
        steps: &["restore.1", "restore.2", "restore.3"],
        policy: ReleasePolicy::Keep,
        cause: is_stripped,
        changes: 0,
    },
    Execution {
        name: "withdraw",
        steps: &["withdraw.1", "withdraw.2", "withdraw.3"],
        policy: ReleasePolicy::Keep,
        cause: moves,
        changes: 0,
    },
    Execution {
        name: "withdraw for a version that is not understood",
        steps: &["withdraw.1", "withdraw.2", "withdraw.3"],
        policy: ReleasePolicy::Keep,
        cause: moves_from_a_later_version,
        changes: 0,
    },
    Execution {
        name: "re-assert",
        steps: &["reassert.1", "attach.8", "reassert.2", "reassert.3"],
        policy: ReleasePolicy::Keep,
        cause: is_unassigned,
        changes: 1,
    },
    Execution {
        name: "release",
        steps: &["release.0", "release.1", "release.2", "release.3", "release.4", "release.5"],
        policy: ReleasePolicy::Keep,
        cause: loses_its_pod,
        changes: 0,
    },
    Execution {
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
        cause: loses_its_pod,
        changes: 1,
    },
];

/// A member that runs on the node, which has no agent yet.
struct Scene<'w> {
    world: &'w World,
    cluster: &'w Cluster<'w>,
    member: Member<'w>,
    pod: Pod<'w>,
    address: Ipv4Addr,
}

/// What is left of a member on the node: who has its address by its record, where EC2 has it, and
/// what the kernel has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    state: State,
    pod: String,
    node: String,
    owner: Option<String>,
    kernel: Vec<String>,
}

impl<'w> Scene<'w> {
    fn new(world: &'w World, cluster: &'w Cluster<'w>, name: &str) -> Self {
        let member = Member::new(world, name);
        let pod = member.pod("pod-1", NODE);
        cluster.shows(&pod);
        let address = pod.started(&cluster.init(&pod).end()).address;
        Self { world, cluster, member, pod, address }
    }

    fn record(&self) -> StaticIp {
        self.cluster.record(self.address)
    }

    fn left(&self) -> Left {
        let Attachment { state, pod, node, .. } = self.record().attachment.unwrap();
        let text = self.address.to_string();
        let of_it = |line: String| line.contains(&text).then(|| line.replace(&text, "IT"));
        Left {
            state,
            pod: pod.to_string(),
            node: node.to_string(),
            owner: self.world.ask().address(self.address).unwrap().and_then(|now| now.node),
            kernel: self.world.kernel(NODE).into_iter().filter_map(of_it).collect(),
        }
    }
}

fn is_stripped(scene: &Scene<'_>) {
    let strip = KernelAct::KernelStrip { node: NODE.to_owned(), address: scene.address };
    scene.world.ask().kernel(strip).unwrap();
}

fn is_unassigned(scene: &Scene<'_>) {
    scene.world.ask().act(Act::Unassign { address: scene.address }).unwrap();
}

fn loses_its_pod(scene: &Scene<'_>) {
    scene.cluster.forgets(&scene.pod);
}

/// Its pod is deleted by force, and the next one starts elsewhere.
fn moves(scene: &Scene<'_>) {
    let next = scene.member.pod("pod-2", OTHER);
    scene.cluster.shows(&next);
    next.started(&scene.cluster.init(&next).end());
}

/// The same, and who has attached it here was two versions ahead of this agent (0024).
fn moves_from_a_later_version(scene: &Scene<'_>) {
    let Protocol { current, oldest } = Protocol::OURS;
    let said = |current, oldest| format!("protocol={current} oldest={oldest} ");
    let file = Path::new(path::RUN_DIR).join(path::LOCK_SUBDIR).join(scene.address.to_string());
    let (file, old) = (file.display().to_string(), said(current, oldest));
    let words = ["replace", &file, &old, &said(current + 2, current + 1)];
    let ended = scene.world.tool(NODE, &words).end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    moves(scene);
}

/// An agent begins and kills itself at this step.
#[track_caller]
fn is_killed(cluster: &Cluster<'_>, step: &str) {
    let mut agent = cluster.agent_that_dies(NODE, step);
    within(PATIENCE, "the agent kills itself", || (!agent.is_running()).then_some(()));
    let ended = agent.end();
    assert_eq!(ended.code, Some(128 + Signal::SIGKILL as i32), "{}", ended.log);
    assert!(ended.log.contains("crashing at the requested step"), "{}", ended.log);
}

/// SIGTERM, and a good end: what is left then is left for good.
#[track_caller]
fn ends_well(agent: Process) {
    agent.terminate();
    agent.end().well();
}

/// What the calls of the node to EC2 have changed since then.
fn cost(world: &World, since: u64) -> Cost {
    Cost::of(&world.calls_of(NODE, since), NODE)
}

/// An agent does the operation, and nothing disturbs it.
fn undisturbed(execution: &Execution, scene: &Scene<'_>) -> Left {
    (execution.cause)(scene);
    let since = scene.world.now();
    let agent = scene.cluster.agent(NODE);
    within(PATIENCE, "the operation ends", || {
        agent.log().contains("operation succeeded").then_some(())
    });
    ends_well(agent);
    let cost = cost(scene.world, since);
    assert_eq!((cost.mutating, cost.moves), (execution.changes, execution.changes), "{cost:?}");
    assert!(scene.record().pending_mutations.is_empty(), "{:?}", scene.record());
    scene.left()
}

/// An agent dies at the step, and the next one leaves what an undisturbed one does. A call that was
/// sent and is not known to be answered may be sent once more, and then changes nothing.
fn disturbed(execution: &Execution, scene: &Scene<'_>, step: &str, wanted: &Left) {
    (execution.cause)(scene);
    let (since, epoch) = (scene.world.now(), scene.record().epoch);
    is_killed(scene.cluster, step);
    let agent = scene.cluster.agent(NODE);
    within(PATIENCE, &format!("{step}: {wanted:?}"), || (scene.left() == *wanted).then_some(()));
    ends_well(agent);
    assert_eq!(scene.left(), *wanted, "{step}");
    let cost = cost(scene.world, since);
    assert_eq!(cost.moves, execution.changes, "{step}: {cost:?}");
    assert!(cost.mutating <= execution.changes * 2, "{step}: {cost:?}");
    assert!(scene.record().epoch >= epoch, "{step}: epochs only grow");
    assert_eq!(scene.world.ask().truth().unwrap().violations, Vec::<serde_json::Value>::new());
}

/// All that is not of the operation: another member on the node, and what the kernel has of
/// neither.
fn bystanders(world: &World, other: &Scene<'_>) -> (StaticIp, Left, Vec<String>) {
    let foreign = FOREIGN.to_string();
    let mut kernel = world.kernel(NODE);
    kernel.retain(|line| line.contains(&foreign) || line.starts_with("10.0.1.11/"));
    assert_eq!(kernel.len(), 3, "two addresses, and the route to one: {kernel:?}");
    (other.record(), other.left(), kernel)
}

/// One operation in a box of its own: undisturbed, and then with a death at each step.
fn play(execution: &Execution) {
    let world = World::start();
    let cluster = Cluster::start(&world);
    cluster.releases_by(execution.policy);
    let (_here, _there) = (cluster.reach(NODE), cluster.reach(OTHER));
    let node = NODE.to_owned();
    let foreign = KernelAct::KernelAdd { node, address: FOREIGN, link: None };
    world.ask().kernel(foreign).unwrap();
    let other = Scene::new(&world, &cluster, "web-0");
    let before = bystanders(&world, &other);
    let wanted = undisturbed(execution, &Scene::new(&world, &cluster, "redis-0"));
    for (step, number) in execution.steps.iter().zip(1..) {
        let scene = Scene::new(&world, &cluster, &format!("redis-{number}"));
        disturbed(execution, &scene, step, &wanted);
    }
    assert_eq!(bystanders(&world, &other), before, "what is others' was touched");
}

#[test]
fn an_agent_killed_at_any_step_of_any_operation_is_replaced_by_the_next() {
    crowd::each(&OPERATIONS, |execution| execution.name.to_owned(), play);
}
