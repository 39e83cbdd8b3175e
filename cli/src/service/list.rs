//! `firecamp service list` and `firecamp service status`.

use clap::Args;
use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::contract::endpoint::POOL_LABEL;
use firecamp_core::contract::env;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::contract::service::{NAME_LABEL, RESTART};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::ClusterName;
use firecamp_kube::{ObjectKind, Selector};
use serde::Serialize;
use serde_json::Value;

use super::cluster::{ServiceCluster, kind};
use super::members::Members;
use super::names::{Names, NamesReady};
use super::restart::decide::not_back;
use super::restart::facts::{Facts, MemberFacts, Role};
use super::restart::primary_of;
use super::restart::progress::{PrimaryBy, Progress, Stopped};
use super::restart::run::ask_roles;
use super::{Target, open};
use crate::common::json::{at, text};
use crate::common::print::{Output, out};
use crate::common::select_registry::{DEFAULT_NAMESPACE, RegistryArguments};
use crate::common::table::table;
use crate::failure::Failure;

/// `firecamp service list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A service is a StatefulSet that `firecamp service` created, or whose pods have static addresses by \
the label firecamp.io/pool; or a Deployment that `firecamp service create --stateless` created.

Exit codes: 0 the services are listed; 15 the cluster cannot be reached; 22 the cluster denied a \
request; 2 invalid flag.")]
pub struct ListArguments {
    /// The services of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// The cluster.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `firecamp service status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
If the service says how its primary is known (--primary-label or --primary-command), the members \
have a role; to ask by a command needs the permission to create pods/exec.

The names of a member are those that its Services ask for (docs/names.md). Whether they are \
published does not change the exit code.

Exit codes: 0 every member is ready, with its address; 20 a member is not, or a restart stopped; \
15 the cluster cannot be reached; 16 the service does not exist; 22 the cluster denied a request; \
2 invalid flag.")]
pub struct StatusArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// Name of the cluster, for names in the DNS zone `default`
    #[arg(long, env = env::CLUSTER, hide_env_values = true, value_name = "NAME")]
    pub cluster_name: Option<ClusterName>,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// A service in a list. Stable: fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// `StatefulSet`, or `Deployment` for a stateless service.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The number of members that it is to have.
    pub replicas: u64,
    /// The number of members that are ready.
    pub ready: u64,
    /// The pool of the members' addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The image of the first container.
    pub image: String,
}

/// A service with its members. Stable: fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The service.
    #[serde(flatten)]
    pub service: Listed,
    /// Its members.
    pub members: Vec<Member>,
    /// Whether the names of the members are published, for each Service that names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names_ready: Vec<NamesReady>,
    /// The restart that is not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Progress>,
}

/// A member of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The name of its pod.
    pub name: String,
    /// Its static address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its names in DNS, in the cluster and in the VPC.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The node of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The zone of its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its volumes, each as CLAIM: VOLUME.
    pub volumes: Vec<String>,
    /// `primary` or `other`, if the service says how its primary is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Whether its pod is of the current template.
    pub current: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Stopped>,
}

/// Lists services. Returns the exit code.
pub(crate) async fn list(arguments: &ListArguments) -> Result<u8, Failure> {
    let (cluster, of_context) = open(&arguments.place).await?;
    let own = arguments.place.namespace.as_deref().unwrap_or(&of_context);
    let own = if own.is_empty() { DEFAULT_NAMESPACE } else { own };
    let namespace = (!arguments.all_namespaces).then_some(own);
    let services = services(&cluster, namespace).await?;
    out(&arguments.output.text(&services, |_wide| people(&services))?)?;
    Ok(CheckExit::Fine.code())
}

/// The services of a namespace, or of all.
pub async fn services<C: ServiceCluster>(
    cluster: &C,
    namespace: Option<&str>,
) -> Result<Vec<Listed>, RegistryFailure> {
    let sets = cluster.list(kind::STATEFUL_SET, namespace, &Selector::default()).await?;
    let ours = Selector { labels: NAME_LABEL.to_owned(), ..Selector::default() };
    let deployments = cluster.list(kind::DEPLOYMENT, namespace, &ours).await?;
    let sets = sets.iter().filter(|set| is_service(set));
    let stateful = sets.map(|set| listed(kind::STATEFUL_SET, set));
    let stateless = deployments.iter().map(|one| listed(kind::DEPLOYMENT, one));
    let mut all: Vec<Listed> = stateful.chain(stateless).collect();
    all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(all)
}

fn is_service(set: &Value) -> bool {
    at(set, "/metadata/labels").get(NAME_LABEL).is_some() || pool(set).is_some()
}

fn pool(set: &Value) -> Option<String> {
    let labels = at(set, "/spec/template/metadata/labels");
    labels.get(POOL_LABEL).and_then(Value::as_str).map(str::to_owned)
}

fn listed(kind: ObjectKind, set: &Value) -> Listed {
    Listed {
        kind: kind.kind,
        namespace: text(set, "/metadata/namespace").to_owned(),
        name: text(set, "/metadata/name").to_owned(),
        replicas: at(set, "/spec/replicas").as_u64().unwrap_or(1),
        ready: at(set, "/status/readyReplicas").as_u64().unwrap_or_default(),
        pool: pool(set),
        image: text(set, "/spec/template/spec/containers/0/image").to_owned(),
    }
}

