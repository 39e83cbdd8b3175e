//! What a pod that is no member can do at the endpoint of its node's agent (docs/endpoint.md).

mod connections;

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::endpoint::{AUDIENCE, CONNECTIONS_OF_POD, TOKEN_VOLUME};
use firecamp_core::contract::event::Notice;
use nix::unistd::Pid;
use procfs::process::Process;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::audit::Held;
use super::events::{EventSource, INIT};
use super::processes::{Watch, containers, finish_traffic, sandbox};
use super::refused::APART;
use super::set::{FirecampContainers, NAMESPACE, Set, Stop};
use super::test_cluster::{ADDRESSES, POOLS, Pod, TestCluster, all_but, ensure, text};
use super::tokens::token_of;
use crate::cli::print_line;
use crate::install::until;
use crate::{Outcome, failed};
use connections::{CLIENTS, Flood, READ, REQUESTS, Request};

/// Metrics of an agent.
const OPEN: &str = "firecamp_agent_endpoint_connections";
const CLOSED: &str = "firecamp_agent_endpoint_refused_connections_total";
const REFUSED_TOKENS: &str =
    r#"firecamp_agent_endpoint_requests_total{request="refused",reason="TokenRefused"}"#;
/// What the response to a token says that is refused.
const REFUSED: &str = r#""reason":"TokenRefused""#;
/// Label of a namespace that the pool does not allow, while the scenario runs. No other one has it.
const NOT_ALLOWED: &str = "example.com/hostile";
/// It passes for a token, but the API server knows no such token.
const GARBAGE: &str = "a.b.c";
/// Tokens that are shown before the endpoint reviews no more of them.
const TOKENS: usize = 200;
/// Those that find no free connection at first.
const BEYOND: u64 = (CLIENTS - CONNECTIONS_OF_POD) as u64;
/// From the deletion of a member's pod until its successor is ready. The init container would ask
/// for two minutes.
const RESTART: Duration = Duration::from_mins(1);
/// Between two looks at the number of connections.
const SAMPLE: Duration = Duration::from_millis(500);
/// How much the memory of an agent may grow at most, in KiB: its limit is 128 MiB.
const GROWTH: u64 = 16 << 10;

/// A token, and the responses to [`REQUESTS`] with it: status code and words.
struct Shown {
    what: &'static str,
    token: Option<String>,
    answers: [(u16, String); 3],
}

/// An ordinary pod on the node of a member.
struct Hostile {
    pod: Pod,
    /// A process of it.
    process: Pid,
    ip: String,
    /// The token of a member of another node.
    from_elsewhere: String,
}

impl Hostile {
    /// Starts it in a restricted namespace that the pool does not allow.
    async fn start(cluster: &TestCluster<'_>, node: &str, elsewhere: &Pod) -> Outcome<Self> {
        let (level, label) =
            ("pod-security.kubernetes.io/enforce=restricted", format!("{NOT_ALLOWED}=true"));
        cluster.admin.kubectl(&["create", "namespace", APART]).await?;
        cluster.admin.kubectl(&["label", "namespace", APART, level, &label]).await?;
        let ip = cluster.start_visitor("hostile", node).await?;
        let pod = cluster.wait_ready_in(APART, "hostile", None).await?;
        let process = containers(&pod.uid).pop().ok_or("the hostile pod does not run")?;
        Ok(Self { pod, process, ip, from_elsewhere: cluster.stolen_token(elsewhere)? })
    }

