//! One step of one process: performs its machine's action on the model.

use crate::agent::of_execution;
use crate::ec2_call_limits::CallCount;
use crate::fixture::{Fixture, Kind, OWNERS, small};
use crate::machines::Request;
use crate::model::ProtocolModel;
use crate::reply::{Answer, Context};
use crate::simulated_systems::{BEGUN, KernelWrite};
use crate::state::{Call, CallKind, ModelState, Proc, Violation};

/// The number of one of the possible replies.
pub(crate) type Pick = u8;
/// IMDS shows that packets follow the owner, as soon as they do.
const SWITCHED: Pick = 16;

impl ProtocolModel {
    pub(crate) fn context(&self, state: &ModelState, proc: Proc) -> Context {
        if proc.kind == Kind::Agent {
            let (node, member) = of_execution(proc.pod);
            return Context { member, node };
        }
        let member = self.machines.fixture.member_of(usize::from(proc.pod));
        Context { member, node: state.pods[usize::from(proc.pod)].node }
    }

    /// The process as it continues: a wait that is over ends together with the action after it. If
    /// it ended earlier, the next request would count as older, and authorise less.
    pub(crate) fn awake(&self, state: &ModelState, mut proc: Proc) -> Proc {
        if proc.signalled && !proc.reported {
            return proc;
        }
        let action = self.machines.known(proc.machine).action;
        let over = action == Request::BackOff
            || matches!(action, Request::Pause(ticks) if proc.waited >= ticks);
        if over {
            let at = self.context(state, proc);
            proc.machine = self.machines.reply(proc.machine, Answer::Waited, at);
            proc.waited = 0;
        }
        if action == Request::BackOff {
            // After a delay of T before the call, more reads are allowed.
            proc.calls_sent.describes = 0;
        }
        proc
    }

    /// The next action of the process.
    pub(crate) fn next_action(&self, state: &ModelState, proc: Proc) -> Request {
        self.machines.known(self.awake(state, proc).machine).action
    }

    fn wake(&self, state: &mut ModelState, slot: usize) -> Proc {
        let proc = self.awake(state, state.proc(slot));
        state.procs[slot] = Some(proc);
        proc
    }

    /// The possible replies to a process now; none if it must wait.
    pub(crate) fn picks(&self, state: &ModelState, proc: Proc, mut each: impl FnMut(Pick)) {
        let at = self.context(state, proc);
        let address = &state.addresses[at.member];
        let interrupted = proc.signalled && !proc.reported;
        let action = self.next_action(state, proc);
        if matches!(action, Request::Owner | Request::Await) {
            let expired = if action == Request::Owner { BEGUN } else { 0 };
            let shown = |owner: &u8| {
                *owner == address.owner || address.stale[usize::from(*owner)] > expired
            };
            (0..small(OWNERS)).filter(shown).for_each(each);
        } else if matches!(action, Request::Identity | Request::Listed) {
            (0..=address.imds[usize::from(at.node)].pending).for_each(&mut each);
            if address.due > 0 && address.owner == at.node {
                each(SWITCHED);
            }
        } else {
            let waits = action == Request::Done
                || matches!(action, Request::Stop | Request::Pause(_)) && !interrupted;
            if !waits {
                each(0);
            }
        }
    }

    /// Performs the process's action and passes the reply to its machine.
    pub(crate) fn step(&self, state: &mut ModelState, slot: usize, pick: Pick) {
        let proc = self.wake(state, slot);
        let reply = self.answer(state, slot, proc, pick);
        let Some(reply) = reply else { return };
        self.report(state, slot, reply);
        if self.config.eager {
            self.run_eager_steps(state, slot);
        }
    }

    /// Performs the steps that are combined with the one before: see *Coarse steps* in the crate
    /// docs.
    fn run_eager_steps(&self, state: &mut ModelState, slot: usize) {
        while let Some(proc) = state.procs[slot]
            && self.is_eager(state, proc)
        {
            match self.answer(state, slot, proc, 0) {
                Some(reply) => self.report(state, slot, reply),
                None => return,
            }
        }
    }

