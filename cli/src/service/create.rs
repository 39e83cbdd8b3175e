//! `firecamp service create`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use firecamp_core::contract::cluster::ZONE_LABEL;
use firecamp_core::contract::exit::Waited;
use firecamp_core::contract::service::UUID_LABEL;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::SetName;
use firecamp_kube::{ObjectPath, Selector};
use firecamp_run::parse::duration;
use serde_json::Value;

use super::apply::{DryRun, apply};
use super::cluster::{ServiceCluster, kind, path};
use super::definition::Definition;
use super::members::Members;
use super::objects::Service;
use super::{Target, ready};
use crate::common::json::{at, text};
use crate::common::print::{Output, out};
use crate::common::progress::to_stderr;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  firecamp service create prod/redis --image redis:8.2-alpine --replicas 3 --pool main \\
    --port redis=6379 --data 10Gi --user 999 --memory 512Mi --cpu 100m --wait \\
    -- redis-server --dir /data --bind 0.0.0.0
  firecamp service create prod/kafka -f kafka.yaml --config server.properties
  firecamp service create prod/web --stateless --image nginx --replicas 3 --port http=8080
  firecamp service create prod/redis -f redis.yaml --dry-run client -o yaml > manifests.yaml

The objects: a ServiceAccount without a token, a ConfigMap with the files of --config, a headless \
Service, a PodDisruptionBudget of one member that lets unhealthy pods be evicted, and a \
StatefulSet. All have the name of the service; that of the ConfigMap ends with a hash of its \
content. With --pool or --dns-zone there is also the Service NAME-static, which names the members \
at their static addresses. The StatefulSet creates its pods in parallel, so that a zone that is \
down does not keep the others from starting, and replaces pods only when they are deleted: \
`firecamp service restart` does it in the service's order. Members are spread over the zones, one \
on a node. They fulfil the Pod Security Standard \"restricted\".

With --pool, each member has a static address, which it finds in /run/firecamp.io/address. Before \
Kubernetes 1.36, name FireCamp's init container with --init-image: the command adds to the pods \
what `firecamp inject` adds, and an update keeps it. Without it, such a cluster refuses the pods.

With --member-conf, members find the variables of the original's member.conf in \
/data/conf/member.conf: AVAILABILITY_ZONE, MEMBER_NAME, SERVICE_MEMBER, MEMBER_STATIC_IP and \
BIND_IP. A shell must source the file. AVAILABILITY_ZONE is empty before Kubernetes 1.35.

With --stateless, there is a Deployment instead of the StatefulSet, and the Service has a cluster \
IP. The Deployment replaces pods by itself when their template changes, so that the flags for \
addresses, names, volumes and the order of restarts are refused.

A file has the fields of the flags: stateless, replicas, pool, dnsZone, ports, container (image, \
initImage, command, env, cpu, memory, user, readyCommand), volumes (data, dataClass, journal, \
journalClass), placement (zones, hostNetwork, shareNodes), restart (order, primaryLabel, \
primaryCommand, grace), memberConf and config. Flags replace what the file says.

Exit codes: 0 the service is created, and ready with --wait; 14 it is created, but not ready in \
time; 2 invalid flag or file, or the service exists; 15 the cluster cannot be reached; 16 a zone \
has no node, or the pool does not exist; 22 the cluster denied a request.";

/// `firecamp service create`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CreateArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// A YAML file with the definition
    #[arg(short = 'f', long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// The definition.
    #[command(flatten)]
    pub definition: Definition,
    /// A file of configuration; members find it in /data/conf. Repeat it for more
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Whether anything is created
    #[arg(long, value_enum, default_value_t)]
    pub dry_run: DryRun,
    /// Wait until every member is ready and has its address
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// With --wait, give up after this time: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

impl CreateArguments {
    /// The definition of the file, the flags and the files of configuration.
    fn definition(&self) -> Result<Definition, Failure> {
        let file = self.filename.as_deref().map(Definition::read).transpose()?.unwrap_or_default();
        file.overlaid(self.definition.clone()).with_config(&self.config)
    }
}

/// Creates a service. Returns the exit code.
pub(crate) async fn run(arguments: &CreateArguments) -> Result<u8, Failure> {
    let definition = arguments.definition()?;
    if arguments.dry_run == DryRun::Client {
        let (namespace, name) = arguments.target.place.set(&arguments.target.service, None)?;
        let service = Service { namespace, name, uuid: new_uuid()?, definition, before: None };
        let objects = service.objects().map_err(Failure::Usage)?;
        return out(&super::apply::Applied::planned(objects).text(arguments.output)?).map(|()| 0);
    }
    let opened = arguments.target.open().await?;
    let service = planned(&opened.members(), &opened.name, definition).await?;
    let applied = apply(&opened.cluster, &service, arguments.dry_run, false).await?;
    out(&applied.text(arguments.output)?)?;
    if !arguments.wait {
        return Ok(Waited::Reached.code());
    }
    let members = Members { cluster: &opened.cluster, set: service.workload() };
    waited(&members, arguments.timeout).await
}