    /// Its own token for the endpoint: any pod may mount one.
    async fn own_token(&self, cluster: &TestCluster<'_>) -> Outcome<String> {
        let Pod { name, uid, .. } = &self.pod;
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid });
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": [AUDIENCE], "boundObjectRef": pod },
        });
        let place = format!("/api/v1/namespaces/{APART}/serviceaccounts/default/token");
        let answer = cluster.admin.api.post(&place, &request).await?;
        ensure(answer.code == 201, || answer.text.clone())?;
        Ok(text(&answer.json()["status"]["token"]))
    }

    /// What it can show, the tokens of a member of its node and of another one among it.
    async fn tokens(&self, cluster: &TestCluster<'_>, member: &Pod) -> Outcome<Vec<Shown>> {
        let refused = |what: &'static str, token: Option<String>, words: &str| {
            let answers = [401; 3].map(|code| (code, words.to_owned()));
            Shown { what, token, answers }
        };
        let stolen_at = format!("the request is from {}", self.ip);
        let elsewhere = Some(self.from_elsewhere.clone());
        let other_agent = format!("this is the agent of {}", self.pod.node);
        // It has no address to release, and gets none.
        let of_its_own = [
            (403, "does not allow namespace"),
            (200, "nothing to release"),
            (200, r#"{"address":null}"#),
        ];
        let answers = of_its_own.map(|(code, words)| (code, words.to_owned()));
        let own = Some(self.own_token(cluster).await?);
        Ok(vec![
            refused("no token", None, "has no bearer token"),
            refused("what can be no token", Some("a b".to_owned()), "a character that no bearer"),
            refused("a token that nobody issued", Some(GARBAGE.to_owned()), REFUSED),
            refused("a token for the API server", Some(token_of(self.process)?), REFUSED),
            refused("the token of a member", Some(cluster.stolen_token(member)?), &stolen_at),
            refused("the token of a member of another node", elsewhere, &other_agent),
            Shown { what: "its own token", token: own, answers },
        ])
    }

    /// The status code and the text of the response, once the endpoint does not ask to come back.
    async fn answer(&self, request: Request, token: Option<&str>) -> Outcome<(u16, String)> {
        until(&format!("the endpoint answers {}", request.path), || async {
            let (status, answer) = request.send(self.process, token)?;
            ensure(![429, 503].contains(&status), || answer.clone())?;
            Ok((status, answer))
        })
        .await
    }

    /// Shows tokens until the endpoint reviews no more of them.
    fn exhaust_reviews(&self) -> Outcome {
        for _token in 0..TOKENS {
            if READ.send(self.process, Some(GARBAGE))?.0 == 429 {
                return Ok(());
            }
        }
        Err(format!("{TOKENS} tokens of one pod were reviewed without a pause"))
    }

    /// Opens connections until it has as many as a pod may have.
    async fn flood(&self, cluster: &TestCluster<'_>) -> Outcome<Flood> {
        let flood = Flood::start(self.process);
        let most = Some(CONNECTIONS_OF_POD as u64);
        until("the flood has all connections of a pod, and no more", || async {
            let open = cluster.metric(&self.pod.node, OPEN)?;
            ensure(open == most, || format!("{open:?} connections instead of {most:?}"))
        })
        .await?;
        Ok(flood)
    }
}

/// An agent before the attack.
struct Agent<'a> {
    node: &'a str,
    process: Pid,
    peak_memory: u64,
    /// Connections that it has closed because there were too many.
    closed: u64,
}

impl<'a> Agent<'a> {
    fn of(cluster: &TestCluster<'_>, node: &'a str) -> Outcome<Self> {
        let process = cluster.agent_on(node)?;
        let (peak_memory, closed) = (peak_memory(process)?, closed_by(cluster, node)?);
        Ok(Self { node, process, peak_memory, closed })
    }

    /// Checks that this process still runs, and has limited a flood. `unanswered` connections of
    /// the flood were closed without a response.
    async fn verify_limited(&self, cluster: &TestCluster<'_>, unanswered: u64) -> Outcome {
        let closed = closed_by(cluster, self.node)?.saturating_sub(self.closed);
        ensure(closed >= BEYOND && unanswered >= BEYOND, || {
            format!("{closed} connections closed, {unanswered} without a response")
        })?;
        until("the connections of the flood are closed", || async {
            let open = cluster.metric(self.node, OPEN)?;
            ensure(open == Some(0), || format!("{open:?} connections"))
        })
        .await?;
        let now = cluster.agent_on(self.node)?;
        ensure(now == self.process, || format!("agent {now} instead of {}", self.process))?;
        let growth = peak_memory(now)?.saturating_sub(self.peak_memory);
        ensure(growth <= GROWTH, || format!("the agent's memory grew by {growth} KiB"))?;
        print_line(&format!("        {closed} connections closed; {growth} KiB of memory"))
    }
}

