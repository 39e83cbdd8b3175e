//! The steps of the demo.

mod endpoint;

use std::thread;
use std::time::Duration;

use super::agents::Agents;
use super::agreement::{Expected, POLL, agreement, record, withdrawn};
use super::environment::Stage;
use super::fixture::{self, NODE_A, NODE_B, NODE_C, NODE_D};
use super::pod::{AtStop, Init, PROOF, Pod, release_hook};
use crate::args::Profile;
use crate::event::{Check, Event, Kind, Ran, StepResult};
use crate::failure::Failure;
use crate::measurements;
use crate::observe_client::BUCKET_US;
use crate::render::text::span;

/// Describe shows 99 % of changes after this time.
const DESCRIBE_LAG: Duration = Duration::from_secs(3);

/// The metadata service stops listing an address within a minute.
const FORGETTING: Duration = Duration::from_secs(70);

/// How long before a step a response is searched.
const BEFORE_US: u64 = 250_000;

/// The inputs of the measurement of a step.
#[derive(Default)]
struct Done {
    init: Option<Init>,
    stop_us: Option<u64>,
    restored_us: Option<u64>,
    /// Whether to measure an outage: the client gets responses before and after.
    outage: bool,
}

/// A running step.
struct Step {
    kind: Kind,
    title: String,
    from_us: u64,
    calls: u64,
}

/// Runs all steps; returns their results.
pub(super) fn run(stage: &mut Stage) -> Result<Vec<StepResult>, Failure> {
    let mut agents = Agents::start_all(stage)?;
    let mut reported = Vec::new();
    let mut report = |(pod, result): (Pod, StepResult)| {
        reported.push(result);
        pod
    };
    let pod = report(first_start(stage)?);
    let pod = report(restart(stage, pod)?);
    let pod = report(strip(stage, pod)?);
    let pod = report(restart_agent(stage, &mut agents, pod)?);
    let old = report(move_to_another_node(stage, pod)?);
    let pod = report(crash(stage, &old)?);
    let pod = report(zombie(stage, &old, pod)?);
    let pod = report(lose_node(stage, &mut agents, pod)?);
    let pod = report(node_returns(stage, &mut agents, pod)?);
    let released = scale_down(stage, pod)?;
    let (pod, started) = endpoint::start(stage, &mut agents)?;
    let (pod, moved) = endpoint::move_to_another_node(stage, pod)?;
    reported.extend([released, started, moved, unassign(stage, pod)?]);
    Ok(reported)
}

