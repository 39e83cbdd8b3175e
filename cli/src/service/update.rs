//! `firecamp service update`.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::apply::{DryRun, apply};
use super::cluster::ServiceCluster;
use super::definition::Definition;
use super::members::{Members, invalid};
use super::objects::Service;
use super::restart::{self, Goal, How, Pace};
use super::{Target, stateless};
use crate::common::json::at;
use crate::common::print::{Output, out};
use crate::common::progress::to_stderr;
use crate::failure::Failure;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::service::{BEFORE, DEFINITION, UUID_LABEL};
use firecamp_core::ids::SetName;

const EXAMPLES: &str = "\
Examples:
  firecamp service update prod/redis --image redis:8.4-alpine
  firecamp service update prod/kafka --memory 4Gi --config server.properties
  firecamp service update prod/redis --image redis:8.4-alpine --dry-run server -o yaml
  firecamp service update prod/redis --memory 1Gi --no-restart

The flags replace what the service was created or last updated with; the rest stays. If the \
template of the pods changed, the members that have another one are restarted, one by one, in the \
order of the service: see `firecamp service restart --help`. If a member does not come back, the \
command stops; correct the template with another update, or return to the previous one with \
`firecamp service restart --undo`.

The pods of a stateless service are replaced by its Deployment, at once: --no-restart and --delete \
are refused, and --member-timeout is the time for all pods.

The objects are changed by server-side apply. If somebody else changed a field since, for example \
`kubectl edit`, the command reports the conflict and changes nothing of that object.

Exit codes: those of `firecamp service restart`, and 2 if the service was not made by `firecamp \
service create`.";

/// `firecamp service update`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct UpdateArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// A YAML file with the definition, or a part of it
    #[arg(short = 'f', long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// What changes.
    #[command(flatten)]
    pub definition: Definition,
    /// A file of configuration; members find it in /data/conf. Repeat it for more
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Whether anything is changed
    #[arg(long, value_enum, default_value_t)]
    pub dry_run: DryRun,
    /// Take over fields that somebody else changed
    #[arg(long)]
    pub force_conflicts: bool,
    /// Change the template only: members get it when they restart
    #[arg(long)]
    pub no_restart: bool,
    /// How pods are taken down.
    #[command(flatten)]
    pub pace: Pace,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Updates. Returns the exit code.
pub(crate) async fn run(arguments: &UpdateArguments) -> Result<u8, Failure> {
    let file = arguments.filename.as_deref().map(Definition::read).transpose()?;
    let change = file.unwrap_or_default().overlaid(arguments.definition.clone());
    let change = change.with_config(&arguments.config)?;
    let opened = arguments.target.open().await?;
    let members = opened.found().await?;
    let service = planned(&members, &opened.name, change).await?;
    let (dry_run, force) = (arguments.dry_run, arguments.force_conflicts);
    if members.is_stateless() {
        let flags = [("--no-restart", arguments.no_restart), ("--delete", arguments.pace.delete)];
        stateless::refuse(&members, &flags)?;
    } else if let Some(busy) = restart::busy(&members).await? {
        out(&busy.people())?;
        return Ok(busy.end().code());
    }
    // Everything is tried first, so that a refusal of one object changes none.
    if dry_run == DryRun::None {
        apply(&opened.cluster, &service, DryRun::Server, force).await?;
    }
    let applied = apply(&opened.cluster, &service, dry_run, force).await?;
    out(&applied.text(arguments.output)?)?;
    if dry_run != DryRun::None || arguments.no_restart {
        return Ok(Exit::Success.code());
    }
    let report = if members.is_stateless() {
        stateless::rolled_out(&members, arguments.pace.member_timeout, &mut to_stderr).await?
    } else {
        let order = service.definition.restart.order.unwrap_or_default();
        let how = How::of_service(arguments.pace.clone());
        restart::of(members, &how, Some(Goal::Outdated(order))).await?
    };
    out(&report.people())?;
    Ok(report.end().code())
}

/// The service with the change. Nothing is changed yet.
///
/// # Errors
///
/// If the service does not exist, or was not made by `firecamp service create`.
pub async fn planned<C: ServiceCluster>(
    members: &Members<'_, C>,
    name: &SetName,
    change: Definition,
) -> Result<Service, Failure> {
    let set = members.workload().await?;
    let annotations = at(&set, "/metadata/annotations");
    let stored = annotations.get(DEFINITION).and_then(Value::as_str);
    let uuid = at(&set, "/metadata/labels").get(UUID_LABEL).and_then(Value::as_str);
    let (Some(stored), Some(uuid)) = (stored, uuid) else {
        return Err(Failure::Usage(format!(
            "{} was not made by `firecamp service create`: change its manifest, then use \
             `firecamp service restart`",
            members.set
        )));
    };
    let stored: Definition = serde_json::from_str(stored)
        .map_err(|why| invalid(format!("annotation {DEFINITION} of {}: {why}", members.set)))?;
    // The number of members may have been changed by others, such as an autoscaler.
    let now = at(&set, "/spec/replicas").as_u64().and_then(|now| u32::try_from(now).ok());
    let stored = Definition { replicas: now.or(stored.replicas), ..stored };
    let definition = stored.clone().overlaid(change);
    if definition.stateless != members.is_stateless() {
        let text = format!("--stateless: {} is not: create another service", members.set);
        return Err(Failure::Usage(text));
    }
    // While a restart is open, an undo returns to what worked before its first update.
    let open = restart::is_open(&set);
    let earlier = annotations.get(BEFORE).and_then(Value::as_str).filter(|_| open);
    let earlier = earlier.and_then(|text| serde_json::from_str(text).ok());
    Ok(Service {
        namespace: members.namespace().to_owned(),
        name: name.clone(),
        uuid: uuid.to_owned(),
        before: Some(earlier.unwrap_or(stored)),
        definition,
    })
}
