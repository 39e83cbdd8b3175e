//! The deployed RBAC: each permission is needed, and there is no other. The checks use real tokens
//! of service accounts, and read the requests from the server's audit log.

mod agents;
mod events;
mod members;
mod probe;

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_kube::Source;
use firecamp_testkit::kubernetes::Api;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, ensure};
use crate::cluster::{Cluster, Request, api};
use crate::deploy::apply;
use crate::rights::{Right, Role, Scope, granted, objects, roles};

pub(super) use agents::NODE;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const PATIENCE: Duration = Duration::from_secs(30);
const ATTEMPTS: usize = 5;

/// The subject of the permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The containers of a member's pod.
    Member,
    /// The agent of a node.
    Agent,
}

impl Who {
    fn namespace(self) -> &'static str {
        match self {
            Self::Member => "prod",
            Self::Agent => "firecamp-system",
        }
    }

    fn account(self) -> &'static str {
        match self {
            Self::Member => "redis",
            Self::Agent => "firecamp-agent",
        }
    }

    fn user(self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace(), self.account())
    }

    async fn source(self, cluster: &Cluster) -> Result<Source, String> {
        cluster.account(self.namespace(), self.account()).await
    }

    /// Does everything that the subject ever does, and checks the result of each step.
    async fn work(self, cluster: &Cluster, source: &Source) -> Outcome {
        match self {
            Self::Member => members::work(cluster, source).await,
            Self::Agent => Box::pin(agents::work(cluster, source)).await,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn wrong(failure: RegistryFailure) -> String {
    format!("{failure:?}")
}

/// Applies `deploy/rbac`, waits until it is in force, and returns the credentials of the subject.
async fn deployed(cluster: &Cluster, who: Who) -> Result<Source, String> {
    let objects = objects("prod")?;
    for object in &objects {
        apply(cluster, object).await?;
    }
    let source = who.source(cluster).await?;
    let own = api(&source).await?;
    for (_scope, right) in granted(&objects, who.namespace(), who.account()).into_keys() {
        until(&own, who, &right, true).await?;
    }
    Ok(source)
}

/// The credentials of an agent with all of its permissions.
pub(super) async fn of_agents(cluster: &Cluster) -> Result<Source, String> {
    deployed(cluster, Who::Agent).await
}

/// Waits for a change of a role, which takes effect after milliseconds.
async fn until(own: &Api, who: Who, right: &Right, wanted: bool) -> Outcome {
    let (resource, part) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
    let attributes = json!({
        "namespace": who.namespace(),
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": part,
        "name": right.name,
    });
    let end = Instant::now() + PATIENCE;
    loop {
        let review = json!({ "spec": { "resourceAttributes": attributes } });
        let answer = own.post(REVIEWS, &review).await?;
        if answer.json()["status"]["allowed"] == wanted {
            return Ok(());
        }
        ensure(Instant::now() < end, || {
            format!("{right:?} never became allowed={wanted}: {}", answer.text)
        })?;
        sleep(Duration::from_millis(20)).await;
    }
}

/// The later requests of this account, without its access reviews.
fn asked(cluster: &Cluster, who: Who, since: usize) -> Result<Vec<Request>, String> {
    let mut requests = cluster.requests()?.split_off(since);
    requests.retain(|request| {
        request.user == who.user()
            && request.group != "authorization.k8s.io"
            && !request.resource.is_empty()
    });
    Ok(requests)
}

/// The permission that a request needs, restricted to the object's name if it is granted so.
fn needed(request: &Request, granted: &BTreeSet<Right>) -> Right {
    let right = |name: Option<&str>| Right {
        group: request.group.clone(),
        resource: request.resource.clone(),
        verb: request.verb.clone(),
        name: name.map(str::to_owned),
    };
    let narrow = right(Some(&request.name));
    if granted.contains(&narrow) { narrow } else { right(None) }
}

async fn uses_each(cluster: &Cluster, who: Who) -> Outcome {
    let source = deployed(cluster, who).await?;
    let objects = objects("prod")?;
    let granted = granted(&objects, who.namespace(), who.account());
    let granted: BTreeSet<Right> = granted.into_keys().map(|(_scope, right)| right).collect();
    let since = cluster.requests()?.len();
    let worked = who.work(cluster, &source).await;
    let requests = asked(cluster, who, since)?;
    let refused: Vec<&Request> = requests.iter().filter(|request| request.code == 403).collect();
    ensure(refused.is_empty(), || format!("rejected requests: {refused:#?} {worked:?}"))?;
    worked?;
    let used = requests.iter().map(|request| needed(request, &granted)).collect();
    let unused: Vec<&Right> = granted.difference(&used).collect();
    ensure(unused.is_empty(), || format!("granted and never used: {unused:#?}"))
}

/// Removes each permission in turn; the work must then fail for that reason.
async fn needs_each(cluster: &Cluster, who: Who) -> Outcome {
    let source = deployed(cluster, who).await?;
    let own = api(&source).await?;
    let objects = objects("prod")?;
    let roles = roles(&objects);
    for ((_scope, right), name) in granted(&objects, who.namespace(), who.account()) {
        let role = roles.get(&name).ok_or_else(|| format!("no role {name}"))?;
        apply(cluster, &role.without(&right)).await?;
        until(&own, who, &right, false).await?;
        let failed = without(cluster, who, &source, (role, &right)).await;
        apply(cluster, &role.object).await?;
        until(&own, who, &right, true).await?;
        failed.map_err(|wrong| format!("without {right:?}: {wrong}"))?;
    }
    Ok(())
}

async fn without(
    cluster: &Cluster,
    who: Who,
    source: &Source,
    (role, right): (&Role, &Right),
) -> Outcome {
    let mut worked = Ok(());
    for _attempt in 0..ATTEMPTS {
        let since = cluster.requests()?.len();
        worked = who.work(cluster, source).await;
        let requests = asked(cluster, who, since)?;
        let mut refused = requests.iter().filter(|request| request.code == 403);
        if refused.any(|request| needed(request, &role.rights) == *right) {
            return ensure(worked.is_err(), || "the work succeeded".to_owned());
        }
        // On a busy machine the server may respond too late, so that the work fails before the
        // rejected request.
        if !worked.as_ref().is_err_and(|wrong| wrong.contains("Unavailable")) {
            break;
        }
    }
    Err(format!("no request was rejected: {worked:?}"))
}

async fn has_no_other(cluster: &Cluster, who: Who) -> Outcome {
    let source = deployed(cluster, who).await?;
    let objects = objects("prod")?;
    let granted = granted(&objects, who.namespace(), who.account()).into_keys().collect();
    probe::allows_only(cluster, who, &api(&source).await?, &granted).await
}

/// Does everything that an agent does, with this token.
pub(super) async fn agents_work(cluster: &Cluster, source: &Source) -> Outcome {
    Who::Agent.work(cluster, source).await
}

/// Waits until the members' service account has its deployed permissions.
pub(super) async fn members_may(cluster: &Cluster) -> Outcome {
    deployed(cluster, Who::Member).await.map(drop)
}

pub(super) async fn members_use_each_of_their_permissions(cluster: &Cluster) -> Outcome {
    uses_each(cluster, Who::Member).await
}

pub(super) async fn a_member_fails_without_any_one_permission(cluster: &Cluster) -> Outcome {
    needs_each(cluster, Who::Member).await
}

pub(super) async fn f103_members_have_no_other_permission(cluster: &Cluster) -> Outcome {
    has_no_other(cluster, Who::Member).await
}

pub(super) async fn agents_use_each_of_their_permissions(cluster: &Cluster) -> Outcome {
    uses_each(cluster, Who::Agent).await
}

pub(super) async fn an_agent_fails_without_any_one_permission(cluster: &Cluster) -> Outcome {
    needs_each(cluster, Who::Agent).await
}

pub(super) async fn agents_have_no_other_permission(cluster: &Cluster) -> Outcome {
    has_no_other(cluster, Who::Agent).await
}

/// The first rule that `kubectl auth can-i --list` shows and that is not one of every account.
async fn special_rule(own: &Api, namespace: &str) -> Result<Option<Value>, String> {
    let answer = own.post(RULES, &json!({ "spec": { "namespace": namespace } })).await?;
    let rules = |kind: &str| answer.json()["status"][kind].as_array().cloned();
    let words = |rule: &Value, field: &str| -> Vec<String> {
        let all = rule[field].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    // Every account may ask what it may, and from Kubernetes 1.37 on read the trusted certificates.
    let is_everybodys = |rule: &Value| {
        let of = |prefix| words(rule, "resources").iter().all(|one| one.starts_with(prefix));
        of("selfsubject") || of("clustertrustbundles")
    };
    let reads = |rule: &Value| words(rule, "verbs") == ["get"];
    let resources = rules("resourceRules").filter(|all| !all.is_empty());
    let paths = rules("nonResourceRules").ok_or_else(|| answer.text.clone())?;
    let resources = resources.ok_or_else(|| answer.text.clone())?;
    let of_resources = resources.into_iter().find(|rule| !is_everybodys(rule));
    Ok(of_resources.or_else(|| paths.into_iter().find(|rule| !reads(rule))))
}

/// Their service accounts are in namespaces without bindings.
pub(super) async fn f138_members_that_ask_the_agents_have_no_permission(
    cluster: &Cluster,
) -> Outcome {
    deployed(cluster, Who::Agent).await?;
    let direct = api(&deployed(cluster, Who::Member).await?).await?;
    let found = special_rule(&direct, "prod").await?;
    ensure(found.is_some(), || "a member in direct mode has no permission".to_owned())?;
    // The token that Kubernetes mounts into the containers of a labelled pod.
    let pods = "/api/v1/namespaces/test/pods";
    let pod = json!({
        "metadata": { "name": "redis-0", "labels": { "firecamp.io/pool": "pool" } },
        "spec": {
            "nodeName": "node-a",
            "serviceAccountName": "redis",
            "containers": [{ "name": "c", "image": "none" }],
        },
    });
    let made = cluster.api.post(pods, &pod).await?;
    ensure(made.code == 201, || made.text.clone())?;
    let made = made.json();
    let uid = made["metadata"]["uid"].as_str().unwrap_or_default();
    let of_pod = cluster.pod("test", "redis", ("redis-0", uid)).await?;
    for source in [of_pod, cluster.account("test", "redis").await?] {
        let asking = api(&source).await?;
        for namespace in ["test", "prod", "firecamp-system"] {
            let found = special_rule(&asking, namespace).await?;
            ensure(found.is_none(), || format!("in {namespace}: {found:?}"))?;
        }
    }
    let gone = cluster.api.delete(&format!("{pods}/redis-0?gracePeriodSeconds=0")).await?;
    ensure(gone.code == 200, || gone.text)?;
    // Nor does the API server accept the token that such a member shows to its agent.
    let own = api(&cluster.for_agents("test", "redis").await?).await?;
    let answer = own.get("/api").await?;
    ensure(answer.code == 401, || format!("{} {}", answer.code, answer.text))
}