fn first_start(stage: &mut Stage) -> Result<(Pod, StepResult), Failure> {
    let story =
        "The first start of redis-0 determines its zone and allocates an address from the pool.";
    let step = begin(stage, Kind::First, "Start on node-a", story)?;
    let pod = Pod::start(stage, NODE_A, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn restart(stage: &mut Stage, old: Pod) -> Result<(Pod, StepResult), Failure> {
    let story = "EC2 still has the address on this node's ENI, so no EC2 call is necessary.";
    let step = begin(stage, Kind::SameNode, "Restart on the same node", story)?;
    let stop_us = Some(old.stop(stage)?);
    let pod = Pod::start(stage, NODE_A, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), stop_us, outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn strip(stage: &mut Stage, pod: Pod) -> Result<(Pod, StepResult), Failure> {
    let story = "Another program on the node removes the address from the kernel. The agent \
                 restores it without an EC2 call.";
    let step = begin(stage, Kind::Stripped, "Address removed from node-a's kernel", story)?;
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
    let story = "The agent of node-a restarts, as in an upgrade. Traffic is not affected.";
    let step = begin(stage, Kind::AgentRestarted, "The agent restarts on node-a", story)?;
    let ended_us = agents.stop(NODE_A)?;
    let from_us = stage.clock.now_us();
    agents.start(stage, NODE_A)?;
    let ready_us = stage.clock.now_us().saturating_sub(from_us);
    let (ended, ready) = (span(ended_us), span(ready_us));
    stage.note(format!("(the agent exited after {ended} and was ready again after {ready})"))?;
    dwell(stage)?;
    let mut result = measured(stage, step, Done::default())?;
    result.checks.push(not_affected(&result));
    let result = conclude(stage, result, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn not_affected(result: &StepResult) -> Check {
    let StepResult { answered, silent, wrong, .. } = result;
    Check {
        what: "the client was not affected".to_owned(),
        held: *answered > 0 && *silent == 0 && *wrong == 0,
        seen: format!("{answered} responses, {silent} attempts without a response"),
    }
}

fn move_to_another_node(stage: &mut Stage, old: Pod) -> Result<(Pod, StepResult), Failure> {
    wait_for_consistency(stage, NODE_B)?;
    let story = "The pod is rescheduled within its zone, and the address moves with it.";
    let step = begin(stage, Kind::Moved, "Move to node-b", story)?;
    let stop_us = Some(old.stop(stage)?);
    let pod = Pod::start(stage, NODE_B, AtStop::Park)?;
    let done = Done { init: Some(pod.init.clone()), stop_us, outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn crash(stage: &mut Stage, old: &Pod) -> Result<(Pod, StepResult), Failure> {
    wait_for_consistency(stage, NODE_C)?;
    let story = "The server is killed with SIGKILL, and no stop container runs on node-b. The next \
                 pod starts on node-c. Then the agent of node-b withdraws the address.";
    let step = begin(stage, Kind::Crashed, "Crash on node-b, start on node-c", story)?;
    old.crash(stage)?;
    let pod = Pod::start(stage, NODE_C, AtStop::Park)?;
    withdrawn(stage, NODE_B)?;
    let done = Done { init: Some(pod.init.clone()), outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

fn lose_node(
    stage: &mut Stage,
    agents: &mut Agents,
    old: Pod,
) -> Result<(Pod, StepResult), Failure> {
    wait_for_consistency(stage, NODE_D)?;
    let story = "node-c loses power: pod, agent and kernel stop, and EC2 still has the address on \
                 its ENI. The next pod starts on node-d.";
    let step = begin(stage, Kind::NodeDied, "node-c fails, start on node-d", story)?;
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
    let story = "node-c boots and its agent starts. The address stays on node-d.";
    let step = begin(stage, Kind::NodeReturned, "node-c returns", story)?;
    stage.power(NODE_C, true)?;
    agents.start(stage, NODE_C)?;
    dwell(stage)?;
    let mut result = measured(stage, step, Done::default())?;
    result.checks.push(not_affected(&result));
    let result = conclude(stage, result, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

/// Waits until EC2's reads are consistent, as when a member has not moved recently: Describe shows
/// the last change, and the metadata service of the next node no longer lists the address. Earlier,
/// verification needs more calls; the protocol supports that, but the goals assume consistent
/// reads.
fn wait_for_consistency(stage: &mut Stage, node: &str) -> Result<(), Failure> {
    let from = stage.clock.now();
    let mut reported = false;
    while !is_consistent(stage, node)? {
        if !reported {
            reported = true;
            stage.note("(waiting until EC2's reads show its last change)")?;
        }
        if stage.clock.now().saturating_sub(from) > FORGETTING {
            return Err(Failure::Story(format!(
                "the metadata service of {node} still lists the address"
            )));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn is_consistent(stage: &mut Stage, node: &str) -> Result<bool, Failure> {
    let profile = match stage.config.profile {
        Profile::Fast => vpcbox::vpc::Profile::fast(),
        Profile::Realistic => vpcbox::vpc::Profile::realistic(),
    };
    let lag = Duration::from_secs_f64(profile.describe_lag.max_ms / 1000.0).min(DESCRIBE_LAG);
    let Some(record) = stage.vpc.address(fixture::ADDRESS)? else { return Ok(true) };
    let changed_us = record.history.last().map_or(0, |past| past.since_us);
    let shown = stage.clock.now().saturating_sub(Duration::from_micros(changed_us)) > lag;
    Ok(shown && record.imds.iter().all(|place| place.node != node))
}

fn zombie(stage: &mut Stage, old: &Pod, new: Pod) -> Result<(Pod, StepResult), Failure> {
    let story = "node-b returns and stops the old pod only now: its stop container gets SIGTERM, \
                 and a preStop hook runs. Both are superseded and change nothing.";
    let step = begin(stage, Kind::Zombie, "Late stop of the superseded pod on node-b", story)?;
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
    let story = "The address is removed from the kernel. EC2 keeps it on the ENI as a reservation.";
    let step = begin(stage, Kind::Released, "Scale down to 0", story)?;
    let node = old.node.clone();
    let stop_us = Some(old.stop(stage)?);
    dwell(stage)?;
    end(stage, step, Done { stop_us, ..Done::default() }, Expected::Parked(&node))
}

fn unassign(stage: &mut Stage, old: Pod) -> Result<StepResult, Failure> {
    let story = "The member restarts on node-c in direct mode, without an EC2 call. Then it is \
                 scaled down: the release unassigns the address in EC2, and the record keeps it \
                 for the member.";
    let title = "Back to direct mode, and down with --unassign";
    let step = begin(stage, Kind::Unassigned, title, story)?;
    old.stop(stage)?;
    let pod = Pod::start(stage, NODE_C, AtStop::Unassign)?;
    let init = Some(pod.init.clone());
    let stop_us = Some(pod.stop(stage)?);
    dwell(stage)?;
    end(stage, step, Done { init, stop_us, ..Done::default() }, Expected::Unassigned(NODE_C))
}

/// Continues for a while, so that the strip shows the result of the step.
fn dwell(stage: &Stage) -> Result<(), Failure> {
    let until_us = stage.clock.now_us().saturating_add(10 * BUCKET_US);
    stage.watch.known_until(until_us)
}

fn begin(stage: &mut Stage, kind: Kind, title: &str, story: &str) -> Result<Step, Failure> {
    stage.step = stage.step.saturating_add(1);
    let from_us = stage.clock.now_us();
    let (title, story) = (title.to_owned(), story.to_owned());
    stage.report(Event::StepBegan {
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
    let mut calls = stage.ec2_calls(step.calls)?;
    let asked = done.init.as_ref().filter(|_| step.kind.asks_agent()).map(|init| &init.ran.node);
    for call in &mut calls {
        // The leader of the agents looks at addresses, too.
        call.for_pod &= !call.is_agents() || asked == Some(&call.caller);
    }
    let spans: Vec<Ran> =
        stage.spans.iter().filter(|ran| ran.step == stage.step).cloned().collect();
    let seen = stage.watch.lock();
    let attempts = seen.within(step.from_us, to_us);
    let window = (step.from_us, to_us);
    let strip = measurements::strip(&attempts, &seen.terms, &stage.nodes(), window, BUCKET_US);
    let tally = measurements::tally(&attempts, &seen.terms);
    // The last response before an outage may be older than the step.
    let around = seen.within(step.from_us.saturating_sub(BEFORE_US), to_us);
    let own: Vec<_> = calls.iter().filter(|call| call.for_pod).cloned().collect();
    let outage = done.outage.then(|| measurements::outage(&around, &spans, &own)).flatten();
    Ok(StepResult {
        step: stage.step,
        kind: step.kind,
        title: step.title,
        from_us: step.from_us,
        to_us,
        init: done.init.as_ref().map(|init| measurements::init_time(&init.ran, &own)),
        privileges: done.init.map(|init| init.privileges),
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
    stage.report(Event::StepEnded(Box::new(result.clone())))?;
    Ok(result)
}
