//! What it costs on a cluster: the time until a first member answers, until a deleted pod is ready
//! again, and what an agent needs.

mod page;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use procfs::process::{Process, Stat};
use procfs::{Current as _, WithCurrentSystemInfo as _};
use tokio::time::{Instant, sleep};

use super::scene::{Scene, all_but, ensure};
use super::set::{Beside, NAMESPACE, Set};
use crate::cli::{make, say, shipped};
use crate::home::Home;
use crate::install::{Admin, block_on, install, nodes_ready, source, until};
use crate::topology::Layout;
use crate::{Outcome, failed, up};

/// The members that agents are watched with.
const MEMBERS: u32 = 6;
/// How long agents are left alone before they are watched.
const REST: Duration = Duration::from_mins(1);
/// So often an agent is looked at, each time for this long.
const WINDOWS: u32 = 4;
/// What an agent does without need, it does once a minute.
const WINDOW: Duration = Duration::from_mins(1);

/// What was measured.
#[derive(Debug, Default)]
struct Figures {
    /// From `helm install` until all agents are ready, and until the first member answers.
    agents: Duration,
    reachable: Duration,
    /// From the deletion of a pod until its successor is ready: with FireCamp's containers, with
    /// such that do nothing, and without any.
    with: Vec<Duration>,
    idle: Vec<Duration>,
    without: Vec<Duration>,
    /// Of each agent, in each window.
    needs: Vec<Needs>,
    /// What is measured, and where.
    place: String,
    /// The archive of the images, if they are those that are shipped.
    archive: Option<u64>,
}

/// What an agent needs.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// Its resident memory in bytes.
    memory: u64,
    /// Percent of one processor.
    processor: f64,
}

/// Measures on a cluster of its own, prints it, and writes a page of it.
pub(crate) fn run(home: &Home, runs: u32, page: Option<&Path>) -> Outcome {
    let running = make(home, Layout::OneSubnet, true)?;
    let outcome = block_on(async {
        nodes_ready(&Admin::of(&running).await?).await?;
        let begun = Instant::now();
        install(&running, false).await?;
        let agents = begun.elapsed();
        let scene = Scene::new(&running).await?;
        let first = Set::new("first", 1);
        scene.create(&first).await?;
        let pod = scene.ready("first-0", None).await?;
        scene.holds(&pod).await?;
        let reachable = begun.elapsed();
        let archive = archive()?;
        let mut figures = Figures { agents, reachable, archive, ..Figures::default() };
        scene.delete(&first).await?;
        scene.restarts(runs, &mut figures).await?;
        figures.needs = scene.needs().await?;
        figures.place = place()?;
        Ok(page::text(&figures))
    });
    up::down(home)?;
    let text = outcome?;
    say(&text)?;
    let Some(page) = page else { return Ok(()) };
    fs::write(page, text).map_err(failed(page.display()))
}

impl Scene<'_> {
    /// Pods of each kind, on one node.
    async fn restarts(&self, runs: u32, figures: &mut Figures) -> Outcome {
        let with = Set::new("with", 1);
        let idle = Set { beside: Beside::Idle, ..Set::new("idle", 1) };
        let without = Set { beside: Beside::Nothing, ..Set::new("without", 1) };
        self.create(&with).await?;
        let node = self.ready("with-0", None).await?.node;
        self.cordon(&all_but(&node), true).await?;
        // At one node's address there is room for one service.
        for _run in 0..runs {
            figures.with.push(self.restart("with-0").await?);
        }
        for (set, took) in [(&idle, &mut figures.idle), (&without, &mut figures.without)] {
            self.create(set).await?;
            let name = format!("{}-0", set.name);
            self.ready(&name, None).await?;
            for _run in 0..runs {
                took.push(self.restart(&name).await?);
            }
            self.delete(set).await?;
        }
        self.cordon(&all_but(&node), false).await?;
        self.delete(&with).await
    }

    async fn restart(&self, name: &str) -> Outcome<Duration> {
        let before = self.ready(name, None).await?;
        let begun = Instant::now();
        self.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", name, "--wait=false"]).await?;
        self.ready(name, Some(&before)).await?;
        let took = begun.elapsed();
        say(&format!("        {name}: {:.2} s", took.as_secs_f64()))?;
        Ok(took)
    }

    /// The agents of a cluster whose members have come to rest.
    async fn needs(&self) -> Outcome<Vec<Needs>> {
        let set = Set { parallel: true, ..Set::new("rest", MEMBERS) };
        self.create(&set).await?;
        self.all_ready(&set).await?;
        let watched = REST + WINDOW * WINDOWS;
        say(&format!("        watching the agents for {} s", watched.as_secs()))?;
        sleep(REST).await;
        let agents = until("an agent for each node", || async {
            let all = self.agents();
            ensure(all.len() == 3, || format!("{all:?}")).map(|()| all)
        })
        .await?;
        let mut needs = Vec::new();
        for _window in 0..WINDOWS {
            let before = agents.iter().map(|pid| used(*pid)).collect::<Outcome<Vec<Duration>>>()?;
            let begun = Instant::now();
            sleep(WINDOW).await;
            for (pid, before) in agents.iter().zip(before) {
                let used = used(*pid)?.saturating_sub(before);
                let processor = 100.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64();
                needs.push(Needs { memory: stat(*pid)?.rss_bytes().get(), processor });
            }
        }
        self.delete(&set).await?;
        Ok(needs)
    }
}

fn stat(pid: Pid) -> Outcome<Stat> {
    let process = Process::new(pid.as_raw()).and_then(|process| process.stat());
    process.map_err(failed(format!("process {pid}")))
}

/// The processor time of a process, which the kernel counts in nanoseconds, also of its threads
/// that have ended.
fn used(pid: Pid) -> Outcome<Duration> {
    let time = clock_getcpuclockid(pid).and_then(ClockId::now);
    time.map(Duration::from).map_err(failed(format!("the clock of process {pid}")))
}

/// The tree that is measured, and how busy the machine is.
fn place() -> Outcome<String> {
    let git = ["describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"];
    let said = Command::new("git").arg("-C").arg(source(".")).args(git).output();
    let said = said.map_err(failed("git"))?;
    ensure(said.status.success(), || String::from_utf8_lossy(&said.stderr).into_owned())?;
    let load = procfs::LoadAverage::current().map_err(failed("the load average"))?.one;
    let tree = String::from_utf8_lossy(&said.stdout);
    Ok(format!("Measured at {}, where the load average was {load} at the end.", tree.trim()))
}

/// The size of an image's archive, where the images are those that are shipped.
fn archive() -> Outcome<Option<u64>> {
    let Some(dir) = shipped() else { return Ok(None) };
    let file = dir.join("firecamp-agent.tar");
    let found = fs::metadata(&file).map_err(failed(file.display()))?;
    Ok(Some(found.len()))
}
