//! `firecamp service restart`: restarts the members of a StatefulSet one by one, in its order.

mod begin;
pub mod decide;
pub mod facts;
pub mod progress;
pub mod run;

use std::time::Duration;

use clap::Args;
use firecamp_core::contract::exit::Restarted;
use firecamp_core::contract::service::{PRIMARY_COMMAND, PRIMARY_LABEL, RESTART, RESTART_ORDER};
use firecamp_run::parse::duration;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::cluster::ServiceCluster;
use super::members::Members;
use super::{Target, stateless};
use crate::common::json::at;
use crate::common::print::{Output, out};
use crate::common::progress::to_stderr;
use crate::common::signals;
use crate::failure::Failure;
use progress::{Order, PrimaryBy, Progress, Stopped};
use run::{Ended, Run};

pub use begin::{Goal, identity};

const EXAMPLES: &str = "\
Examples:
  firecamp service restart prod/redis
  firecamp service restart redis -n prod --order primary-last --primary-label role=master
  firecamp service restart prod/redis --order primary-first \\
    --primary-command 'redis-cli role | head -1 | grep -q master'
  firecamp service restart prod/redis --resume
  firecamp service restart prod/redis --undo

One member at a time: the command evicts its pod, so that PodDisruptionBudgets hold, and waits \
until the successor is ready (its volumes are mounted then) and its static address is attached to \
it. Only then the next one follows. A member that is not ready is restarted first. If a member is \
not back within --member-timeout, the command stops and says why: --resume goes on, for example \
after you have repaired a node, and --undo returns to the template of before.

The order of a service that `firecamp service create` made is that of its definition. If the \
primary moves meanwhile, the order follows: primary-first restarts who is the primary when it \
begins, then the others; primary-last leaves whoever is the primary for the end.

A stateless service is restarted as by `kubectl rollout restart`: its Deployment replaces the pods \
by itself, and the command waits for it, --member-timeout for all pods. The flags for the order, \
--delete, --resume and --undo are refused; `kubectl rollout undo` returns to the template of before.

The progress is the annotation firecamp.io/restart of the StatefulSet. If the command is killed, \
--resume takes over after 40 seconds; two commands never restart the same service at once.

Exit codes: 0 all members are restarted; 14 a member is not back in time, or a budget forbids the \
next eviction; 20 another command performs the restart; 15 the cluster cannot be reached; 16 the \
service does not exist; 22 the cluster denied a request; 2 invalid flag; 143 interrupted.";

/// `firecamp service restart`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct RestartArguments {
    /// The service
    #[command(flatten)]
    pub target: Target,
    /// How members are restarted
    #[command(flatten)]
    pub how: How,
    /// Go on with a restart that stopped or was interrupted
    #[arg(long, conflicts_with_all = ["order", "undo"])]
    pub resume: bool,
    /// Return to the template of before the last restart, and restart the members that have another
    #[arg(long, conflicts_with = "order")]
    pub undo: bool,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// How members are restarted.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// The order of the members. Default: that of the service, then ordinal
    #[arg(long, value_enum, value_name = "ORDER")]
    pub order: Option<Order>,
    /// The label that the pod of the primary has
    #[arg(long, value_name = "NAME=VALUE", value_parser = label,
          conflicts_with = "primary_command")]
    pub primary_label: Option<(String, String)>,
    /// A shell command that succeeds in the pod of the primary only
    #[arg(long, value_name = "COMMAND")]
    pub primary_command: Option<String>,
    /// How pods are taken down.
    #[command(flatten)]
    pub pace: Pace,
}

/// How pods are taken down, and how long they may be away.
#[derive(Debug, Clone, Args)]
pub struct Pace {
    /// Delete pods instead of evicting them, although a PodDisruptionBudget may forbid it
    #[arg(long)]
    pub delete: bool,
    /// How long a member may take to be back: 90s, 10m
    #[arg(long, env = "FIRECAMP_MEMBER_TIMEOUT", value_name = "TIME", value_parser = duration,
          default_value = "10m")]
    pub member_timeout: Duration,
}

/// Parses NAME=VALUE.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("use NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl How {
    /// As the service says.
    pub fn of_service(pace: Pace) -> Self {
        Self { order: None, primary_label: None, primary_command: None, pace }
    }

    /// How the primary is known: by the flags, or by the annotations of the StatefulSet.
    fn primary(&self, set: &Value) -> Result<PrimaryBy, Failure> {
        if let Some((name, value)) = &self.primary_label {
            return Ok(PrimaryBy::Label(name.clone(), value.clone()));
        }
        if let Some(command) = &self.primary_command {
            return Ok(PrimaryBy::Command(shell(command)));
        }
        primary_of(set).map_err(|why| Failure::Usage(format!("annotation {PRIMARY_LABEL}: {why}")))
    }

    /// The order of the flag, or of the StatefulSet.
    fn order(&self, set: &Value) -> Result<Order, Failure> {
        if let Some(order) = self.order {
            return Ok(order);
        }
        let Some(text) = annotation(set, RESTART_ORDER) else { return Ok(Order::default()) };
        let wrong = |why| Failure::Usage(format!("annotation {RESTART_ORDER}: {why}"));
        serde_json::from_value(Value::from(text)).map_err(wrong)
    }
}

