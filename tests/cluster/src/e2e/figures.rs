//! Measures on a cluster: the time until the first member answers, the time from a pod's deletion
//! to its ready successor, and the resources of an agent.

mod page;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use procfs::process::{Process, Stat};
use procfs::{Current as _, WithCurrentSystemInfo as _};
use tokio::time::{Instant, sleep, sleep_until};
use vpcbox::protocol::Call;

use super::set::{FirecampContainers, NAMESPACE, Set, Stop};
use super::test_cluster::{TestCluster, all_but, ensure};
use crate::cli::{print_line, release_images, start_cluster};
use crate::home::Home;
use crate::install::{Admin, block_on, install, nodes_ready, source, until};
use crate::topology::Layout;
use crate::{Outcome, failed, up};

/// Number of members while the agents are measured.
const MEMBERS: u32 = 6;
/// Idle time before the agents are measured.
const IDLE: Duration = Duration::from_mins(1);
/// Number of measurements of each agent.
const WINDOWS: u32 = 4;
/// Length of one measurement: the agent's periodic work happens once a minute.
const WINDOW: Duration = Duration::from_mins(1);
/// Time between two moves of a member. For a minute after its Assign, a node's metadata service
/// proves nothing about the address; a member returns to a node with its second move.
const ROUND: Duration = Duration::from_secs(40);

/// All results.
#[derive(Debug, Default)]
struct Figures {
    /// From `helm install` until all agents are ready, and until the first member answers.
    agents: Duration,
    reachable: Duration,
    /// From the deletion of a pod until its successor is ready, for each of [`VARIANTS`].
    returns: Vec<Returns>,
    /// For each agent and window.
    agents_usage: Vec<AgentUsage>,
    /// The measured commit and the machine's load.
    commit: String,
    /// Size of a release image's archive, if those are installed.
    archive: Option<u64>,
}

/// Pods whose return is measured.
struct Variant {
    what: &'static str,
    name: &'static str,
    firecamp: FirecampContainers,
    stop: Stop,
    /// The same pod without FireCamp, among [`VARIANTS`].
    alone: Option<usize>,
}

/// Direct mode and the label, and what a pod without FireCamp takes.
const VARIANTS: [Variant; 6] = [
    Variant {
        what: "direct mode",
        name: "direct",
        firecamp: FirecampContainers::Real,
        stop: Stop::Sidecar,
        alone: Some(4),
    },
    Variant {
        what: "containers that do nothing instead of FireCamp's",
        name: "idle",
        firecamp: FirecampContainers::Idle,
        stop: Stop::Sidecar,
        alone: Some(4),
    },
    Variant {
        what: "the label, with hostNetwork",
        name: "label",
        firecamp: FirecampContainers::Injected,
        stop: Stop::None,
        alone: Some(4),
    },
    Variant {
        what: "the label, with a network of its own",
        name: "own",
        firecamp: FirecampContainers::OwnNetwork,
        stop: Stop::None,
        alone: Some(5),
    },
    Variant {
        what: "the service alone, with hostNetwork",
        name: "alone",
        firecamp: FirecampContainers::None,
        stop: Stop::None,
        alone: None,
    },
    Variant {
        what: "the service alone, with a network of its own",
        name: "alone-own",
        firecamp: FirecampContainers::NoneOwnNetwork,
        stop: Stop::None,
        alone: None,
    },
];

impl Variant {
    /// Its set, and the name of the pod.
    fn set(&self) -> (Set, String) {
        let Self { name, firecamp, stop, .. } = *self;
        (Set { stop, firecamp, ..Set::new(name, 1) }, format!("{name}-0"))
    }
}

/// Variants whose pods move in turn, by their numbers. Only one service at a time can listen at a
/// node's address.
const MOVING: [&[usize]; 3] = [&[0, 2, 3], &[1], &[4, 5]];

/// How long pods of a variant took to return.
#[derive(Debug, Default)]
struct Returns {
    /// On the same node.
    same: Vec<Duration>,
    /// On another node.
    other: Vec<Duration>,
    /// The same without the time that EC2 took to move the address.
    beyond: Vec<Duration>,
}

/// Resources of an agent.
#[derive(Debug, Clone, Copy)]
struct AgentUsage {
    /// Its resident memory in bytes.
    memory: u64,
    /// CPU usage in percent of one CPU.
    cpu: f64,
}

/// Measures on a new cluster, prints the results, and writes the page.
pub(crate) fn run(home: &Home, runs: u32, page: Option<&Path>) -> Outcome {
    let running = start_cluster(home, Layout::OneSubnet, true)?;
    let outcome = block_on(async {
        nodes_ready(&Admin::of(&running).await?).await?;
        let begun = Instant::now();
        install(&running, false).await?;
        let agents = begun.elapsed();
        let cluster = TestCluster::new(&running).await?;
        let first = Set::new("first", 1);
        cluster.create(&first).await?;
        let pod = cluster.wait_ready("first-0", None).await?;
        cluster.wait_held(&pod).await?;
        let reachable = begun.elapsed();
        let archive = archive_size()?;
        let mut figures = Figures { agents, reachable, archive, ..Figures::default() };
        cluster.delete(&first).await?;
        for variant in &VARIANTS {
            figures.returns.push(cluster.measure_restarts(runs, variant).await?);
        }
        for group in MOVING {
            cluster.measure_moves(runs, group, &mut figures.returns).await?;
        }
        figures.agents_usage = cluster.measure_agents().await?;
        figures.commit = commit_and_load()?;
        Ok(page::text(&figures))
    });
    up::down(home)?;
    let text = outcome?;
    print_line(&text)?;
    let Some(page) = page else { return Ok(()) };
    fs::write(page, text).map_err(failed(page.display()))
}