    fn is_eager(&self, state: &ModelState, proc: Proc) -> bool {
        let at = self.context(state, proc);
        let address = &state.addresses[at.member];
        let releases = proc.kind != Kind::Init;
        let action = self.machines.known(proc.machine).action;
        match action {
            Request::Probe
            | Request::Begin
            | Request::Note
            | Request::Observe
            | Request::Pod
            | Request::AddRouting(_)
            | Request::RemoveRouting(_)
            | Request::Stage
            | Request::Publish
            | Request::Sync => true,
            Request::Sockets => releases || !self.in_use(state, at),
            Request::Record => proc.kind == Kind::Stop && self.machines.releases(proc.machine),
            Request::Identity | Request::Listed => {
                let imds = address.imds[usize::from(at.node)];
                let settled = address.due == 0 && imds.pending == 0;
                settled && (action == Request::Identity || imds.shown)
            }
            Request::Member
            | Request::Await
            | Request::Owner
            | Request::Write { .. }
            | Request::Assign { .. }
            | Request::Unassign { .. }
            | Request::AddAddress(_)
            | Request::RemoveAddress(_)
            | Request::Pause(_)
            | Request::BackOff
            | Request::Stop
            | Request::Done
            | Request::Unknown => false,
        }
    }

    /// Performs the action and returns the reply. None if only half of it is done.
    fn answer(
        &self,
        state: &mut ModelState,
        slot: usize,
        proc: Proc,
        pick: Pick,
    ) -> Option<Answer> {
        let at = self.context(state, proc);
        let action = self.machines.known(proc.machine).action;
        let recently_assigned = Self::recently_assigned(state, at);
        let stops = proc.signalled && !proc.reported;
        self.count(state, slot, action);
        let address = &mut state.addresses[at.member];
        let lock = address.kernel_at(at.node).lock;
        let present = address.kernel_at(at.node).present;
        Some(match action {
            Request::Member => Answer::Member { record: address.record, edit: address.edit },
            Request::Record => Answer::Record { record: address.record, edit: address.edit },
            Request::Pod => self.pod_view(state, at.member),
            Request::Write { expected, object } => self.write(state, at.member, expected, object),
            Request::Identity | Request::Listed => {
                if pick == SWITCHED {
                    address.switch(self.config.fifo);
                }
                let listed = address.advance(at.node, pick);
                if action == Request::Identity {
                    Answer::Identity { listed }
                } else {
                    Answer::Listed(listed)
                }
            }
            Request::Begin => Answer::Begun,
            Request::Await | Request::Owner => Answer::Owner(pick),
            Request::Assign { .. } | Request::Unassign { .. } => match Self::call(at, action) {
                Some(call) if call.left == 0 => Answer::Unsent,
                Some(call) => self.land(state, call),
                None => return None,
            },
            Request::Probe | Request::Sync | Request::Stage | Request::Publish => {
                Answer::File(address.file.perform(action))
            }
            Request::AddAddress(_)
            | Request::AddRouting(_)
            | Request::RemoveAddress(_)
            | Request::RemoveRouting(_) => self.kernel_write(state, write_of(at, action)?),
            Request::Note => Answer::Kernel,
            Request::Observe => Answer::Observed { present, lock, recently_assigned },
            Request::Sockets => Answer::Sockets(self.in_use(state, at)),
            Request::Pause(_) | Request::BackOff | Request::Stop if stops => Answer::Stopping,
            Request::Pause(_) | Request::BackOff | Request::Stop | Request::Done => return None,
            Request::Unknown => {
                state.record_violation(Violation::Model);
                return None;
            }
        })
    }

    /// Whether IMDS of the node may still show the effect of an Assign that this node sent: the
    /// note is younger than IMDS can lag. The note may outlast the pending changes of IMDS, which
    /// only makes machines more careful.
    fn recently_assigned(state: &ModelState, at: Context) -> bool {
        let address = &state.addresses[at.member];
        let coming = |call: &Call| usize::from(call.member) == at.member && call.eni == at.node;
        address.due > 0
            || address.imds[usize::from(at.node)].pending > 0
            || state.calls.iter().flatten().any(coming)
    }

    /// The call that the process is about to send.
    pub(crate) fn call(at: Context, action: Request) -> Option<Call> {
        let member = small(at.member);
        if let Request::Assign { eni, force, left } = action {
            let what = if force { CallKind::Force } else { CallKind::Assign };
            return Some(Call { member, eni, what, left });
        }
        let Request::Unassign { eni, left } = action else { return None };
        Some(Call { member, eni, what: CallKind::Unassign, left })
    }

    /// Passes a reply to a machine, and ends the process if the machine has an outcome.
    pub(crate) fn report(&self, state: &mut ModelState, slot: usize, reply: Answer) {
        let mut proc = state.proc(slot);
        if self.config.calm {
            proc.calls_sent.note_reply(reply);
        }
        let at = self.context(state, proc);
        proc.machine = self.machines.reply(proc.machine, reply, at);
        proc.waited = 0;
        proc.reported |= reply == Answer::Stopping;
        state.procs[slot] = Some(proc);
        if let Some(end) = self.machines.known(proc.machine).end {
            state.procs[slot] = None;
            self.ended(state, proc, end);
        }
    }

