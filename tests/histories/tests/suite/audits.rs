//! Every step audit can fail: each gets a case that it must reject, and one that it must accept.

mod adopt;
mod agents;
mod endings;
mod pods;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::ids::Epoch;
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::machine::{Attached, Outcome, Path};
use firecamp_core::ports::Holder;
use firecamp_core::record::{Attachment, Mutation, PendingMutation, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_histories::audit::{
    AddressMove, Audit, Author, Ec2Mutation, KernelWrite, MutationSource, Promise, Truth,
};
use firecamp_histories::cluster::ApiPod;
use firecamp_histories::level::Ready;
use firecamp_histories::names::{EniIx, FOREIGN_ENI, MemberIx, Names, NodeIx, PodIx, ProcessId};
use firecamp_histories::scenario::{Scenario, Swarm};
use firecamp_histories::simulated_cluster::FOREIGN;
use firecamp_testkit::sim::{Disk, Kernel, Tag};

use self::pods::author;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 5);
const POD: PodIx = PodIx(3);
const NODE: NodeIx = NodeIx(1);
const RUN: u32 = 7;

fn eni() -> EniIx {
    NODE.eni(0)
}

fn now() -> Moment {
    Moment(Duration::from_secs(100))
}

/// An audit of a calm cluster without policy routing.
fn audit() -> Audit {
    let mut scenario = Scenario::draw(1);
    scenario.swarm = Swarm::default();
    scenario.script.clear();
    scenario.shape.secondary = false;
    Audit::new(&scenario)
}

fn broke(audit: &Audit) -> Option<Promise> {
    audit.violation().map(|violation| violation.promise)
}

fn record(names: &Names, epoch: u64, state: State) -> StaticIp {
    let there = matches!(state, State::Attaching | State::Attached | State::Parked);
    StaticIp {
        address: ADDRESS,
        pool: names.pool.clone(),
        subnet: names.subnet.clone(),
        cidr: names.cidr,
        zone: names.zone.clone(),
        member: names.member(MemberIx(0)).clone(),
        epoch: Epoch(epoch),
        attachment: Some(Attachment {
            state,
            pod: names.uid(POD),
            node: names.node(NODE).name.clone(),
            eni: there.then(|| names.eni(eni()).id.clone()),
            run: names.run(ProcessId(RUN)),
            served: false,
        }),
        reserved_on: None,
        pending_mutations: BTreeSet::new(),
    }
}

fn mark(names: &Names, run: u32) -> PendingMutation {
    PendingMutation {
        mutation: Mutation::Assign,
        eni: names.eni(NodeIx(2).eni(0)).id.clone(),
        run: names.run(ProcessId(run)),
    }
}

/// A ready pod and a cluster in which everything agrees.
struct Agreed {
    ready: Ready,
    record: StaticIp,
    kernel: Kernel,
    disk: Disk,
}

impl Agreed {
    fn new(names: &Names) -> Self {
        let mac = names.eni(eni()).mac;
        let mut kernel = Kernel::with_links([mac]);
        kernel.addresses.insert(ADDRESS, (mac, Tag::Ours));
        kernel.addresses.insert(FOREIGN, (mac, Tag::Foreign));
        let holder = Holder { pod: names.uid(POD), epoch: Epoch(4) };
        kernel.locks.insert(ADDRESS, LockRecord { holder, hold: Hold::Held });
        let text = Some(ADDRESS.to_string());
        let disk = Disk { visible: text.clone(), durable: text, ..Disk::default() };
        let (member, eni) = (MemberIx(0), eni());
        let ready = Ready { member, node: NODE, address: ADDRESS, epoch: 4, eni };
        Self { ready, record: record(names, 4, State::Attached), kernel, disk }
    }

    fn truth(&self) -> Truth<'_> {
        Truth {
            owner: Some(eni()),
            receiver: Some(eni()),
            record: Some(&self.record),
            kernel: &self.kernel,
            disk: &self.disk,
        }
    }

    fn check(&self, truth: &Truth<'_>) -> Option<Promise> {
        let mut audit = audit();
        audit.check(now(), (POD, self.ready), truth);
        broke(&audit)
    }
}

fn attached(names: &Names, path: Path) -> Outcome {
    Outcome::Attached(Attached {
        address: ADDRESS,
        epoch: Epoch(4),
        eni: names.eni(eni()).id.clone(),
        path,
        barrier: false,
        overlapped: false,
    })
}

