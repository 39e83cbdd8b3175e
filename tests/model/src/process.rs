//! One step of one process: its machine's action meets the world.

use firecamp_core::bug::{Bug, planted};

use crate::agent::of_errand;
use crate::budget::Spent;
use crate::cast::{Cast, Kind, OWNERS, small};
use crate::machines::Ask;
use crate::model::Small;
use crate::outside::{BEGUN, KernelWrite};
use crate::seen::{Context, Seen};
use crate::state::{Call, Proc, What, World, Wrong};

/// Which of the answers that the world may give.
pub(crate) type Pick = u8;
/// IMDS shows that packets have switched, as soon as they have.
const SWITCHED: Pick = 16;

impl Small {
    pub(crate) fn context(&self, world: &World, proc: Proc) -> Context {
        if proc.kind == Kind::Agent {
            let (node, member) = of_errand(proc.pod);
            return Context { member, node };
        }
        let member = self.machines.cast.member_of(usize::from(proc.pod));
        Context { member, node: world.pods[usize::from(proc.pod)].node }
    }

    /// The process as it goes on: a wait that is over ends together with what comes after it.
    /// Had it ended earlier, the next request would count as older, and authorise less.
    pub(crate) fn awake(&self, world: &World, mut proc: Proc) -> Proc {
        if proc.signalled && !proc.told {
            return proc;
        }
        let ask = self.machines.known(proc.machine).ask;
        let over = ask == Ask::BackOff || matches!(ask, Ask::Pause(ticks) if proc.waited >= ticks);
        if over {
            let at = self.context(world, proc);
            proc.machine = self.machines.reply(proc.machine, Seen::Waited, at);
            proc.waited = 0;
        }
        if ask == Ask::BackOff {
            proc.spent.looks = 0; // Trouble may cost reads: here, T went by before the call.
        }
        proc
    }

    /// What the process asks for next.
    pub(crate) fn asks(&self, world: &World, proc: Proc) -> Ask {
        self.machines.known(self.awake(world, proc).machine).ask
    }

    fn wake(&self, world: &mut World, slot: usize) -> Proc {
        let proc = self.awake(world, world.proc(slot));
        world.procs[slot] = Some(proc);
        proc
    }

    /// The answers that the world may give to a process now; none if it has to wait.
    pub(crate) fn picks(&self, world: &World, proc: Proc, mut each: impl FnMut(Pick)) {
        let at = self.context(world, proc);
        let address = &world.addresses[at.member];
        let interrupted = proc.signalled && !proc.told;
        let ask = self.asks(world, proc);
        if matches!(ask, Ask::Owner | Ask::Await) {
            let expired = if ask == Ask::Owner { BEGUN } else { 0 };
            let shown = |owner: &u8| {
                *owner == address.owner || address.stale[usize::from(*owner)] > expired
            };
            (0..small(OWNERS)).filter(shown).for_each(each);
        } else if matches!(ask, Ask::Identity | Ask::Listed) {
            (0..=address.imds[usize::from(at.node)].pending).for_each(&mut each);
            if address.due > 0 && address.owner == at.node {
                each(SWITCHED);
            }
        } else {
            let waits =
                ask == Ask::Done || matches!(ask, Ask::Stop | Ask::Pause(_)) && !interrupted;
            if !waits {
                each(0);
            }
        }
    }

    /// The process does what its machine asks for, and the machine is told.
    pub(crate) fn step(&self, world: &mut World, slot: usize, pick: Pick) {
        let proc = self.wake(world, slot);
        let seen = self.answer(world, slot, proc, pick);
        let Some(seen) = seen else { return };
        self.tell(world, slot, seen);
        if self.config.eager {
            self.glide(world, slot);
        }
    }

    /// Takes along the steps that the one before decides: see the crate's text, *Coarse steps*.
    fn glide(&self, world: &mut World, slot: usize) {
        while let Some(proc) = world.procs[slot]
            && self.goes_along(world, proc)
        {
            match self.answer(world, slot, proc, 0) {
                Some(seen) => self.tell(world, slot, seen),
                None => return,
            }
        }
    }

    fn goes_along(&self, world: &World, proc: Proc) -> bool {
        let at = self.context(world, proc);
        let address = &world.addresses[at.member];
        let releases = proc.kind != Kind::Init;
        let ask = self.machines.known(proc.machine).ask;
        match ask {
            Ask::Probe
            | Ask::Begin
            | Ask::Note
            | Ask::Observe
            | Ask::Pod
            | Ask::AddRouting(_)
            | Ask::RemoveRouting(_)
            | Ask::Stage
            | Ask::Publish
            | Ask::Sync => true,
            Ask::Sockets => releases || !self.in_use(world, at),
            Ask::Record => proc.kind == Kind::Stop && self.machines.releases(proc.machine),
            Ask::Identity | Ask::Listed => {
                let imds = address.imds[usize::from(at.node)];
                let settled = address.due == 0 && imds.pending == 0;
                settled && (ask == Ask::Identity || imds.shown)
            }
            Ask::Member
            | Ask::Await
            | Ask::Owner
            | Ask::Write { .. }
            | Ask::Assign { .. }
            | Ask::Unassign { .. }
            | Ask::AddAddress(_)
            | Ask::RemoveAddress(_)
            | Ask::Pause(_)
            | Ask::BackOff
            | Ask::Stop
            | Ask::Done
            | Ask::Unknown => false,
        }
    }

