//! Measures all agents at rest, and then changes of objects.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::audit::{self, Event};
use super::catalogue::ON;
use super::changes::{self as change, RATE, SECOND};
use super::compare::compare;
use super::counters::{KIBIBYTE, Servers, Work};
use super::fleet::Node;
use super::round::{PASS, refused};
use super::scale_run::ScaleRun;
use super::{INCOMPLETE, SHORTEST, agents, usage};
use crate::failure::Failure;
use crate::samples::progress;
use crate::stats::Spread;

/// Releases of addresses of real agents, each followed by an attach.
const RELEASES: u32 = 20;

/// Whether the replayed agents act otherwise than the real ones: 1 if they do.
pub(super) const UNLIKE: &str = "replay.unlike";

/// Measures the time at rest. All agents have run since `since`.
pub(super) async fn rest(
    run: &mut ScaleRun,
    servers: &Servers,
    since: Timestamp,
    prefix: &str,
) -> Result<Work, Failure> {
    run.keep_up().await?;
    // Not the first one: an overloaded API server may have cost it the Lease.
    let leader = run.leader().await?.ok_or_else(|| Failure::new("no agent leads at rest"))?;
    let (calls, from) = (run.calls.len(), Timestamp::now());
    let spent = spent(run)?;
    let before = servers.begin().await?;
    let beats = change::heartbeats(run.api.clone(), run.plan.fleet.nodes().collect());
    tokio::select! {
        waited = run.wait(run.rest(), "all agents rest") => waited?,
        ended = beats => match ended? {},
    }
    let work = servers.since(&before).await?;
    let to = Timestamp::now();
    if run.leader().await? == Some(leader) {
        let pass = agents::read(leader, PASS).await?;
        run.samples.add(format!("{prefix}leader.pass"), pass);
    } else {
        progress(&run.agents.failed(leader, "led and lost the Lease at rest").to_string());
        run.samples.add(INCOMPLETE, 1.0);
    }
    let mut add = |id: &str, value| run.samples.add(format!("{prefix}rest.{id}"), value);
    add("requests", work.requests / work.seconds);
    add("network", work.network / KIBIBYTE / work.seconds);
    add("lists", work.lists * 60.0 / work.seconds);
    add("store.requests", work.store_requests / work.seconds);
    add("store", work.store_bytes / KIBIBYTE / work.seconds);
    add("cpu", 100.0 * work.cpu / work.seconds);
    add("store.cpu", 100.0 * work.store_cpu / work.seconds);
    add("memory", usage::mebibytes(servers.apiserver, "VmRSS")?);
    add("peak", usage::mebibytes(servers.apiserver, "VmHWM")?);
    add("store.memory", usage::mebibytes(servers.etcd, "VmRSS")?);
    processes(run, leader, &spent, work.seconds, prefix)?;
    ec2(run, leader, calls, work.seconds, prefix);
    requests(run, leader, [since, from, to], prefix)?;
    refused(run, prefix);
    Ok(work)
}

/// The CPU time of each real agent so far.
fn spent(run: &ScaleRun) -> Result<Vec<(Node, Duration)>, Failure> {
    run.agents.pids().map(|(node, pid)| Ok((node, usage::cpu(pid)?))).collect()
}

/// Memory and CPU time of the leader and of the other real agents.
fn processes(
    run: &mut ScaleRun,
    leader: Node,
    before: &[(Node, Duration)],
    seconds: f64,
    prefix: &str,
) -> Result<(), Failure> {
    let (mut memory, mut cpu) = (Vec::new(), Vec::new());
    for (node, spent) in before {
        let pid = run.agents.pid(*node)?;
        let used = 100.0 * usage::cpu(pid)?.saturating_sub(*spent).as_secs_f64() / seconds;
        let resident = usage::mebibytes(pid, "VmRSS")?;
        if *node == leader {
            let mut add = |id, value| run.samples.add(format!("{prefix}leader.{id}"), value);
            add("memory", resident);
            add("peak", usage::mebibytes(pid, "VmHWM")?);
            add("cpu", used);
        } else {
            memory.push(resident);
            cpu.push(used);
        }
    }
    for (id, values) in [("memory", memory), ("cpu", cpu)] {
        if let Some(spread) = Spread::of(&values) {
            run.samples.add(format!("{prefix}agent.{id}"), spread.median);
        }
    }
    Ok(())
}

/// The EC2 calls after the first `since`: the leader's, and the others' scaled to all nodes.
fn ec2(run: &mut ScaleRun, node: Node, since: usize, seconds: f64, prefix: &str) {
    let calls = run.calls.get(since..).unwrap_or_default();
    let leader = node.name();
    let count = |own: bool, mutating: bool| {
        let wanted = calls
            .iter()
            .filter(|call| (call.caller == leader) == own && (!mutating || call.mutating));
        f64::from(u32::try_from(wanted.count()).unwrap_or(u32::MAX))
    };
    if run.plan.minutes >= SHORTEST && count(true, false) < 0.5 {
        let why = run.agents.failed(node, "leads and made no EC2 call at rest");
        progress(&why.to_string());
        run.samples.add(INCOMPLETE, 1.0);
    }
    let fleet = run.plan.fleet;
    let others = f64::from(fleet.nodes.saturating_sub(1)) / f64::from(fleet.real - 1);
    let figures = [
        ("rest.ec2", (count(true, false) + count(false, false) * others) / seconds),
        ("rest.ec2.mutating", (count(true, true) + count(false, true) * others) / seconds),
        ("leader.ec2", 60.0 * count(true, false) / seconds),
        ("agent.ec2", 60.0 * count(false, false) / f64::from(fleet.real - 1) / seconds),
    ];
    for (id, value) in figures {
        run.samples.add(format!("{prefix}{id}"), value);
    }
}

