//! One round with all agents: they start, one becomes the leader, they rest, and objects change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::audit::{self, Event};
use super::catalogue::{OFF, ON};
use super::control::Mode;
use super::counters::{MEBIBYTE, Servers, Work};
use super::load::reporting;
use super::record::RECORDED;
use super::rest::{changes, rest};
use super::scale_run::ScaleRun;
use super::trace::Trace;
use super::{agents, replay, usage};
use crate::failure::Failure;
use crate::samples::progress;

/// How long all agents may take to list their objects, and an agent to lead.
const PATIENCE: Duration = Duration::from_mins(20);
const PAUSE: Duration = Duration::from_millis(200);
/// The metric that the leader sets at the end of a pass.
pub(super) const PASS: &str = "firecamp_agent_leader_pass_duration_seconds";

/// Measures a round, with pages of lists from the API server's cache or from etcd.
pub(super) async fn round(
    run: &mut ScaleRun,
    snapshots: bool,
    trace: &Arc<Trace>,
) -> Result<(), Failure> {
    let prefix = if snapshots { ON } else { OFF };
    progress(&format!("a round with ListFromCacheSnapshot={snapshots}"));
    run.restart(Mode { snapshots, pinned: true }).await?;
    run.hold_the_lease().await?;
    let (servers, since) = (run.servers()?, Timestamp::now());
    start(run, &servers, trace, prefix).await?;
    lead(run, prefix).await?;
    // Only now: the leader's first pass is work, too.
    run.settle_completely("all agents settle").await?;
    let work = rest(run, &servers, since, prefix).await?;
    changes(run, &servers, &work, prefix).await?;
    progress("stopping all agents");
    run.stop_all()
}

/// Writes for all other nodes what the agent of the recorded one has written. The API server has
/// all processors.
pub(super) async fn publish(run: &ScaleRun, trace: &Arc<Trace>) -> Result<(), Failure> {
    progress("writing what agents publish");
    let nodes = run.nodes(run.plan.fleet.nodes().filter(|node| *node != RECORDED))?;
    let (total, done) = (nodes.len(), Arc::new(AtomicU64::new(0)));
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    reporting("nodes", &done, total, replay::publish(nodes, trace, &done)).await
}

/// Starts the real agents once, which adds the addresses of their nodes to the kernels, so that
/// they find afterwards what the recorded one found.
pub(super) async fn warm_up(run: &mut ScaleRun) -> Result<(), Failure> {
    run.hold_the_lease().await?;
    run.start_all_real().await?;
    run.agents.synced(PATIENCE).await?;
    run.settle("the real agents settle").await?;
    run.stop_all()
}

/// Restarts all agents at once, until each has listed its objects.
async fn start(
    run: &mut ScaleRun,
    servers: &Servers,
    trace: &Arc<Trace>,
    prefix: &str,
) -> Result<(), Failure> {
    let before = servers.begin().await?;
    let begun = Instant::now();
    run.start_all(trace).await?;
    let total = u64::from(run.plan.fleet.nodes - run.plan.fleet.real);
    loop {
        let synced =
            run.replays.as_ref().map_or(0, |replays| replays.counts.synced.load(Ordering::Relaxed));
        if synced >= total {
            break;
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!("only {synced} of {total} agents have synced")));
        }
        run.waiting(&format!("{synced} of {total} agents synced"));
        sleep(Duration::from_secs(1)).await;
        run.keep_up().await?;
    }
    run.agents.synced(PATIENCE).await?;
    let work: Work = servers.since(&before).await?;
    let agents = f64::from(run.plan.fleet.nodes);
    let mut add = |id: &str, value| run.samples.add(format!("{prefix}start.{id}"), value);
    add("agents", agents);
    add("seconds", work.seconds);
    add("requests", work.requests);
    add("network", work.network / MEBIBYTE);
    add("lists", work.lists);
    add("store", work.store_bytes / MEBIBYTE);
    add("cpu", work.cpu);
    add("store.cpu", work.store_cpu);
    Ok(())
}