    /// Performs, and says what the world answers. None where the process only got half way.
    fn answer(&self, world: &mut World, slot: usize, proc: Proc, pick: Pick) -> Option<Seen> {
        let at = self.context(world, proc);
        let ask = self.machines.known(proc.machine).ask;
        let lately = Self::lately(world, at);
        self.count(world, slot, ask);
        let address = &mut world.addresses[at.member];
        let lock = address.kernel_at(at.node).lock;
        let present = address.kernel_at(at.node).present;
        Some(match ask {
            Ask::Member => Seen::Member { record: address.record, edit: address.edit },
            Ask::Record => Seen::Record { record: address.record, edit: address.edit },
            Ask::Pod => self.pod_view(world, at.member),
            Ask::Write { expected, object } => self.write(world, at.member, expected, object),
            Ask::Identity | Ask::Listed => {
                if pick == SWITCHED {
                    address.switch(self.config.fifo);
                }
                let listed = address.advance(at.node, pick);
                if ask == Ask::Identity { Seen::Identity { listed } } else { Seen::Listed(listed) }
            }
            Ask::Begin => Seen::Begun,
            Ask::Await | Ask::Owner => Seen::Owner(pick),
            Ask::Assign { .. } | Ask::Unassign { .. } => match Self::call(at, ask) {
                Some(call) if call.left == 0 => Seen::Unsent,
                Some(call) => self.land(world, call),
                None => return None,
            },
            Ask::Probe => Seen::File(true),
            Ask::Stage => {
                address.file.staged = !address.file.visible;
                Seen::File(address.file.staged)
            }
            Ask::Publish => {
                address.file.visible |= address.file.staged;
                Seen::File(true)
            }
            Ask::Sync => {
                address.file.durable = address.file.visible;
                Seen::File(true)
            }
            Ask::AddAddress(_)
            | Ask::AddRouting(_)
            | Ask::RemoveAddress(_)
            | Ask::RemoveRouting(_) => return self.change(world, slot, write_of(at, ask)?),
            Ask::Note => Seen::Kernel,
            Ask::Observe => Seen::Observed { present, lock, lately },
            Ask::Sockets => Seen::Sockets(self.in_use(world, at)),
            Ask::Pause(_) | Ask::BackOff | Ask::Stop if proc.signalled && !proc.told => {
                Seen::Stopping
            }
            Ask::Pause(_) | Ask::BackOff | Ask::Stop | Ask::Done => return None,
            Ask::Unknown => {
                world.blame(Wrong::Model);
                return None;
            }
        })
    }

    /// Whether IMDS of the node may yet tell of an Assign that was sent from it: the note is
    /// younger than IMDS can lag. That it may be so for longer than there is news to come only
    /// makes machines more careful.
    fn lately(world: &World, at: Context) -> bool {
        let address = &world.addresses[at.member];
        let coming = |call: &Call| usize::from(call.member) == at.member && call.eni == at.node;
        address.due > 0
            || address.imds[usize::from(at.node)].pending > 0
            || world.calls.iter().flatten().any(coming)
    }

    fn change(&self, world: &mut World, slot: usize, mut write: KernelWrite) -> Option<Seen> {
        if !planted(Bug::CheckOutsideLock) {
            return Some(self.kernel_write(world, write));
        }
        let mut proc = world.proc(slot);
        if !proc.compared {
            let before = world.clone();
            let seen = self.kernel_write(world, write);
            *world = before;
            if seen == Seen::Superseded {
                return Some(seen);
            }
            proc.compared = true;
            world.procs[slot] = Some(proc);
            return None;
        }
        write.compared = true;
        Some(self.kernel_write(world, write))
    }

    /// The call that the process is about to send.
    pub(crate) fn call(at: Context, ask: Ask) -> Option<Call> {
        let member = small(at.member);
        if let Ask::Assign { eni, force, left } = ask {
            let what = if force { What::Force } else { What::Assign };
            return Some(Call { member, eni, what, left });
        }
        let Ask::Unassign { eni, left } = ask else { return None };
        Some(Call { member, eni, what: What::Unassign, left })
    }

