//! A cluster's beginning and end, seen from outside.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use firecamp_testkit::kubernetes::Assets;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use tokio::time::Instant;
use vpcbox::client::Client;

use crate::home::Home;
use crate::topology::WORKERS;
use crate::{Outcome, cgroup, failed, settings, topology};

/// Nothing of this takes more than moments on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_mins(2);

/// What holds the cluster: `vpcbox run`.
pub(crate) struct Running {
    pub(crate) home: Home,
    /// The process id of the box.
    pub(crate) vpcbox: u32,
}

/// Makes an empty directory for a cluster that is not up.
pub(crate) fn prepare(home: &Home) -> Outcome {
    if running(home).is_some() {
        return Err(format!("{} is up; take it down first", home.name()));
    }
    down(home)?;
    home.create()
}

/// Starts the cluster. The box goes on when this process ends, or ends with it.
pub(crate) fn start(home: &Home, tied: bool) -> Outcome<Running> {
    let assets = Assets::find(&settings::PROGRAMS)?;
    let ports = TcpListener::bind("127.0.0.1:0").map_err(failed("a port"))?;
    let port = ports.local_addr().map_err(failed("a port"))?.port();
    settings::make_keys(home, port)?;
    fs::write(home.path("box.toml"), topology::spec(home.layout()))
        .map_err(failed("the VPC's spec"))?;
    let mut child = spawn(home, &assets, ports, tied)?;
    let vpcbox = child.id();
    // A process that has only just become another program has no command line yet.
    while running(home).is_none() {
        if let Some(status) = child.try_wait().map_err(failed("the box"))? {
            let said = fs::read_to_string(home.path("box.log")).unwrap_or_default();
            return Err(format!("the box ended with {status}: {said}"));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(Running { home: home.clone(), vpcbox })
}

fn spawn(home: &Home, assets: &Assets, ports: TcpListener, tied: bool) -> Outcome<Child> {
    let log = File::create(home.path("box.log")).map_err(failed("a log"))?;
    let errors = log.try_clone().map_err(failed("a log"))?;
    let mut command = if tied {
        let mut command = Command::new("/proc/self/exe");
        command.arg("tied").arg("--").arg(home.vpcbox());
        command
    } else {
        Command::new(home.vpcbox())
    };
    let ourselves = std::env::current_exe().map_err(failed("our own binary"))?;
    command
        .args(["run", "--profile", "fast", "--spec"])
        .arg(home.path("box.toml"))
        .arg("--")
        .arg(ourselves)
        .arg("supervise")
        .args(home.flags())
        .env("KUBE_ASSETS", assets.program(""))
        .stdin(Stdio::from(OwnedFd::from(ports)))
        .stdout(log)
        .stderr(errors);
    if !tied {
        // Ctrl-C at the terminal is for others.
        command.process_group(0);
    }
    command.spawn().map_err(failed("start the box"))
}

/// The process id of the cluster's box, if it runs.
pub(crate) fn running(home: &Home) -> Option<u32> {
    boxes(home).first().copied()
}

/// Every box of the cluster, found by its command: also one that somebody lost sight of.
fn boxes(home: &Home) -> Vec<u32> {
    let vpcbox = home.vpcbox();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid = entry.file_name().to_string_lossy().parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        let ours = words.next() == Some(vpcbox.as_os_str().as_encoded_bytes());
        (ours && words.next() == Some(b"run")).then_some(pid)
    });
    found.collect()
}

/// Ends the cluster, and removes every trace of it, also where it crashed.
pub(crate) fn down(home: &Home) -> Outcome {
    let asked = Instant::now();
    let mut signal = Signal::SIGTERM;
    loop {
        let left = boxes(home);
        if left.is_empty() {
            break;
        }
        if asked.elapsed() > PATIENCE {
            return Err(format!("boxes of {} do not end: processes {left:?}", home.name()));
        }
        for pid in left {
            end(Pid::from_raw(i32::try_from(pid).map_err(failed("a process id"))?), signal)?;
        }
        if asked.elapsed() > PATIENCE / 8 {
            signal = Signal::SIGKILL;
        }
        sleep(Duration::from_millis(100));
    }
    cgroup::remove(&home.cgroups())?;
    // What was killed with a box may write until it is dead.
    let end = Instant::now() + PATIENCE;
    while let Err(wrong) = home.remove() {
        if Instant::now() > end {
            return Err(wrong);
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn end(process: Pid, signal: Signal) -> Outcome {
    match kill(process, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(wrong) => Err(format!("end process {process}: {wrong}")),
    }
}

impl Running {
    /// The one that is up under this name.
    pub(crate) fn find(home: &Home) -> Outcome<Self> {
        let vpcbox = running(home).ok_or_else(|| format!("{} is not up", home.name()))?;
        Ok(Self { home: home.clone(), vpcbox })
    }

    /// Starts or stops a component of the control plane, as `start kube-apiserver`.
    pub(crate) fn order(&self, order: &str) -> Outcome {
        let wrong = || failed::<std::io::Error>(format!("order: {order}"));
        let mut stream = UnixStream::connect(self.home.orders()).map_err(wrong())?;
        writeln!(stream, "{order}").map_err(wrong())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).map_err(wrong())?;
        if answer.trim() == "done" { Ok(()) } else { Err(format!("order: {order}: {answer}")) }
    }

    /// A command that runs a program with the files and the network of a worker. It is no process
    /// of the worker's, so that whoever kills the command kills the program.
    pub(crate) fn on(&self, worker: &str, program: impl AsRef<OsStr>) -> Outcome<Command> {
        let first = self.first_process(worker)?;
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--uts", "--target", &first.to_string(), "--"]);
        command.arg(program);
        Ok(command)
    }

    /// The same on a worker, or in the VPC beside them.
    pub(crate) fn anywhere(&self, place: &str, program: impl AsRef<OsStr>) -> Outcome<Command> {
        if WORKERS.iter().any(|worker| worker.name == place) {
            return self.on(place, program);
        }
        let vpc = Client::attach(self.vpcbox).map_err(|wrong| wrong.chain())?;
        Ok(vpc.exec(&self.home.vpcbox(), place, program))
    }

    /// A command that runs our own binary in the network of a worker, and not among its files.
    pub(crate) fn beside(&self, worker: &str) -> Outcome<Command> {
        let first = self.first_process(worker)?;
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &first.to_string(), "--"]).arg(self.ourselves()?);
        Ok(command)
    }

    /// Our own binary, wherever a command of these runs.
    pub(crate) fn ourselves(&self) -> Outcome<PathBuf> {
        fs::read_link(self.home.vpcbox()).map_err(failed("our own binary"))
    }

    /// The worker's first process, as this process knows it.
    pub(crate) fn first_process(&self, worker: &str) -> Outcome<i32> {
        let wrong = || failed(format!("{worker} is not up"));
        let door = UnixStream::connect(self.home.door(worker)).map_err(wrong())?;
        let peer = getsockopt(&door, PeerCredentials).map_err(failed("who that is"))?;
        Ok(peer.pid())
    }
}