/// What the pool allows by default here.
pub(super) fn all_namespaces() -> Value {
    json!({ "from": "All", "selector": null })
}

fn closed_by(cluster: &TestCluster<'_>, node: &str) -> Outcome<u64> {
    Ok(cluster.metric(node, CLOSED)?.unwrap_or_default())
}

/// The most memory that a process has used, in KiB.
fn peak_memory(process: Pid) -> Outcome<u64> {
    let status = Process::new(process.as_raw()).and_then(|process| process.status());
    let status = status.map_err(failed(format!("process {process}")))?;
    status.vmhwm.ok_or_else(|| format!("process {process} has no memory"))
}

impl TestCluster<'_> {
    /// Changes which namespaces the pool of the members allows: all of them, before and after.
    pub(super) async fn allow_namespaces(&self, allowed: &Value) -> Outcome {
        let change = json!({ "spec": { "allowedNamespaces": allowed } });
        let (place, kind) = (format!("{POOLS}/main"), "application/merge-patch+json");
        let answer = self.admin.api.patch_as(kind, &place, &change).await?;
        ensure(answer.code == 200, || answer.text)
    }

    /// The token of a member in its pod's volume on the node.
    fn stolen_token(&self, member: &Pod) -> Outcome<String> {
        let node = self.running.init_process(&member.node)?;
        let (root, uid) = (format!("/proc/{node}/root"), &member.uid);
        let pod = format!("{root}/var/lib/kubelet/pods/{uid}");
        let file = format!("{pod}/volumes/kubernetes.io~projected/{TOKEN_VOLUME}/token");
        let token = fs::read_to_string(&file).map_err(failed(&file))?;
        Ok(token.trim().to_owned())
    }

    async fn record(&self, address: Ipv4Addr) -> Outcome<Value> {
        Ok(self.admin.get(&format!("{ADDRESSES}/{address}")).await?["spec"].take())
    }
}

/// Shows each token with each request. No response names the address of the member.
async fn verify_refused(
    cluster: &TestCluster<'_>,
    hostile: &Hostile,
    member: &Pod,
    address: &str,
) -> Outcome {
    let counted = cluster.metric(&member.node, REFUSED_TOKENS)?.unwrap_or_default();
    let mut refused = 0;
    for Shown { what, token, answers } in hostile.tokens(cluster, member).await? {
        for (request, (code, words)) in REQUESTS.into_iter().zip(answers) {
            let (status, answer) = hostile.answer(request, token.as_deref()).await?;
            let good = status == code && answer.contains(&words) && !answer.contains(address);
            ensure(good, || format!("{what} at {}: {answer:?}", request.path))?;
            refused += u64::from(status == 401);
        }
    }
    hostile.exhaust_reviews()?;
    let now = cluster.metric(&member.node, REFUSED_TOKENS)?.unwrap_or_default();
    ensure(now >= counted + refused, || format!("{now} refused tokens after {counted}"))
}

/// The refused attach of the hostile pod has its Event. A token that is refused has none, so there
/// is none about the member, either.
async fn verify_events(cluster: &TestCluster<'_>, hostile: &Hostile, member: &Pod) -> Outcome {
    let Pod { name, uid, .. } = &hostile.pod;
    let source = EventSource { namespace: APART, pod: name, uid, container: INIT };
    let names = |one: &Value| text(&one["message"]).contains("does not allow namespace");
    cluster.wait_for_event_by(&source, Notice::AddressAttachFailed, names).await?;
    for notice in [Notice::AddressAttachFailed, Notice::AddressReleaseFailed] {
        let some = cluster.has_pod_event(notice.reason(), &member.uid).await?;
        ensure(!some, || format!("an Event {} is about {}", notice.reason(), member.name))?;
    }
    Ok(())
}

