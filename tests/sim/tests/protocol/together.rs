//! Attaches of one agent, whose calls go to EC2 together.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::contract::exit::Exit;
use firecamp_engine::{Ended, Queues, Rng};
use firecamp_sim_tests::{Cluster, Pod, Release, attached, failed, released};
use firecamp_vpc::{Act, Distribution, Fault, Profile, Selector, ThrottleForm};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

const ASSIGN: &str = "AssignPrivateIpAddresses";
const NODES: u32 = 8;

fn node(number: u32) -> String {
    format!("node-{number}")
}

fn pod(member: u32, node_number: u32) -> Pod {
    let uid = format!("u{member}-{node_number}");
    Pod::of(&format!("redis-{member}"), &uid, &node(node_number))
}

/// The agent of a node, as far as it attaches for pods.
struct Agent {
    cloud: AwsCloud,
    queues: Queues,
}

/// A cluster with an agent on each node. Its tasks end with the test.
struct Fixture {
    cluster: Cluster,
    agents: BTreeMap<u32, Rc<Agent>>,
}

impl Fixture {
    fn new(profile: &Profile) -> Rc<Self> {
        let cluster = Cluster::wide(NODES, *profile);
        let agents = (0..NODES).map(|number| {
            let (queues, calls) = Queues::new(Rng::seeded(number.into()));
            let sends = cluster.node(&node(number)).cloud();
            tokio::task::spawn_local(async move { calls.send(&sends).await });
            let cloud = cluster.node(&node(number)).cloud();
            (number, Rc::new(Agent { cloud, queues }))
        });
        let agents = agents.collect();
        Rc::new(Self { cluster, agents })
    }

    /// The pod's attach, run by the agent of its node.
    fn start(self: &Rc<Self>, pod: Pod, number: u32) -> JoinHandle<Ended> {
        let agent = self.agents.get(&number).expect("an agent");
        let (fixture, agent) = (Rc::clone(self), Rc::clone(agent));
        tokio::task::spawn_local(async move {
            let pod = pod.with_rng(agent.queues.rng());
            pod.attach(&fixture.cluster, agent.queues.cloud(&agent.cloud)).await
        })
    }

    /// Attaches these members on a node and releases them again.
    async fn release(&self, members: u32, release: Release, on: impl Fn(u32) -> u32) {
        for member in 0..members {
            let pod = pod(member, on(member));
            attached(pod.init(&self.cluster).await);
            released(pod.stop(&self.cluster, release).await);
            // The bucket of mutating calls is full again afterwards.
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_mins(2)).await;
    }

    fn address(&self, member: u32) -> Ipv4Addr {
        let name = format!("redis-{member}");
        let records = self.cluster.registry.snapshot().static_ips;
        let found = records.values().find(|stored| stored.object.member.name() == name);
        found.expect("its record").object.address
    }

    fn is_on(&self, member: u32, number: u32) -> bool {
        let (address, eni) = (self.address(member), self.cluster.eni(&node(number)));
        self.cluster.owner(address) == Some(eni.clone())
            && self.cluster.data_path(address) == Some(eni)
    }
}

async fn in_local_set<F: Future<Output = ()>>(body: impl FnOnce() -> F) {
    LocalSet::new().run_until(Box::pin(body())).await;
}

async fn all(started: Vec<JoinHandle<Ended>>) -> Vec<Ended> {
    let mut ended = Vec::new();
    for one in started {
        ended.push(one.await.expect("the attach ends"));
    }
    ended
}

async fn all_but_aborted(started: Vec<JoinHandle<Ended>>) -> Vec<Ended> {
    let mut ended = Vec::new();
    for one in started {
        ended.extend(one.await.ok());
    }
    ended
}

/// 150 pods move to other nodes in the same moment, with `most` mutating requests. Returns how long
/// that takes.
async fn move_150(profile: &Profile, most: usize) -> Duration {
    const MEMBERS: u32 = 150;
    let fixture = Fixture::new(profile);
    fixture.release(MEMBERS, Release::default(), |member| member % NODES).await;
    let (since, begun) = (fixture.cluster.last_call(), Instant::now());
    let target = |member: u32| (member + 1) % NODES;
    let start = |member| fixture.start(pod(member, target(member)), target(member));
    let ended = all((0..MEMBERS).map(start).collect()).await;
    let (took, costs) = (begun.elapsed(), fixture.cluster.costs(since));
    // The data path follows the slowest of 150 answers after 30 s at most. Where the metadata
    // service is as slow, an attach relies on Describe after 15 s.
    sleep(Duration::from_secs(30)).await;
    for (member, one) in (0..MEMBERS).zip(ended) {
        attached(one);
        assert!(fixture.is_on(member, target(member)), "redis-{member}");
    }
    assert!(costs.mutating <= most, "{costs:?}");
    fixture.cluster.audit();
    took
}

