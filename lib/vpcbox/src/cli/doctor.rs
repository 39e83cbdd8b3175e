//! `vpcbox doctor`: tests what a box needs, each step in a separate process.

use std::process::Stdio;

use serde::Serialize;
use tokio::net::TcpListener;

use super::arguments::DoctorArguments;
use super::print;
use crate::boot_record::ExtraEnis;
use crate::failure::{Failure, exit};
use crate::network::{IMDS, Network};
use crate::node_namespaces::Holder;
use crate::run_command::self_command;
use crate::{namespace, supervise};

/// A kernel feature, and how to get it.
struct Step {
    name: &'static str,
    what: &'static str,
    advice: &'static str,
}

/// In order; each step needs the previous ones.
const STEPS: [Step; 5] = [
    Step {
        name: "namespaces",
        what: "user, mount, network, PID, UTS and IPC namespaces",
        advice: "as root: sysctl -w user.max_user_namespaces=10000; on Debian also \
                 kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 and later also \
                 kernel.apparmor_restrict_unprivileged_userns=0; in a container run it with \
                 --security-opt seccomp=unconfined --security-opt apparmor=unconfined; or run \
                 vpcbox as root",
    },
    Step {
        name: "mounts",
        what: "proc and tmpfs mounts in a new mount namespace",
        advice: "in a container /proc is masked: run it with --security-opt \
                 systempaths=unconfined, or --privileged",
    },
    Step {
        name: "router",
        what: "veth pairs, forwarding, proxy ARP and reverse-path filtering",
        advice: "as root: modprobe veth; the kernel needs CONFIG_VETH and CONFIG_INET",
    },
    Step {
        name: "node",
        what: "namespaces and sysfs of a node",
        advice: "in a container /sys is masked: run it with --security-opt \
                 systempaths=unconfined, or --privileged",
    },
    Step {
        name: "listen",
        what: "port 80 on 169.254.169.254 for the metadata service",
        advice: "report a bug: in a new network namespace this needs no privilege",
    },
];

#[derive(Debug, Serialize)]
struct Finding {
    step: &'static str,
    what: &'static str,
    ok: bool,
    problem: Option<String>,
    advice: Option<&'static str>,
}

/// Runs every step; returns 0 if all succeed.
pub(super) fn run(arguments: &DoctorArguments) -> Result<u8, Failure> {
    let mut all = true;
    for step in &STEPS {
        let finding = try_step(step)?;
        all &= finding.ok;
        if arguments.json {
            print::json(&finding)?;
        } else {
            print::out(&text(&finding))?;
        }
    }
    Ok(if all { 0 } else { exit::BOX })
}

fn try_step(step: &Step) -> Result<Finding, Failure> {
    let output = self_command()
        .args(["box-probe", step.name])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::kernel("start", "a step of `vpcbox doctor`", e))?;
    let ok = output.status.success();
    let words = String::from_utf8_lossy(&output.stderr);
    let problem = words.lines().next().unwrap_or_default();
    let problem = problem.strip_prefix("vpcbox: error: ").unwrap_or(problem).to_owned();
    Ok(Finding {
        step: step.name,
        what: step.what,
        ok,
        problem: (!ok).then_some(problem),
        advice: (!ok).then_some(step.advice),
    })
}

fn text(finding: &Finding) -> String {
    let Finding { step, what, ok, problem, advice } = finding;
    let mark = if *ok { "ok     " } else { "MISSING" };
    let mut text = format!("{mark}  {step:<10}  {what}\n");
    for line in [problem.as_deref(), *advice].into_iter().flatten() {
        text.push_str("         ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// One step in a separate process. Steps after the first need the new PID namespace and so a child
/// process, whose name starts with `inner-`.
pub(super) fn probe(step: &str) -> Result<u8, Failure> {
    if let Some(inner) = step.strip_prefix("inner-") {
        return probe_inside(inner);
    }
    namespace::enter_new_box()?;
    if step == "namespaces" {
        return Ok(0);
    }
    let signals = supervise::Signals::collect()?;
    let child = self_command()
        .args(["box-probe", &format!("inner-{step}")])
        .spawn()
        .map_err(|e| Failure::kernel("start", "a process in new namespaces", e))?;
    let pid = crate::run_command::child_pid(&child);
    Ok(supervise::exit_code(signals.wait_for(pid, supervise::Forward::Kill)?))
}

fn probe_inside(step: &str) -> Result<u8, Failure> {
    supervise::unblock()?;
    namespace::mount_box()?;
    if step == "mounts" {
        return Ok(0);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::kernel("start", "the runtime", e))?;
    runtime.block_on(async {
        Network::new(&[], ExtraEnis::Down).await?;
        if step == "router" {
            return Ok(0);
        }
        Holder::start("probe")?;
        if step == "node" {
            return Ok(0);
        }
        let listener = TcpListener::bind((IMDS, 80)).await;
        listener.map_err(|e| Failure::kernel("listen on", format!("{IMDS}:80"), e))?;
        Ok(0)
    })
}