/// The hostile pod shows tokens and floods the endpoint. Nothing of the member changes. The flood
/// goes on.
async fn attack(
    cluster: &TestCluster<'_>,
    hostile: &Hostile,
    member: &Pod,
    held: &Held,
) -> Outcome<Flood> {
    let record = cluster.record(held.address).await?;
    let watch = Watch::start(sandbox(&member.uid)?).await?;
    let client = cluster.traffic(&[held.address])?;
    verify_refused(cluster, hostile, member, &held.address.to_string()).await?;
    verify_events(cluster, hostile, member).await?;
    let flood = hostile.flood(cluster).await?;
    let now = cluster.wait_held(member).await?;
    finish_traffic(client)?.verify_undisturbed()?;
    watch.verify_never_lost(held.address).await?;
    ensure(now == *held, || format!("{now:?} after {held:?}"))?;
    let after = cluster.record(held.address).await?;
    ensure(after == record, || format!("{after} after {record}"))?;
    Ok(flood)
}

/// The member restarts on its node in time, and its init container succeeds the first time.
async fn restart(cluster: &TestCluster<'_>, member: &Pod, held: &Held) -> Outcome<Pod> {
    let begun = Instant::now();
    cluster.delete_pod(NAMESPACE, &member.name).await?;
    let mut ready = Box::pin(cluster.wait_ready(&member.name, Some(member)));
    let next = loop {
        // The limit holds all the time; one more connection is the member's own.
        let open = cluster.metric(&member.node, OPEN)?.unwrap_or_default();
        let within = open <= CONNECTIONS_OF_POD as u64 + 1;
        ensure(within, || format!("{open} connections during the flood"))?;
        if let Ok(next) = timeout(SAMPLE, &mut ready).await {
            break next?;
        }
    };
    let took = begun.elapsed();
    let object = cluster.pod(&next.name).await?;
    let init = &object["status"]["initContainerStatuses"][0];
    ensure(took < RESTART && init["restartCount"] == 0, || format!("ready in {took:?}: {init}"))?;
    let now = cluster.wait_held(&next).await?;
    let same = next.node == member.node && (now.address, &now.eni) == (held.address, &held.eni);
    ensure(same && now.epoch > held.epoch, || format!("{now:?} after {held:?}"))?;
    let seconds = took.as_secs_f64();
    print_line(&format!("        the member restarted during the flood in {seconds:.1} s"))?;
    Ok(next)
}

pub(super) async fn f107_hostile_pods_at_the_endpoint_change_nothing_of_a_member_and_are_limited(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let own_network = FirecampContainers::of_members().has_own_network();
    let firecamp =
        if own_network { FirecampContainers::OwnNetwork } else { FirecampContainers::Injected };
    let set = Set { firecamp, stop: Stop::None, ..Set::new("attacked", 1) };
    let all = cluster.start_members(&set).await?;
    let [(member, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let (node, others) = (member.node.as_str(), all_but(&member.node));
    let distant = Set { name: "distant", ..set.clone() };
    cluster.cordon(&[node], true).await?;
    let (elsewhere, held_there) =
        cluster.start_members(&distant).await?.pop().ok_or("no member on another node")?;
    cluster.cordon(&[node], false).await?;
    cluster.cordon(&others, true).await?;
    let all_but_its_own = json!({ "from": "Selector", "selector": {
        "matchExpressions": [{ "key": NOT_ALLOWED, "operator": "DoesNotExist" }] } });
    cluster.allow_namespaces(&all_but_its_own).await?;
    let hostile = Hostile::start(cluster, node, &elsewhere).await?;
    let (agent, before) = (Agent::of(cluster, node)?, cluster.last_call()?);
    let answers = cluster.record_answers(held.address).await?;
    let flood = attack(cluster, &hostile, member, held).await?;
    let next = restart(cluster, member, held).await?;
    agent.verify_limited(cluster, flood.end()?).await?;
    answers.verify_answered_by(&[member, &next]).await?;
    let now = cluster.wait_held(&elsewhere).await?;
    ensure(now == held_there, || format!("{now:?} after {held_there:?}"))?;
    cluster.verify_mutations(before, 0)?;
    cluster.admin.kubectl(&["delete", "namespace", APART]).await?;
    cluster.allow_namespaces(&all_namespaces()).await?;
    cluster.cordon(&others, false).await?;
    cluster.delete(&distant).await?;
    cluster.delete(&set).await
}
