//! The agent behind a proxy that shows it what the real server answered earlier, or not all of it.
//! Whatever lists and watches show, a write follows only from a fresh read, and the agent's state
//! becomes the server's again.

use std::time::Duration;

use firecamp_kube::Source;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::agents::{NODE, asked, change, create, empty, kubeconfig, pod, write_beside};
use super::{Outcome, definitions, ensure, rights};
use crate::agent::Agent;
use crate::cluster::{Cluster, Request, api};
use crate::faulty_proxy::{FaultyProxy, IPS, PODS};
use crate::samples::{GROUP, claim, with};

const ELSEWHERE: &str = "n2";
/// The address of all of these checks, and its member.
const ADDRESS: &str = "10.1.0.20";
const MEMBER: &str = "redis-20";
/// A UID of no pod.
const NO_POD: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e22";

const PATIENCE: Duration = Duration::from_mins(1);
/// The agent lists every 10 to 15 minutes.
const LISTS_AGAIN: Duration = Duration::from_mins(16);
/// The agent repeats a release that had nothing to do sooner than this, at first.
const REPEATS: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// A member with its address on this node, and a proxy for the node's agent, which it reaches with
/// these credentials.
async fn behind_proxy(cluster: &Cluster) -> Result<(FaultyProxy, Source), String> {
    empty(cluster).await?;
    create(cluster, 20, NODE).await?;
    // Without a claim a release would find nothing to release.
    let bound = with(claim(), &[("/metadata/name", json!(MEMBER))]);
    let path = format!("{GROUP}/namespaces/prod/staticipclaims");
    let made = cluster.api.post(&path, &bound).await?;
    ensure(made.code == 201, || made.text)?;
    let source = rights::of_agents(cluster).await?;
    let proxy = FaultyProxy::start(api(&source).await?, NODE).await?;
    let (file, mut config) = kubeconfig(&source)?;
    config["clusters"][0]["cluster"]["server"] = json!(format!("http://{}", proxy.at));
    let file = write_beside(file, "faulty.kubeconfig", &config.to_string())?;
    Ok((proxy, Source::Kubeconfig(file)))
}

/// Another pod of the member takes over, on any node. The record changes first: without its pod
/// the agent would release the address.
async fn hand_over(cluster: &Cluster, node: &str) -> Outcome {
    let new = json!([
        { "op": "replace", "path": "/spec/epoch", "value": 4 },
        { "op": "replace", "path": "/spec/attachment/nodeName", "value": node },
        { "op": "replace", "path": "/spec/attachment/podUID", "value": NO_POD },
    ]);
    let moved = cluster.api.patch(&format!("{GROUP}/staticips/{ADDRESS}"), &new).await?;
    ensure(moved.code == 200, || moved.text)?;
    let path = format!("/api/v1/namespaces/prod/pods/{MEMBER}?gracePeriodSeconds=0");
    let gone = cluster.api.delete(&path).await?;
    ensure(gone.code == 200, || gone.text)?;
    let uid = pod(cluster, 20, node).await?;
    change(cluster, 20, "/spec/attachment/podUID", uid).await
}

/// The agent begins two releases: it believes what it is shown, and the first one has ended.
async fn releases_twice(agent: &Agent, before: u64) -> Outcome {
    agent.begins("Release", before + 2).await
}

/// In the end: pods and StaticIPs arrive one after the other.
async fn releases_no_more(agent: &Agent) -> Outcome {
    let end = Instant::now() + PATIENCE;
    loop {
        let before = agent.begun("Release").await?;
        sleep(REPEATS).await;
        let more = agent.begun("Release").await? - before;
        if more == 0 {
            return Ok(());
        }
        ensure(Instant::now() < end, || format!("{more} more releases"))?;
    }
}

/// Since then the agent has written no address, claim or pod.
fn wrote_nothing(cluster: &Cluster, since: usize) -> Outcome {
    let mut writes = asked(cluster, since)?;
    writes.retain(|request| {
        !matches!(request.verb.as_str(), "get" | "list" | "watch")
            && matches!(request.resource.as_str(), "staticips" | "staticipclaims" | "pods")
    });
    ensure(writes.is_empty(), || format!("the agent acted on what it was shown: {writes:#?}"))
}

/// Waits until the agent has read this object alone since then.
async fn reads_afresh(cluster: &Cluster, since: usize, resource: &str, name: &str) -> Outcome {
    let reads = |it: &Request| it.verb == "get" && it.resource == resource && it.name == name;
    let end = Instant::now() + PATIENCE;
    while !asked(cluster, since)?.iter().any(reads) {
        ensure(Instant::now() < end, || format!("no fresh read of {resource} {name}"))?;
        sleep(PAUSE).await;
    }
    Ok(())
}