#[test]
fn s1_rejects_a_second_address_a_decreasing_epoch_and_another_member() {
    let names = Names::new();
    let fresh = StaticIp { attachment: None, ..record(&names, 0, State::Parked) };
    let mut twice = audit();
    twice.recorded(now(), author(RUN), None, &fresh);
    assert_eq!(broke(&twice), None);
    let other = StaticIp { address: Ipv4Addr::new(10, 0, 1, 50), ..fresh.clone() };
    twice.recorded(now(), author(8), None, &other);
    assert_eq!(broke(&twice), Some(Promise::S1));

    let mut shrinks = audit();
    let (four, three) = (record(&names, 4, State::Attached), record(&names, 3, State::Attached));
    shrinks.recorded(now(), author(RUN), Some(&four), &three);
    assert_eq!(broke(&shrinks), Some(Promise::S1));

    let mut given = audit();
    let other = StaticIp { member: names.member(MemberIx(1)).clone(), ..four.clone() };
    given.recorded(now(), author(RUN), Some(&four), &other);
    assert_eq!(broke(&given), Some(Promise::S1));
}

#[test]
fn s2_holds_if_everything_agrees_and_fails_if_any_one_differs() {
    let names = Names::new();
    let agreed = Agreed::new(&names);
    assert_eq!(agreed.check(&agreed.truth()), None);
    let wrong = Some(Promise::S2);
    assert_eq!(agreed.check(&Truth { owner: None, ..agreed.truth() }), wrong);
    assert_eq!(agreed.check(&Truth { receiver: Some(FOREIGN_ENI), ..agreed.truth() }), wrong);
    assert_eq!(agreed.check(&Truth { record: None, ..agreed.truth() }), wrong);
    let later = record(&names, 5, State::Attached);
    assert_eq!(agreed.check(&Truth { record: Some(&later), ..agreed.truth() }), wrong);
    let parked = record(&names, 4, State::Parked);
    assert_eq!(agreed.check(&Truth { record: Some(&parked), ..agreed.truth() }), wrong);
    let mut stripped = agreed.kernel.clone();
    stripped.strip(ADDRESS);
    assert_eq!(agreed.check(&Truth { kernel: &stripped, ..agreed.truth() }), wrong);
    let mut released = agreed.kernel.clone();
    released.locks.clear();
    assert_eq!(agreed.check(&Truth { kernel: &released, ..agreed.truth() }), wrong);
    let empty = Disk::default();
    assert_eq!(agreed.check(&Truth { disk: &empty, ..agreed.truth() }), wrong);
    let unsynced = Disk { durable: None, ..agreed.disk.clone() };
    assert_eq!(agreed.check(&Truth { disk: &unsynced, ..agreed.truth() }), wrong);
}

#[test]
fn s2_permits_an_external_reassignment_to_break_only_the_data_path_and_only_for_a_time() {
    let names = Names::new();
    let agreed = Agreed::new(&names);
    let taken = Truth { owner: Some(FOREIGN_ENI), ..agreed.truth() };
    let mut audit = audit();
    audit.reassigned_externally(now(), ADDRESS);
    audit.check(now(), (POD, agreed.ready), &taken);
    assert_eq!(broke(&audit), None);
    let mut later = audit.clone();
    let after = |seconds| Moment(now().0 + Duration::from_secs(seconds));
    later.check(now(), (POD, agreed.ready), &agreed.truth());
    later.check(after(1), (POD, agreed.ready), &taken);
    assert_eq!(broke(&later), None, "a pending switch may undo the repair for a moment");
    later.check(after(2), (POD, agreed.ready), &agreed.truth());
    later.check(after(6), (POD, agreed.ready), &agreed.truth());
    later.check(after(7), (POD, agreed.ready), &taken);
    assert_eq!(broke(&later), Some(Promise::S2), "it had been repaired before");
    audit.clear_doubt();
    audit.check(now(), (POD, agreed.ready), &taken);
    assert_eq!(broke(&audit), Some(Promise::S2));
}

#[test]
fn s2_checks_only_pods_that_the_api_shows() {
    let names = Names::new();
    let ready = Agreed::new(&names).ready;
    let mut audit = audit();
    audit.ready(POD, ready);
    assert!(audit.ready_pods().is_empty(), "a zombie's init may succeed");
    audit.shown(MemberIx(0), Some(ApiPod { pod: POD, node: Some(NODE), ending: None }));
    audit.ready(POD, ready);
    assert_eq!(audit.ready_pods(), [(POD, ready)]);
    let mut reported = audit.clone();
    reported.unready(POD);
    assert!(reported.ready_pods().is_empty());
    audit.shown(MemberIx(0), None);
    assert!(audit.ready_pods().is_empty());
}

