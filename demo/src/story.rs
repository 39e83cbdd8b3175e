//! What happens, step by step.

use std::thread;
use std::time::Duration;

use super::agents::Agents;
use super::agreement::{Expected, POLL, agreement, given_way, record};
use super::pod::{AtStop, PROOF, Pod, release_hook};
use super::stage::Stage;
use super::world::{self, NODE_A, NODE_B, NODE_C, NODE_D};
use crate::args::Profile;
use crate::event::{Check, Event, Kind, Ran, StepResult};
use crate::failure::Failure;
use crate::measure;
use crate::render::text::span;
use crate::watch::BUCKET_US;

/// Describe shows 99 of 100 changes after this long.
const DESCRIBE_LAG: Duration = Duration::from_secs(3);

/// The metadata service forgets an address within a minute.
const FORGETTING: Duration = Duration::from_secs(70);

/// How long before a step an answer is looked for.
const BEFORE_US: u64 = 250_000;

/// What a step leaves to be measured.
#[derive(Default)]
struct Done {
    init: Option<Ran>,
    stop_us: Option<u64>,
    restored_us: Option<u64>,
    /// The client was to be answered before and after.
    outage: bool,
}

/// A step that is under way.
struct Step {
    kind: Kind,
    title: String,
    from_us: u64,
    calls: u64,
}

/// Plays everything; the results of the steps.
pub(super) fn play(stage: &mut Stage) -> Result<Vec<StepResult>, Failure> {
    let mut agents = Agents::start_all(stage)?;
    let mut told = Vec::new();
    let mut tell = |(pod, result): (Pod, StepResult)| {
        told.push(result);
        pod
    };
    let pod = tell(first_start(stage)?);
    let pod = tell(restart(stage, pod)?);
    let pod = tell(strip(stage, pod)?);
    let pod = tell(restart_agent(stage, &mut agents, pod)?);
    let old = tell(move_to_another_node(stage, pod)?);
    let pod = tell(crash(stage, &old)?);
    let pod = tell(zombie(stage, &old, pod)?);
    let pod = tell(lose_node(stage, &mut agents, pod)?);
    let pod = tell(node_returns(stage, &mut agents, pod)?);
    told.push(scale_down(stage, pod)?);
    told.push(give_back(stage)?);
    Ok(told)
}