/// How the primary is known by the annotations of the StatefulSet.
pub(super) fn primary_of(set: &Value) -> Result<PrimaryBy, String> {
    if let Some(text) = annotation(set, PRIMARY_LABEL) {
        return label(text).map(|(name, value)| PrimaryBy::Label(name, value));
    }
    let command = annotation(set, PRIMARY_COMMAND);
    Ok(command.map_or(PrimaryBy::Nothing, |text| PrimaryBy::Command(shell(text))))
}

fn shell(command: &str) -> Vec<String> {
    ["sh", "-c", command].map(str::to_owned).to_vec()
}

fn annotation<'a>(set: &'a Value, name: &str) -> Option<&'a str> {
    at(set, "/metadata/annotations").get(name).and_then(Value::as_str)
}

/// The output of `firecamp service restart -o json`. Stable: fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// NAMESPACE/NAME.
    pub service: String,
    /// `Restarted`, `Stopped`, `Busy` or `Interrupted`.
    pub result: &'static str,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Who performs it, if it is another command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether a Deployment replaces the pods.
    #[serde(skip)]
    pub stateless: bool,
}

impl Report {
    /// The report of a restart.
    pub fn new(service: String, ended: Ended) -> Self {
        let (result, stopped, owner) = match ended {
            Ended::Done => ("Restarted", None, None),
            Ended::Stopped(stopped) => ("Stopped", Some(stopped), None),
            Ended::Busy(owner) => ("Busy", None, Some(owner.identity)),
            Ended::Interrupted => ("Interrupted", None, None),
        };
        Self { service, result, stopped, owner, stateless: false }
    }

    /// The exit of the command.
    pub fn end(&self) -> Restarted {
        match (&self.stopped, &self.owner, self.result) {
            (Some(_), _, _) => Restarted::Stopped,
            (None, Some(_), _) => Restarted::Busy,
            (None, None, "Restarted") => Restarted::All,
            (None, None, _) => Restarted::Interrupted,
        }
    }

    /// The report as text.
    pub fn people(&self) -> String {
        let service = &self.service;
        let go_on = if self.stateless {
            "the Deployment goes on by itself; to return to the template of before, use `kubectl \
             rollout undo`"
                .to_owned()
        } else {
            format!(
                "go on with `firecamp service restart {service} --resume`, or return to the \
                 previous template with --undo"
            )
        };
        match (&self.stopped, &self.owner) {
            (Some(stopped), _) => format!(
                "the restart of {service} stopped: {stopped}\n{}; {go_on}\n",
                stopped.reason.advice()
            ),
            (None, Some(owner)) => {
                format!(
                    "{owner} performs a restart of {service}: wait for it, or end it there; if it \
                     is dead, `firecamp service restart {service} --resume` takes over after 40 s\n"
                )
            }
            (None, None) if self.end() == Restarted::All => {
                format!("all members of {service} are restarted\n")
            }
            (None, None) => format!("the restart of {service} was interrupted: {go_on}\n"),
        }
    }
}

/// Restarts. Returns the exit code.
pub(crate) async fn run(arguments: &RestartArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let members = opened.found().await?;
    if members.is_stateless() {
        let report = stateless::restart(&members, arguments, &mut to_stderr).await?;
        out(&arguments.output.text(&report, |_wide| report.people())?)?;
        return Ok(report.end().code());
    }
    let goal = match (arguments.resume, arguments.undo) {
        (true, _) => Some(Goal::Resume),
        (false, true) => Some(Goal::Undo),
        (false, false) => None,
    };
    let report = of(members, &arguments.how, goal).await?;
    out(&arguments.output.text(&report, |_wide| report.people())?)?;
    Ok(report.end().code())
}

/// The restart of the StatefulSet that is not finished.
fn open_restart(set: &Value) -> Option<Progress> {
    let progress = annotation(set, RESTART).and_then(|text| serde_json::from_str(text).ok());
    progress.filter(Progress::is_open)
}

/// Whether a restart of the StatefulSet is not finished.
pub(super) fn is_open(set: &Value) -> bool {
    open_restart(set).is_some()
}

/// A report, if another command performs a restart now.
pub(super) async fn busy<C: ServiceCluster>(
    members: &Members<'_, C>,
) -> Result<Option<Report>, Failure> {
    let owner = open_restart(&members.stateful_set().await?).and_then(|open| open.owner);
    let service = format!("{}/{}", members.namespace(), members.set.name);
    Ok(owner.map(|owner| Report::new(service, Ended::Busy(owner))))
}

/// Restarts all members of a service, unless there is another goal.
pub async fn of<C: ServiceCluster>(
    members: Members<'_, C>,
    how: &How,
    goal: Option<Goal>,
) -> Result<Report, Failure> {
    let service = format!("{}/{}", members.namespace(), members.set.name);
    let set = members.stateful_set().await?;
    let goal = match goal {
        Some(goal) => goal,
        None => Goal::All(how.order(&set)?),
    };
    let run = Run {
        members,
        identity: identity(Timestamp::now()),
        primary: how.primary(&set)?,
        delete: how.pace.delete,
        now: &Timestamp::now,
    };
    let stop = signals::first("giving the restart up, so that --resume can go on")?;
    let seconds = u32::try_from(how.pace.member_timeout.as_secs()).unwrap_or(u32::MAX);
    let ended = match run.begin(&goal, seconds, &stop, &mut to_stderr).await? {
        Some(ended) => ended,
        None => run.perform(stop, &mut to_stderr).await?,
    };
    Ok(Report::new(service, ended))
}
