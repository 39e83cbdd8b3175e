//! The steps with the agent's endpoint: the member's pods have no privilege.

use super::{Done, begin, end, wait_for_consistency};
use crate::agents::Agents;
use crate::agreement::Expected;
use crate::cluster::Cluster;
use crate::environment::Stage;
use crate::event::{Kind, StepResult};
use crate::failure::Failure;
use crate::fixture::{NODE_C, NODE_D};
use crate::pod::Pod;
use crate::render::text::span;

/// Starts the member, whose address is reserved on node-d.
pub(super) fn start(stage: &mut Stage, agents: &mut Agents) -> Result<(Pod, StepResult), Failure> {
    let story = "The agents now use a simulated Kubernetes API. The pod has one label, a token, a \
                 network of its own, and no privilege: its init container asks the agent of node-d \
                 for the address.";
    let step = begin(stage, Kind::Labelled, "One label: start on node-d", story)?;
    agents.stop_all()?;
    stage.cluster = Some(Cluster::start(stage)?);
    *agents = Agents::start_all(stage)?;
    let pod = Pod::start_unprivileged(stage, NODE_D)?;
    let done = Done { init: Some(pod.init.clone()), ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}

/// Moves it to node-c.
pub(super) fn move_to_another_node(
    stage: &mut Stage,
    old: Pod,
) -> Result<(Pod, StepResult), Failure> {
    wait_for_consistency(stage, NODE_C)?;
    let story = "The pod has no stop container: the agent of node-d releases the address, and the \
                 agent of node-c attaches it and adds it to the network of the next pod.";
    let step = begin(stage, Kind::LabelledMoved, "One label: move to node-c", story)?;
    let released = span(old.stop(stage)?);
    stage.note(format!("(the agent of node-d released the address after {released})"))?;
    let pod = Pod::start_unprivileged(stage, NODE_C)?;
    let done = Done { init: Some(pod.init.clone()), outage: true, ..Done::default() };
    let result = end(stage, step, done, Expected::Attached(&pod.uid, &pod.node))?;
    Ok((pod, result))
}
