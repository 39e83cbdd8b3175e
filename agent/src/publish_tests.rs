use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::AddressFact;
use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_node::volumes::Table;
use firecamp_testkit::sim::{Break, FaultyBoard, Op, Script, SimBoard};

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
        unsettled: std::collections::BTreeSet::new(),
    };
    let (in_kernel, in_ec2) = (Some(true), Some(true));
    let fact = AddressFact { record, in_kernel, in_ec2, foreign: None, failing: None };
    Facts { addresses: Some(vec![fact]), ..Facts::new(node()) }
}

/// Publishes for so many seconds, and says what the status has then.
async fn run<B: Board>(board: Option<&B>, bulletin: &Bulletin, seconds: u64) -> Status {
    let (status, end) = (Status::default(), CancellationToken::new());
    let published = run_until(board, bulletin, &status, &end);
    let ended = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        end.cancel();
    };
    tokio::join!(published, ended);
    status
}

async fn run_until<B: Board>(
    board: Option<&B>,
    bulletin: &Bulletin,
    status: &Status,
    end: &CancellationToken,
) {
    super::run((node(), board), bulletin, status, end).await;
}

fn steps(status: &Status, step: &'static str) -> (u64, u64) {
    let count = |family: &prometheus_client::metrics::family::Family<Steps, _>| {
        family
            .get(&Steps { step })
            .map_or(0, |counter: _| prometheus_client::metrics::counter::Counter::get(&counter))
    };
    (count(&status.published), count(&status.unpublished))
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_knows_is_published_and_shown() {
    let api = SimBoard::default();
    api.add_node("uid-1");
    let bulletin = Bulletin::default();
    bulletin.tell(facts());
    let status = run(Some(&api), &bulletin, 30).await;
    assert_eq!(api.attachments().unwrap().status.addresses[0].epoch, 3);
    let report = status.report().unwrap();
    assert_eq!(report.object.status.addresses[0].member, "prod/redis-0");
    assert_eq!(report.object.metadata.owner_references[0].uid, "uid-1");
    assert_eq!(steps(&status, "replace"), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_an_api_it_is_shown_all_the_same_and_events_are_told() {
    let bulletin = Bulletin::default();
    let taken = |facts: &mut Facts| {
        facts.addresses.as_mut().unwrap()[0].foreign = Some("eni-000000ff".to_owned());
    };
    let mut known = facts();
    taken(&mut known);
    bulletin.tell(known);
    let status = run(None::<&SimBoard>, &bulletin, 30).await;
    assert_eq!(status.report().unwrap().object.status.addresses_failing, 1);
    assert_eq!(status.failing.get(), 1);
    let told = Reasons { reason: "AddressConflict" };
    assert_eq!(status.events.get(&told).map(|counter| counter.get()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_is_given_up_and_asked_again() {
    let api = SimBoard::default();
    api.add_node("uid-1");
    let hour = Duration::from_hours(1);
    let script = Script::new().breaking(Op::Learn, 1, Break::Late(hour));
    let board = FaultyBoard::new(api.clone(), script.clone());
    let bulletin = Bulletin::default();
    bulletin.tell(facts());
    let status = run(Some(&board), &bulletin, 60).await;
    assert_eq!((script.fired(), steps(&status, "learn")), (1, (2, 1)));
    assert!(api.attachments().is_some());
}

#[tokio::test(start_paused = true)]
async fn before_anything_is_known_nothing_is_published() {
    let api = SimBoard::default();
    api.add_node("uid-1");
    let status = run(Some(&api), &Bulletin::default(), 60).await;
    assert!(status.report().is_none());
    assert_eq!(api.posted().writes(), 0);
}

#[test]
fn the_time_is_as_kubernetes_writes_it() {
    let text = wall();
    assert_eq!(text.len(), "2026-11-20T15:00:00Z".len(), "{text}");
    assert!(text.ends_with('Z'));
}

#[test]
fn notices_are_bounded() {
    let bulletin = Bulletin::default();
    bulletin.tell(facts());
    for last in 0..=200 {
        bulletin.notice(firecamp_controllers::publish::Notice::Restored([10, 0, 1, last].into()));
    }
    let (_, notices) = bulletin.take(false).unwrap();
    let last = notices.back().copied();
    assert_eq!(
        (notices.len(), last),
        (64, Some(firecamp_controllers::publish::Notice::Restored([10, 0, 1, 200].into())))
    );
    assert!(bulletin.take(true).unwrap().1.is_empty());
}

#[test]
fn what_has_not_changed_is_taken_only_when_it_is_due() {
    let bulletin = Bulletin::default();
    let takes = |due: bool| bulletin.take(due).is_some();
    assert!(!takes(true), "nothing is known");
    bulletin.tell(facts());
    assert!(takes(false) && !takes(false) && takes(true) && !takes(false));
    bulletin.tell(facts());
    assert!(!takes(false), "the same again");
    bulletin.tell(Facts::new(node()));
    assert!(takes(false) && !takes(false));
    bulletin.volumes(Table::default(), None);
    assert!(takes(false) && !takes(false));
    bulletin.volumes(Table::default(), None);
    assert!(!takes(false), "the same again");
    bulletin.volumes(Table::default(), Some(Vec::new()));
    assert!(takes(false) && !takes(false));
    bulletin.notice(firecamp_controllers::publish::Notice::Restored([10, 0, 1, 50].into()));
    assert!(takes(false) && !takes(false));
}
