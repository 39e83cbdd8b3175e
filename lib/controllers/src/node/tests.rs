mod ec2;
mod evict;
mod metadata;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::KernelOwner;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, Mac, Member, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::machine::{Failure, Maintenance};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{Holder, PodView};
use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_node::kernel::Change;
use firecamp_node::preflight::facts::{Cni, Fact, NodeFacts};
use firecamp_node::volumes::Recheck;

use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
const TICK: Event =
    Event::Tick(Tick { random: 0.5, volumes: Recheck::Never, offered_volumes: None });

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn identity() -> NodeIdentity {
    let eni = Eni {
        id: parsed("eni-0000000a"),
        mac: parsed("06:00:00:00:00:01"),
        device_index: 0,
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        primary_address: Ipv4Addr::new(10, 0, 1, 10),
        listed: [ADDRESS].into(),
        prefixes: 0,
    };
    NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![eni],
    }
}

fn listing() -> Listing {
    let record = StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: Member::new("demo", "redis-0").unwrap(),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: parsed("u1"),
            node: parsed("here"),
            eni: Some(parsed("eni-0000000a")),
            run: parsed("run"),
            served: true,
        }),
        reserved_on: Some(parsed("eni-0000000a")),
        pending_mutations: BTreeSet::new(),
    };
    let pods = [(record.member.clone(), PodView::Vouched)].into();
    Listing { records: [(ADDRESS, record)].into(), pods, ..Listing::default() }
}

/// A controller with the kernel of its node.
struct Node {
    controller: NodeController,
    /// None: the kernel cannot be read.
    kernel: Option<KernelSnapshot>,
    complete: bool,
    /// False: no target can be viewed.
    viewable: bool,
    now: Moment,
}

impl Node {
    /// The node holds the address by its lock, and its kernel has it.
    fn new() -> Self {
        let (node, cluster) = (parsed("here"), parsed("prod"));
        let controller = NodeController::new(node, cluster, EniRule::Auto, None, 0.0);
        let holder = Holder { pod: parsed::<PodUid>("u1"), epoch: Epoch(5) };
        let kernel = KernelSnapshot {
            kernel: [(ADDRESS, KernelOwner::Ours)].into(),
            locks: [(ADDRESS, LockRecord { holder, hold: Hold::Held })].into(),
            ..KernelSnapshot::default()
        };
        Self {
            controller,
            kernel: Some(kernel),
            complete: true,
            viewable: true,
            now: Moment::default(),
        }
    }

    /// The same after the first reads.
    fn observed() -> Self {
        let mut node = Self::new();
        for event in [TICK, Event::Identified(Ok(identity())), Event::Listed(Ok(listing()))] {
            node.handle(event);
        }
        node
    }

    /// Handles an event and the reads of the kernel to which it leads. Returns the other effects.
    fn handle(&mut self, event: Event) -> Vec<Effect> {
        let (mut next, mut others) = (Some(event), Vec::new());
        while let Some(event) = next.take() {
            for effect in self.controller.handle(event, self.now) {
                match effect {
                    Effect::ReadKernel { links } => {
                        let links = links.then(Vec::new);
                        next = Some(Event::KernelRead(self.kernel.clone(), links));
                    }
                    Effect::ViewKernel(targets) => {
                        let view = KernelView {
                            link: Some("eth0".to_owned()),
                            link_up: true,
                            address: self.complete,
                            routing: true,
                            ..KernelView::default()
                        };
                        let view = self.viewable.then_some(view);
                        let views = targets.into_iter().map(|target| (target, view.clone()));
                        next = Some(Event::KernelViewed(views.collect()));
                    }
                    Effect::Start(_)
                    | Effect::WriteSnapshot(_)
                    | Effect::ListEnis { .. }
                    | Effect::AvoidEnis(_)
                    | Effect::IdentifyCluster(_)
                    | Effect::ObserveVolumes(_)
                    | Effect::Publish(_)
                    | Effect::Notify(_)
                    | Effect::Report(_) => others.push(effect),
                }
            }
        }
        others
    }

