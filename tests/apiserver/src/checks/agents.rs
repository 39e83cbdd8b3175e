//! The agent on the real server: its requests, and its behaviour when the server restarts or
//! compacts its history, when its connections fall silent, and when its token expires.

use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_kube::Source;
use serde_json::{Value, json};

use super::{Outcome, ensure, policies, rights};
use crate::agent::Agent;
use crate::cluster::{Cluster, Request};
use crate::relay::Relay;
use crate::samples::{GROUP, static_ip};

pub(super) const NODE: &str = "n1";
/// A watch that is silent for 90 s is opened again, and a token file is read again after a minute.
const AGAIN: Duration = Duration::from_mins(3);
const USER: &str = "system:serviceaccount:firecamp-system:firecamp-agent";

/// Creates an address of a live pod, so that the agent does not release it.
pub(super) async fn create(cluster: &Cluster, last: u8, node: &str) -> Outcome {
    let mut object = static_ip(&format!("10.1.0.{last}"), node, &format!("redis-{last}"));
    object["spec"]["attachment"]["podUID"] = pod(cluster, last, node).await?;
    let made = cluster.api.post(&format!("{GROUP}/staticips"), &object).await?;
    ensure(made.code == 201, || made.text)
}

/// Creates a pod of the member, and returns its UID.
pub(super) async fn pod(cluster: &Cluster, last: u8, node: &str) -> Result<Value, String> {
    let pod = json!({
        "metadata": { "name": format!("redis-{last}") },
        "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "none" }] },
    });
    let made = cluster.api.post("/api/v1/namespaces/prod/pods", &pod).await?;
    ensure(made.code == 201, || made.text.clone())?;
    Ok(made.json()["metadata"]["uid"].clone())
}

pub(super) async fn change(cluster: &Cluster, last: u8, path: &str, value: Value) -> Outcome {
    let new = json!([{ "op": "replace", "path": path, "value": value }]);
    let answer = cluster.api.patch(&format!("{GROUP}/staticips/10.1.0.{last}"), &new).await?;
    ensure(answer.code == 200, || answer.text)
}

/// Deletes all records.
pub(super) async fn empty(cluster: &Cluster) -> Outcome {
    let pods = "/api/v1/namespaces/prod/pods?gracePeriodSeconds=0";
    let gone = cluster.api.delete(pods).await?;
    ensure(gone.code == 200, || gone.text)?;
    cluster.empty().await
}

async fn one_address(cluster: &Cluster) -> Result<(Source, Agent), String> {
    empty(cluster).await?;
    create(cluster, 20, NODE).await?;
    create(cluster, 21, "n2").await?;
    let source = rights::of_agents(cluster).await?;
    let agent = Agent::start(&source, NODE)?;
    agent.reports_count(1).await?;
    Ok((source, agent))
}

/// What agents have asked the server for since then.
pub(super) fn asked(cluster: &Cluster, since: usize) -> Result<Vec<Request>, String> {
    let mut requests = cluster.requests()?.split_off(since);
    requests.retain(|request| request.user == USER && request.group != "authorization.k8s.io");
    Ok(requests)
}

/// Lists and watches select only the agent's own node, and no request is rejected.
pub(super) async fn an_agent_requests_only_objects_of_its_node(cluster: &Cluster) -> Outcome {
    let since = cluster.requests()?.len();
    let (_source, agent) = one_address(cluster).await?;
    create(cluster, 22, NODE).await?;
    agent.reports_count(2).await?;
    // Moves to another node and so leaves the agent's watch.
    change(cluster, 22, "/spec/attachment/nodeName", json!("n2")).await?;
    agent.reports_count(1).await?;
    let requests = asked(cluster, since)?;
    // On a busy machine the agent becomes the leader meanwhile, which watches all.
    let leads = requests.iter().position(|one| one.resource == "leases" && one.verb != "get");
    for (resource, field) in [("staticips", "spec.attachment.nodeName"), ("pods", "spec.nodeName")]
    {
        let wanted = format!("fieldSelector={field}=");
        let all = requests.iter().enumerate().filter(|(_at, request)| {
            request.resource == resource && matches!(request.verb.as_str(), "list" | "watch")
        });
        let mut verbs = Vec::new();
        for (at, request) in all {
            let query = request.query.replace("%3D", "=").replace("%2E", ".");
            let own = query.split('&').any(|part| part == format!("{wanted}{NODE}"));
            ensure(own || leads.is_some_and(|leads| leads < at), || {
                format!("a request does not select {NODE}: {request:?}")
            })?;
            verbs.push(request.verb.as_str());
        }
        let both = verbs.contains(&"list") && verbs.contains(&"watch");
        ensure(both, || format!("the agent did not both list and watch {resource}: {verbs:?}"))?;
    }
    let refused: Vec<&Request> = requests.iter().filter(|request| request.code == 403).collect();
    ensure(refused.is_empty(), || format!("rejected requests: {refused:#?}"))?;
    empty(cluster).await
}