fn first_start(stage: &mut Stage) -> Result<(Pod, StepResult), Failure> {
    let story = "The first use of redis-0 decides its zone and takes an address from the pool.";
    let step = begin(stage, Kind::First, "Start on node-a", story)?;
    let pod = Pod::start(stage, NODE_A, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn restart(stage: &mut Stage, old: Pod) -> Result<(Pod, StepResult), Failure> {
    let story = "EC2 kept the address on this node's ENI, so nothing has to change there.";
    let step = begin(stage, Kind::SameNode, "Restart on the same node", story)?;
    let stop_us = Some(old.stop(stage)?);
    let pod = Pod::start(stage, NODE_A, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), stop_us, outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn strip(stage: &mut Stage, pod: Pod) -> Result<(Pod, StepResult), Failure> {
    let story = "Something on the node removes the address from the kernel; the agent puts it back, \
                 without asking anybody.";
    let step = begin(stage, Kind::Stripped, "Stripped from node-a's kernel", story)?;
    let restored_us = Some(stage.strip(NODE_A)?);
    stage.watch.answers_of(&pod.uid, PROOF)?;
    dwell(stage)?;
    let done = Done { restored_us, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn restart_agent(
    stage: &mut Stage,
    agents: &mut Agents,
    pod: Pod,
) -> Result<(Pod, StepResult), Failure> {
    let story = "The agent of node-a ends and begins again, as with an upgrade: nothing changes.";
    let step = begin(stage, Kind::AgentRestarted, "The agent restarts on node-a", story)?;
    let ended_us = agents.stop(NODE_A)?;
    let from_us = stage.clock.now_us();
    agents.start(stage, NODE_A)?;
    let ready_us = stage.clock.now_us().saturating_sub(from_us);
    let (ended, ready) = (span(ended_us), span(ready_us));
    stage.note(format!("(the agent has ended after {ended}, and is ready again after {ready})"))?;
    dwell(stage)?;
    let mut result = measured(stage, step, Done::default())?;
    result.checks.push(unnoticed(&result));
    let result = conclude(stage, result, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn unnoticed(result: &StepResult) -> Check {
    let StepResult { answered, silent, wrong, .. } = result;
    Check {
        what: "the client noticed nothing".to_owned(),
        held: *answered > 0 && *silent == 0 && *wrong == 0,
        seen: format!("{answered} answers, {silent} attempts without one"),
    }
}

fn move_to_another_node(stage: &mut Stage, old: Pod) -> Result<(Pod, StepResult), Failure> {
    calm(stage, NODE_B)?;
    let story = "The pod is rescheduled within its zone; the address follows it.";
    let step = begin(stage, Kind::Moved, "Move to node-b", story)?;
    let stop_us = Some(old.stop(stage)?);
    let pod = Pod::start(stage, NODE_B, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), stop_us, outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn crash(stage: &mut Stage, old: &Pod) -> Result<(Pod, StepResult), Failure> {
    calm(stage, NODE_C)?;
    let story = "The server is killed with SIGKILL, node-b does not stop anything; the next pod \
                 starts on node-c. Then the agent of node-b takes the address out of its kernel.";
    let step = begin(stage, Kind::Crashed, "Crash on node-b, start on node-c", story)?;
    old.crash(stage)?;
    let pod = Pod::start(stage, NODE_C, AtStop::Park)?;
    given_way(stage, NODE_B)?;
    let done = Done { init: Some(pod.init.clone()), outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn lose_node(
    stage: &mut Stage,
    agents: &mut Agents,
    old: Pod,
) -> Result<(Pod, StepResult), Failure> {
    calm(stage, NODE_D)?;
    let story = "node-c loses its power: pod, agent and kernel are gone at once, and EC2 still has \
                 the address on its ENI. The next pod starts on node-d.";
    let step = begin(stage, Kind::NodeDied, "node-c dies, start on node-d", story)?;
    stage.power(NODE_C, false)?;
    old.dies(stage)?;
    agents.is_gone(NODE_C)?;
    let pod = Pod::start(stage, NODE_D, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn node_returns(
    stage: &mut Stage,
    agents: &mut Agents,
    pod: Pod,
) -> Result<(Pod, StepResult), Failure> {
    let story = "node-c boots and its agent begins: the address lives elsewhere by now.";
    let step = begin(stage, Kind::NodeReturned, "node-c comes back", story)?;
    stage.power(NODE_C, true)?;
    agents.start(stage, NODE_C)?;
    dwell(stage)?;
    let mut result = measured(stage, step, Done::default())?;
    result.checks.push(unnoticed(&result));
    let result = conclude(stage, result, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

/// Waits until EC2 is calm, as it is when a member moves some time after it moved last: Describe
/// shows the last change, and the metadata service of the node that it goes to does not list the
/// address from an earlier time. Sooner, the proof costs calls more: the protocol is ready for
/// that, but the goals are those of calm times.
fn calm(stage: &mut Stage, node: &str) -> Result<(), Failure> {
    let from = stage.clock.now();
    let mut told = false;
    while !is_calm(stage, node)? {
        if !told {
            told = true;
            stage.note("(some time passes: EC2's reads catch up with its last change)")?;
        }
        if stage.clock.now().saturating_sub(from) > FORGETTING {
            return Err(Failure::Story(format!("{node}'s metadata service does not forget")));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn is_calm(stage: &mut Stage, node: &str) -> Result<bool, Failure> {
    let profile = match stage.orders.profile {
        Profile::Fast => vpcbox::vpc::Profile::fast(),
        Profile::Realistic => vpcbox::vpc::Profile::realistic(),
    };
    let lag = Duration::from_secs_f64(profile.describe_lag.max_ms / 1000.0).min(DESCRIBE_LAG);
    let Some(record) = stage.vpc.address(world::ADDRESS)? else { return Ok(true) };
    let changed_us = record.history.last().map_or(0, |past| past.since_us);
    let shown = stage.clock.now().saturating_sub(Duration::from_micros(changed_us)) > lag;
    Ok(shown && record.imds.iter().all(|place| place.node != node))
}

fn zombie(stage: &mut Stage, old: &Pod, new: Pod) -> Result<(Pod, StepResult), Failure> {
    let story = "node-b comes back and stops the old pod now: SIGTERM for its stop container, and \
                 a preStop hook besides. Both are superseded and change nothing.";
    let step = begin(stage, Kind::Zombie, "A zombie's late stop on node-b", story)?;
    let before = record(stage)?;
    let stop_us = Some(old.stop_sidecar(stage)?);
    release_hook(stage, (&old.uid, &old.node))?;
    let after = record(stage)?;
    stage.watch.answers_of(&new.uid, 1)?;
    let done = Done { stop_us, ..Done::default() };
    let mut result = measured(stage, step, done)?;
    let unchanged = Check {
        what: "the record did not change".to_owned(),
        held: before == after,
        seen: format!("epoch {}", after.epoch.0),
    };
    result.checks.push(unchanged);
    let result = conclude(stage, result, Expected::Attached(&new.uid, &new.node))?;
    Ok((new, result))
}

fn scale_down(stage: &mut Stage, old: Pod) -> Result<StepResult, Failure> {
    let story = "The address leaves the kernel; EC2 keeps it on the ENI as a reservation.";
    let step = begin(stage, Kind::Released, "Scale down to 0", story)?;
    let node = old.node.clone();
    let stop_us = Some(old.stop(stage)?);
    dwell(stage)?;
    end(stage, step, Done { stop_us, ..Done::default() }, Expected::Parked(&node))
}

fn give_back(stage: &mut Stage) -> Result<StepResult, Failure> {
    let story = "Up again on node-d without a call; then a release that takes the address out of \
                 EC2. The record keeps it for the member.";
    let title = "Scale up, and down with --unassign";
    let step = begin(stage, Kind::Unassigned, title, story)?;
    let pod = Pod::start(stage, NODE_D, AtStop::Unassign)?;
    let init = Some(pod.init.clone());
    let stop_us = Some(pod.stop(stage)?);
    dwell(stage)?;
    end(stage, step, Done { init, stop_us, ..Done::default() }, Expected::Unassigned(NODE_D))
}

/// Lets the client dial on for as long as people need to see that nobody answers.
fn dwell(stage: &Stage) -> Result<(), Failure> {
    let until_us = stage.clock.now_us().saturating_add(10 * BUCKET_US);
    stage.watch.known_until(until_us)
}

fn begin(stage: &mut Stage, kind: Kind, title: &str, story: &str) -> Result<Step, Failure> {
    stage.step = stage.step.saturating_add(1);
    let from_us = stage.clock.now_us();
    let (title, story) = (title.to_owned(), story.to_owned());
    stage.tell(Event::StepBegan {
        at_us: from_us,
        step: stage.step,
        title: title.clone(),
        story,
    })?;
    stage.watch.follow_step(Some(from_us));
    Ok(Step { kind, title, from_us, calls: stage.last_call()? })
}

fn end(
    stage: &mut Stage,
    step: Step,
    done: Done,
    expected: Expected<'_>,
) -> Result<StepResult, Failure> {
    let result = measured(stage, step, done)?;
    conclude(stage, result, expected)
}

fn measured(stage: &mut Stage, step: Step, done: Done) -> Result<StepResult, Failure> {
    let to_us = stage.clock.now_us();
    stage.watch.known_until(to_us)?;
    stage.watch.follow_step(None);
    let calls = stage.ec2_calls(step.calls)?;
    let spans: Vec<Ran> =
        stage.spans.iter().filter(|ran| ran.step == stage.step).cloned().collect();
    let seen = stage.watch.lock();
    let attempts = seen.within(step.from_us, to_us);
    let window = (step.from_us, to_us);
    let strip = measure::strip(&attempts, &seen.terms, &stage.nodes(), window, BUCKET_US);
    let tally = measure::tally(&attempts, &seen.terms);
    // The last answer before an outage may be older than the step.
    let around = seen.within(step.from_us.saturating_sub(BEFORE_US), to_us);
    let own: Vec<_> = calls.iter().filter(|call| !call.is_agents()).cloned().collect();
    let outage = done.outage.then(|| measure::outage(&around, &spans, &own)).flatten();
    Ok(StepResult {
        step: stage.step,
        kind: step.kind,
        title: step.title,
        from_us: step.from_us,
        to_us,
        init: done.init.map(|ran| measure::init_time(&ran, &own)),
        stop_us: done.stop_us,
        restored_us: done.restored_us,
        outage,
        calls,
        strip,
        answered: tally.answered,
        silent: tally.silent,
        wrong: tally.wrong,
        checks: Vec::new(),
    })
}

fn conclude(
    stage: &mut Stage,
    mut result: StepResult,
    expected: Expected<'_>,
) -> Result<StepResult, Failure> {
    result.checks.insert(0, agreement(stage, expected)?);
    stage.tell(Event::StepEnded(Box::new(result.clone())))?;
    Ok(result)
}