impl TestCluster<'_> {
    /// Restarts a pod on its node.
    async fn measure_restarts(&self, runs: u32, variant: &Variant) -> Outcome<Returns> {
        let (set, name) = variant.set();
        self.create(&set).await?;
        let node = self.wait_ready(&name, None).await?.node;
        let mut returns = Returns::default();
        self.cordon(&all_but(&node), true).await?;
        for _run in 0..runs {
            returns.same.push(self.time_restart(&name).await?);
        }
        self.cordon(&all_but(&node), false).await?;
        self.delete(&set).await?;
        Ok(returns)
    }

    /// Moves the pods of these variants, one after the other.
    async fn measure_moves(&self, runs: u32, group: &[usize], returns: &mut [Returns]) -> Outcome {
        let sets: Vec<_> =
            group.iter().filter_map(|one| VARIANTS.get(*one).map(Variant::set)).collect();
        for (set, name) in &sets {
            self.create(set).await?;
            self.wait_ready(name, None).await?;
        }
        for _run in 0..runs {
            let next = Instant::now() + ROUND;
            for ((set, name), number) in sets.iter().zip(group) {
                let node = self.wait_ready(name, None).await?.node;
                self.cordon(&[&node], true).await?;
                let since = self.last_call()?;
                let took = self.time_restart(name).await?;
                let beyond = took.saturating_sub(self.moving(since)?);
                if let Some(one) = returns.get_mut(*number) {
                    one.other.push(took);
                    one.beyond.extend(set.firecamp.attaches().then_some(beyond));
                }
                self.cordon(&[&node], false).await?;
            }
            if sets.iter().any(|(set, _)| set.firecamp.attaches()) {
                sleep_until(next).await;
            }
        }
        for (set, _) in &sets {
            self.delete(set).await?;
        }
        Ok(())
    }

    async fn time_restart(&self, name: &str) -> Outcome<Duration> {
        let before = self.wait_ready(name, None).await?;
        let begun = Instant::now();
        self.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", name, "--wait=false"]).await?;
        self.wait_ready(name, Some(&before)).await?;
        let took = begun.elapsed();
        print_line(&format!("        {name}: {:.2} s", took.as_secs_f64()))?;
        Ok(took)
    }

    /// How long EC2 took to move an address since this call: from the arrival of the first Assign
    /// until the result of the last one showed.
    fn moving(&self, since: u64) -> Outcome<Duration> {
        let calls = self.mutations(since)?;
        let shown = |call: &Call| Some(call.at_us.saturating_add(call.proven_after_us()?));
        let begun = calls.iter().map(|call| call.at_us).min().unwrap_or_default();
        let shown = calls.iter().filter_map(shown).max().unwrap_or(begun);
        Ok(Duration::from_micros(shown.saturating_sub(begun)))
    }

    /// Measures the agents while the members are idle.
    async fn measure_agents(&self) -> Outcome<Vec<AgentUsage>> {
        let set = Set { parallel: true, ..Set::new("rest", MEMBERS) };
        self.create(&set).await?;
        self.wait_all_ready(&set).await?;
        let length = IDLE + WINDOW * WINDOWS;
        print_line(&format!("        measuring the agents for {} s", length.as_secs()))?;
        sleep(IDLE).await;
        let agents = until("an agent for each node", || async {
            let all = self.agents();
            ensure(all.len() == 3, || format!("{all:?}")).map(|()| all)
        })
        .await?;
        let mut agents_usage = Vec::new();
        for _window in 0..WINDOWS {
            let before =
                agents.iter().map(|pid| cpu_time(*pid)).collect::<Outcome<Vec<Duration>>>()?;
            let begun = Instant::now();
            sleep(WINDOW).await;
            for (pid, before) in agents.iter().zip(before) {
                let used = cpu_time(*pid)?.saturating_sub(before);
                let cpu = 100.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64();
                agents_usage.push(AgentUsage { memory: stat(*pid)?.rss_bytes().get(), cpu });
            }
        }
        self.delete(&set).await?;
        Ok(agents_usage)
    }
}

fn stat(pid: Pid) -> Outcome<Stat> {
    let process = Process::new(pid.as_raw()).and_then(|process| process.stat());
    process.map_err(failed(format!("process {pid}")))
}

/// The CPU time of a process, including threads that have exited.
fn cpu_time(pid: Pid) -> Outcome<Duration> {
    let time = clock_getcpuclockid(pid).and_then(ClockId::now);
    time.map(Duration::from).map_err(failed(format!("CPU time of process {pid}")))
}

/// A sentence with the measured commit and the load average.
fn commit_and_load() -> Outcome<String> {
    let git = ["describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"];
    let output = Command::new("git").arg("-C").arg(source(".")).args(git).output();
    let output = output.map_err(failed("git"))?;
    ensure(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
    let load = procfs::LoadAverage::current().map_err(failed("the load average"))?.one;
    let tree = String::from_utf8_lossy(&output.stdout);
    Ok(format!("Measured at {}, where the load average was {load} at the end.", tree.trim()))
}

/// The size of a release image's archive, if those are installed.
fn archive_size() -> Outcome<Option<u64>> {
    let Some(dir) = release_images() else { return Ok(None) };
    let file = dir.join("firecamp-agent.tar");
    let found = fs::metadata(&file).map_err(failed(file.display()))?;
    Ok(Some(found.len()))
}
