//! Whoever acted has died, and nothing follows: the agents alone put it right, and then all is
//! still.

use std::sync::Mutex;

use firecamp_core::record::{State, StaticIp};

use crate::support::cluster::Cluster;
use crate::support::crowd;
use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::world::World;

const NODES: [&str; 2] = ["node-a", "node-b"];

/// The steps that a move of a bound member passes (3 and 4 create its records).
const MOVE: [u8; 16] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
/// The steps of a first start at which a record is there and nobody holds the address.
const FIRST: [u8; 4] = [3, 4, 5, 6];

/// A cluster with an agent on each of two nodes.
struct Alone<'w> {
    cluster: Cluster<'w>,
    world: &'w World,
    /// What the members came to.
    rested: Mutex<Vec<StaticIp>>,
    _agents: Vec<Process>,
    _ways: Vec<Process>,
}

impl<'w> Alone<'w> {
    fn start(world: &'w World) -> Self {
        let cluster = Cluster::start(world);
        let ways = NODES.map(|node| cluster.reach(node)).into();
        let agents = NODES.map(|node| cluster.agent(node)).into();
        Self { cluster, world, rested: Mutex::default(), _agents: agents, _ways: ways }
    }

    /// The pod's service works.
    #[track_caller]
    fn comes_up(&self, member: &mut Member<'_>, pod: &Pod<'_>) -> Process {
        self.cluster.shows(pod);
        let started = pod.started(&self.cluster.init(pod).end());
        member.is_held_by(pod, &started);
        member.serves(pod, &started)
    }

    /// The record comes to this state and no kernel has anything of the address.
    #[track_caller]
    fn comes_to_rest(&self, member: &Member<'_>, state: State) {
        let address = member.address();
        let is = |record: &StaticIp| record.attachment.as_ref().map(|it| it.state) == Some(state);
        eventually(&format!("{address} is {state:?}"), || {
            is(&self.cluster.record(address)).then_some(())
        });
        let (at, from) = (format!("{address}/"), format!("from {address}"));
        for node in NODES {
            eventually(&format!("{address} is off the kernel of {node}"), || {
                let kernel = self.world.kernel(node);
                let left = kernel.iter().any(|line| line.starts_with(&at) || line.contains(&from));
                (!left).then_some(())
            });
        }
        member.only_holders_answered();
        self.rested.lock().unwrap().push(self.cluster.record(address));
    }

    /// Nothing has changed since.
    #[track_caller]
    fn is_still(&self, members: usize) {
        let rested = self.rested.lock().unwrap();
        assert_eq!(rested.len(), members);
        for record in rested.iter() {
            assert_eq!(self.cluster.record(record.address), *record);
        }
    }
}

fn name(step: u8) -> String {
    format!("attach.{step}")
}

