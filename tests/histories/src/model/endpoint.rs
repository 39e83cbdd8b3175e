//! The agent's endpoint: the machines of attach and release run in the agent's process, for a
//! container that only asks. The agent's death ends all its runs at once, and a container that is
//! gone ends its own.

mod admission;
mod client;
mod look_ahead;

pub(super) use self::admission::Admission;
pub(super) use self::client::Client;

use std::time::Duration;

use firecamp_core::action::Reply;
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::endpoint::{NoOutcome, Request};
use firecamp_core::machine::{Failure, Outcome};
use firecamp_core::ports::{PodView, ReviewedPod};
use firecamp_core::release::{Release, ReleaseInput};

use self::client::Answer;
use super::Model;
use super::process::{Process, ProcessKind, Slot};
use super::queue::Event;
use crate::audit::{Cause, ServedRequest};
use crate::inputs;
use crate::level::{Role, Spawn};
use crate::names::NodeIx;
use crate::scenario::StopKind;

/// One request in this many is shown to the agent of another node, too.
const REPLAYED: u64 = 8;

/// The coverage that histories with the endpoint must reach.
const ENDPOINT_COVERAGE: [&str; 8] = [
    "endpoint: attached",
    "endpoint: released",
    "endpoint: no agent",
    "endpoint: agent lost",
    "endpoint: client gone",
    "endpoint: token refused",
    "endpoint: superseded",
    "endpoint: asked another node",
];

fn failure(exit: Exit, message: &str) -> Failure {
    Failure { exit, message: message.to_owned(), address: None }
}

