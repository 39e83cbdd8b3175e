//! `firecamp explain`: a golden text for each link that can break.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_cli::explain::facts::{Asked, Facts, FileFact, NodeFacts};
use firecamp_cli::explain::reason::Reason;
use firecamp_cli::explain::verdict::LinkState;
use firecamp_cli::explain::{Explanation, explain, people};
use firecamp_core::agent::KernelMark;
use firecamp_core::contract::exit::Look;
use firecamp_core::ids::{EniId, Epoch, InstanceId, Member, NodeName, PodUid};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{Controller, Holder, KernelView, Life, Owner, OwnerEni, PodView};
use firecamp_core::record::{Claim, State, StaticIp};
use firecamp_registry::api::{AddressStatus, AttachmentState, Condition, Problem, VOLUME_READY};
use firecamp_registry::conformance::{attached, claim, member, static_ip};

use super::support::{ENI, NODE, POD, address, golden, held, sample_pool};

pub(crate) const OTHER_ENI: &str = "eni-0123456789abcdef9";

fn redis() -> Member {
    member(0).unwrap()
}

fn pod_named(uid: &str, node: &str, life: Life) -> PodView {
    let node = Some(NodeName::new(node).unwrap());
    PodView::Present { pod: PodUid::new(uid).unwrap(), node, life, controller: None }
}