/// Lets an agent become the leader, and waits for the end of its first pass.
async fn lead(run: &mut ScaleRun, prefix: &str) -> Result<(), Failure> {
    let from = Timestamp::now();
    run.release_the_lease().await?;
    let elected = async {
        loop {
            if let Some(node) = run.leader().await? {
                return Ok::<_, Failure>(node);
            }
            sleep(PAUSE).await;
        }
    };
    let late = |_elapsed| Failure::new("no agent becomes the leader");
    let leader = timeout(PATIENCE, elected).await.map_err(late)??;
    progress(&format!("the agent of {} leads", leader.name()));
    let begun = Instant::now();
    let pass = loop {
        let pass = agents::read(leader, PASS).await?;
        if pass > 0.0 {
            break pass;
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new("the leader ends no pass"));
        }
        sleep(PAUSE).await;
    };
    run.samples.add(format!("{prefix}leader.first_pass"), pass);
    let name = leader.name();
    let window = [from, Timestamp::now()];
    let events = audit::read(&run.control.audit(), window, |node| node == name)?;
    run.samples.add(format!("{prefix}leader.list"), first_list(&events));
    let pid = run.agents.pid(leader)?;
    let memory = usage::mebibytes(pid, "VmRSS")?;
    progress(&format!("the leader has {memory:.1} MiB in its first pass"));
    Ok(())
}

/// The seconds from the leader's first list to the end of its last one. Lists of its own node, and
/// those before its election, do not count.
fn first_list(events: &[Event]) -> f64 {
    let own = |event: &Event| {
        form_urlencoded::parse(event.uri.as_bytes()).any(|(_, value)| value.contains(&event.node))
    };
    let lists = events.iter().filter(|event| event.verb == "list");
    let elected = events.iter().filter(|event| event.takes_a_lease()).map(|event| event.at).min();
    let Some(elected) = elected else { return 0.0 };
    let lists: Vec<&Event> = lists.filter(|event| event.at >= elected && !own(event)).collect();
    let from = lists.iter().map(|event| event.at).min();
    let to = lists.iter().map(|event| event.answered).max();
    let (Some(from), Some(to)) = (from, to) else { return 0.0 };
    to.duration_since(from).as_secs_f64()
}

/// The requests of replayed agents that were refused, in percent.
pub(super) fn refused(run: &mut ScaleRun, prefix: &str) {
    let Some(replays) = &run.replays else { return };
    let count = |counter: &std::sync::atomic::AtomicU64| {
        f64::from(u32::try_from(counter.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
    };
    let (sent, refused) = (count(&replays.counts.sent), count(&replays.counts.refused));
    progress(&format!("{refused} of {sent} replayed requests were refused"));
    run.samples.add(format!("{prefix}replay.refused"), 100.0 * refused / sent.max(1.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_of_the_whole_cluster_are_the_leaders() {
        let event = |from: u32, to: u32, uri: &str| Event {
            at: format!("2026-11-20T15:00:{from:02}Z").parse().unwrap(),
            answered: format!("2026-11-20T15:00:{to:02}Z").parse().unwrap(),
            node: "node-0000".to_owned(),
            verb: "list".to_owned(),
            uri: uri.to_owned(),
            resource: "staticips".to_owned(),
            code: 200,
            body: None,
        };
        let own = "/x/staticips?fieldSelector=spec%2Eattachment%2EnodeName%3Dnode%2D0000";
        let unscheduled = "/api/v1/pods?fieldSelector=spec%2EnodeName%3D&limit=50";
        let lease = Event {
            verb: "update".to_owned(),
            resource: "leases".to_owned(),
            ..event(2, 2, "/leases/a")
        };
        let early = event(1, 2, "/y?limit=50");
        let lists = [event(3, 50, own), event(3, 4, "/y?limit=50"), event(9, 12, unscheduled)];
        let events = [[early, lease.clone()].as_slice(), &lists].concat();
        assert!((first_list(&events) - 9.0).abs() < 1e-9);
        assert!(first_list(&[lease, event(3, 4, own)]).abs() < 1e-9);
        assert!(first_list(&lists).abs() < 1e-9, "there was no election");
    }
}