/// Counts the requests at rest, and compares those of real and replayed agents since their start:
/// at rest an agent sends too few.
fn requests(
    run: &mut ScaleRun,
    leader: Node,
    [since, from, to]: [Timestamp; 3],
    prefix: &str,
) -> Result<(), Failure> {
    let events = audit::read(&run.control.audit(), [since, to], |_node| true)?;
    let names = |nodes: Vec<Node>| nodes.into_iter().map(Node::name).collect::<BTreeSet<_>>();
    let fleet = run.plan.fleet;
    let real = names(fleet.real().filter(|node| *node != leader).collect());
    let replayed = names(fleet.replayed().collect());
    let compared = compare(&events, &real, &replayed);
    progress(&format!("requests of real and replayed agents: {compared:?}"));
    let at_rest: Vec<Event> = events.into_iter().filter(|event| event.at >= from).collect();
    let resting = compare(&at_rest, &real, &replayed);
    let name = leader.name();
    let own: Vec<&Event> = at_rest.iter().filter(|event| event.node == name).collect();
    let writes = own.iter().filter(|event| event.writes()).count();
    let minutes = to.duration_since(from).as_secs_f64() / 60.0;
    let rate = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / minutes;
    let figures = [
        ("leader.requests", rate(own.len())),
        ("leader.writes", rate(writes)),
        ("agent.requests", resting.real / minutes),
        ("replay.requests", resting.replayed / minutes),
        ("replay.difference", compared.difference),
        // Fails the run at its end, when the results are written.
        (UNLIKE, if compared.alike() { 0.0 } else { 1.0 }),
    ];
    for (id, value) in figures {
        run.samples.add(format!("{prefix}{id}"), value);
    }
    Ok(())
}

/// Measures changes of StaticIPs and of pods.
pub(super) async fn changes(
    run: &mut ScaleRun,
    servers: &Servers,
    rest: &Work,
    prefix: &str,
) -> Result<(), Failure> {
    let (fleet, rate) = (run.plan.fleet, if prefix == ON { RATE } else { SECOND });
    let Some(counts) = run.replays.as_ref().map(|replays| replays.counts.clone()) else {
        return Err(Failure::new("no agent is replayed"));
    };
    progress(&format!("{} StaticIPs change, {} each second", rate.count(), rate.per_second));
    let replayed: Vec<Node> = fleet.replayed().collect();
    let before = servers.begin().await?;
    let took = change::static_ips(&run.api, &replayed, rate, &counts.arrivals).await?;
    let each = servers.since(&before).await?.per_change(rest, f64::from(rate.count()));
    run.keep_up().await?;
    let mut add = |id: &str, value| run.samples.add(format!("{prefix}{id}"), value);
    add("change.cpu", each.cpu * 1e3);
    add("change.network", each.network / KIBIBYTE);
    add("change.store", each.store_bytes / KIBIBYTE);
    add("change.watches", f64::from(counts.arrivals.most()));
    spread(&mut add, "change.seen", &took);
    progress("the addresses of real agents are released and attached");
    let real: Vec<Node> = fleet.real().collect();
    let before = servers.begin().await?;
    let took = change::real_agents(&run.api, &real, RELEASES).await?;
    let each = servers.since(&before).await?.per_change(rest, f64::from(RELEASES * 2));
    add("agent.change.cpu", each.cpu * 1e3);
    spread(&mut add, "agent.seen", &took);
    progress(&format!("{} pods change, {} each second", rate.count(), rate.per_second));
    let nodes: Vec<Node> = fleet.nodes().collect();
    let before = servers.begin().await?;
    change::pods(&run.api, &nodes, rate).await?;
    let each = servers.since(&before).await?.per_change(rest, f64::from(rate.count()));
    add("pod.cpu", each.cpu * 1e3);
    add("pod.network", each.network / KIBIBYTE);
    progress(&format!("{} pods are replaced, {} each second", rate.count(), rate.per_second));
    let before = servers.begin().await?;
    change::replaced_pods(&run.api, &nodes, rate).await?;
    let each = servers.since(&before).await?.per_change(rest, f64::from(rate.count()));
    add("pod.replaced.cpu", each.cpu * 1e3);
    add("pod.replaced.network", each.network / KIBIBYTE);
    Ok(())
}

fn spread(add: &mut impl FnMut(&str, f64), id: &str, values: &[f64]) {
    if let Some(spread) = Spread::of(values) {
        add(id, spread.median);
        add(&format!("{id}.p90"), spread.p90);
    }
}