    /// The operations that start.
    fn operations(&mut self, event: Event) -> Vec<OperationKind> {
        let started = |task| {
            let Task::Execute(operation, ADDRESS, _) = task else { return None };
            Some(OperationKind::of(&operation))
        };
        tasks(self.handle(event)).into_iter().filter_map(started).collect()
    }

    /// Another program removes the address.
    fn strip(&mut self) -> Vec<OperationKind> {
        self.complete = false;
        self.operations(Event::KernelChanged(vec![Change::Address(ADDRESS)]))
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }
}

fn tasks(effects: Vec<Effect>) -> Vec<Task> {
    let task = |effect| if let Effect::Start(task) = effect { Some(task) } else { None };
    effects.into_iter().filter_map(task).collect()
}

fn failed() -> Event {
    let failure = Failure { exit: Exit::Internal, message: "refused".to_owned(), address: None };
    Event::OperationEnded(ADDRESS, OperationKind::Restore, Some(Outcome::Failed(failure)))
}

#[test]
fn first_tick_starts_every_periodic_read_and_a_change_a_list_of_known_addresses() {
    let mut node = Node::new();
    let effects = [node.handle(TICK), node.handle(Event::RegistryChanged)];
    let known = BTreeSet::from([ADDRESS]);
    assert_eq!(
        tasks(effects.concat()),
        [Task::Identify(None), Task::QueryClaims([].into()), Task::ReadFiles, Task::List(known)]
    );
}

#[test]
fn files_of_the_node_are_read_every_five_seconds_at_first_and_then_every_ten_minutes() {
    let mut node = Node::new();
    let mut read_at = Vec::new();
    for second in 0..=1_800 {
        if tasks(node.handle(TICK)).contains(&Task::ReadFiles) {
            read_at.push(second);
            node.handle(Event::Files(NodeFacts::default()));
        }
        node.pass(Duration::from_secs(1));
    }
    let first: Vec<i32> = (0..600).step_by(5).collect();
    assert_eq!(read_at, [first, vec![600, 1_200, 1_800]].concat());
}

#[test]
fn f057_the_node_counts_as_read_after_the_metadata_service_and_its_files() {
    let reads: [fn() -> Event; 2] =
        [|| Event::Identified(Ok(identity())), || Event::Files(NodeFacts::unread("late"))];
    for order in [[0, 1], [1, 0]] {
        let mut node = Node::new();
        let seen = [TICK, reads[order[0]](), reads[order[1]]()].map(|event| {
            let listed = |effect: Effect| {
                let Effect::ListEnis { read, .. } = effect else { return None };
                Some(read)
            };
            node.handle(event).into_iter().find_map(listed)
        });
        assert_eq!(seen, [Some(false), Some(false), Some(true)], "{order:?}");
    }
}

#[test]
fn stripped_address_is_restored_by_one_operation() {
    let mut node = Node::observed();
    assert_eq!(node.strip(), [OperationKind::Restore]);
    assert_eq!(node.strip(), [], "it runs");
    assert!(!node.controller.is_idle());
    node.complete = true;
    let what = Maintenance::Restored;
    let outcome = Some(Outcome::Maintained { what, address: ADDRESS });
    let ended = node.handle(Event::OperationEnded(ADDRESS, OperationKind::Restore, outcome));
    let notice = Effect::Notify(crate::publish::Notice::Restored(ADDRESS));
    assert!(ended.contains(&notice), "{ended:?}");
    assert!(node.controller.is_idle());
}

#[test]
fn failed_operation_backs_off_twice_as_long_each_time() {
    let mut node = Node::observed();
    assert_eq!(node.strip(), [OperationKind::Restore]);
    for backoff in [50, 100, 200] {
        assert_eq!(node.operations(failed()), []);
        node.pass(Duration::from_millis(backoff - 1));
        assert_eq!(node.strip(), [], "{backoff} ms have not passed");
        node.pass(Duration::from_millis(1));
        assert_eq!(node.strip(), [OperationKind::Restore]);
    }
}

