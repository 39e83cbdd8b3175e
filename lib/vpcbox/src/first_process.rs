//! The first process of a box: creates everything, runs the command, reaps, and ends. When it ends,
//! the kernel kills all other processes of its PID namespace.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use firecamp_vpc::{Profile, ProfileName, Simulator, Spec};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use crate::boot_record::Boot;
use crate::clock::Clock;
use crate::failure::{Failure, exit};
use crate::namespace::{self, SOCKET};
use crate::network::Network;
use crate::protocol::Hello;
use crate::real_time_simulator::{BoxInfo, Driver};
use crate::run_command::take_inherited_pipe;
use crate::{server, supervise};

/// Runs as the first process of a box. `pipe` is the number of the inherited control pipe.
pub(crate) fn run(pipe: i32) -> Result<u8, Failure> {
    let mut control = take_inherited_pipe(pipe)?;
    supervise::unblock()?;
    // The end of the pipe has the same effect; this works even if this process is stuck.
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| Failure::kernel("set the parent-death signal for", "the outer process", e))?;
    let boot = Boot::receive(&mut control)?;
    namespace::mount_box()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::kernel("start", "the runtime", e))?;
    let code = runtime.block_on(live(&boot, control));
    // There is nothing to wait for: the tasks end with this process.
    runtime.shutdown_background();
    code
}

async fn live(boot: &Boot, control: File) -> Result<u8, Failure> {
    let failed = |e| Failure::kernel("read", "the control pipe", e);
    let control = pipe::OpenOptions::new()
        .open_receiver(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&control)))
        .map_err(failed)?;
    let mut orders = BufReader::new(control).lines();
    let mut children =
        signal(SignalKind::child()).map_err(|e| Failure::kernel("watch", "children", e))?;
    let driver = Arc::new(build(boot).await?);
    server::start(&driver).await?;
    driver.reconcile().await?;
    tokio::spawn({
        let driver = Arc::clone(&driver);
        async move { driver.run_reconcile_loop().await }
    });
    let command = start_command(boot)?;
    let input = end_of_input(boot.until_eof);
    tokio::pin!(input);
    loop {
        let event = tokio::select! {
            () = &mut input => Event::Order(Some(Signal::SIGTERM.as_str().to_owned())),
            _ = children.recv() => Event::Child,
            order = orders.next_line() => Event::Order(order.unwrap_or_default()),
            reason = driver.wait_for_failure() => Event::GaveUp(reason),
        };
        match event {
            Event::Child => {
                if let Some(code) = reap(command, &driver).await? {
                    return Ok(code);
                }
            }
            Event::Order(None) => return Ok(exit::BOX),
            Event::Order(Some(name)) => {
                if let Some(code) = forward_signal(&name, command) {
                    return Ok(code);
                }
            }
            Event::GaveUp(reason) => return Err(Failure::Died { what: reason }),
        }
    }
}

/// The end of standard input, if requested.
async fn end_of_input(wanted: bool) {
    if wanted {
        let read = tokio::task::spawn_blocking(|| {
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())
        });
        // An error also means that no more input comes.
        drop(read.await);
    } else {
        std::future::pending::<()>().await;
    }
}

enum Event {
    Child,
    Order(Option<String>),
    GaveUp(String),
}

async fn build(boot: &Boot) -> Result<Driver, Failure> {
    let spec = parse_spec(&boot.spec)?;
    let name = boot.profile.unwrap_or(spec.profile);
    let (profile, label) = match name {
        ProfileName::Fast => (Profile::fast(), "fast"),
        ProfileName::Realistic => (Profile::realistic(), "realistic"),
    };
    let seed = boot.seed.unwrap_or(spec.seed);
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let clock = Clock::start()?;
    let simulator = Simulator::new(&spec, profile, seed, epoch).map_err(|e| spec_failure(&e))?;
    let network = Network::new(&simulator.subnets(), boot.extra_enis).await?;
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        outer: boot.outer,
        clock_origin_ns: clock.origin_ns(),
        profile: label.to_owned(),
        seed,
    };
    Ok(Driver::new(simulator, network, clock, BoxInfo { hello, region: spec.region }))
}

/// Parses and validates a spec without creating a simulator.
pub(crate) fn parse_spec(text: &str) -> Result<Spec, Failure> {
    Spec::from_toml(text).map_err(|e| spec_failure(&e))
}

fn spec_failure(error: &firecamp_vpc::SpecError) -> Failure {
    Failure::Usage {
        what: format!("invalid spec: {error}"),
        next: "`vpcbox spec` prints a working one that explains every field",
    }
}

fn start_command(boot: &Boot) -> Result<Option<Pid>, Failure> {
    let Some((program, arguments)) = boot.command.split_first() else {
        announce(boot)?;
        return Ok(None);
    };
    let child = Command::new(program)
        .args(arguments)
        .env("VPCBOX_SOCKET", SOCKET)
        .env_remove("VPCBOX_BOX")
        .spawn()
        .map_err(|source| Failure::command(program.as_ref(), source))?;
    Ok(Some(crate::run_command::child_pid(&child)))
}

/// Announces to a user, or to a test, that the box is up and how to enter it.
fn announce(boot: &Boot) -> Result<(), Failure> {
    let outer = boot.outer;
    let text = if boot.json {
        format!("{{\"box\":{outer},\"ready\":true}}\n")
    } else {
        format!(
            "the box is up; from another terminal: vpcbox exec --box {outer} NODE -- CMD, or \
             vpcbox truth --box {outer}; Ctrl-C ends it\n"
        )
    };
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::kernel("write to", "standard output", e))
}

/// Forwards a signal to the command; without a command, ends the box.
fn forward_signal(name: &str, command: Option<Pid>) -> Option<u8> {
    let Ok(signal) = name.parse::<Signal>() else {
        tracing::warn!(name, "unknown signal ignored");
        return None;
    };
    let Some(pid) = command else { return Some(ended_by(signal)) };
    if let Err(error) = kill(pid, signal) {
        tracing::debug!(%signal, %error, "the command has already ended");
    }
    None
}

/// Without a command, Ctrl-C and SIGTERM end the box normally.
fn ended_by(signal: Signal) -> u8 {
    if matches!(signal, Signal::SIGINT | Signal::SIGTERM) {
        return 0;
    }
    supervise::exit_code(WaitStatus::Signaled(Pid::this(), signal, false))
}

/// Reaps every child that has ended. The end of the command ends the box.
async fn reap(command: Option<Pid>, driver: &Driver) -> Result<Option<u8>, Failure> {
    loop {
        let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(status) => status,
            Err(error) => return Err(Failure::kernel("wait for", "children", error)),
        };
        let Some(pid) = status.pid() else { continue };
        if Some(pid) == command {
            return Ok(Some(supervise::exit_code(status)));
        }
        let number = u32::try_from(pid.as_raw()).unwrap_or_default();
        if let Some(name) = driver.network.lock().await.holder_named(number) {
            return Err(Failure::Died { what: format!("the holder of {name} ended: {status:?}") });
        }
    }
}