#[tokio::test(start_paused = true)]
async fn f143_150_members_of_agents_move_at_once_with_24_mutating_requests() {
    in_local_set(|| async {
        let took = move_150(&Profile::fast(), 24).await;
        assert!(took <= Duration::from_secs(3), "{took:?}");
    })
    .await;
}

/// In a VPC that takes as long as AWS. One request in a hundred has no answer within T there, and
/// each of its ten addresses asks again.
#[tokio::test(start_paused = true)]
async fn f143_slow_ec2_costs_time_and_a_request_for_each_lost_answer() {
    in_local_set(|| async {
        move_150(&Profile::realistic(), 24 + 2 * 10).await;
    })
    .await;
}

/// The bucket is empty when the pods start: their calls gather until EC2 accepts one.
#[tokio::test(start_paused = true)]
async fn f143_calls_gather_behind_a_throttle() {
    in_local_set(|| async {
        let fixture = Fixture::new(&Profile::fast());
        fixture.release(20, Release::default(), |_member| 0).await;
        let throttled = Selector { op: Some(ASSIGN.to_owned()), ..Selector::default() };
        let storm = Fault::ThrottleStorm { form: ThrottleForm::default(), retry_after_ms: None };
        fixture.cluster.fault_when(storm, throttled);
        let since = fixture.cluster.last_call();
        let started = (0..20).map(|member| fixture.start(pod(member, 1), 1)).collect();
        sleep(Duration::from_secs(3)).await;
        let refused = fixture.cluster.costs(since).mutating;
        assert!((2..=8).contains(&refused), "{refused} calls in three seconds");
        fixture.cluster.clear_faults();
        for one in all(started).await {
            attached(one);
        }
        let costs = fixture.cluster.costs(since);
        assert!(costs.mutating <= refused + 8, "{costs:?}");
        fixture.cluster.audit();
    })
    .await;
}

/// Somebody else's interface has the address of one of ten members.
#[tokio::test(start_paused = true)]
async fn f144_address_that_ec2_refuses_fails_its_own_member_alone() {
    in_local_set(|| async {
        let fixture = Fixture::new(&Profile::fast());
        fixture.release(10, Release { unassign: true }, |_member| 0).await;
        let late = Selector { op: Some(ASSIGN.to_owned()), nth: Some(1), ..Selector::default() };
        let landing = Fault::LateLanding { after_ms: 300, silent: false };
        fixture.cluster.fault_when(landing, late);
        let started = (0..10).map(|member| fixture.start(pod(member, 1), 1)).collect();
        // The look-ups have not seen this.
        sleep(Duration::from_millis(200)).await;
        fixture.cluster.act(&Act::Reassign { address: fixture.address(4), to: None });
        for (member, one) in (0..10).zip(all(started).await) {
            if member == 4 {
                assert_eq!(failed(one).exit, Exit::AddressUnavailable);
            } else {
                attached(one);
                assert!(fixture.is_on(member, 1), "redis-{member}");
            }
        }
        fixture.cluster.audit();
    })
    .await;
}

/// The look-ups go together, too: somebody else's interface has one of the addresses.
#[tokio::test(start_paused = true)]
async fn f144_address_of_a_foreign_interface_fails_its_own_member_alone() {
    in_local_set(|| async {
        let fixture = Fixture::new(&Profile::fast());
        fixture.release(10, Release::default(), |_member| 0).await;
        fixture.cluster.act(&Act::Reassign { address: fixture.address(4), to: None });
        sleep(Duration::from_secs(1)).await;
        let since = fixture.cluster.last_call();
        let started = (0..10).map(|member| fixture.start(pod(member, 1), 1)).collect();
        for (member, one) in (0..10).zip(all(started).await) {
            if member == 4 {
                assert_eq!(failed(one).exit, Exit::AddressUnavailable);
            } else {
                attached(one);
                assert!(fixture.is_on(member, 1), "redis-{member}");
            }
        }
        let costs = fixture.cluster.costs(since);
        assert_eq!(costs.mutating, 1);
        assert!(costs.calls <= 3, "two Describes at most: {costs:?}");
        fixture.cluster.audit();
    })
    .await;
}

