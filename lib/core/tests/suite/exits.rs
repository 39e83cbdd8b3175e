//! Whatever a crash left behind and whatever is seen of it, what the agent plans comes to an end at
//! which the address is held or parked, or somebody who lives has it in hand.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Duty, Errand, Look, Memory, Sight, plan};
use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::{EniId, Epoch, NodeName};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::machine::Machine;
use firecamp_core::outside::{Holder, KernelTarget, KernelView, Life, Owner, PodView, Routing};
use firecamp_core::record::{Attachment, Mark, Mutation, State};
use firecamp_core::time::Moment;

use crate::steps::world::{self as calm, ADDRESS, eni, member, on, parsed};

/// No state needs more errands than this.
const ERRANDS: usize = 4;
/// No errand takes more steps than this.
const STEPS: usize = 60;

/// One address as it is: record, node and EC2.
#[derive(Debug, Clone)]
struct Place {
    /// Record, pod and owner, and what answers all that is not about the kernel.
    world: calm::World,
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
        self.world.record().attachment.expect("an attachment")
    }

    fn view(&self) -> KernelView {
        KernelView { address: self.address, routing: self.routing, ..self.world.view.clone() }
    }

    fn is_here(&self) -> bool {
        self.world.owner == on('a')
    }

    /// What the agent sees, when it sees all.
    fn sight(&self, memory: &mut Memory) -> Sight {
        let mut sight = Sight::new(here(), parsed("test"), [parsed("dead")].into());
        let record = self.world.record();
        let attached = self.attachment();
        let mine = attached.node == here() && attached.state == State::Attached;
        let look = Look {
            record: &record,
            lock: self.lock.as_ref(),
            in_kernel: self.address || self.routing,
            kernel: mine.then(|| (target(), self.view())),
            pod: self.world.pod.clone(),
            in_place: mine.then(|| self.is_here()),
        };
        sight.add(look, memory, self.now);
        sight
    }

    /// What it sees when nothing but the record can be read.
    fn blind(&self) -> Sight {
        let mut sight = Sight::new(here(), parsed("test"), BTreeSet::new());
        let record = self.world.record();
        let look = Look {
            record: &record,
            lock: self.lock.as_ref(),
            in_kernel: self.address || self.routing,
            kernel: None,
            pod: PodView::Vouched,
            in_place: None,
        };
        sight.add(look, &mut Memory::default(), self.now);
        sight
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

    /// What a change of the kernel comes to under the rule of the lock.
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
            self.world.owner = on('a');
        } else if let Action::Unassign { .. } = action {
            self.world.owner = Owner::Nobody;
        } else if let Action::Wait(time) = action {
            self.now = self.now.plus(time.length);
        } else if let Action::Observe(_) = action {
            return Reply::Observed(Ok(self.view()));
        }
        self.world.answer(action)
    }

    /// Does it to its end.
    fn run(&mut self, duty: &Duty) {
        let run = parsed("run-of-agent");
        let mut errand = Errand::new(duty, &parsed("test"), run, self.now);
        for _ in 0..STEPS {
            let action = errand.action();
            if errand.outcome().is_some() {
                return;
            }
            let reply = self.answer(&action);
            self.now = self.now.plus(Duration::from_millis(10));
            errand.reply(reply, self.now);
        }
        assert!(errand.outcome().is_some(), "{duty:?} does not end: {self:#?}");
    }

    /// Plans and does until there is nothing to do.
    fn settles(&mut self) {
        let mut memory = Memory::default();
        for _ in 0..=ERRANDS {
            let sight = self.sight(&mut memory);
            let duties = plan(&sight, self.now);
            assert!(duties.len() <= 1, "{duties:?}");
            let Some(duty) = duties.first().filter(|_duty| !self.is_behind()) else { return };
            if let Duty::Reassert { .. } = duty {
                memory.reasserts(self.now);
            }
            self.run(duty);
        }
        assert!(self.is_behind(), "there is no end: {self:#?}");
    }

    /// Does what is planned while hardly anything is seen.
    fn goes_on_blindly(&mut self) {
        for duty in plan(&self.blind(), self.now) {
            self.run(&duty);
        }
    }

    /// Held by a pod that may live, and everything says so.
    fn is_held(&self) -> bool {
        let record = self.world.record();
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

    /// Nobody holds it, and this node has nothing of it.
    fn is_parked(&self) -> bool {
        let rests = matches!(self.attachment().state, State::Parked | State::Released);
        rests && self.is_clean()
    }

    /// Another node answers for it, and this one has nothing of it. Where that node is gone for
    /// good, only a pod that may live keeps it.
    fn is_elsewhere(&self) -> bool {
        let node = self.attachment().node;
        let gone = node == parsed::<NodeName>("dead") && !self.may_live();
        node != here() && !gone && self.is_clean()
    }

    /// The pod on record lives, or nobody can say that it does not.
    fn may_live(&self) -> bool {
        match &self.world.pod {
            PodView::Vouched => true,
            PodView::Absent => false,
            PodView::Present { pod, life, .. } => {
                *pod == self.attachment().pod && *life != Life::Terminal
            }
        }
    }

    /// Who acts next is not an agent: the init container of a live pod, which takes a new epoch,
    /// or the stop container of one that ends.
    fn is_in_hand(&self) -> bool {
        let it = self.attachment();
        let acts = match it.state {
            State::Attaching | State::Releasing => true,
            // Its stop has let go, or a boot has: the record, or an init container, follows.
            State::Attached => {
                let record = self.world.record();
                let holder = Holder { pod: it.pod.clone(), epoch: record.epoch };
                self.lock != Some(LockRecord { holder, hold: Hold::Held }) && self.is_here()
            }
            State::Parked | State::Released => false,
        };
        it.node == here() && acts && self.may_live()
    }

    /// The registry was restored from a backup: it is behind this node, and only an attach, which
    /// takes an epoch beyond both, may act on it.
    fn is_behind(&self) -> bool {
        let epoch = self.world.record().epoch;
        self.lock.as_ref().is_some_and(|last| last.holder.epoch > epoch)
    }
}