fn people(services: &[Listed]) -> String {
    let row = |one: &Listed| {
        vec![
            one.namespace.clone(),
            one.name.clone(),
            one.kind.to_owned(),
            format!("{}/{}", one.ready, one.replicas),
            one.pool.clone().unwrap_or_default(),
            one.image.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = services.iter().map(row).collect();
    table(&["NAMESPACE", "SERVICE", "KIND", "READY", "POOL", "IMAGE"], &rows)
}

/// Shows a service. Returns the exit code.
pub(crate) async fn status(arguments: &StatusArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let status = of(&opened.found().await?, arguments.cluster_name.as_ref()).await?;
    out(&arguments.output.text(&status, |_wide| status.people())?)?;
    Ok(status.end().code())
}

/// The state of a service. The name of the cluster is that of the DNS zone `default`.
pub async fn of<C: ServiceCluster>(
    members: &Members<'_, C>,
    cluster: Option<&ClusterName>,
) -> Result<Status, RegistryFailure> {
    let set = members.workload().await?;
    let mut facts = members.facts(&set).await?;
    // Without a readable annotation the roles are unknown.
    let primary = primary_of(&set).unwrap_or(PrimaryBy::Nothing);
    if primary != PrimaryBy::Nothing {
        let pods = members.pods(&set).await?;
        ask_roles(members, &primary, &mut facts, &pods).await;
    }
    let names = Names::of(members, cluster).await?;
    let all = Selector::default();
    let claims = members.cluster.list(kind::VOLUME_CLAIM, Some(members.namespace()), &all).await?;
    let nodes = members.cluster.list(kind::NODE, None, &all).await?;
    let member = |one: &MemberFacts| Member {
        names: names.of_member(&one.name),
        volumes: volumes_of(&set, &claims, &one.name),
        ..member(one, &facts, &nodes)
    };
    let restart = at(&set, "/metadata/annotations").get(RESTART).and_then(Value::as_str);
    let restart = restart.and_then(|text| serde_json::from_str::<Progress>(text).ok());
    Ok(Status {
        service: listed(members.set.kind, &set),
        members: facts.members.iter().map(member).collect(),
        names_ready: names.ready(),
        restart: restart.filter(Progress::is_open),
    })
}

/// A member by its pod and its address.
fn member(one: &MemberFacts, facts: &Facts, nodes: &[Value]) -> Member {
    let node = one.pod.as_ref().and_then(|pod| pod.node.clone());
    Member {
        name: one.name.clone(),
        address: one.address.clone(),
        names: Vec::new(),
        zone: node.as_deref().and_then(|node| zone_of(nodes, node)),
        node,
        volumes: Vec::new(),
        role: one.pod.as_ref().and_then(|pod| pod.role.name()),
        current: one.pod.as_ref().is_some_and(|pod| pod.revision == facts.update_revision),
        problem: not_back(one),
    }
}

fn zone_of(nodes: &[Value], name: &str) -> Option<String> {
    let node = nodes.iter().find(|node| text(node, "/metadata/name") == name)?;
    at(node, "/metadata/labels").get(ZONE_LABEL)?.as_str().map(str::to_owned)
}

/// The volumes of a member's claims, whose names Kubernetes makes of the template's and the pod's.
fn volumes_of(set: &Value, claims: &[Value], member: &str) -> Vec<String> {
    let templates = at(set, "/spec/volumeClaimTemplates").as_array().into_iter().flatten();
    let names = templates.map(|one| format!("{}-{member}", text(one, "/metadata/name")));
    let found = names.map(|name| {
        let claim = claims.iter().find(|claim| text(claim, "/metadata/name") == name);
        let volume = claim.map(|claim| text(claim, "/spec/volumeName")).unwrap_or_default();
        if volume.is_empty() { format!("{name}: none yet") } else { format!("{name}: {volume}") }
    });
    found.collect()
}

impl Status {
    /// The exit of the command.
    pub fn end(&self) -> CheckExit {
        let stopped = self.restart.as_ref().is_some_and(|restart| restart.stopped.is_some());
        let broken = self.members.iter().any(|member| member.problem.is_some());
        if stopped || broken { CheckExit::Problems } else { CheckExit::Fine }
    }

    /// The status as text.
    pub fn people(&self) -> String {
        let row = |one: &Member| {
            let problem = one.problem.as_ref();
            vec![
                one.name.clone(),
                one.address.clone().unwrap_or_default(),
                one.node.clone().unwrap_or_default(),
                one.zone.clone().unwrap_or_default(),
                if one.current { "current" } else { "outdated" }.to_owned(),
                problem.map(|why| format!("{:?}", why.reason)).unwrap_or_default(),
                problem.map(|why| why.message.clone()).unwrap_or_default(),
            ]
        };
        let rows: Vec<Vec<String>> = self.members.iter().map(row).collect();
        let headings = ["MEMBER", "ADDRESS", "NODE", "ZONE", "TEMPLATE", "PROBLEM", "MESSAGE"];
        let mut text = people(std::slice::from_ref(&self.service));
        text.push('\n');
        text.push_str(&table(&headings, &rows));
        let primaries = self.members.iter().filter(|one| one.role == Role::Primary.name());
        text.extend(primaries.map(|one| format!("  primary {}\n", one.name)));
        for member in &self.members {
            text.extend(member.names.iter().map(|name| format!("  name {name}\n")));
            text.extend(member.volumes.iter().map(|volume| format!("  volume {volume}\n")));
        }
        let unready = self.names_ready.iter().filter(|one| one.status != "True");
        text.extend(unready.map(|one| {
            let NamesReady { service, status, reason, message } = one;
            format!("\nNames of Service {service}: {status}, {reason}: {message}\n")
        }));
        if let Some(restart) = &self.restart {
            let state = match (&restart.stopped, &restart.owner) {
                (Some(stopped), _) => format!("stopped: {stopped}"),
                (None, Some(owner)) => format!("{} performs it", owner.identity),
                (None, None) => "interrupted".to_owned(),
            };
            text.extend([format!("\nThe restart that began at {}: {state}\n", restart.begun)]);
        }
        text
    }
}