    fn write(
        &self,
        state: &mut ModelState,
        member: usize,
        expected: (u8, u8),
        object: u32,
    ) -> Answer {
        let address = &mut state.addresses[member];
        let epoch = self.machines.record(address.record).epoch;
        if expected != (epoch, address.edit) {
            return Answer::Conflict;
        }
        let next = self.machines.record(object).epoch;
        address.edit = if next == epoch { address.edit.saturating_add(1) } else { 0 };
        address.record = object;
        Answer::Written { epoch: next, edit: address.edit }
    }

    /// The reply is lost: a write has taken effect, a call is still in flight.
    pub(crate) fn lose(&self, state: &mut ModelState, slot: usize) {
        let proc = self.wake(state, slot);
        let at = self.context(state, proc);
        let action = self.machines.known(proc.machine).action;
        if let Request::Write { expected, object } = action {
            self.write(state, at.member, expected, object);
            self.report(state, slot, Answer::Unwritten);
        } else if let Some(call) = Self::call(at, action) {
            state.in_flight(call);
            self.report(state, slot, Answer::Unanswered);
        }
    }

    /// The request is lost.
    pub(crate) fn fail(&self, state: &mut ModelState, slot: usize) {
        let action = self.machines.known(self.wake(state, slot).machine).action;
        let reply = match (action.is_write(), action.left()) {
            (true, _) => Answer::Unwritten,
            (false, Some(_)) => Answer::Unanswered,
            (false, None) => Answer::Unread,
        };
        self.report(state, slot, reply);
    }

    fn in_use(&self, state: &ModelState, at: Context) -> bool {
        let fixture = &self.machines.fixture;
        let mut pods = state.pods.iter().enumerate();
        pods.any(|(pod, p)| fixture.member_of(pod) == at.member && p.node == at.node && p.serving)
    }
}

fn write_of(at: Context, action: Request) -> Option<KernelWrite> {
    let (holder, adds, address) = if let Request::AddAddress(holder) = action {
        (holder, true, true)
    } else if let Request::AddRouting(holder) = action {
        (holder, true, false)
    } else if let Request::RemoveAddress(holder) = action {
        (holder, false, true)
    } else if let Request::RemoveRouting(holder) = action {
        (holder, false, false)
    } else {
        return None;
    };
    Some(KernelWrite { member: at.member, node: at.node, holder, adds, address })
}

/// The machines of a pod's processes.
impl ProtocolModel {
    pub(crate) fn spawn_init(&self, state: &mut ModelState, pod: u8) {
        let node = state.pods[usize::from(pod)].node;
        let member = self.machines.fixture.member_of(usize::from(pod));
        let run = self.fresh_run(state, pod, Kind::Init, member);
        let machine = self.machines.attach(self.machines.fixture.attach(pod, node, run));
        state.spawn(Proc { machine, ..proc_of(pod, Kind::Init, run, false) });
    }

    pub(crate) fn spawn_stop(&self, state: &mut ModelState, pod: u8, sidecar: bool) {
        let member = self.machines.fixture.member_of(usize::from(pod));
        let run = self.fresh_run(state, pod, Kind::Stop, member);
        let machine = self.machines.release(self.machines.fixture.release(pod, run, sidecar));
        state.spawn(Proc { machine, ..proc_of(pod, Kind::Stop, run, !sidecar) });
    }

    /// The lowest number of a run that nothing refers to: a new name is equivalent to one that left
    /// no trace.
    pub(crate) fn fresh_run(&self, state: &ModelState, pod: u8, kind: Kind, member: usize) -> u8 {
        let record = &self.machines.record(state.addresses[member].record).object;
        let marked = record.pending_mutations.iter().map(|mark| &mark.run);
        let traces: Vec<_> = marked.chain(record.attachment.iter().map(|a| &a.run)).collect();
        let runs = |run: u8| {
            state.procs.iter().flatten().any(|p| (p.pod, p.kind, p.run) == (pod, kind, run))
        };
        let free = |run: &u8| !runs(*run) && !traces.contains(&&Fixture::run(pod, kind, *run));
        (0..u8::MAX).find(free).unwrap_or_default()
    }
}

pub(crate) fn proc_of(pod: u8, kind: Kind, run: u8, reported: bool) -> Proc {
    Proc {
        pod,
        kind,
        run,
        machine: 0,
        waited: 0,
        signalled: reported,
        reported,
        calls_sent: CallCount::default(),
    }
}
