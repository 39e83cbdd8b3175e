//! `firecamp task`: one-off Jobs of a service, with its image, configuration and network.

use std::time::Duration;

use clap::{Args, Subcommand};
use firecamp_core::contract::exit::Waited;
use firecamp_core::contract::service::TASK_LABEL;
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::{Apply, ObjectPath, Selector};
use firecamp_run::parse::duration;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::common::json::{at, text};
use crate::common::print::{Output, out};
use crate::common::progress::{Reported, to_stderr};
use crate::failure::Failure;
use crate::service::cluster::{ServiceCluster, kind, path};
use crate::service::members::{Members, invalid};
use crate::service::{Opened, Target};

/// How often a Job is read.
const POLL: Duration = Duration::from_secs(1);
/// A failed pod is replaced so often, as in the original.
const RETRIES: u32 = 2;

/// `firecamp task`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A task is a Job named SERVICE-TASK. Its pod has the image, the variables, the configuration files, \
the user and the network of the service's members, but no volume and no static address. It runs to \
its end; a failed pod is replaced twice.")]
pub struct TaskArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// What to do with a task.
#[derive(Debug, Clone, Subcommand)]
pub enum TaskCommand {
    /// Run a task
    Run(RunArguments),
    /// Show whether a task runs, succeeded or failed
    Status(NamedArguments),
    /// Print what the pods of a task have written
    Logs(NamedArguments),
    /// Delete a task and its pods. One that does not exist is no error
    Delete(NamedArguments),
}

