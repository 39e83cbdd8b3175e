//! `firecamp explain`: a golden output for each reason.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_cli::explain::facts::{Answer, Facts, FileState, NodeFacts};
use firecamp_cli::explain::links::LinkState;
use firecamp_cli::explain::reason::Reason;
use firecamp_cli::explain::{Explanation, explain, people};
use firecamp_core::agent::KernelOwner;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::ids::{EniId, Epoch, InstanceId, Member, NodeName, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{
    Controller, Holder, KernelView, Owner, OwnerEni, PodLifecycle, PodView,
};
use firecamp_core::record::{Claim, State, StaticIp};
use firecamp_registry::api::{AddressStatus, AttachmentState, Condition, Problem, VOLUME_READY};
use firecamp_registry::conformance::{attached, claim, member, static_ip};

use super::support::{ENI, NODE, POD, address, golden, held, sample_pool};

pub(crate) const OTHER_ENI: &str = "eni-0123456789abcdef9";

fn redis() -> Member {
    member(0).unwrap()
}

fn pod_named(uid: &str, node: &str, lifecycle: PodLifecycle) -> PodView {
    let node = Some(NodeName::new(node).unwrap());
    PodView::Present { pod: PodUid::new(uid).unwrap(), node, lifecycle, controller: None }
}

fn lock(uid: &str, epoch: u64, hold: Hold) -> Answer<Option<LockRecord>> {
    let holder = Holder { pod: PodUid::new(uid).unwrap(), epoch: Epoch(epoch) };
    Answer::Known(Some(LockRecord { holder, hold }))
}

fn complete() -> KernelView {
    KernelView {
        link: Some("ens5".to_owned()),
        link_up: true,
        address: true,
        tagged: true,
        routing: true,
        recorded: None,
        assigned: Some(Duration::from_mins(1)),
    }
}

fn shown_on(eni: &str, cluster: Option<&str>) -> Answer<Owner> {
    Answer::Known(Owner::Eni(OwnerEni {
        id: EniId::new(eni).unwrap(),
        primary: false,
        cluster: cluster.map(str::to_owned),
        instance: InstanceId::new("i-0123456789abcdef9").ok(),
        description: String::new(),
    }))
}

/// A healthy member, checked on its own node, with EC2.
fn healthy() -> Facts {
    let object = Claim { address: Some(address(20)), ..claim(&redis(), &sample_pool()) };
    Facts {
        member: redis(),
        claim: Answer::Known(Some(object)),
        conditions: Answer::Known(Vec::new()),
        address: Answer::Known(Some(held(20, &redis(), 3))),
        recorded: None,
        pod: Answer::Known(pod_named(POD, NODE, PodLifecycle::Running)),
        owner: shown_on(ENI, Some("prod")),
        here: NodeName::new(NODE).ok(),
        node: NodeFacts {
            lock: lock(POD, 3, Hold::Held),
            mark: Answer::Known(Some(KernelOwner::Ours)),
            view: Answer::Known(complete()),
            file: Answer::Known(FileState::Contains(address(20))),
        },
        agent: Answer::Known(None),
    }
}

fn record(facts: &mut Facts) -> &mut StaticIp {
    let Answer::Known(Some(ip)) = &mut facts.address else { panic!("no address to change") };
    ip
}

fn state(facts: &mut Facts, state: State) {
    record(facts).attachment.as_mut().unwrap().state = state;
}

fn view(facts: &mut Facts, change: impl FnOnce(&mut KernelView)) {
    let mut view = complete();
    change(&mut view);
    facts.node.view = Answer::Known(view);
}

/// The same member, checked from another machine.
fn remote(facts: &mut Facts) {
    facts.node = NodeFacts::unknown("can only be checked on the node");
    facts.owner = Answer::unknown("no AWS credentials");
}

fn agent_status(change: impl FnOnce(&mut AddressStatus)) -> Answer<Option<AddressStatus>> {
    let mut status = AddressStatus {
        address: "10.1.0.20".to_owned(),
        member: "prod/redis-0".to_owned(),
        epoch: 3,
        state: AttachmentState::Attached,
        pod_uid: POD.to_owned(),
        eni: Some(ENI.to_owned()),
        in_ec2: Some(true),
        in_kernel: Some(true),
        in_file: None,
        problem: None,
    };
    change(&mut status);
    Answer::Known(Some(status))
}

/// The claim is bound to StatefulSet redis, and this controls the pod.
fn bind(facts: &mut Facts, by: Option<Controller>) {
    let Answer::Known(Some(claim)) = &mut facts.claim else { panic!("no claim to bind") };
    claim.set = Some("redis".parse().unwrap());
    let Answer::Known(PodView::Present { controller, .. }) = &mut facts.pod else {
        panic!("no pod to control");
    };
    *controller = by;
}

/// The VolumeReady condition of the claim.
fn volume_ready(status: &str, reason: &str, message: &str) -> Answer<Vec<Condition>> {
    claim_condition(VOLUME_READY, status, reason, message)
}

fn claim_condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) -> Answer<Vec<Condition>> {
    let text = str::to_owned;
    Answer::Known(vec![Condition {
        kind: text(kind),
        status: text(status),
        reason: text(reason),
        message: text(message),
        last_transition_time: None,
        observed_generation: Some(1),
    }])
}