    /// Tells a machine, and ends the process if the machine is at its end.
    pub(crate) fn tell(&self, world: &mut World, slot: usize, seen: Seen) {
        let mut proc = world.proc(slot);
        if self.config.calm {
            proc.spent.heed(seen);
        }
        let at = self.context(world, proc);
        proc.machine = self.machines.reply(proc.machine, seen, at);
        (proc.waited, proc.compared) = (0, false);
        proc.told |= seen == Seen::Stopping;
        world.procs[slot] = Some(proc);
        if let Some(end) = self.machines.known(proc.machine).end {
            world.procs[slot] = None;
            self.ended(world, proc, end);
        }
    }

    fn write(&self, world: &mut World, member: usize, expected: (u8, u8), object: u32) -> Seen {
        let address = &mut world.addresses[member];
        let epoch = self.machines.record(address.record).epoch;
        if expected != (epoch, address.edit) {
            return Seen::Conflict;
        }
        let next = self.machines.record(object).epoch;
        address.edit = if next == epoch { address.edit.saturating_add(1) } else { 0 };
        address.record = object;
        Seen::Written { epoch: next, edit: address.edit }
    }

    /// The answer is lost: of a write after it stood, of a call while it is in flight.
    pub(crate) fn lose(&self, world: &mut World, slot: usize) {
        let proc = self.wake(world, slot);
        let at = self.context(world, proc);
        let ask = self.machines.known(proc.machine).ask;
        if let Ask::Write { expected, object } = ask {
            self.write(world, at.member, expected, object);
            self.tell(world, slot, Seen::Unwritten);
        } else if let Some(call) = Self::call(at, ask) {
            world.in_flight(call);
            self.tell(world, slot, Seen::Unanswered);
        }
    }

    /// The request never arrived.
    pub(crate) fn fail(&self, world: &mut World, slot: usize) {
        let ask = self.machines.known(self.wake(world, slot).machine).ask;
        let seen = match (ask.is_write(), ask.left()) {
            (true, _) => Seen::Unwritten,
            (false, Some(_)) => Seen::Unanswered,
            (false, None) => Seen::Unread,
        };
        self.tell(world, slot, seen);
    }

    fn in_use(&self, world: &World, at: Context) -> bool {
        let cast = &self.machines.cast;
        let mut pods = world.pods.iter().enumerate();
        pods.any(|(pod, p)| cast.member_of(pod) == at.member && p.node == at.node && p.serving)
    }
}

fn write_of(at: Context, ask: Ask) -> Option<KernelWrite> {
    let (who, adds, address) = if let Ask::AddAddress(who) = ask {
        (who, true, true)
    } else if let Ask::AddRouting(who) = ask {
        (who, true, false)
    } else if let Ask::RemoveAddress(who) = ask {
        (who, false, true)
    } else if let Ask::RemoveRouting(who) = ask {
        (who, false, false)
    } else {
        return None;
    };
    Some(KernelWrite { member: at.member, node: at.node, who, adds, address, compared: false })
}

/// Which machines a pod's processes run.
impl Small {
    pub(crate) fn spawn_init(&self, world: &mut World, pod: u8) {
        let node = world.pods[usize::from(pod)].node;
        let member = self.machines.cast.member_of(usize::from(pod));
        let run = self.fresh_run(world, pod, Kind::Init, member);
        let machine = self.machines.attach(self.machines.cast.attach(pod, node, run));
        world.spawn(Proc { machine, ..proc_of(pod, Kind::Init, run, false) });
    }

    pub(crate) fn spawn_stop(&self, world: &mut World, pod: u8, sidecar: bool) {
        let member = self.machines.cast.member_of(usize::from(pod));
        let run = self.fresh_run(world, pod, Kind::Stop, member);
        let machine = self.machines.release(self.machines.cast.release(pod, run, sidecar));
        world.spawn(Proc { machine, ..proc_of(pod, Kind::Stop, run, !sidecar) });
    }

    /// The lowest number of a run that nothing reminds of: a name that was never used before is
    /// as good as one that left no trace.
    pub(crate) fn fresh_run(&self, world: &World, pod: u8, kind: Kind, member: usize) -> u8 {
        let record = &self.machines.record(world.addresses[member].record).object;
        let marked = record.unsettled.iter().map(|mark| &mark.run);
        let traces: Vec<_> = marked.chain(record.attachment.iter().map(|a| &a.run)).collect();
        let runs = |run: u8| {
            world.procs.iter().flatten().any(|p| (p.pod, p.kind, p.run) == (pod, kind, run))
        };
        let free = |run: &u8| !runs(*run) && !traces.contains(&&Cast::run(pod, kind, *run));
        (0..u8::MAX).find(free).unwrap_or_default()
    }
}

pub(crate) fn proc_of(pod: u8, kind: Kind, run: u8, told: bool) -> Proc {
    Proc {
        pod,
        kind,
        run,
        machine: 0,
        waited: 0,
        signalled: told,
        told,
        compared: false,
        spent: Spent::default(),
    }
}
