use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::AddressFact;
use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_testkit::sim::{Break, FaultyStatusWriter, Op, Script, SimStatusWriter};
use tokio::task::LocalSet;

use super::*;

fn node() -> NodeName {
    "node-1".parse().unwrap()
}

fn facts() -> Facts {
    let record = StaticIp {
        address: [10, 0, 1, 50].into(),
        pool: "redis".parse().unwrap(),
        subnet: "subnet-0000000a".parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        member: "prod/redis-0".parse().unwrap(),
        epoch: firecamp_core::ids::Epoch(3),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: "pod-1".parse().unwrap(),
            node: node(),
            eni: Some("eni-0000000a".parse().unwrap()),
            run: "run-1".parse().unwrap(),
            served: true,
        }),
        reserved_on: Some("eni-0000000a".parse().unwrap()),
        pending_mutations: std::collections::BTreeSet::new(),
    };
    let (in_kernel, in_ec2) = (Some(true), Some(true));
    let fact =
        AddressFact { record, in_kernel, in_ec2, foreign: None, failing: None, evictable: false };
    Facts { addresses: Some(vec![fact]), ..Facts::new(node()) }
}

impl OpenStatusWriter for SimStatusWriter {
    type Writer = Self;

    async fn open(&self) -> Result<Self, RegistryFailure> {
        Ok(self.clone())
    }
}

impl OpenStatusWriter for FaultyStatusWriter<SimStatusWriter> {
    type Writer = Self;

    async fn open(&self) -> Result<Self, RegistryFailure> {
        Ok(self.clone())
    }
}

/// Publishes for this many seconds and returns the counters.
async fn run<P: OpenStatusWriter + Clone>(
    cluster: Option<&P>,
    shared_status: &SharedStatus,
    seconds: u64,
) -> Status {
    let (status, end) = (Status::default(), CancellationToken::new());
    let cluster = cluster.cloned().map(Rc::new);
    let published = Box::pin(super::run((node(), cluster), shared_status, &status, &end));
    let ended = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        end.cancel();
    };
    LocalSet::new().run_until(async { tokio::join!(published, ended) }).await;
    status
}

fn requests(status: &Status, request: &'static str) -> (u64, u64) {
    let count = |family: &prometheus_client::metrics::family::Family<Requests, _>| {
        family
            .get(&Requests { request })
            .map_or(0, |counter: _| prometheus_client::metrics::counter::Counter::get(&counter))
    };
    (count(&status.publishing.requests), count(&status.publishing.failures))
}

#[tokio::test(start_paused = true)]
async fn observations_are_published_and_served() {
    let api = SimStatusWriter::default();
    api.add_node("uid-1");
    let shared_status = SharedStatus::default();
    shared_status.report(facts());
    let status = run(Some(&api), &shared_status, 30).await;
    assert_eq!(api.attachments().unwrap().status.addresses[0].epoch, 3);
    let report = status.report().unwrap();
    assert_eq!(report.object.status.addresses[0].member, "prod/redis-0");
    assert_eq!(report.object.metadata.owner_references[0].uid, "uid-1");
    assert_eq!(requests(&status, "update"), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_an_api_status_is_served_and_events_are_logged() {
    let shared_status = SharedStatus::default();
    let taken = |facts: &mut Facts| {
        facts.addresses.as_mut().unwrap()[0].foreign = Some("eni-000000ff".to_owned());
    };
    let mut known = facts();
    taken(&mut known);
    shared_status.report(known);
    let status = run(None::<&SimStatusWriter>, &shared_status, 30).await;
    assert_eq!(status.report().unwrap().object.status.addresses_failing, 1);
    assert_eq!(status.publishing.failing.get(), 1);
    let reported = Reasons { reason: "AddressHeldByForeignInterface" };
    assert_eq!(status.publishing.events.get(&reported).map(|counter| counter.get()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn unresponsive_api_times_out_and_is_retried() {
    let api = SimStatusWriter::default();
    api.add_node("uid-1");
    let hour = Duration::from_hours(1);
    let script = Script::new().breaking(Op::Get, 1, Break::Late(hour));
    let status_writer = FaultyStatusWriter::new(api.clone(), script.clone());
    let shared_status = SharedStatus::default();
    shared_status.report(facts());
    let status = run(Some(&status_writer), &shared_status, 60).await;
    assert_eq!((script.fired(), requests(&status, "get")), (1, (2, 1)));
    assert!(api.attachments().is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_the_first_observation() {
    let api = SimStatusWriter::default();
    api.add_node("uid-1");
    let status = run(Some(&api), &SharedStatus::default(), 60).await;
    assert!(status.report().is_none());
    assert_eq!(api.posted().writes(), 0);
}

#[test]
fn timestamp_has_the_kubernetes_format() {
    let text = wall();
    assert_eq!(text.len(), "2026-11-20T15:00:00Z".len(), "{text}");
    assert!(text.ends_with('Z'));
}