fn stuck() -> Answer<Vec<Condition>> {
    let message = "node-1 (i-0a): volume vol-0123456789abcdef0 (PersistentVolumeClaim \
                   data-redis-0, attaching): EC2 has been attaching the volume as /dev/sdf and does\
                   \x20not finish.";
    volume_ready("False", "StuckAttaching", message)
}

type Case = (&'static str, Reason, fn(&mut Facts));

const RECORDS: &[Case] = &[
    ("all links ok", Reason::Reachable, |_facts| {}),
    ("the registry is unreachable", Reason::RegistryUnreadable, |facts| {
        facts.claim = Answer::unknown("read StaticIPClaim prod/redis-0: no answer within 5 s");
    }),
    ("the StaticIP cannot be read", Reason::RegistryUnreadable, |facts| {
        facts.address = Answer::unknown("read StaticIP 10.1.0.20: 403 Forbidden");
    }),
    ("no claim", Reason::ClaimNotFound, |facts| facts.claim = Answer::Known(None)),
    ("no claim, but a StaticIP", Reason::ClaimNotFound, |facts| {
        facts.claim = Answer::Known(None);
        facts.recorded = Some(address(20));
    }),
    ("a claim without an address", Reason::ClaimUnbound, |facts| {
        facts.claim = Answer::Known(Some(claim(&redis(), &sample_pool())));
    }),
    ("a claim that waits for its first pod", Reason::ClaimUnbound, |facts| {
        facts.claim = Answer::Known(Some(claim(&redis(), &sample_pool())));
        let words = "the member's first start chooses an address of pool a";
        facts.conditions = claim_condition("Bound", "False", "AwaitingFirstStart", words);
    }),
    ("a claim of a pool that is full", Reason::CannotBind, |facts| {
        facts.claim = Answer::Known(Some(claim(&redis(), &sample_pool())));
        let words = "pool a has no free address";
        facts.conditions = claim_condition("Bound", "False", "NoFreeAddress", words);
    }),
    ("a first pod whose volume is not ready", Reason::VolumeNotReady, |facts| {
        facts.claim = Answer::Known(Some(claim(&redis(), &sample_pool())));
        facts.conditions = stuck();
    }),
    ("a pod whose volume is not ready", Reason::VolumeNotReady, |facts| {
        state(facts, State::Parked);
        facts.conditions = stuck();
    }),
    ("a pod whose volumes are ready", Reason::Reachable, |facts| {
        facts.conditions =
            volume_ready("True", "Mounted", "node-1 has mounted all volumes of the pod");
    }),
    ("a pod that is gone, whose volume was not ready", Reason::NotInUse, |facts| {
        state(facts, State::Parked);
        facts.pod = Answer::Known(PodView::Absent);
        facts.node.mark = Answer::Known(None);
        facts.conditions = stuck();
    }),
    ("an address without an object", Reason::StaticIPNotFound, |facts| {
        facts.address = Answer::Known(None);
    }),
    ("an address of another member", Reason::AddressOfAnotherMember, |facts| {
        record(facts).member = member(7).unwrap();
    }),
    ("a claim that is bound to a StatefulSet", Reason::Reachable, |facts| bind(facts, None)),
    ("an orphaned pod of the StatefulSet", Reason::Reachable, |facts| {
        bind(facts, Some(Controller::Other("ReplicaSet redis-7".to_owned())));
    }),
    ("a pod of another controller", Reason::ControllerMismatch, |facts| {
        bind(facts, Some(Controller::Other("ReplicaSet redis-7".to_owned())));
        record(facts).attachment.as_mut().unwrap().pod = PodUid::new("pod-0").unwrap();
        state(facts, State::Parked);
    }),
    ("a pod that nothing controls", Reason::ControllerMismatch, |facts| {
        bind(facts, None);
        record(facts).attachment.as_mut().unwrap().pod = PodUid::new("pod-0").unwrap();
        state(facts, State::Parked);
    }),
    ("never attached", Reason::NeverAttached, |facts| {
        facts.address = Answer::Known(static_ip(address(20), &redis(), &sample_pool()).ok());
    }),
    ("an attach in progress", Reason::Attaching, |facts| {
        let ip = static_ip(address(20), &redis(), &sample_pool()).unwrap();
        facts.address = Answer::Known(attached(&ip, 1).ok());
    }),
    ("an attach whose pod is gone", Reason::PodGone, |facts| {
        state(facts, State::Attaching);
        facts.pod = Answer::Known(PodView::Absent);
    }),
    ("being released from EC2", Reason::Releasing, |facts| {
        let ip = record(facts);
        let now = ip.attachment.as_mut().unwrap();
        (now.state, now.eni) = (State::Releasing, None);
    }),
    ("a pod that has not acquired it", Reason::AwaitingInit, |facts| state(facts, State::Parked)),
    ("a pod that is gone", Reason::PodGone, |facts| facts.pod = Answer::Known(PodView::Absent)),
    ("a pod that has finished", Reason::PodGone, |facts| {
        facts.pod = Answer::Known(pod_named(POD, NODE, PodLifecycle::Terminal));
    }),
    ("another pod", Reason::HeldByAnotherPod, |facts| {
        facts.pod = Answer::Known(pod_named("pod-2", NODE, PodLifecycle::Running));
    }),
    ("the pod runs on another node", Reason::PodOnAnotherNode, |facts| {
        facts.pod = Answer::Known(pod_named(POD, "node-9", PodLifecycle::Running));
    }),
    ("a call in flight", Reason::CallInFlight, |facts| {
        let ip = static_ip(address(20), &redis(), &sample_pool()).unwrap();
        record(facts).pending_mutations = attached(&ip, 1).unwrap().pending_mutations;
    }),
    ("parked without a pod", Reason::NotInUse, |facts| {
        state(facts, State::Parked);
        facts.pod = Answer::Known(PodView::Absent);
        facts.node.mark = Answer::Known(None);
    }),
];

const BEYOND: &[Case] = &[
    ("EC2 has it nowhere", Reason::NotOnAnyInterface, |facts| {
        facts.owner = Answer::Known(Owner::Unassigned);
    }),
    ("EC2 has it elsewhere", Reason::Misplaced, |facts| {
        facts.owner = shown_on(OTHER_ENI, Some("prod"));
    }),
    ("a foreign interface has it", Reason::HeldByForeignInterface, |facts| {
        facts.owner = shown_on(OTHER_ENI, None);
    }),
    ("a registry that was rolled back", Reason::LockAhead, |facts| {
        facts.node.lock = lock("pod-9", 9, Hold::Held);
    }),
    ("released on the node", Reason::LockReleased, |facts| {
        facts.node.lock = lock(POD, 3, Hold::Released);
    }),
    ("the lock names an earlier holder", Reason::LockBehind, |facts| {
        facts.node.lock = lock("pod-0", 2, Hold::Held);
    }),
    ("no link", Reason::LinkMissing, |facts| view(facts, |view| view.link = None)),
    ("a link that is down", Reason::LinkDown, |facts| view(facts, |view| view.link_up = false)),
    ("missing from the kernel", Reason::MissingInKernel, |facts| {
        view(facts, |view| view.address = false);
    }),
    ("missing from the kernel, without IMDS", Reason::MissingInKernel, |facts| {
        facts.node.view = Answer::unknown("the metadata service is unreachable");
        facts.node.mark = Answer::Known(None);
    }),
    ("a rule is missing", Reason::RoutingMissingInKernel, |facts| {
        view(facts, |view| view.routing = false);
    }),
    ("left over in the kernel", Reason::LeftoverInKernel, |facts| {
        state(facts, State::Parked);
        facts.pod = Answer::Known(PodView::Absent);
    }),
    ("no file", Reason::FileMissing, |facts| facts.node.file = Answer::Known(FileState::Absent)),
    ("another address in the file", Reason::FileMismatch, |facts| {
        facts.node.file = Answer::Known(FileState::Contains(address(21)));
    }),
    ("an invalid file", Reason::FileInvalid, |facts| {
        let why = "/data/conf/x: the static-IP file is empty".to_owned();
        facts.node.file = Answer::Known(FileState::Invalid(why));
    }),
    ("remote, without a report", Reason::NotVerified, |facts| {
        remote(facts);
        facts.agent = Answer::unknown("no agent has published a report");
    }),
    ("remote, with a healthy report", Reason::NotVerified, |facts| {
        remote(facts);
        facts.agent = agent_status(|_good| {});
    }),
    ("remote, with a report of a problem", Reason::MissingInKernel, |facts| {
        remote(facts);
        facts.agent = agent_status(|status| {
            status.in_kernel = Some(false);
            let (reason, message) =
                ("MissingInKernel".to_owned(), "the rule is missing".to_owned());
            status.problem = Some(Problem { reason, message });
        });
    }),
    ("remote, with a report for an earlier epoch", Reason::NotVerified, |facts| {
        remote(facts);
        facts.agent = agent_status(|status| (status.epoch, status.in_kernel) = (2, Some(false)));
    }),
];

fn explained((_name, _reason, change): &Case) -> Explanation {
    let mut facts = healthy();
    change(&mut facts);
    explain(&facts)
}

fn cases() -> impl Iterator<Item = &'static Case> {
    RECORDS.iter().chain(BEYOND)
}

