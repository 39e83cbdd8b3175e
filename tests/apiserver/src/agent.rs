//! The released agent as a process beside the server. Without a metadata service it knows no ENI
//! of its node, so it does not change the kernel of this machine.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use firecamp_kube::Source;
use firecamp_testkit::kubernetes::{Api, free_port};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::checks::Outcome;

const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
/// An address without a listener.
const NOBODY: &str = "http://127.0.0.1:9";

/// An agent that runs until this is dropped.
pub(crate) struct Agent {
    child: Child,
    http: Api,
    dir: TempDir,
}

impl Agent {
    pub(crate) fn start(source: &Source, node: &str) -> Result<Self, String> {
        let Source::Kubeconfig(config) = source else {
            return Err("an agent outside of a cluster has a kubeconfig".to_owned());
        };
        let own = std::env::current_exe().map_err(|wrong| format!("this program: {wrong}"))?;
        let program = own.with_file_name("firecamp-agent");
        let wrong = |wrong: std::io::Error| format!("start {}: {wrong}", program.display());
        let dir = tempfile::tempdir().map_err(wrong)?;
        let log = File::create(dir.path().join("log")).map_err(wrong)?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let child = Command::new(&program)
            .env_clear()
            .env("CLUSTER", "demo")
            .env("NODE_NAME", node)
            .env("FIRECAMP_REGISTRY", format!("kubernetes://{}", config.display()))
            .env("FIRECAMP_RUN_DIR", dir.path().join("run"))
            .env("FIRECAMP_LISTEN", &listen)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOBODY)
            .env("AWS_ENDPOINT_URL_EC2", NOBODY)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(wrong)?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(wrong)?;
        Ok(Self { child, http: Api::plain(&format!("http://{listen}"))?, dir })
    }

    /// Waits until the agent reports this number of addresses attached to its node.
    pub(crate) async fn reports_count(&self, count: usize) -> Outcome {
        self.reports_count_within(PATIENCE, count).await
    }

    pub(crate) async fn reports_count_within(&self, patience: Duration, count: usize) -> Outcome {
        let wanted = format!("firecamp_agent_attached_addresses {count}");
        self.until(patience, &wanted, |page| page.lines().any(|line| line == wanted)).await
    }

    /// How many operations of this kind the agent has begun.
    pub(crate) async fn begun(&self, kind: &str) -> Result<u64, String> {
        Ok(begun(&self.http.get("/metrics").await?.text, kind))
    }

    /// Waits until the agent has begun this many of them.
    pub(crate) async fn begins(&self, kind: &str, count: u64) -> Outcome {
        let wanted = format!("operation {kind} number {count}");
        self.until(PATIENCE, &wanted, |page| begun(page, kind) >= count).await
    }

    /// Waits until the page of metrics is as wanted.
    async fn until(
        &self,
        patience: Duration,
        wanted: &str,
        is_met: impl Fn(&str) -> bool,
    ) -> Outcome {
        let end = Instant::now() + patience;
        let mut last;
        loop {
            last = match self.http.get("/metrics").await {
                Ok(answer) if is_met(&answer.text) => return Ok(()),
                Ok(answer) => attached(&answer.text),
                Err(wrong) => wrong,
            };
            if Instant::now() >= end {
                return Err(format!("no {wanted}, but {last}: {}", self.log_tail()));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the agent's log contains this text.
    pub(crate) async fn logs(&self, text: &str) -> Outcome {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            if Instant::now() >= end {
                return Err(format!("no {text:?} in the log: {}", self.log_tail()));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Checks, without waiting, that the agent still reports this number.
    pub(crate) async fn still_reports_count(&self, count: usize) -> Outcome {
        let text = self.http.get("/metrics").await?.text;
        let wanted = format!("firecamp_agent_attached_addresses {count}");
        let good = text.lines().any(|line| line == wanted);
        if good { Ok(()) } else { Err(format!("{} instead of {count}", attached(&text))) }
    }

    /// Sends a signal: STOP suspends the agent like an overloaded machine, CONT resumes it.
    pub(crate) async fn signal(&self, name: &str) -> Outcome {
        let pid = self.child.id().ok_or("the agent has ended")?.to_string();
        let sent = Command::new("kill").args([format!("-{name}"), pid]).status().await;
        match sent {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("send {name}: {other:?}")),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().rev().take(12).rev().copied().collect::<Vec<_>>().join("\n")
    }
}

fn attached(metrics: &str) -> String {
    let line = metrics.lines().find(|line| line.starts_with("firecamp_agent_attached_addresses"));
    line.unwrap_or("no such metric").to_owned()
}

fn begun(metrics: &str, kind: &str) -> u64 {
    let name = format!("firecamp_agent_operations_total{{kind=\"{kind}\"}} ");
    let number = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}