/// The record is held by this pod, which is gone.
fn gone(node: &mut Node, pod: &str) -> Vec<OperationKind> {
    let mut listing = listing();
    listing.pods = [(Member::new("demo", "redis-0").unwrap(), PodView::Absent)].into();
    let record = listing.records.get_mut(&ADDRESS).unwrap();
    record.attachment.as_mut().unwrap().pod = parsed(pod);
    node.handle(Event::RegistryChanged);
    node.operations(Event::Listed(Ok(listing)))
}

#[test]
fn a_release_that_ec2_denied_does_not_delay_that_of_the_next_pod() {
    let mut node = Node::observed();
    assert_eq!(gone(&mut node, "u1"), [OperationKind::Release]);
    let exit = Exit::CloudRefused;
    let failure = Failure { exit, message: "denied".to_owned(), address: None };
    let denied = Some(Outcome::Failed(failure));
    node.handle(Event::OperationEnded(ADDRESS, OperationKind::Release, denied));
    node.pass(Duration::from_secs(10));
    assert_eq!(gone(&mut node, "u1"), [], "it backs off for a minute");
    assert_eq!(gone(&mut node, "u2"), [OperationKind::Release]);
}

#[test]
fn failed_kernel_read_plans_from_the_last_observations_and_reads_again() {
    let mut node = Node::observed();
    let kernel = node.kernel.take();
    assert_eq!(node.strip(), []);
    node.kernel = kernel;
    assert_eq!(node.operations(Event::RegistryChanged), [OperationKind::Restore]);
}

#[test]
fn target_that_could_not_be_viewed_is_read_again_with_the_next_event() {
    let mut node = Node::observed();
    node.viewable = false;
    assert_eq!(node.strip(), []);
    node.viewable = true;
    assert_eq!(node.operations(Event::RegistryChanged), [OperationKind::Restore]);
}

#[test]
fn failed_list_leads_to_the_next_one_only_when_something_changes() {
    let mut node = Node::observed();
    let lists =
        |effects| tasks(effects).iter().filter(|task| matches!(task, Task::List(_))).count();
    assert_eq!(lists(node.handle(Event::RegistryChanged)), 1);
    let kind = RegistryKind::Unavailable;
    let effect = firecamp_core::failure::Effect::None;
    let failure = RegistryFailure { kind, effect, detail: String::new() };
    assert_eq!(lists(node.handle(Event::Listed(Err(failure)))), 0);
    assert_eq!(lists(node.handle(Event::RegistryChanged)), 1);
    assert_eq!(lists(node.handle(Event::RegistryChanged)), 0, "one runs");
}

#[test]
fn kernel_read_that_nobody_requested_is_ignored() {
    let mut node = Node::observed();
    let empty = Event::KernelRead(Some(KernelSnapshot::default()), None);
    let effects = node.controller.handle(empty, node.now);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ViewKernel(_))), "{effects:?}");
}

#[test]
fn stopped_controller_starts_nothing() {
    let starts = |effects: Vec<Effect>| {
        effects.into_iter().filter(|effect| matches!(effect, Effect::Start(_))).count()
    };
    let minute = |node: &mut Node| node.now = node.now.plus(Duration::from_mins(1));
    let (mut running, mut stopped) = (Node::observed(), Node::observed());
    minute(&mut running);
    minute(&mut stopped);
    assert_eq!(stopped.controller.stop(stopped.now), []);
    assert_ne!(starts(running.handle(TICK)), 0);
    assert_eq!(starts(stopped.handle(TICK)), 0);
}

#[test]
fn stopped_controller_completes_its_operations_and_plans_nothing() {
    let mut node = Node::observed();
    assert_eq!(node.strip(), [OperationKind::Restore]);
    assert_eq!(node.controller.stop(node.now), []);
    let interrupted = Event::OperationEnded(ADDRESS, OperationKind::Restore, None);
    let effects = node.handle(interrupted);
    assert!(matches!(effects.as_slice(), [Effect::Report(Report::Ended(_))]), "{effects:?}");
    assert!(node.controller.is_idle());
}