/// The agent starts, and the server that it reaches lags: its StaticIPs are of the time before the
/// address moved to another node, or its pods of the time before the pod was replaced.
pub(super) async fn f037_stale_lists_make_an_agent_write_nothing(cluster: &Cluster) -> Outcome {
    for (stale, node, attached) in [(IPS, ELSEWHERE, 0), (PODS, NODE, 1)] {
        let (proxy, source) = behind_proxy(cluster).await?;
        let old = proxy.list(stale).await?;
        hand_over(cluster, node).await?;
        let since = cluster.requests()?.len();
        proxy.show(stale, &old);
        proxy.withhold();
        let agent = Agent::start(&source, NODE)?;
        agent.reports_count(1).await?;
        releases_twice(&agent, 0).await?;
        reads_afresh(cluster, since, IPS, ADDRESS).await?;
        wrote_nothing(cluster, since)?;
        // The watches begin at the version of the old list, so they report what it lacks.
        proxy.catch_up();
        agent.reports_count(attached).await?;
        releases_no_more(&agent).await?;
        wrote_nothing(cluster, since)?;
    }
    empty(cluster).await
}

/// The agent's watches end, and the server that it reaches next lags: its StaticIPs are older than
/// what the agent has observed.
pub(super) async fn f037_lists_that_go_back_in_time_make_an_agent_write_nothing(
    cluster: &Cluster,
) -> Outcome {
    let (proxy, source) = behind_proxy(cluster).await?;
    create(cluster, 22, NODE).await?;
    let agent = Agent::start(&source, NODE)?;
    agent.reports_count(2).await?;
    let old = proxy.list(IPS).await?;
    change(cluster, 22, "/spec/epoch", json!(4)).await?;
    hand_over(cluster, ELSEWHERE).await?;
    agent.reports_count(1).await?;
    let (since, before) = (cluster.requests()?.len(), agent.begun("Release").await?);
    proxy.show(IPS, &old);
    proxy.withhold();
    proxy.expire();
    agent.reports_count(2).await?;
    releases_twice(&agent, before).await?;
    // Its epoch went back.
    reads_afresh(cluster, since, IPS, "10.1.0.22").await?;
    reads_afresh(cluster, since, PODS, MEMBER).await?;
    wrote_nothing(cluster, since)?;
    proxy.catch_up();
    agent.reports_count(1).await?;
    releases_no_more(&agent).await?;
    wrote_nothing(cluster, since)?;
    empty(cluster).await
}

/// What a list lacks is not gone. Of the StaticIP neither kernel nor lock of this machine knows
/// anything, so the agent only reports one address less until the next list.
pub(super) async fn f036_objects_missing_from_a_list_are_not_absent(cluster: &Cluster) -> Outcome {
    let (proxy, source) = behind_proxy(cluster).await?;
    let agent = Agent::start(&source, NODE)?;
    agent.reports_count(1).await?;
    let since = cluster.requests()?.len();
    proxy.show_nothing(PODS).await?;
    proxy.expire();
    reads_afresh(cluster, since, PODS, MEMBER).await?;
    agent.still_reports_count(1).await?;
    proxy.show_nothing(IPS).await?;
    proxy.expire();
    agent.reports_count(0).await?;
    proxy.catch_up();
    proxy.expire();
    agent.reports_count(1).await?;
    let releases = agent.begun("Release").await?;
    ensure(releases == 0, || format!("{releases} releases of a live pod's address"))?;
    wrote_nothing(cluster, since)?;
    empty(cluster).await
}

/// The address moves to another node, and its event gets lost while the watch goes on: a server of
/// its own serves the agent until the next list is due.
pub(super) async fn f039_an_event_that_never_arrives_is_made_good_by_the_next_list(
    _other: &Cluster,
) -> Outcome {
    let cluster = Box::pin(Cluster::start()).await?;
    definitions::install(&cluster).await?;
    let (proxy, source) = behind_proxy(&cluster).await?;
    let agent = Agent::start(&source, NODE)?;
    agent.reports_count(1).await?;
    let since = cluster.requests()?.len();
    proxy.lose_next(IPS);
    hand_over(&cluster, ELSEWHERE).await?;
    create(&cluster, 22, NODE).await?;
    // Also the one that has left: a later event has arrived.
    agent.reports_count(2).await?;
    releases_twice(&agent, 0).await?;
    wrote_nothing(&cluster, since)?;
    agent.reports_count_within(LISTS_AGAIN, 1).await?;
    wrote_nothing(&cluster, since)
}
