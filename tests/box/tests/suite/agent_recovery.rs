//! An init or stop container is killed and its pod is deleted: the agents complete the release,
//! and then nothing changes any more.

use std::sync::Mutex;

use firecamp_core::record::{State, StaticIp};

use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::member::{Cost, Member};
use crate::support::parallel;
use crate::support::pod::Pod;
use crate::support::process::Process;
use crate::support::test_box::TestBox;

const NODES: [&str; 2] = ["node-a", "node-b"];

/// The steps that a move of a bound member passes (3 and 4 create its records).
const MOVE: [u8; 16] = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
/// The steps of a first start at which the record exists and has no holder.
const FIRST: [u8; 4] = [3, 4, 5, 6];

/// A cluster with an agent on each of two nodes.
struct Fixture<'w> {
    cluster: Cluster<'w>,
    test_box: &'w TestBox,
    /// The final records of the members.
    final_records: Mutex<Vec<StaticIp>>,
    _agents: Vec<Process>,
    _forwards: Vec<Process>,
}

impl<'w> Fixture<'w> {
    fn start(test_box: &'w TestBox) -> Self {
        let cluster = Cluster::start(test_box);
        let forwards = NODES.map(|node| cluster.connect(node)).into();
        let agents = NODES.map(|node| cluster.agent(node)).into();
        Self {
            cluster,
            test_box,
            final_records: Mutex::default(),
            _agents: agents,
            _forwards: forwards,
        }
    }

    /// Runs the init container and starts the service.
    #[track_caller]
    fn bring_up(&self, member: &mut Member<'_>, pod: &Pod<'_>) -> Process {
        self.cluster.set_pod(pod);
        let started = pod.started(&self.cluster.init(pod).end());
        member.add_holder(pod, &started);
        member.start_service(pod, &started)
    }

    /// Waits until the record has this state and no kernel has the address or a rule for it.
    #[track_caller]
    fn wait_until_released(&self, member: &Member<'_>, state: State) {
        let address = member.address();
        let is = |record: &StaticIp| record.attachment.as_ref().map(|it| it.state) == Some(state);
        eventually(&format!("{address} is {state:?}"), || {
            is(&self.cluster.record(address)).then_some(())
        });
        let (at, from) = (format!("{address}/"), format!("from {address}"));
        for node in NODES {
            eventually(&format!("{address} is removed from the kernel of {node}"), || {
                let kernel = self.test_box.kernel(node);
                let left = kernel.iter().any(|line| line.starts_with(&at) || line.contains(&from));
                (!left).then_some(())
            });
        }
        member.assert_only_holders_answered();
        self.final_records.lock().unwrap().push(self.cluster.record(address));
    }

    /// Asserts that no record has changed since its release.
    #[track_caller]
    fn assert_unchanged(&self, members: usize) {
        let records = self.final_records.lock().unwrap();
        assert_eq!(records.len(), members);
        for record in records.iter() {
            assert_eq!(self.cluster.record(record.address), *record);
        }
    }
}

fn name(step: u8) -> String {
    format!("attach.{step}")
}

/// A member's pod on node-a is deleted by force. The successor's init container is killed on
/// node-b after the step, and its pod is deleted as well.
fn crash_of_a_move(fixture: &Fixture<'_>, step: u8) {
    let mut member = Member::new(fixture.test_box, &format!("redis-{step}"));
    let first = member.pod("pod-1", "node-a");
    let server = fixture.bring_up(&mut member, &first);
    if step == 15 {
        // Init does not rewrite a file that is correct.
        first.delete_static_ip_file();
    }
    let since = fixture.test_box.last_call();
    let second = member.pod("pod-2", "node-b");
    fixture.cluster.set_pod(&second);
    fixture.cluster.init(&second).crash_at(&name(step)).end().crashed();
    drop(server);
    fixture.cluster.remove_pod(&second);

    fixture.wait_until_released(&member, State::Parked);
    let moves = usize::from(step >= 8);
    let cost = Cost::of(&member.ec2_calls(since), "");
    assert_eq!(
        (cost.mutating, cost.moves),
        (moves, moves),
        "only the killed container's Assign is expected"
    );
    let owner = fixture.test_box.control().address(member.address()).unwrap().unwrap().node;
    assert_eq!(owner.as_deref(), Some(NODES[moves]), "after {step}");
    fixture.test_box.assert_always_on_an_eni(member.address());
}