fn touch(epoch: u64, adds: bool) -> KernelWrite {
    KernelWrite { slot: RUN, node: NODE, address: ADDRESS, epoch, adds, fixed: None }
}

#[test]
fn s3_rejects_a_superseded_run_in_the_kernel_in_ec2_and_in_the_record() {
    let names = Names::new();
    let kernel = Agreed::new(&names).kernel;
    let touch = |epoch| touch(epoch, true);
    let mut late = audit();
    late.touched(now(), touch(4), &kernel);
    late.touched(now(), KernelWrite { node: NodeIx(0), ..touch(3) }, &kernel);
    assert_eq!(broke(&late), None, "another node's kernel does not count");
    late.touched(now(), touch(3), &kernel);
    assert_eq!(broke(&late), Some(Promise::S3));

    let held = record(&names, 4, State::Attaching);
    let mut moved = audit();
    let before = record(&names, 3, State::Parked);
    moved.recorded(now(), author(RUN), Some(&before), &held);
    moved.confirmed(&held, RUN);
    let moving = AddressMove { address: ADDRESS, from: Some(eni()), to: Some(NodeIx(2).eni(0)) };
    let by = MutationSource { slot: 2, announced: false, after_deadline: false };
    let mut after_deadline = moved.clone();
    after_deadline.moved(now(), MutationSource { after_deadline: true, ..by }, moving, Some(&held));
    assert_eq!(broke(&after_deadline), None, "outside A1 it may happen");
    moved.moved(now(), by, moving, Some(&held));
    assert_eq!(broke(&moved), Some(Promise::S3));

    let mut taken = audit();
    let others = record(&names, 4, State::Attached);
    let mut mine = others.clone();
    mine.attachment.as_mut().unwrap().pod = names.uid(PodIx(9));
    taken.recorded(now(), author(2), Some(&others), &mine);
    assert_eq!(broke(&taken), Some(Promise::S3));
}

#[test]
fn s3_only_its_run_or_a_waiting_claimant_clears_a_pending_mutation() {
    let names = Names::new();
    let clean = record(&names, 4, State::Attaching);
    let marked = StaticIp { pending_mutations: BTreeSet::from([mark(&names, 2)]), ..clean.clone() };
    let mut own = audit();
    own.recorded(now(), author(2), Some(&marked), &clean);
    assert_eq!(broke(&own), None);
    let mut other = audit();
    other.recorded(now(), author(5), Some(&marked), &clean);
    assert_eq!(broke(&other), Some(Promise::S3));
    let mut since = audit();
    since.recorded(now(), author(RUN), Some(&marked), &clean);
    assert_eq!(broke(&since), Some(Promise::S3), "it was added after the acquisition");
    let mut claimant = audit();
    let before = StaticIp { epoch: Epoch(3), ..marked.clone() };
    claimant.recorded(now(), author(RUN), Some(&before), &marked);
    claimant.recorded(now(), author(RUN), Some(&marked), &clean);
    assert_eq!(broke(&claimant), None);
}

#[test]
fn s3_a_release_needs_its_own_epoch_and_a_terminating_pod_and_unassigning_acquires_an_epoch() {
    let names = Names::new();
    let (held, parked) = (record(&names, 4, State::Attached), record(&names, 4, State::Parked));
    let ends = |live: bool, by: Author, after: &StaticIp| {
        let mut audit = audit();
        let ending = (!live).then(now);
        audit.shown(MemberIx(0), Some(ApiPod { pod: POD, node: Some(NODE), ending }));
        audit.recorded(now(), by, Some(&held), after);
        broke(&audit)
    };
    let fixed = Author { fixed: Some(4), ..author(9) };
    assert_eq!(ends(false, fixed, &parked), None);
    assert_eq!(ends(true, fixed, &parked), Some(Promise::S3), "it is not being deleted");
    let older = Author { fixed: Some(3), ..fixed };
    assert_eq!(ends(false, older, &parked), Some(Promise::S3));
    let same = record(&names, 4, State::Releasing);
    assert_eq!(ends(false, fixed, &same), Some(Promise::S1));
    assert_eq!(ends(false, fixed, &record(&names, 5, State::Releasing)), None);
}