#[test]
fn each_reason_is_reported_at_its_link_with_advice() {
    let mut text = String::new();
    for case in cases() {
        let explanation = explained(case);
        assert_eq!(explanation.reason, case.1, "{}:\n{}", case.0, people(&explanation));
        text.extend([format!("=== {}\n{}\n", case.0, people(&explanation))]);
    }
    golden("explain.txt", &text);
}

#[test]
fn every_reason_has_a_case() {
    let met: BTreeSet<Reason> = cases().map(|case| case.1).collect();
    assert_eq!(met, Reason::ALL.iter().copied().collect());
}

/// No link is broken for any set of unknown facts.
#[test]
fn unknown_facts_break_no_link() {
    let changes: [fn(&mut Facts); 9] = [
        |facts| facts.claim = Answer::unknown("unreachable"),
        |facts| facts.conditions = Answer::unknown("unreachable"),
        |facts| facts.address = Answer::unknown("unreachable"),
        |facts| facts.pod = Answer::unknown("unreachable"),
        |facts| facts.owner = Answer::unknown("unreachable"),
        |facts| facts.node.lock = Answer::unknown("unreachable"),
        |facts| facts.node.mark = Answer::unknown("unreachable"),
        |facts| facts.node.view = Answer::unknown("unreachable"),
        |facts| facts.node.file = Answer::unknown("unreachable"),
    ];
    for mask in 0_u32..512 {
        let mut facts = healthy();
        for (bit, change) in changes.iter().enumerate() {
            if mask & (1 << bit) != 0 {
                change(&mut facts);
            }
        }
        let explanation = explain(&facts);
        let wrong = |state| matches!(state, LinkState::Broken | LinkState::Pending);
        let broken = explanation.links.iter().find(|link| wrong(link.state));
        assert!(broken.is_none(), "{mask:b}: {explanation:?}");
        assert_ne!(explanation.exit(), CheckExit::Problems, "{mask:b}");
    }
}