/// Waits until all members are ready. Returns the exit code.
pub(super) async fn waited<C: ServiceCluster>(
    members: &Members<'_, C>,
    within: Duration,
) -> Result<u8, Failure> {
    let Some(missing) = ready::wait(members, within, &mut to_stderr).await? else {
        return Ok(Waited::Reached.code());
    };
    to_stderr(&format!("not ready in time: {missing}; {}", missing.reason.advice()));
    Ok(Waited::TimedOut.code())
}

/// The service as it will be created. Nothing is created yet.
///
/// # Errors
///
/// If the service exists, a zone has no node, or the pool does not exist.
pub async fn planned<C: ServiceCluster>(
    members: &Members<'_, C>,
    name: &SetName,
    mut definition: Definition,
) -> Result<Service, Failure> {
    let (cluster, namespace) = (members.cluster, members.namespace().to_owned());
    let found = Members::of(cluster, &namespace, name.as_str()).await?;
    if cluster.get(&found.set).await?.is_some() {
        let text = format!("{} exists: change it with `firecamp service update`", found.set);
        return Err(Failure::Usage(text));
    }
    definition.placement.zones = zones(cluster, &definition).await?;
    // What an interrupted command left keeps its UUID.
    let left = cluster.get(&path(kind::SERVICE, &namespace, name.as_str())).await?;
    let uuid = left.as_ref().and_then(|one| at(one, "/metadata/labels").get(UUID_LABEL)?.as_str());
    let uuid = uuid.map_or_else(new_uuid, |uuid| Ok(uuid.to_owned()))?;
    let service = Service { namespace, name: name.clone(), uuid, definition, before: None };
    for (object, _fields) in service.objects().map_err(Failure::Usage)? {
        let found = cluster.get(&object).await?;
        let label = |one: &Value| {
            let label = at(one, "/metadata/labels").get(UUID_LABEL).and_then(Value::as_str);
            label == Some(service.uuid.as_str())
        };
        if found.is_some_and(|one| !label(&one)) {
            return Err(Failure::Usage(format!(
                "{object} exists and does not belong to the service: choose another name"
            )));
        }
    }
    Ok(service)
}

/// The zones of the members: those of the definition, or of the pool, each with a node.
async fn zones<C: ServiceCluster>(
    cluster: &C,
    definition: &Definition,
) -> Result<Vec<String>, Failure> {
    let of_pool = match &definition.pool {
        Some(pool) => Some(zones_of_pool(cluster, pool).await?),
        None => None,
    };
    let wanted = &definition.placement.zones;
    let wanted: Vec<String> = match &of_pool {
        Some(zones) if wanted.is_empty() => zones.iter().cloned().collect(),
        Some(_) | None => wanted.clone(),
    };
    if let (Some(zones), Some(pool)) = (&of_pool, &definition.pool)
        && let Some(zone) = wanted.iter().find(|zone| !zones.contains(*zone))
    {
        return Err(invalid(format!("pool {pool} has no subnet in zone {zone}")));
    }
    let nodes = usable_nodes(cluster).await?;
    match wanted.iter().find(|zone| !nodes.contains_key(*zone)) {
        None => Ok(wanted),
        Some(zone) => Err(invalid(format!(
            "zone {zone} has no ready node that takes pods: add one, or name other zones with \
             --zones"
        ))),
    }
}

pub(super) async fn zones_of_pool<C: ServiceCluster>(
    cluster: &C,
    pool: &str,
) -> Result<BTreeSet<String>, Failure> {
    let object = ObjectPath { kind: kind::POOL, namespace: None, name: pool.to_owned() };
    let found = cluster.get(&object).await?.ok_or_else(|| {
        invalid(format!("{object} does not exist: create it first, or name another with --pool"))
    })?;
    let subnets = at(&found, "/spec/subnets").as_array().into_iter().flatten();
    Ok(subnets.map(|subnet| text(subnet, "/zone").to_owned()).collect())
}

/// The number of ready nodes that take pods, for each zone.
pub(super) async fn usable_nodes<C: ServiceCluster>(
    cluster: &C,
) -> Result<BTreeMap<String, usize>, RegistryFailure> {
    let mut zones = BTreeMap::new();
    for node in cluster.list(kind::NODE, None, &Selector::default()).await? {
        let conditions = at(&node, "/status/conditions").as_array().into_iter().flatten();
        let is_ready = conditions
            .into_iter()
            .any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True");
        let zone = at(&node, "/metadata/labels").get(ZONE_LABEL).and_then(Value::as_str);
        if let (true, Some(zone)) = (is_ready && at(&node, "/spec/unschedulable") != true, zone) {
            *zones.entry(zone.to_owned()).or_default() += 1;
        }
    }
    Ok(zones)
}

fn invalid(detail: String) -> Failure {
    super::members::invalid(detail).into()
}

/// A random UUID without hyphens, as the original's.
fn new_uuid() -> Result<String, Failure> {
    let source = std::path::Path::new("/proc/sys/kernel/random/uuid");
    let text = std::fs::read_to_string(source);
    let text = text.map_err(|why| Failure::file("failed to read", source, why))?;
    Ok(text.trim().replace('-', ""))
}