#[test]
fn s3_a_pending_mutation_stays_while_a_call_of_its_run_may_land() {
    let names = Names::new();
    let clean = record(&names, 4, State::Attached);
    let marked = StaticIp { pending_mutations: [mark(&names, RUN)].into(), ..clean.clone() };
    let clears = |until: u64| {
        let pending_until = Moment(Duration::from_secs(until));
        let mut audit = audit();
        audit.recorded(now(), Author { pending_until, ..author(RUN) }, Some(&marked), &clean);
        broke(&audit)
    };
    assert_eq!(clears(100), None);
    assert_eq!(clears(101), Some(Promise::S3));
}

#[test]
fn s3_rejects_an_unannounced_mutation_and_a_settled_record_with_pending_mutations() {
    let names = Names::new();
    let call = Ec2Mutation { slot: RUN, eni: eni(), address: ADDRESS, marked: false, shown: false };
    let mut unmarked = audit();
    unmarked.called(now(), call);
    assert_eq!(broke(&unmarked), Some(Promise::S3));

    let taken = record(&names, 4, State::Attaching);
    let settles = |before: &StaticIp| {
        let mut audit = audit();
        audit.recorded(now(), author(RUN), Some(before), &taken);
        let Outcome::Attached(done) = attached(&names, Path::SameNode) else { unreachable!() };
        audit.attached(now(), &done);
        broke(&audit)
    };
    let before = record(&names, 3, State::Parked);
    assert_eq!(settles(&before), None);
    let marked = StaticIp { pending_mutations: BTreeSet::from([mark(&names, 2)]), ..before };
    assert_eq!(settles(&marked), Some(Promise::S3));
}

#[test]
fn k5_rejects_a_removal_after_a_failed_read() {
    let mut audit = audit();
    audit.removes(now(), RUN, ADDRESS, true);
    assert_eq!(broke(&audit), None);
    audit.removes(now(), RUN, ADDRESS, false);
    assert_eq!(broke(&audit), Some(Promise::K5));
}

#[test]
fn s4_rejects_changes_of_foreign_addresses_in_ec2_and_in_the_kernel() {
    let names = Names::new();
    let kernel = Agreed::new(&names).kernel;
    let mut called = audit();
    let call = Ec2Mutation { slot: RUN, eni: eni(), address: ADDRESS, marked: true, shown: false };
    called.called(now(), call);
    assert_eq!(broke(&called), None);
    let mut elsewhere = called.clone();
    elsewhere.called(now(), Ec2Mutation { eni: FOREIGN_ENI, ..call });
    assert_eq!(broke(&elsewhere), Some(Promise::S4));
    let mut seen = called.clone();
    seen.called(now(), Ec2Mutation { shown: true, ..call });
    assert_eq!(broke(&seen), Some(Promise::S4), "its lookup showed the foreign interface");
    called.called(now(), Ec2Mutation { address: FOREIGN, ..call });
    assert_eq!(broke(&called), Some(Promise::S4));

    let mover = MutationSource { slot: RUN, announced: false, after_deadline: false };
    let moving = AddressMove { address: ADDRESS, from: Some(FOREIGN_ENI), to: Some(eni()) };
    let mut long = audit();
    long.reassigned_externally(Moment(Duration::from_secs(1)), ADDRESS);
    long.moved(now(), mover, moving, None);
    assert_eq!(broke(&long), Some(Promise::S4));
    let mut recent = audit();
    recent.reassigned_externally(Moment(Duration::from_secs(98)), ADDRESS);
    recent.moved(now(), mover, moving, None);
    assert_eq!(broke(&recent), None, "no lookup can show it yet");

    let touch = touch(4, true);
    let mut stripped = kernel.clone();
    stripped.addresses.remove(&FOREIGN);
    let mut kernels = audit();
    kernels.touched(now(), touch, &stripped);
    assert_eq!(broke(&kernels), Some(Promise::S4));
    let mut foreign = audit();
    foreign.touched(now(), KernelWrite { address: FOREIGN, ..touch }, &kernel);
    assert_eq!(broke(&foreign), Some(Promise::S4));
}

#[test]
fn s5_rejects_an_address_without_an_eni_unless_announced() {
    let moving = AddressMove { address: ADDRESS, from: Some(eni()), to: None };
    let mover = MutationSource { slot: RUN, announced: false, after_deadline: false };
    let mut lost = audit();
    lost.moved(now(), mover, moving, None);
    assert_eq!(broke(&lost), Some(Promise::S5));
    let mut released = audit();
    released.moved(now(), MutationSource { announced: true, ..mover }, moving, None);
    assert_eq!(broke(&released), None);
}
