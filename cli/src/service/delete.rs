//! `firecamp service delete`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use firecamp_cloud::{CloudConfig, delete_log_group};
use firecamp_core::contract::env;
use firecamp_core::contract::service::{NAME_LABEL, UUID_LABEL, log_group};
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::{ObjectPath, Selector};
use firecamp_run::parse::duration;
use serde::Serialize;
use serde_json::Value;

use super::cluster::{ServiceCluster, kind, path};
use super::members::Members;
use super::objects::static_name;
use super::{Target, scale};
use crate::common::json::{at, text};
use crate::common::print::{Output, out};
use crate::failure::Failure;
use crate::wait::Report;
use firecamp_core::contract::exit::{Exit, Waited};

const EXAMPLES: &str = "\
Examples:
  firecamp service delete prod/redis --dry-run
  firecamp service delete prod/redis --yes
  firecamp service delete prod/redis --yes --volumes --logs --cluster-name prod

Deleted, in this order: the StatefulSet, or the Deployment of a stateless service; after its pods \
are gone and its addresses are released, the Services, the budget, the ConfigMap and the \
ServiceAccount that belong to the service. Its addresses return to the pool as the pool's policy \
says. The claims of its volumes are kept, unless --volumes is given: then they are deleted, and \
what happens to the EBS volumes is decided by the reclaim policy of their PersistentVolumes. The \
output lists each claim with its volume. Its log group in CloudWatch Logs is kept as well, unless \
--logs is given; that needs the region (AWS_REGION) and credentials with the permission \
logs:DeleteLogGroup. The name of the log group has the UUID of the service. If the service does \
not exist, the UUID is that of its kept claims; without one, the output says how to find the log \
group.

A service that does not exist is no error. A StatefulSet of another maker is refused.

Exit codes: 0 the service is gone; 14 a pod or an address is left after the time; 2 without --yes, \
or invalid flag; 15 the cluster cannot be reached; 22 the cluster denied a request; 13 the log \
group cannot be deleted, everything else is.";

/// `firecamp service delete`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeleteArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// Show what would be deleted, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Confirm that the service is deleted
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
    /// Delete the claims of the volumes as well
    #[arg(long)]
    pub volumes: bool,
    /// Delete the log group of the service as well
    #[arg(long, requires = "cluster_name")]
    pub logs: bool,
    /// Name of the cluster, with which the names of its log groups begin
    #[arg(long, env = env::CLUSTER, hide_env_values = true, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Give up after this time: 90s, 5m, 1h. To continue, run the command again
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What belongs to a service. Stable: fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// NAMESPACE/NAME.
    pub service: String,
    /// Whether it is deleted, or would be.
    pub dry_run: bool,
    /// The objects that are deleted.
    pub deleted: Vec<String>,
    /// The log group that is deleted, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// Why the log group is kept, although its deletion is requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group_kept: Option<String>,
    /// The claims of volumes that are kept, each with its volume.
    pub kept: Vec<String>,
}

/// An object that exists.
#[derive(Debug)]
pub struct Existing {
    /// Its name.
    pub path: ObjectPath,
    uid: String,
    volume: String,
}

/// Deletes. Returns the exit code.
pub(crate) async fn run(arguments: &DeleteArguments) -> Result<u8, Failure> {
    if !arguments.dry_run && !arguments.yes {
        let text = "this deletes the service: look at it with --dry-run, then repeat the command \
                    with --yes";
        return Err(Failure::Usage(text.to_owned()));
    }
    let opened = arguments.target.open().await?;
    let members = opened.found().await?;
    let (target, timeout, output) = (&arguments.target, arguments.timeout, arguments.output);
    let released = async || scale::released(&members, target, timeout, output).await;
    match delete_service(&members, arguments, CloudConfig::from_env(), released).await? {
        Ok(deletion) => {
            out(&output.text(&deletion, |_wide| deletion.people())?)?;
            Ok(Exit::Success.code())
        }
        Err(report) => {
            out(&report.people(jiff::Timestamp::now()))?;
            Ok(report.end().code())
        }
    }
}

/// Deletes. Returns the report if something is not released in time; then the rest is kept.
pub async fn delete_service<C: ServiceCluster>(
    members: &Members<'_, C>,
    arguments: &DeleteArguments,
    cloud: CloudConfig,
    released: impl AsyncFnOnce() -> Result<Report, Failure>,
) -> Result<Result<Deletion, Report>, Failure> {
    let (owned, uuid) = owned(members).await?;
    let (claims, uuid_of_claims) = claims(members).await?;
    let (group, log_group_kept) = arguments.log_group(members, uuid.or(uuid_of_claims));
    let (first, rest): (Vec<Existing>, Vec<Existing>) =
        owned.into_iter().partition(|one| one.path == members.set);
    let (doomed, kept) =
        if arguments.volumes { (claims, Vec::new()) } else { (Vec::new(), claims) };
    if !arguments.dry_run {
        delete(members.cluster, &first).await?;
        let report = released().await?;
        if report.end() == Waited::TimedOut {
            return Ok(Err(report));
        }
        delete(members.cluster, &rest).await?;
        delete(members.cluster, &doomed).await?;
    }
    let log_group = match group {
        Some(group) if !arguments.dry_run => delete_logs(cloud, &group).await?.then_some(group),
        planned => planned,
    };
    let all = first.iter().chain(&rest).chain(&doomed);
    Ok(Ok(Deletion {
        service: format!("{}/{}", members.namespace(), members.set.name),
        dry_run: arguments.dry_run,
        deleted: all.map(Existing::label).collect(),
        log_group,
        log_group_kept,
        kept: kept.iter().map(Existing::label).collect(),
    }))
}