/// A member's pod on node-a is deleted by force. Its successor's init container dies on node-b
/// after the step, and its pod is deleted as well.
fn crash_of_a_move(alone: &Alone<'_>, step: u8) {
    let mut member = Member::new(alone.world, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let server = alone.comes_up(&mut member, &first);
    if step == 15 {
        // A file that says the right thing already is not renamed.
        first.loses_its_file();
    }
    let since = alone.world.now();
    let second = member.pod("pod-2", "node-b");
    alone.cluster.shows(&second);
    alone.cluster.init(&second).crash_at(&name(step)).end().crashed();
    drop(server);
    alone.cluster.forgets(&second);

    alone.comes_to_rest(&member, State::Parked);
    let moves = usize::from(step >= 8);
    let cost = Cost::of(&member.ec2(since), "");
    assert_eq!((cost.mutating, cost.moves), (moves, moves), "the dead one's Assign, and no other");
    let owner = alone.world.ask().address(member.address()).unwrap().unwrap().node;
    assert_eq!(owner.as_deref(), Some(NODES[moves]), "after {step}");
    alone.world.was_never_lost(member.address());
}

#[test]
fn f026_f028_after_a_crash_at_any_step_of_a_move_the_agents_alone_release() {
    let world = World::start();
    let alone = Alone::start(&world);
    crowd::each(&MOVE, |step| name(*step), |step| crash_of_a_move(&alone, *step));
    alone.is_still(MOVE.len());
}

/// The init container of a new member dies on node-a, and its pod is deleted.
fn crash_of_a_first_start(alone: &Alone<'_>, step: u8) {
    let member = Member::new(alone.world, &format!("redis-{step}"));
    let pod = member.pod("pod-1", "node-a");
    alone.cluster.shows(&pod);
    alone.cluster.init(&pod).crash_at(&name(step)).end().crashed();
    alone.cluster.forgets(&pod);
}

/// What the registry has of members and their addresses.
fn records(alone: &Alone<'_>) -> Vec<serde_json::Value> {
    ["staticipclaims", "staticips"].iter().flat_map(|kind| alone.cluster.api.all(kind)).collect()
}

#[test]
fn after_a_crash_in_a_first_start_its_claim_and_address_wait_for_the_member() {
    let world = World::start();
    let alone = Alone::start(&world);
    let since = world.now();
    crowd::each(&FIRST, |step| name(*step), |step| crash_of_a_first_start(&alone, *step));
    let left = records(&alone);
    // A claim for each of them, and an address for all that came so far.
    assert_eq!(left.len(), 2 * FIRST.len() - 1, "{left:#?}");
    let mutating = |call: &vpcbox::protocol::Call| call.mutating;
    assert!(!world.ask().calls(since).unwrap().iter().any(mutating));

    // A member that comes and goes afterwards: the agents have looked at everything meanwhile.
    let mut other = Member::new(&world, "redis-9");
    let pod = other.pod("pod-1", "node-a");
    drop(alone.comes_up(&mut other, &pod));
    alone.cluster.forgets(&pod);
    alone.comes_to_rest(&other, State::Parked);
    let now = records(&alone);
    assert!(left.iter().all(|object| now.contains(object)), "{left:#?} became {now:#?}");
}

/// The stop container of a pod dies after the step, or there never was one; the pod is gone.
fn crash_of_a_release(alone: &Alone<'_>, step: &str) {
    let unassigns = step.starts_with("free");
    let mut member = Member::new(alone.world, &format!("redis{}-0", step.replace('.', "")));
    let pod = member.pod("pod-1", "node-a");
    drop(alone.comes_up(&mut member, &pod));
    let since = alone.world.now();
    if step != NEVER {
        alone.cluster.deletes(&pod);
        let container = alone.cluster.stop(&pod, "release");
        container.arg(format!("--unassign={unassigns}")).crash_at(step).end().crashed();
    }
    alone.cluster.forgets(&pod);

    alone.comes_to_rest(&member, if unassigns { State::Released } else { State::Parked });
    let cost = Cost::of(&member.ec2(since), "");
    let moves = usize::from(unassigns);
    // Reads lag, so that whoever takes over an Unassign under way sends it again, and is refused.
    let again = usize::from(["free.3", "free.4"].contains(&step));
    assert_eq!((cost.mutating, cost.moves), (moves + again, moves), "after {step}");
    let owner = alone.world.ask().address(member.address()).unwrap().unwrap().node;
    assert_eq!(owner.as_deref(), (!unassigns).then_some("node-a"), "after {step}");
}

/// The stop container never ran.
const NEVER: &str = "never";

/// The steps of releases, and none at all.
const RELEASE: [&str; 11] = [
    NEVER,
    "release.0",
    "release.1",
    "release.2",
    "release.3",
    "release.4",
    "release.5",
    "free.2",
    "free.3",
    "free.4",
    "free.5",
];

#[test]
fn f026_f027_after_a_crash_at_any_step_of_a_release_the_agents_alone_complete_it() {
    let world = World::start();
    let alone = Alone::start(&world);
    crowd::each(&RELEASE, |step| (*step).to_owned(), |step| crash_of_a_release(&alone, step));
    alone.is_still(RELEASE.len());
}