impl Model<'_> {
    /// A container that asks its node's agent.
    pub(super) fn new_client(&mut self, role: Role) -> ProcessKind {
        self.coverage.expect(&ENDPOINT_COVERAGE);
        ProcessKind::Client(Box::new(Client::new(role)))
    }

    pub(super) fn client(&mut self, slot: Slot) -> Option<&mut Client> {
        match &mut self.processes[slot.at()].machine {
            ProcessKind::Client(client) => Some(client),
            ProcessKind::Attach(_)
            | ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::AdoptionAttempt(_)
            | ProcessKind::Admission(_)
            | ProcessKind::Agent(_) => None,
        }
    }

    /// The agent that listens on a node: a second one listens only after the first has ended.
    fn listener(&self, node: NodeIx) -> Option<Slot> {
        let listens = |process: &Process| {
            process.alive
                && process.spawn.node == node
                && matches!(process.machine, ProcessKind::Agent(_))
        };
        let first = self.processes.iter().position(listens)?;
        u32::try_from(first).ok().map(Slot)
    }

    /// Whether the process is a container that sends its request now.
    pub(super) fn asks(&self, slot: Slot) -> bool {
        let ProcessKind::Client(client) = &self.processes[slot.at()].machine else { return false };
        client.is_due()
    }

    /// A container sends its request.
    pub(super) fn ask(&mut self, slot: Slot) {
        let (now, node) = (self.now, self.processes[slot.at()].spawn.node);
        let within = self.scenario.shape.deadline();
        let Some(client) = self.client(slot) else { return };
        let (by, request) = (client.begin(within, now), client.request());
        let Some(agent) = self.listener(node) else {
            self.coverage.hit("endpoint: no agent");
            self.process(slot).causes.add(Cause::AgentLost);
            let why = failure(Exit::AgentUnavailable, "the agent did not answer");
            return self.deliver(slot, Answer::Without(NoOutcome::NoAnswer, why));
        };
        let run = self.show_token(slot, request, agent);
        self.process(run).client = Some(slot);
        if let Some(client) = self.client(slot) {
            client.run = Some(run);
        }
        self.reply_after(slot, by.since(now), Reply::Waited);
        self.replay(slot, request, node);
    }

    /// A request with the token of this container's pod reaches an agent.
    fn show_token(&mut self, slot: Slot, request: Request, agent: Slot) -> Slot {
        let run = self.slot();
        let own = self.processes[slot.at()].spawn;
        let (process, node, frozen) = {
            let agent = &self.processes[agent.at()];
            (agent.spawn.process, agent.spawn.node, agent.frozen)
        };
        let rng = &mut self.process(slot).rng;
        // Tokens name their node from Kubernetes 1.30 on.
        let (node_known, cached) = (!rng.once_in(4), rng.once_in(2));
        let names = self.names;
        let token = ReviewedPod {
            member: names.member(own.member).clone(),
            pod: names.uid(own.pod),
            node: node_known.then(|| names.node(own.node).name.clone()),
        };
        let at = names.node(node).name.clone();
        let admission = Admission::new(request, token, (at, cached));
        let spawn = Spawn { process, node, ..own };
        self.begin(spawn, ProcessKind::Admission(Box::new(admission)), Some(agent));
        self.process(run).of = own.node;
        if frozen {
            self.freeze_slot(run);
        }
        run
    }

    /// Somebody who has read the token shows it to the agent of another node, and waits.
    fn replay(&mut self, slot: Slot, request: Request, own: NodeIx) {
        if self.scenario.is_calm() || self.healing || !self.process(slot).rng.once_in(REPLAYED) {
            return;
        }
        let nodes = self.scenario.shape.nodes;
        let other = NodeIx(self.process(slot).rng.small(nodes));
        if let Some(agent) = self.listener(other).filter(|_| other != own) {
            self.coverage.hit("endpoint: asked another node");
            self.show_token(slot, request, agent);
        }
    }

    /// A reply reaches a container.
    pub(super) fn client_replied(&mut self, slot: Slot, reply: &Reply) {
        let now = self.now;
        if let Some(run) = self.client(slot).and_then(|client| client.handle(reply, now)) {
            self.process(slot).causes.add(Cause::AgentLost);
            self.hang_up(run);
        }
    }

    /// Something reaches a container from its agent.
    fn deliver(&mut self, slot: Slot, answer: Answer) {
        let after = self.process(slot).rng.micros(20, 1_000);
        if let Some(client) = self.client(slot) {
            client.incoming = Some(answer);
            self.reply_after(slot, after, Reply::Begun);
        }
    }

    /// The container for which this runs, unless it is gone or has given up.
    fn waits_for(&mut self, run: Slot) -> Option<Slot> {
        let client = self.processes[run.at()].client;
        let slot = client.filter(|slot| self.processes[slot.at()].alive)?;
        self.client(slot).is_some_and(|client| client.run == Some(run)).then_some(slot)
    }

    /// Something reaches the container for which this runs.
    fn deliver_from(&mut self, run: Slot, answer: Answer) {
        let Process { causes, frozen_for, .. } = self.processes[run.at()];
        let Some(slot) = self.waits_for(run) else { return };
        let process = self.process(slot);
        process.causes.include(causes);
        process.runs_frozen_for = process.runs_frozen_for.saturating_add(frozen_for);
        self.deliver(slot, answer);
    }

    /// A request that the agent serves becomes a run, or is answered. True if it is.
    pub(super) fn admit(&mut self, slot: Slot) -> bool {
        let Process { spawn, client, machine, of, .. } = &self.processes[slot.at()];
        let (spawn, client, of) = (*spawn, *client, *of);
        let ProcessKind::Admission(admission) = machine else { return false };
        if let Some(epoch) = admission.told() {
            self.process(slot).alive = false;
            self.deliver_from(slot, Answer::Epoch(epoch));
            return true;
        }
        let Some(shown) = admission.served() else { return false };
        let request = admission.request;
        let attaches = request == Request::Attach;
        let own = self.names.uid(spawn.pod);
        let lives = matches!(shown, PodView::Present { pod, .. } if *pod == own);
        let served = ServedRequest { slot: slot.0, attaches, lives, of, by: spawn.node };
        self.audit.serves(self.now, served);
        let machine = match (request, spawn.role) {
            (Request::Attach, _) => self.attach_run(slot, spawn, client),
            (Request::Release, Role::Stop(kind, grace)) => {
                self.release_run(slot, spawn, (client, kind, grace))
            }
            (Request::Address | Request::Release, _) => return false,
        };
        self.process(slot).machine = machine;
        self.answer_begins(slot);
        false
    }

    fn release_run(
        &mut self,
        slot: Slot,
        spawn: Spawn,
        (client, kind, grace): (Option<Slot>, StopKind, Duration),
    ) -> ProcessKind {
        let epoch = client.and_then(|client| self.client(client)).and_then(|client| client.epoch);
        self.process(slot).fixed = epoch.map(|epoch| epoch.0);
        let input = inputs::release(self.names, (spawn, slot.0), kind, grace);
        let input = ReleaseInput { await_stop: false, ..input };
        ProcessKind::Release(Box::new(Release::new(input, self.now).of_epoch(epoch)))
    }

    fn attach_run(&mut self, slot: Slot, spawn: Spawn, client: Option<Slot>) -> ProcessKind {
        let now = self.now;
        let left = client.and_then(|client| self.client(client)).map(|it| it.time_for_agent(now));
        let deadline = left.unwrap_or_default().min(timing::LONGEST_ATTACH);
        self.process(slot).limit = Some(deadline);
        let input = inputs::attach(self.scenario, self.names, spawn, slot.0);
        let looked_up = self.looked_up(slot, client).map(Box::new);
        let metadata_poll = timing::QUEUED_METADATA_POLL;
        let input = AttachInput { deadline, looked_up, metadata_poll, ..input };
        ProcessKind::Attach(Box::new(Attach::new(input, now)))
    }

    /// The agent has begun to answer: from now on the container waits for the outcome.
    fn answer_begins(&mut self, run: Slot) {
        let now = self.now;
        let Some(slot) = self.waits_for(run) else { return };
        if let Some(by) = self.client(slot).and_then(Client::answered) {
            self.reply_after(slot, by.since(now), Reply::Waited);
        }
    }

    /// A run has ended, or its agent has.
    pub(super) fn run_ended(&mut self, run: Slot, outcome: Option<&Outcome>) {
        let process = &self.processes[run.at()];
        let admitted = match process.machine {
            ProcessKind::Admission(_) => false,
            ProcessKind::Attach(_) | ProcessKind::Release(_) if process.agent.is_some() => true,
            ProcessKind::Attach(_)
            | ProcessKind::Release(_)
            | ProcessKind::Execution(_)
            | ProcessKind::AdoptionAttempt(_)
            | ProcessKind::Client(_)
            | ProcessKind::Agent(_) => return,
        };
        let answer = match outcome {
            Some(Outcome::Failed(failure)) if !admitted => {
                self.count_refusal(failure.exit);
                admission::answer(failure)
            }
            Some(outcome) => {
                self.count_outcome(run, outcome);
                Answer::Outcome(outcome.clone())
            }
            None => {
                if process.client.is_some() {
                    self.coverage.hit("endpoint: agent lost");
                }
                self.processes[run.at()].causes.add(Cause::AgentLost);
                let why = failure(Exit::AgentUnavailable, "the agent did not finish");
                let kind = if admitted { NoOutcome::Cut } else { NoOutcome::NoAnswer };
                Answer::Without(kind, why)
            }
        };
        self.deliver_from(run, answer);
    }

    fn count_outcome(&mut self, run: Slot, outcome: &Outcome) {
        if self.processes[run.at()].client.is_none() {
            return;
        }
        match outcome {
            Outcome::Attached(_) => self.coverage.hit("endpoint: attached"),
            Outcome::Released { .. } => self.coverage.hit("endpoint: released"),
            Outcome::Maintained { .. } | Outcome::Failed(_) => {}
        }
    }

    fn count_refusal(&mut self, exit: Exit) {
        if exit == Exit::TokenRefused {
            self.coverage.hit("endpoint: token refused");
        } else if exit == Exit::Superseded {
            self.coverage.hit("endpoint: superseded");
        }
    }

    /// A container is gone, or has closed its connection.
    pub(super) fn client_ended(&mut self, slot: Slot) {
        if let Some(run) = self.client(slot).and_then(|client| client.run.take()) {
            self.hang_up(run);
        }
    }

    /// The agent notices soon that a connection is closed. One that is frozen notices later.
    pub(super) fn hang_up(&mut self, run: Slot) {
        let process = self.process(run);
        if !process.alive {
            return;
        }
        process.hung_up = true;
        let after = process.rng.micros(20, 2_000);
        if !process.frozen {
            self.queue.push(self.now.plus(after), Event::HungUp(run));
        }
    }

    /// The agent drops the run of a container that is gone.
    pub(super) fn drop_run(&mut self, run: Slot) {
        let Process { alive, frozen, .. } = self.processes[run.at()];
        if alive && !frozen {
            self.coverage.hit("endpoint: client gone");
            self.process(run).client = None;
            self.kill_slot(run);
        }
    }
}
