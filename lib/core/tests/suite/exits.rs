//! From every state that a crash may leave, however much of it is observed, the agent's operations
//! end with the address held or parked, or with a live process responsible for it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{AddressReadings, Execution, Memory, Observation, Operation, plan};
use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::{EniId, Epoch, NodeName};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::machine::Machine;
use firecamp_core::ports::{
    Holder, KernelTarget, KernelView, Owner, PodLifecycle, PodView, Routing,
};
use firecamp_core::record::{Attachment, Mutation, PendingMutation, State};
use firecamp_core::time::Moment;

use crate::steps::fixture::{self as calm, ADDRESS, eni, member, on, parsed};

/// No state needs more operations than this.
const OPERATIONS: usize = 4;
/// No operation takes more steps than this.
const STEPS: usize = 60;

/// One address: record, node and EC2.
#[derive(Debug, Clone)]
struct Place {
    /// Record, pod and owner, and the replies that do not concern the kernel.
    systems: calm::Fixture,
    lock: Option<LockRecord>,
    address: bool,
    routing: bool,
    now: Moment,
}

fn here() -> NodeName {
    parsed("node-a")
}

fn holder(pod: &str, epoch: u64) -> Holder {
    Holder { pod: parsed(pod), epoch: Epoch(epoch) }
}

fn target() -> KernelTarget {
    let gateway = Ipv4Addr::new(10, 0, 1, 1);
    let routing = Routing { table: 20_001, gateway, subnet: parsed("10.0.1.0/24") };
    KernelTarget { address: ADDRESS, mac: parsed("06:00:00:00:00:0a"), routing: Some(routing) }
}

impl Place {
    fn attachment(&self) -> Attachment {
        self.systems.record().attachment.expect("an attachment")
    }

    fn view(&self) -> KernelView {
        KernelView { address: self.address, routing: self.routing, ..self.systems.view.clone() }
    }

    fn is_here(&self) -> bool {
        self.systems.owner == on('a')
    }

    /// What the agent observes if every read succeeds.
    fn observation(&self, memory: &mut Memory) -> Observation {
        let mut observation = Observation::new(here(), parsed("test"), [parsed("dead")].into());
        let record = self.systems.record();
        let attached = self.attachment();
        let mine = attached.node == here() && attached.state == State::Attached;
        let look = AddressReadings {
            record: &record,
            lock: self.lock.as_ref(),
            in_kernel: self.address || self.routing,
            kernel: mine.then(|| (target(), self.view())),
            pod: self.systems.pod.clone(),
            in_place: mine.then(|| self.is_here()),
        };
        observation.add(look, memory, self.now);
        observation
    }

    /// What it observes if only the record can be read.
    fn blind(&self) -> Observation {
        let mut observation = Observation::new(here(), parsed("test"), BTreeSet::new());
        let record = self.systems.record();
        let look = AddressReadings {
            record: &record,
            lock: self.lock.as_ref(),
            in_kernel: self.address || self.routing,
            kernel: None,
            pod: PodView::Vouched,
            in_place: None,
        };
        observation.add(look, &mut Memory::default(), self.now);
        observation
    }

    fn adds(&mut self, holder: &Holder) -> bool {
        let may = self.lock.as_ref().is_none_or(|last| last.permits_adding(holder));
        if may {
            self.lock = Some(LockRecord { holder: holder.clone(), hold: Hold::Held });
        }
        may
    }

    fn removes(&mut self, holder: &Holder) -> bool {
        let may = self.lock.as_ref().is_none_or(|last| last.permits_removing(holder));
        if may {
            self.lock = Some(LockRecord { holder: holder.clone(), hold: Hold::Released });
        }
        may
    }

    /// The result of a kernel change under the rule of the lock.
    fn changes_kernel(&mut self, action: &Action) -> Option<Reply> {
        let allowed = if let Action::AddAddress(_, holder) | Action::AddRouting(_, holder) = action
        {
            self.adds(holder)
        } else if let Action::RemoveAddress(_, holder) | Action::RemoveRouting(_, holder) = action {
            self.removes(holder)
        } else {
            return None;
        };
        if !allowed {
            let (kind, detail) = (HostKind::Superseded, "superseded".to_owned());
            return Some(Reply::Host(Err(HostFailure { kind, detail })));
        }
        let (adds, address) = (
            matches!(action, Action::AddAddress(..) | Action::AddRouting(..)),
            matches!(action, Action::AddAddress(..) | Action::RemoveAddress(..)),
        );
        let part = if address { &mut self.address } else { &mut self.routing };
        *part = adds;
        Some(Reply::Host(Ok(true)))
    }