/// While the server is down the agent keeps its observations; afterwards the watches resume.
pub(super) async fn an_agent_survives_a_restart_of_the_api_server(cluster: &Cluster) -> Outcome {
    let (_source, agent) = one_address(cluster).await?;
    cluster.kill().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    agent.still_reports_count(1).await?;
    cluster.restart().await?;
    create(cluster, 22, NODE).await?;
    agent.reports_count(2).await?;
    empty(cluster).await
}

/// The agent was suspended while an address left, the server restarted and etcd was compacted: the
/// watch gets 410, and a new list shows the departure.
pub(super) async fn an_agent_that_missed_events_lists_again(cluster: &Cluster) -> Outcome {
    let (_source, agent) = one_address(cluster).await?;
    create(cluster, 22, NODE).await?;
    agent.reports_count(2).await?;
    agent.signal("STOP").await?;
    // Closes the watches first; otherwise events would wait in the agent's sockets.
    cluster.kill().await?;
    cluster.restart().await?;
    change(cluster, 20, "/spec/attachment/nodeName", json!("n2")).await?;
    change(cluster, 22, "/spec/epoch", json!(4)).await?;
    cluster.kill().await?;
    cluster.compact().await?;
    cluster.restart().await?;
    let since = cluster.requests()?.len();
    agent.signal("CONT").await?;
    agent.reports_count(1).await?;
    let requests = asked(cluster, since)?;
    let listed =
        requests.iter().any(|request| request.resource == "staticips" && request.verb == "list");
    ensure(listed, || format!("the agent did not list StaticIPs again: {requests:#?}"))?;
    empty(cluster).await
}

/// The file of a kubeconfig, and what is in it.
pub(super) fn kubeconfig(source: &Source) -> Result<(&Path, Value), String> {
    let Source::Kubeconfig(file) = source else { return Err("no kubeconfig".to_owned()) };
    let text =
        std::fs::read_to_string(file).map_err(|wrong| format!("{}: {wrong}", file.display()))?;
    Ok((file, serde_json::from_str(&text).map_err(|wrong| format!("{}: {wrong}", file.display()))?))
}

/// A file beside the kubeconfig.
pub(super) fn write_beside(file: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let new = file.with_file_name(name);
    std::fs::write(&new, text).map_err(|wrong| format!("{}: {wrong}", new.display()))?;
    Ok(new)
}

/// The connections stay open and nothing arrives on them, as behind a gateway that has forgotten
/// them: no watch ends, and none shows what changes.
pub(super) async fn an_agent_opens_watches_again_that_fell_silent(cluster: &Cluster) -> Outcome {
    empty(cluster).await?;
    create(cluster, 20, NODE).await?;
    let source = rights::of_agents(cluster).await?;
    let (file, mut config) = kubeconfig(&source)?;
    let relay = Relay::start(cluster.at()).await?;
    config["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", relay.at));
    let file = write_beside(file, "relayed.kubeconfig", &config.to_string())?;
    let agent = Agent::start(&Source::Kubeconfig(file), NODE)?;
    agent.reports_count(1).await?;
    // Its watches are open by then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    relay.silence();
    create(cluster, 22, NODE).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    agent.still_reports_count(1).await?;
    agent.reports_count_within(AGAIN, 2).await?;
    empty(cluster).await
}

/// The token of the agent's pod is not valid any more when its watches end. It keeps what it has
/// observed, and goes on once the kubelet has written another token.
pub(super) async fn an_agent_whose_token_expired_goes_on_with_a_renewed_one(
    cluster: &Cluster,
) -> Outcome {
    empty(cluster).await?;
    create(cluster, 20, NODE).await?;
    rights::of_agents(cluster).await?;
    let token = |config: &Value| config["users"][0]["user"]["token"].as_str().map(str::to_owned);
    let source = policies::agent(cluster, NODE).await?;
    let (file, mut config) = kubeconfig(&source)?;
    let at = write_beside(file, "token", &token(&config).unwrap_or_default())?;
    config["users"][0]["user"] = json!({ "tokenFile": at });
    let file = write_beside(file, "token-file.kubeconfig", &config.to_string())?;
    let agent = Agent::start(&Source::Kubeconfig(file), NODE)?;
    agent.reports_count(1).await?;
    // The first pod is deleted, and its token ends with it.
    let later = policies::agent(cluster, NODE).await?;
    cluster.kill().await?;
    cluster.restart().await?;
    create(cluster, 22, NODE).await?;
    agent.logs("Unauthorized").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    agent.still_reports_count(1).await?;
    let (file, config) = kubeconfig(&later)?;
    write_beside(file, "token", &token(&config).unwrap_or_default())?;
    agent.reports_count_within(AGAIN, 2).await?;
    empty(cluster).await
}