fn lock(uid: &str, epoch: u64, hold: Hold) -> Asked<Option<LockRecord>> {
    let holder = Holder { pod: PodUid::new(uid).unwrap(), epoch: Epoch(epoch) };
    Asked::Known(Some(LockRecord { holder, hold }))
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

pub(crate) fn shown_on(eni: &str, cluster: Option<&str>) -> Asked<Owner> {
    Asked::Known(Owner::Eni(OwnerEni {
        id: EniId::new(eni).unwrap(),
        primary: false,
        cluster: cluster.map(str::to_owned),
        instance: InstanceId::new("i-0123456789abcdef9").ok(),
        description: String::new(),
    }))
}

/// A member that serves, seen from its own node, with EC2.
fn whole() -> Facts {
    let object = Claim { address: Some(address(20)), ..claim(&redis(), &sample_pool()) };
    Facts {
        member: redis(),
        claim: Asked::Known(Some(object)),
        said: Asked::Known(Vec::new()),
        address: Asked::Known(Some(held(20, &redis(), 3))),
        kept: None,
        pod: Asked::Known(pod_named(POD, NODE, Life::Running)),
        owner: shown_on(ENI, Some("prod")),
        here: NodeName::new(NODE).ok(),
        node: NodeFacts {
            lock: lock(POD, 3, Hold::Held),
            mark: Asked::Known(Some(KernelMark::Ours)),
            view: Asked::Known(complete()),
            file: Asked::Known(FileFact::Holds(address(20))),
        },
        agent: Asked::Known(None),
    }
}

fn record(facts: &mut Facts) -> &mut StaticIp {
    let Asked::Known(Some(ip)) = &mut facts.address else { panic!("no address to change") };
    ip
}

fn state(facts: &mut Facts, state: State) {
    record(facts).attachment.as_mut().unwrap().state = state;
}

fn view(facts: &mut Facts, change: impl FnOnce(&mut KernelView)) {
    let mut seen = complete();
    change(&mut seen);
    facts.node.view = Asked::Known(seen);
}

/// The same member as it is seen from somebody's laptop.
fn far_away(facts: &mut Facts) {
    facts.node = NodeFacts::unseen("only the node itself can tell");
    facts.owner = Asked::not("no AWS credentials");
}

fn said(change: impl FnOnce(&mut AddressStatus)) -> Asked<Option<AddressStatus>> {
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
    Asked::Known(Some(status))
}

/// The claim is bound to StatefulSet redis, and this controls the pod.
fn bind(facts: &mut Facts, by: Option<Controller>) {
    let Asked::Known(Some(claim)) = &mut facts.claim else { panic!("no claim to bind") };
    claim.set = Some("redis".parse().unwrap());
    let Asked::Known(PodView::Present { controller, .. }) = &mut facts.pod else {
        panic!("no pod to control");
    };
    *controller = by;
}

/// What the pod's agent says of its volumes.
fn volume_ready(status: &str, reason: &str, message: &str) -> Asked<Vec<Condition>> {
    said_of_claim(VOLUME_READY, status, reason, message)
}

fn said_of_claim(kind: &str, status: &str, reason: &str, message: &str) -> Asked<Vec<Condition>> {
    let text = str::to_owned;
    Asked::Known(vec![Condition {
        kind: text(kind),
        status: text(status),
        reason: text(reason),
        message: text(message),
        last_transition_time: None,
        observed_generation: Some(1),
    }])
}

fn stuck() -> Asked<Vec<Condition>> {
    let message = "node-1 (i-0a): volume vol-0123456789abcdef0 (PersistentVolumeClaim \
                   data-redis-0, attaching): EC2 is attaching it as /dev/sdf and does not finish.";
    volume_ready("False", "StuckAttaching", message)
}

type Case = (&'static str, Reason, fn(&mut Facts));

const RECORDS: &[Case] = &[
    ("everything holds", Reason::Reachable, |_facts| {}),
    ("the registry is away", Reason::RegistryUnread, |facts| {
        facts.claim = Asked::not("read StaticIPClaim prod/redis-0: no answer within 5 s");
    }),
    ("the address cannot be read", Reason::RegistryUnread, |facts| {
        facts.address = Asked::not("read StaticIP 10.1.0.20: 403 Forbidden");
    }),
    ("no claim", Reason::NoClaim, |facts| facts.claim = Asked::Known(None)),
    ("no claim, and an address is kept", Reason::NoClaim, |facts| {
        facts.claim = Asked::Known(None);
        facts.kept = Some(address(20));
    }),
    ("a claim without an address", Reason::ClaimUnbound, |facts| {
        facts.claim = Asked::Known(Some(claim(&redis(), &sample_pool())));
    }),
    ("a claim that waits for its first pod", Reason::ClaimUnbound, |facts| {
        facts.claim = Asked::Known(Some(claim(&redis(), &sample_pool())));
        let words = "the member's first start chooses an address of pool a";
        facts.said = said_of_claim("Bound", "False", "AwaitingFirstStart", words);
    }),
    ("a claim of a pool that is full", Reason::CannotBind, |facts| {
        facts.claim = Asked::Known(Some(claim(&redis(), &sample_pool())));
        let words = "pool a has no free address";
        facts.said = said_of_claim("Bound", "False", "NoFreeAddress", words);
    }),
    ("a first pod whose volume does not come", Reason::VolumeNotReady, |facts| {
        facts.claim = Asked::Known(Some(claim(&redis(), &sample_pool())));
        facts.said = stuck();
    }),
    ("a pod whose volume does not come", Reason::VolumeNotReady, |facts| {
        state(facts, State::Parked);
        facts.said = stuck();
    }),
    ("a pod whose volume has come", Reason::Reachable, |facts| {
        facts.said = volume_ready("True", "Mounted", "node-1 has mounted all volumes of the pod");
    }),
    ("a pod that is gone, whose volume did not come", Reason::AtRest, |facts| {
        state(facts, State::Parked);
        facts.pod = Asked::Known(PodView::Absent);
        facts.node.mark = Asked::Known(None);
        facts.said = stuck();
    }),
    ("an address without an object", Reason::AddressMissing, |facts| {
        facts.address = Asked::Known(None);
    }),
    ("an address of somebody else", Reason::AddressOfOther, |facts| {
        record(facts).member = member(7).unwrap();
    }),
    ("a claim that is bound to a StatefulSet", Reason::Reachable, |facts| bind(facts, None)),
    ("a pod that its StatefulSet has left behind", Reason::Reachable, |facts| {
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
        facts.address = Asked::Known(static_ip(address(20), &redis(), &sample_pool()).ok());
    }),
    ("an attach under way", Reason::Attaching, |facts| {
        let ip = static_ip(address(20), &redis(), &sample_pool()).unwrap();
        facts.address = Asked::Known(attached(&ip, 1).ok());
    }),
    ("an attach whose pod is gone", Reason::PodGone, |facts| {
        state(facts, State::Attaching);
        facts.pod = Asked::Known(PodView::Absent);
    }),
    ("on its way out of EC2", Reason::Releasing, |facts| {
        let ip = record(facts);
        let now = ip.attachment.as_mut().unwrap();
        (now.state, now.eni) = (State::Releasing, None);
    }),
    ("a pod that has not taken it", Reason::AwaitingInit, |facts| state(facts, State::Parked)),
    ("a pod that is gone", Reason::PodGone, |facts| facts.pod = Asked::Known(PodView::Absent)),
    ("a pod that has ended", Reason::PodGone, |facts| {
        facts.pod = Asked::Known(pod_named(POD, NODE, Life::Terminal));
    }),
    ("another pod", Reason::PodReplaced, |facts| {
        facts.pod = Asked::Known(pod_named("pod-2", NODE, Life::Running));
    }),
    ("the pod is elsewhere", Reason::PodElsewhere, |facts| {
        facts.pod = Asked::Known(pod_named(POD, "node-9", Life::Running));
    }),
    ("a call in flight", Reason::CallInFlight, |facts| {
        let ip = static_ip(address(20), &redis(), &sample_pool()).unwrap();
        record(facts).unsettled = attached(&ip, 1).unwrap().unsettled;
    }),
    ("parked and wanted by nobody", Reason::AtRest, |facts| {
        state(facts, State::Parked);
        facts.pod = Asked::Known(PodView::Absent);
        facts.node.mark = Asked::Known(None);
    }),
];

const BEYOND: &[Case] = &[
    ("EC2 has it nowhere", Reason::OnNoEni, |facts| facts.owner = Asked::Known(Owner::Nobody)),
    ("EC2 has it elsewhere", Reason::OnOtherEni, |facts| {
        facts.owner = shown_on(OTHER_ENI, Some("prod"));
    }),
    ("a stranger has it", Reason::OnForeignEni, |facts| facts.owner = shown_on(OTHER_ENI, None)),
    ("a registry that was set back", Reason::LockAhead, |facts| {
        facts.node.lock = lock("pod-9", 9, Hold::Held);
    }),
    ("released on the node", Reason::LockReleased, |facts| {
        facts.node.lock = lock(POD, 3, Hold::Released);
    }),
    ("the node knows an older holder", Reason::LockBehind, |facts| {
        facts.node.lock = lock("pod-0", 2, Hold::Held);
    }),
    ("no link", Reason::LinkMissing, |facts| view(facts, |seen| seen.link = None)),
    ("a link that is down", Reason::LinkDown, |facts| view(facts, |seen| seen.link_up = false)),
    ("the kernel lacks it", Reason::KernelLacks, |facts| view(facts, |seen| seen.address = false)),
    ("the kernel lacks it, without IMDS", Reason::KernelLacks, |facts| {
        facts.node.view = Asked::not("the metadata service is away");
        facts.node.mark = Asked::Known(None);
    }),
    ("a rule is missing", Reason::RoutingLacks, |facts| view(facts, |seen| seen.routing = false)),
    ("left over in the kernel", Reason::KernelLeftover, |facts| {
        state(facts, State::Parked);
        facts.pod = Asked::Known(PodView::Absent);
    }),
    ("no file", Reason::FileMissing, |facts| facts.node.file = Asked::Known(FileFact::Absent)),
    ("another address in the file", Reason::FileOther, |facts| {
        facts.node.file = Asked::Known(FileFact::Holds(address(21)));
    }),
    ("a garbled file", Reason::FileGarbled, |facts| {
        let why = "/data/conf/x: the static-IP file is empty".to_owned();
        facts.node.file = Asked::Known(FileFact::Garbled(why));
    }),
    ("from far away, without a report", Reason::Unproven, |facts| {
        far_away(facts);
        facts.agent = Asked::not("no agent has published a report");
    }),
    ("from far away, by a good report", Reason::Unproven, |facts| {
        far_away(facts);
        facts.agent = said(|_good| {});
    }),
    ("from far away, by a bad report", Reason::KernelLacks, |facts| {
        far_away(facts);
        facts.agent = said(|status| {
            status.in_kernel = Some(false);
            let (reason, message) = ("KernelLacks".to_owned(), "the rule is missing".to_owned());
            status.problem = Some(Problem { reason, message });
        });
    }),
    ("from far away, by a report on an older epoch", Reason::Unproven, |facts| {
        far_away(facts);
        facts.agent = said(|status| (status.epoch, status.in_kernel) = (2, Some(false)));
    }),
];

fn explained((_name, _reason, change): &Case) -> Explanation {
    let mut facts = whole();
    change(&mut facts);
    explain(&facts)
}

fn cases() -> impl Iterator<Item = &'static Case> {
    RECORDS.iter().chain(BEYOND)
}

#[test]
fn each_break_is_found_at_its_link_and_told_with_what_to_do() {
    let mut text = String::new();
    for case in cases() {
        let explanation = explained(case);
        assert_eq!(explanation.reason, case.1, "{}:\n{}", case.0, people(&explanation));
        text.extend([format!("=== {}\n{}\n", case.0, people(&explanation))]);
    }
    golden("explain.txt", &text);
}

#[test]
fn every_reason_has_its_case() {
    let met: BTreeSet<Reason> = cases().map(|case| case.1).collect();
    assert_eq!(met, Reason::ALL.iter().copied().collect());
}

/// Whatever single answer is taken away: no link is broken by what is not known.
#[test]
fn what_could_not_be_asked_breaks_nothing() {
    let takes: [fn(&mut Facts); 9] = [
        |facts| facts.claim = Asked::not("away"),
        |facts| facts.said = Asked::not("away"),
        |facts| facts.address = Asked::not("away"),
        |facts| facts.pod = Asked::not("away"),
        |facts| facts.owner = Asked::not("away"),
        |facts| facts.node.lock = Asked::not("away"),
        |facts| facts.node.mark = Asked::not("away"),
        |facts| facts.node.view = Asked::not("away"),
        |facts| facts.node.file = Asked::not("away"),
    ];
    for mask in 0_u32..512 {
        let mut facts = whole();
        for (bit, take) in takes.iter().enumerate() {
            if mask & (1 << bit) != 0 {
                take(&mut facts);
            }
        }
        let explanation = explain(&facts);
        let wrong = |state| matches!(state, LinkState::Broken | LinkState::Waits);
        let broken = explanation.links.iter().find(|link| wrong(link.state));
        assert!(broken.is_none(), "{mask:b}: {explanation:?}");
        assert_ne!(explanation.look(), Look::Problems, "{mask:b}");
    }
}