/// A container is killed while its Assign waits for those of others.
#[tokio::test(start_paused = true)]
async fn f145_call_of_a_client_that_is_gone_is_not_sent() {
    in_local_set(|| async {
        let fixture = Fixture::new(&Profile::fast());
        fixture.release(3, Release::default(), |_member| 0).await;
        let since = fixture.cluster.last_call();
        // An attach that does not come this far: the calls of the others wait for it.
        let agent = Rc::clone(fixture.agents.get(&1).expect("an agent"));
        let _expected = agent.queues.cloud(&agent.cloud);
        let started: Vec<_> = (0..3).map(|member| fixture.start(pod(member, 1), 1)).collect();
        while fixture.cluster.record(fixture.address(2)).pending_mutations.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        // The look-ups are answered about 30 ms after they began, then the Assigns wait for 500 ms.
        sleep(Duration::from_millis(40)).await;
        assert_eq!(fixture.cluster.costs(since).mutating, 0, "it still waits");
        started.last().expect("the third").abort();
        let mut ended = all_but_aborted(started).await;
        assert_eq!(ended.len(), 2);
        ended.drain(..).for_each(|one| drop(attached(one)));
        assert!(fixture.is_on(0, 1) && fixture.is_on(1, 1));
        assert!(fixture.is_on(2, 0), "its address has not moved");
        assert_eq!(fixture.cluster.costs(since).mutating, 1);
        fixture.cluster.audit();
    })
    .await;
}

/// The metadata service answers 204 requests a second. Each of 20 containers would send 40.
#[tokio::test(start_paused = true)]
async fn f147_attaches_of_a_node_share_the_reads_of_its_metadata_service() {
    in_local_set(|| async {
        let late = Distribution::new(1_500.0, 1_500.0, 1_500.0);
        let slow = Profile { data_path_remap: late, imds_add_lag: late, ..Profile::fast() };
        let fixture = Fixture::new(&slow);
        fixture.release(20, Release::default(), |_member| 0).await;
        let begun = Instant::now();
        let started = (0..20).map(|member| fixture.start(pod(member, 1), 1)).collect();
        for (member, one) in (0..20).zip(all(started).await) {
            attached(one);
            assert!(fixture.is_on(member, 1), "redis-{member}");
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1_700), "{took:?}");
        fixture.cluster.audit();
    })
    .await;
}

/// A member that starts alone waits for no other one.
#[tokio::test(start_paused = true)]
async fn call_of_a_single_attach_goes_at_once() {
    in_local_set(|| async {
        let fixture = Fixture::new(&Profile::fast());
        fixture.release(2, Release::default(), |_member| 0).await;
        let begun = Instant::now();
        attached(pod(0, 1).init(&fixture.cluster).await);
        let direct = begun.elapsed();
        let begun = Instant::now();
        attached(fixture.start(pod(1, 1), 1).await.expect("the attach ends"));
        let alone = begun.elapsed();
        assert!(alone < direct + Duration::from_millis(20), "{alone:?}; direct mode {direct:?}");
    })
    .await;
}

/// The answer to a request for several addresses is lost after it took effect.
#[tokio::test(start_paused = true)]
async fn f145_lost_answer_about_several_addresses_is_recovered_for_each() {
    in_local_set(|| async {
        let fixture = Fixture::new(&Profile::fast());
        fixture.release(10, Release::default(), |_member| 0).await;
        let first = Selector { op: Some(ASSIGN.to_owned()), nth: Some(1), ..Selector::default() };
        fixture.cluster.fault_when(Fault::LostResponse { after_commit: true }, first);
        let since = fixture.cluster.last_call();
        let started = (0..10).map(|member| fixture.start(pod(member, 1), 1)).collect();
        for (member, one) in (0..10).zip(all(started).await) {
            attached(one);
            assert!(fixture.is_on(member, 1), "redis-{member}");
            let record = fixture.cluster.record(fixture.address(member));
            assert!(record.pending_mutations.is_empty(), "{record:?}");
        }
        let costs = fixture.cluster.costs(since);
        assert_eq!(costs.mutating, 1, "IMDS stands for the answer");
        fixture.cluster.clear_faults();
        fixture.cluster.audit();
    })
    .await;
}
