//! `firecamp service scale`, `stop` and `start`.

use std::time::Duration;

use clap::Args;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::service::REPLICAS;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_run::parse::duration;
use serde_json::{Value, json};

use super::cluster::ServiceCluster;
use super::create::waited;
use super::members::Members;
use super::{Target, stateless};
use crate::common::json::at;
use crate::common::print::{Output, out};
use crate::common::progress::to_stderr;
use crate::common::registry_reader::RegistryReader;
use crate::failure::Failure;
use crate::wait::facts::Want;
use crate::wait::{self, WaitArguments};

/// Attempts to change a StatefulSet or a Deployment that its controller changes as well.
const ATTEMPTS: u32 = 10;

/// `firecamp service scale`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Members with higher ordinals are the last to come and the first to go. Their volumes and addresses \
are kept as the StatefulSet's and the pool's policies say. Members of a stateless service come and \
go in no order.

Exit codes: 0 the number is changed, and with --wait all members are ready; 14 they are not in \
time; 15 the cluster cannot be reached; 16 the service does not exist; 22 the cluster denied a \
request; 2 invalid flag.")]
pub struct ScaleArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// The number of members
    #[arg(long, value_name = "N")]
    pub replicas: u32,
    /// How to wait.
    #[command(flatten)]
    pub until: Until,
}

/// `firecamp service start`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The service gets as many members as it had when it was stopped. Each has its old address and its \
old volumes. A service that runs is left as it is.

Exit codes: 0 the service is started, and with --wait all members are ready; 14 they are not in \
time; 15 the cluster cannot be reached; 16 the service does not exist, or it is unknown how many \
members it had; 22 the cluster denied a request; 2 invalid flag.")]
pub struct StartArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// How to wait.
    #[command(flatten)]
    pub until: Until,
}

/// Whether to wait until all members are ready.
#[derive(Debug, Clone, Args)]
pub struct Until {
    /// Wait until every member is ready and has its address
    #[arg(long)]
    pub wait: bool,
    /// With --wait, give up after this time: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
}

/// `firecamp service stop`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The command scales the StatefulSet, or the Deployment of a stateless service, to 0 and waits until \
no pod of it exists and no address of its members is attached. A service that is stopped, or does \
not exist, is no error. `firecamp service start` brings the members back with their addresses and \
volumes.

Exit codes: 0 the service is stopped; 14 it is not in time: the output says what is left; 15 the \
cluster cannot be reached; 16 FireCamp is not installed; 22 the cluster denied a request; 2 \
invalid flag.")]
pub struct StopArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// Give up after this time: 90s, 5m, 1h. To continue, run the command again
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Scales. Returns the exit code.
pub(crate) async fn scale(arguments: &ScaleArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let members = opened.found().await?;
    let replicas = arguments.replicas;
    change(&members, |_set| Ok(Some(patch(replicas, &Value::Null)))).await?;
    out(&format!("{} has {replicas} replicas now\n", members.set))?;
    until(&members, &arguments.until).await
}

/// Starts. Returns the exit code.
pub(crate) async fn start(arguments: &StartArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let members = opened.found().await?;
    change(&members, |set| started(set).map_err(super::members::invalid)).await?;
    out(&format!("{} is started\n", members.set))?;
    until(&members, &arguments.until).await
}

async fn until<C: ServiceCluster>(members: &Members<'_, C>, until: &Until) -> Result<u8, Failure> {
    if until.wait { waited(members, until.timeout).await } else { Ok(Exit::Success.code()) }
}

/// The change that starts a stopped service; none if it runs.
///
/// # Errors
///
/// If it is unknown how many members it had.
pub fn started(set: &Value) -> Result<Option<Value>, String> {
    if at(set, "/spec/replicas").as_u64() != Some(0) {
        return Ok(None);
    }
    let before = at(set, "/metadata/annotations").get(REPLICAS).and_then(Value::as_str);
    let replicas = before.and_then(|text| text.parse().ok()).ok_or_else(|| {
        format!(
            "annotation {REPLICAS} does not say how many members the service had: use \
             `firecamp service scale`"
        )
    })?;
    Ok(Some(patch(replicas, &Value::Null)))
}

/// The change that stops a service; none if it is stopped.
pub fn stopped(set: &Value) -> Option<Value> {
    let replicas = at(set, "/spec/replicas").as_u64().unwrap_or(1);
    (replicas > 0).then(|| patch(0, &json!(replicas.to_string())))
}

fn patch(replicas: u32, before: &Value) -> Value {
    json!({
        "metadata": { "annotations": { REPLICAS: before } },
        "spec": { "replicas": replicas },
    })
}

/// Changes the version of the StatefulSet or the Deployment that was read, if there is something to
/// change.
pub(super) async fn change<C: ServiceCluster>(
    members: &Members<'_, C>,
    decide: impl Fn(&Value) -> Result<Option<Value>, RegistryFailure>,
) -> Result<(), Failure> {
    let mut left = ATTEMPTS;
    loop {
        let set = members.workload().await?;
        let Some(mut patch) = decide(&set)? else { return Ok(()) };
        if let Some(metadata) = patch.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            let version = at(&set, "/metadata/resourceVersion").clone();
            metadata.insert("resourceVersion".to_owned(), version);
        }
        match members.cluster.patch(&members.set, &patch).await {
            Ok(_set) => return Ok(()),
            Err(why) if why.kind == RegistryKind::Conflict && left > 0 => left -= 1,
            Err(why) => return Err(why.into()),
        }
    }
}

/// Stops. Returns the exit code.
pub(crate) async fn stop(arguments: &StopArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let members = opened.found().await?;
    if opened.cluster.get(&members.set).await?.is_some() {
        change(&members, |set| Ok(stopped(set))).await?;
    }
    let report = released(&members, &arguments.target, arguments.timeout, arguments.output).await?;
    out(&arguments.output.text(&report, |_wide| report.people(jiff::Timestamp::now()))?)?;
    Ok(report.end().code())
}

/// Waits until no pod of the service exists and no address of its members is attached.
pub(super) async fn released<C: ServiceCluster>(
    members: &Members<'_, C>,
    target: &Target,
    timeout: Duration,
    output: Output,
) -> Result<wait::Report, Failure> {
    let arguments = WaitArguments {
        want: Want::Released,
        set: target.service.clone(),
        timeout,
        place: target.place.clone(),
        output,
    };
    let reader = RegistryReader::open(&target.place.target()?).await?;
    if members.is_stateless() {
        return stateless::released(members, reader.label(), timeout, &mut to_stderr).await;
    }
    wait::of(&reader, &arguments, &mut to_stderr).await
}