#[test]
fn f026_f028_agents_release_after_a_crash_at_any_step_of_a_move() {
    let test_box = TestBox::start();
    let fixture = Fixture::start(&test_box);
    parallel::each(&MOVE, |step| name(*step), |step| crash_of_a_move(&fixture, *step));
    fixture.assert_unchanged(MOVE.len());
}

/// The init container of a new member is killed on node-a, and its pod is deleted.
fn crash_of_a_first_start(fixture: &Fixture<'_>, step: u8) {
    let member = Member::new(fixture.test_box, &format!("redis-{step}"));
    let pod = member.pod("pod-1", "node-a");
    fixture.cluster.set_pod(&pod);
    fixture.cluster.init(&pod).crash_at(&name(step)).end().crashed();
    fixture.cluster.remove_pod(&pod);
}

/// All StaticIPClaims and StaticIPs.
fn records(fixture: &Fixture<'_>) -> Vec<serde_json::Value> {
    ["staticipclaims", "staticips"].iter().flat_map(|kind| fixture.cluster.api.all(kind)).collect()
}

#[test]
fn claim_and_address_survive_a_crash_during_the_first_start() {
    let test_box = TestBox::start();
    let fixture = Fixture::start(&test_box);
    let since = test_box.last_call();
    parallel::each(&FIRST, |step| name(*step), |step| crash_of_a_first_start(&fixture, *step));
    let before = records(&fixture);
    // Each member has a claim, and each but the one killed at step 3 has an address.
    assert_eq!(before.len(), 2 * FIRST.len() - 1, "{before:#?}");
    let mutating = |call: &vpcbox::protocol::Call| call.mutating;
    assert!(!test_box.control().calls(since).unwrap().iter().any(mutating));

    // Meanwhile the agents attach and release another member, so they have seen all objects.
    let mut other = Member::new(&test_box, "redis-9");
    let pod = other.pod("pod-1", "node-a");
    drop(fixture.bring_up(&mut other, &pod));
    fixture.cluster.remove_pod(&pod);
    fixture.wait_until_released(&other, State::Parked);
    let now = records(&fixture);
    assert!(before.iter().all(|object| now.contains(object)), "{before:#?} became {now:#?}");
}

/// The stop container of a pod is killed after the step, or never runs; the pod is deleted.
fn crash_of_a_release(fixture: &Fixture<'_>, step: &str) {
    let unassigns = step.starts_with("free");
    let mut member = Member::new(fixture.test_box, &format!("redis{}-0", step.replace('.', "")));
    let pod = member.pod("pod-1", "node-a");
    drop(fixture.bring_up(&mut member, &pod));
    let since = fixture.test_box.last_call();
    if step != NEVER {
        fixture.cluster.terminate_pod(&pod);
        let container = fixture.cluster.stop(&pod, "release");
        container.arg(format!("--unassign={unassigns}")).crash_at(step).end().crashed();
    }
    fixture.cluster.remove_pod(&pod);

    fixture.wait_until_released(&member, if unassigns { State::Released } else { State::Parked });
    let cost = Cost::of(&member.ec2_calls(since), "");
    let moves = usize::from(unassigns);
    // Reads lag, so the agent that completes an unfinished Unassign sends it again; EC2 rejects it.
    let again = usize::from(["free.3", "free.4"].contains(&step));
    assert_eq!((cost.mutating, cost.moves), (moves + again, moves), "after {step}");
    let owner = fixture.test_box.control().address(member.address()).unwrap().unwrap().node;
    assert_eq!(owner.as_deref(), (!unassigns).then_some("node-a"), "after {step}");
}

/// The stop container never ran.
const NEVER: &str = "never";

/// The steps of releases, and a stop container that never runs.
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
fn f026_f027_agents_complete_a_release_after_a_crash_at_any_step() {
    let test_box = TestBox::start();
    let fixture = Fixture::start(&test_box);
    parallel::each(&RELEASE, |step| (*step).to_owned(), |step| crash_of_a_release(&fixture, step));
    fixture.assert_unchanged(RELEASE.len());
}