/// A task of a service.
#[derive(Debug, Clone, Args)]
pub struct NamedArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// The name of the task
    #[arg(value_name = "TASK")]
    pub task: String,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `firecamp task run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  firecamp task run prod/redis init --wait -- redis-cli --cluster create ...

Exit codes: 0 the task is started, and with --wait it succeeded; 14 it failed, or does not end in \
time; 15 the cluster cannot be reached; 16 the service does not exist; 22 the cluster denied a \
request; 2 invalid flag.")]
pub struct RunArguments {
    /// The task.
    #[command(flatten)]
    pub named: NamedArguments,
    /// An environment variable of the task: NAME=VALUE; repeat it for more
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = crate::service::restart::label)]
    pub env: Vec<(String, String)>,
    /// Wait until the task ends
    #[arg(long)]
    pub wait: bool,
    /// With --wait, give up after this time: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// The command and its arguments, after --. Default: that of the service
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// The state of a task. Stable: fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// NAMESPACE/NAME of the Job.
    pub job: String,
    /// `Running`, `Succeeded` or `Failed`.
    pub state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Does it. Returns the exit code.
pub(crate) async fn run(arguments: &TaskArguments) -> Result<u8, Failure> {
    match &arguments.command {
        TaskCommand::Run(arguments) => start(arguments).await,
        TaskCommand::Status(arguments) => show(arguments).await,
        TaskCommand::Logs(arguments) => logs(arguments).await,
        TaskCommand::Delete(arguments) => delete(arguments).await,
    }
}

fn job_of(opened: &Opened, task: &str) -> ObjectPath {
    path(kind::JOB, &opened.namespace, &format!("{}-{task}", opened.name))
}

async fn start(arguments: &RunArguments) -> Result<u8, Failure> {
    let named = &arguments.named;
    let opened = named.target.open().await?;
    let job = job_of(&opened, &named.task);
    run_job(&opened.found().await?, &job, (&arguments.command, &arguments.env)).await?;
    if !arguments.wait {
        out(&format!("{job} is started\n"))?;
        return Ok(Waited::Reached.code());
    }
    let status = wait(&opened.cluster, &job, arguments.timeout).await?;
    out(&named.output.text(&status, |_wide| status.people())?)?;
    Ok(status.end().code())
}

/// Creates the Job of a task, which must not exist.
pub async fn run_job<C: ServiceCluster>(
    members: &Members<'_, C>,
    job: &ObjectPath,
    (command, env): (&[String], &[(String, String)]),
) -> Result<(), Failure> {
    let set = members.workload().await?;
    if members.cluster.get(job).await?.is_some() {
        return Err(Failure::Usage(format!(
            "{job} exists: a task runs once; delete it first with `firecamp task delete`"
        )));
    }
    let object = object(&set, job, (command, env));
    members.cluster.apply(job, &object, Apply::default()).await?;
    Ok(())
}

/// The Job of a task. Pure.
pub fn object(
    set: &Value,
    job: &ObjectPath,
    (command, env): (&[String], &[(String, String)]),
) -> Value {
    let spec = at(set, "/spec/template/spec");
    let own = at(spec, "/containers/0");
    let copied = |from: &Value, names: &[&str]| -> serde_json::Map<String, Value> {
        let fields = names.iter().filter_map(|name| Some(((*name).to_owned(), from.get(*name)?)));
        fields.map(|(name, value)| (name, value.clone())).collect()
    };
    let kept =
        ["name", "image", "command", "args", "env", "envFrom", "resources", "securityContext"];
    let mut container = copied(own, &kept);
    if !command.is_empty() {
        container.insert("command".to_owned(), json!(command));
        container.remove("args");
    }
    let more = env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let is_replaced = |one: &&Value| env.iter().any(|(name, _)| text(one, "/name") == name);
    let kept = at(own, "/env").as_array().into_iter().flatten().filter(|one| !is_replaced(one));
    container.insert("env".to_owned(), kept.cloned().chain(more).collect());
    let volumes = at(spec, "/volumes").as_array().into_iter().flatten();
    let is_config = |volume: &&Value| volume.get("configMap").is_some();
    let volumes: Vec<&Value> = volumes.filter(is_config).collect();
    let is_kept =
        |mount: &&Value| volumes.iter().any(|volume| text(volume, "/name") == text(mount, "/name"));
    let mounts = at(own, "/volumeMounts").as_array().into_iter().flatten();
    let mounts: Vec<&Value> = mounts.filter(is_kept).collect();
    container.insert("volumeMounts".to_owned(), json!(mounts));
    let kept = [
        "hostNetwork",
        "dnsPolicy",
        "serviceAccountName",
        "automountServiceAccountToken",
        "imagePullSecrets",
        "securityContext",
        "nodeSelector",
        "tolerations",
    ];
    let mut pod = copied(spec, &kept);
    pod.insert("restartPolicy".to_owned(), json!("Never"));
    pod.insert("containers".to_owned(), json!([container]));
    pod.insert("volumes".to_owned(), json!(volumes));
    let labels = json!({ TASK_LABEL: text(set, "/metadata/name") });
    json!({
        "apiVersion": job.kind.version,
        "kind": job.kind.kind,
        "metadata": { "name": job.name, "namespace": job.namespace, "labels": labels },
        "spec": {
            "backoffLimit": RETRIES,
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    })
}

async fn wait<C: ServiceCluster>(
    cluster: &C,
    job: &ObjectPath,
    within: Duration,
) -> Result<TaskStatus, Failure> {
    let (begun, mut reported) = (Instant::now(), Reported::default());
    loop {
        let status = status(cluster, job).await?;
        if status.state != "Running" || begun.elapsed() >= within {
            return Ok(status);
        }
        reported.report(begun.elapsed(), format!("{job} runs"), &mut to_stderr);
        sleep(POLL).await;
    }
}

/// The state of a task, which must exist.
pub async fn status<C: ServiceCluster>(
    cluster: &C,
    job: &ObjectPath,
) -> Result<TaskStatus, RegistryFailure> {
    let found = cluster.get(job).await?;
    let found = found.ok_or_else(|| invalid(format!("{job} does not exist")))?;
    let conditions = at(&found, "/status/conditions").as_array().into_iter().flatten();
    let ended =
        conditions.filter(|one| text(one, "/status") == "True").find_map(|one| {
            match text(one, "/type") {
                "Complete" => Some(("Succeeded", String::new())),
                "Failed" => Some(("Failed", text(one, "/message").to_owned())),
                _ => None,
            }
        });
    let (state, message) = ended.unwrap_or(("Running", String::new()));
    let namespace = job.namespace.as_deref().unwrap_or_default();
    Ok(TaskStatus { job: format!("{namespace}/{}", job.name), state, message })
}

impl TaskStatus {
    /// The exit of a command that waits for the task.
    pub fn end(&self) -> Waited {
        if self.state == "Succeeded" { Waited::Reached } else { Waited::TimedOut }
    }

    /// The state as text.
    pub fn people(&self) -> String {
        let why =
            if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        format!("{}: {}{why}\n", self.job, self.state)
    }
}

async fn show(arguments: &NamedArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let status = status(&opened.cluster, &job_of(&opened, &arguments.task)).await?;
    out(&arguments.output.text(&status, |_wide| status.people())?)?;
    Ok(Waited::Reached.code())
}

async fn logs(arguments: &NamedArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let job = job_of(&opened, &arguments.task);
    let labels = format!("batch.kubernetes.io/job-name={}", job.name);
    let selector = Selector { labels, ..Selector::default() };
    let pods = opened.cluster.list(kind::POD, Some(&opened.namespace), &selector).await?;
    if pods.is_empty() {
        return Err(invalid(format!("{job} has no pod")).into());
    }
    for pod in &pods {
        let pod = path(kind::POD, &opened.namespace, text(pod, "/metadata/name"));
        out(&opened.cluster.log(&pod).await?)?;
    }
    Ok(Waited::Reached.code())
}

async fn delete(arguments: &NamedArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let job = job_of(&opened, &arguments.task);
    delete_job(&opened.cluster, &job).await?;
    out(&format!("{job} is deleted\n"))?;
    Ok(Waited::Reached.code())
}

/// Deletes the Job of a task, if it exists.
pub async fn delete_job<C: ServiceCluster>(cluster: &C, job: &ObjectPath) -> Result<(), Failure> {
    let Some(found) = cluster.get(job).await? else { return Ok(()) };
    if at(&found, "/metadata/labels").get(TASK_LABEL).is_none() {
        return Err(Failure::Usage(format!("{job} is no task: delete it with kubectl")));
    }
    Ok(cluster.delete(job, text(&found, "/metadata/uid")).await?)
}