    fn answer(&mut self, action: &Action) -> Reply {
        if let Some(reply) = self.changes_kernel(action) {
            return reply;
        }
        if let Action::Assign { eni: to, .. } = action {
            assert_eq!(*to, eni('a'), "an agent assigns to its own node");
            self.systems.owner = on('a');
        } else if let Action::Unassign { .. } = action {
            self.systems.owner = Owner::Unassigned;
        } else if let Action::Wait(time) = action {
            self.now = self.now.plus(time.length);
        } else if let Action::Observe(_) = action {
            return Reply::Observed(Ok(self.view()));
        }
        self.systems.answer(action)
    }

    /// Runs the operation to its end.
    fn run(&mut self, operation: &Operation) {
        let run = parsed("run-of-agent");
        let mut execution = Execution::new(operation, &parsed("test"), run, self.now);
        for _ in 0..STEPS {
            let action = execution.action();
            if execution.outcome().is_some() {
                return;
            }
            let reply = self.answer(&action);
            self.now = self.now.plus(Duration::from_millis(10));
            execution.reply(reply, self.now);
        }
        assert!(execution.outcome().is_some(), "{operation:?} does not end: {self:#?}");
    }

    /// Plans and runs operations until none is due.
    fn settles(&mut self) {
        let mut memory = Memory::default();
        for _ in 0..=OPERATIONS {
            let observation = self.observation(&mut memory);
            let operations = plan(&observation, self.now);
            assert!(operations.len() <= 1, "{operations:?}");
            let Some(operation) = operations.first().filter(|_operation| !self.is_behind()) else {
                return;
            };
            if let Operation::Reassert { .. } = operation {
                memory.reasserts(self.now);
            }
            self.run(operation);
        }
        assert!(self.is_behind(), "there is no end: {self:#?}");
    }

    /// Runs what is planned while hardly anything is observed.
    fn goes_on_blindly(&mut self) {
        for operation in plan(&self.blind(), self.now) {
            self.run(&operation);
        }
    }

    /// A pod that may be live holds it, and all systems agree.
    fn is_held(&self) -> bool {
        let record = self.systems.record();
        let it = self.attachment();
        let mine = it.state == State::Attached && it.node == here();
        let holder = Holder { pod: it.pod, epoch: record.epoch };
        let held = self.lock == Some(LockRecord { holder, hold: Hold::Held });
        mine && held && self.address && self.routing && self.is_here()
    }

    fn is_clean(&self) -> bool {
        let held = self.lock.as_ref().is_some_and(|last| last.hold == Hold::Held);
        !self.address && !self.routing && !held
    }

    /// No pod holds it, and this node has nothing of it.
    fn is_parked(&self) -> bool {
        let rests = matches!(self.attachment().state, State::Parked | State::Released);
        rests && self.is_clean()
    }

    /// Another node serves it, and this one has nothing of it. If that node is gone for good, only
    /// a pod that may be live keeps it.
    fn is_elsewhere(&self) -> bool {
        let node = self.attachment().node;
        let gone = node == parsed::<NodeName>("dead") && !self.may_live();
        node != here() && !gone && self.is_clean()
    }

    /// The recorded pod is live, or that is unknown.
    fn may_live(&self) -> bool {
        match &self.systems.pod {
            PodView::Vouched => true,
            PodView::Absent => false,
            PodView::Present { pod, lifecycle, .. } => {
                *pod == self.attachment().pod && *lifecycle != PodLifecycle::Terminal
            }
        }
    }

    /// The next process is not an agent: the init container of a live pod, which acquires a new
    /// epoch, or the stop container of a terminating one.
    fn is_in_hand(&self) -> bool {
        let it = self.attachment();
        let acts = match it.state {
            State::Attaching | State::Releasing => true,
            // Its stop container or a reboot removed it: the record or an init container follows.
            State::Attached => {
                let record = self.systems.record();
                let holder = Holder { pod: it.pod.clone(), epoch: record.epoch };
                self.lock != Some(LockRecord { holder, hold: Hold::Held }) && self.is_here()
            }
            State::Parked | State::Released => false,
        };
        it.node == here() && acts && self.may_live()
    }

    /// The registry was restored from a backup: it is behind this node, and only an attach, which
    /// acquires an epoch beyond both, may act on it.
    fn is_behind(&self) -> bool {
        let epoch = self.systems.record().epoch;
        self.lock.as_ref().is_some_and(|last| last.holder.epoch > epoch)
    }
}