impl DeleteArguments {
    /// The log group to delete, or why it is kept.
    fn log_group<C: ServiceCluster>(
        &self,
        members: &Members<'_, C>,
        uuid: Option<String>,
    ) -> (Option<String>, Option<String>) {
        let Some(cluster) = self.cluster_name.as_deref().filter(|_| self.logs) else {
            return (None, None);
        };
        let name = |uuid: &str| log_group(cluster, members.namespace(), &members.set.name, uuid);
        if let Some(uuid) = uuid {
            return (Some(name(&uuid)), None);
        }
        let kept = format!(
            "its name has the UUID of the service, which no object has: if there is one, find it \
             with `aws logs describe-log-groups --log-group-name-prefix {}`, and delete it with \
             `aws logs delete-log-group --log-group-name NAME`",
            name("")
        );
        (None, Some(kept))
    }
}

/// Deletes a log group. Returns whether there was one.
async fn delete_logs(cloud: CloudConfig, group: &str) -> Result<bool, Failure> {
    let deleted = delete_log_group(cloud, group).await;
    deleted.map_err(|failure| Failure::Cloud {
        failure,
        next: "everything else of the service is deleted. Check AWS_REGION and the credentials, \
               then delete the log group with `aws logs delete-log-group`",
    })
}

/// The objects of the service that exist, those with its UUID, and this UUID.
///
/// # Errors
///
/// If there is a StatefulSet of this name that `firecamp service create` did not make.
pub async fn owned<C: ServiceCluster>(
    members: &Members<'_, C>,
) -> Result<(Vec<Existing>, Option<String>), Failure> {
    let name = members.set.name.as_str();
    let of = |kind| path(kind, members.namespace(), name);
    let mut found = Vec::new();
    let mut uuid = None;
    // The workload is the first one: what it says is the service's UUID.
    let named = path(kind::SERVICE, members.namespace(), &static_name(name));
    let paths =
        [members.set.clone(), of(kind::SERVICE), named, of(kind::BUDGET), of(kind::ACCOUNT)];
    for path in paths {
        let Some(object) = members.cluster.get(&path).await? else { continue };
        let own = label(&object, UUID_LABEL)
            .filter(|_| label(&object, NAME_LABEL).is_some())
            .map(str::to_owned);
        if path == members.set && own.is_none() {
            return Err(Failure::Usage(format!(
                "{path} was not made by `firecamp service create`: delete it with kubectl"
            )));
        }
        if own.is_some() && (uuid.is_none() || own == uuid) {
            uuid = own;
            found.push(Existing::new(path, &object));
        }
    }
    let labels =
        format!("{NAME_LABEL}={name},{UUID_LABEL}={}", uuid.as_deref().unwrap_or_default());
    let selector = Selector { labels, ..Selector::default() };
    let namespace = members.namespace();
    for object in members.cluster.list(kind::CONFIG_MAP, Some(namespace), &selector).await? {
        let path = path(kind::CONFIG_MAP, namespace, text(&object, "/metadata/name"));
        found.push(Existing::new(path, &object));
    }
    Ok((found, uuid))
}

/// The claims of the members' volumes: those with the label of the service, and their UUID if they
/// have the same one. One that was imported before the service existed has none.
async fn claims<C: ServiceCluster>(
    members: &Members<'_, C>,
) -> Result<(Vec<Existing>, Option<String>), RegistryFailure> {
    let labels = format!("{NAME_LABEL}={}", members.set.name);
    let selector = Selector { labels, ..Selector::default() };
    let namespace = members.namespace();
    let claims = members.cluster.list(kind::VOLUME_CLAIM, Some(namespace), &selector).await?;
    let existing = |claim: &Value| {
        Existing::new(path(kind::VOLUME_CLAIM, namespace, text(claim, "/metadata/name")), claim)
    };
    let uuids: BTreeSet<&str> = claims.iter().filter_map(|one| label(one, UUID_LABEL)).collect();
    let uuid = uuids.first().filter(|_| uuids.len() == 1).map(|&uuid| uuid.to_owned());
    Ok((claims.iter().map(existing).collect(), uuid))
}

fn label<'a>(object: &'a Value, label: &str) -> Option<&'a str> {
    at(object, "/metadata/labels").get(label).and_then(Value::as_str)
}

async fn delete<C: ServiceCluster>(cluster: &C, objects: &[Existing]) -> Result<(), Failure> {
    for object in objects {
        cluster.delete(&object.path, &object.uid).await?;
    }
    Ok(())
}

impl Existing {
    fn new(path: ObjectPath, object: &Value) -> Self {
        let uid = text(object, "/metadata/uid").to_owned();
        Self { path, uid, volume: text(object, "/spec/volumeName").to_owned() }
    }

    fn label(&self) -> String {
        if self.volume.is_empty() {
            return self.path.to_string();
        }
        format!("{} (volume {})", self.path, self.volume)
    }
}

impl Deletion {
    /// The deletion as text.
    pub fn people(&self) -> String {
        let done = if self.dry_run { "would be deleted" } else { "deleted" };
        let deleted = self.deleted.iter().map(|one| format!("{one} {done}\n"));
        let kept = self.kept.iter().map(|one| format!("{one} kept\n"));
        let group = self.log_group.iter().map(|one| format!("log group {one} {done}\n"));
        let text: String = deleted.chain(group).chain(kept).collect();
        let text =
            if text.is_empty() { format!("{} does not exist\n", self.service) } else { text };
        let why = self.log_group_kept.iter().map(|why| format!("log group kept: {why}\n"));
        text + &why.collect::<String>()
    }
}