/// What the lock of this node may have on record while the record names epoch 5 of `u1` on `node`.
/// A pod has one node. An epoch has one pod, unless the registry was restored from a backup and
/// gave it out again on a node whose lock did not know it.
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
    let present = |pod: &str, life| PodView::Present {
        pod: parsed(pod),
        node: Some(here()),
        life,
        controller: None,
    };
    vec![
        PodView::Vouched,
        PodView::Absent,
        present("u1", Life::Running),
        present("u1", Life::Terminating(Some(Duration::from_secs(20)))),
        present("u1", Life::Terminal),
        present("u2", Life::Running),
    ]
}

fn marks() -> Vec<BTreeSet<Mark>> {
    let mark = |mutation, eni: EniId| {
        BTreeSet::from([Mark { mutation, eni, run: parsed("run-of-the-dead") }])
    };
    vec![
        BTreeSet::new(),
        mark(Mutation::Assign, eni('a')),
        mark(Mutation::Assign, eni('b')),
        mark(Mutation::Unassign, eni('a')),
    ]
}

/// Epoch 5 of `u1` in this state on this node.
fn place(state: State, node: &str) -> Place {
    let mut world = calm::World::parked_elsewhere();
    let at = match node {
        "node-a" => 'a',
        _ => 'b',
    };
    world.change(|record| {
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
    Place { world, lock: None, address: false, routing: false, now: Moment(Duration::from_mins(9)) }
}

/// Everything that can be left behind, seen or not by who crashed.
fn everything(mut each: impl FnMut(&Place)) {
    let states =
        [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];
    for state in states {
        for node in ["node-a", "there", "dead"] {
            for unsettled in marks() {
                let mut it = place(state, node);
                it.world.change(|record| record.unsettled.clone_from(&unsettled));
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
            it.world.pod = pod;
            for owner in [on('a'), on('b'), Owner::Nobody] {
                it.world.owner = owner;
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

/// Which of the ends it has come to.
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
fn f043_from_every_state_the_plan_comes_to_held_or_parked() {
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
            assert_eq!(after.world.record().member, member());
            assert!(after.world.record().epoch >= before.world.record().epoch);
        }
    });
    assert!(counts.iter().all(|count| *count > 0), "each end is reached: {counts:?}");
}