/// The possible lock records of this node while the record names epoch 5 of `u1` on `node`. A pod
/// has one node. An epoch has one pod, unless the registry was restored from a backup and assigned
/// it again on a node whose lock did not have it.
fn locks(node: &str) -> Vec<Option<LockRecord>> {
    let mut all = vec![None];
    for epoch in [4, 5, 6] {
        for pod in ["u1", "u2"] {
            for hold in [Hold::Held, Hold::Released] {
                let own = (pod == "u1") == (node == "node-a");
                if own || epoch != 5 {
                    all.push(Some(LockRecord { holder: holder(pod, epoch), hold }));
                }
            }
        }
    }
    all
}

fn pods() -> Vec<PodView> {
    let present = |pod: &str, lifecycle| PodView::Present {
        pod: parsed(pod),
        node: Some(here()),
        lifecycle,
        controller: None,
    };
    vec![
        PodView::Vouched,
        PodView::Absent,
        present("u1", PodLifecycle::Running),
        present("u1", PodLifecycle::Terminating(Some(Duration::from_secs(20)))),
        present("u1", PodLifecycle::Terminal),
        present("u2", PodLifecycle::Running),
    ]
}

fn pending_sets() -> Vec<BTreeSet<PendingMutation>> {
    let pending = |mutation, eni: EniId| {
        BTreeSet::from([PendingMutation { mutation, eni, run: parsed("run-of-the-dead") }])
    };
    vec![
        BTreeSet::new(),
        pending(Mutation::Assign, eni('a')),
        pending(Mutation::Assign, eni('b')),
        pending(Mutation::Unassign, eni('a')),
    ]
}

/// Epoch 5 of `u1` in this state on this node.
fn place(state: State, node: &str) -> Place {
    let mut systems = calm::Fixture::parked_elsewhere();
    let at = match node {
        "node-a" => 'a',
        _ => 'b',
    };
    systems.change(|record| {
        record.epoch = Epoch(5);
        record.attachment = Some(Attachment {
            state,
            pod: parsed("u1"),
            node: parsed(node),
            eni: (state != State::Releasing && state != State::Released).then(|| eni(at)),
            run: parsed("run-of-the-dead"),
            served: true,
        });
    });
    Place {
        systems,
        lock: None,
        address: false,
        routing: false,
        now: Moment(Duration::from_mins(9)),
    }
}

/// Everything that can be left behind, observed or not by the process that crashed.
fn everything(mut each: impl FnMut(&Place)) {
    let states =
        [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];
    for state in states {
        for node in ["node-a", "there", "dead"] {
            for pending_mutations in pending_sets() {
                let mut it = place(state, node);
                it.systems.change(|record| record.pending_mutations.clone_from(&pending_mutations));
                around(&mut it, node, &mut each);
            }
        }
    }
}

/// The same record with every lock, pod, owner and kernel.
fn around(it: &mut Place, node: &str, each: &mut impl FnMut(&Place)) {
    for lock in locks(node) {
        it.lock = lock;
        for pod in pods() {
            it.systems.pod = pod;
            for owner in [on('a'), on('b'), Owner::Unassigned] {
                it.systems.owner = owner;
                for (address, routing) in
                    [(false, false), (true, false), (false, true), (true, true)]
                {
                    (it.address, it.routing) = (address, routing);
                    each(it);
                }
            }
        }
    }
}

/// The end that was reached.
fn end(after: &Place) -> Option<usize> {
    let ends = [
        after.is_held(),
        after.is_parked(),
        after.is_elsewhere(),
        after.is_in_hand(),
        after.is_behind(),
    ];
    ends.iter().position(|holds| *holds)
}

#[test]
fn f043_from_every_state_the_plan_ends_in_held_or_parked() {
    let mut counts = [0_u32; 5];
    everything(|before| {
        for blindly in [false, true] {
            let mut after = before.clone();
            if blindly {
                after.goes_on_blindly();
            }
            after.settles();
            let end = end(&after);
            assert!(end.is_some(), "stuck at {after:#?}, from {before:#?}");
            counts[end.unwrap_or_default()] += 1;
            assert_eq!(after.systems.record().member, member());
            assert!(after.systems.record().epoch >= before.systems.record().epoch);
        }
    });
    assert!(counts.iter().all(|count| *count > 0), "each end is reached: {counts:?}");
}
