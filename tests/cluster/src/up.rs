//! Starts and stops a cluster, from outside the box.

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

/// The VPC's durations: `fast` or `realistic`.
const PROFILE: &str = "VPCBOX_PROFILE";
/// Upper bound. On an idle machine each of these steps takes a moment.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running cluster: its `vpcbox run` process.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) home: Home,
    /// The process ID of the box.
    pub(crate) vpcbox: u32,
}

/// Creates an empty directory for a cluster that is not up.
pub(crate) fn prepare(home: &Home) -> Outcome {
    if running(home).is_some() {
        return Err(format!("{} is up; take it down first", home.name()));
    }
    down(home)?;
    home.create()
}

/// Starts the cluster. If `tied`, the box is killed when this process exits.
pub(crate) fn start(home: &Home, tied: bool) -> Outcome<Running> {
    let assets = Assets::find(&settings::PROGRAMS)?;
    settings::proxy_mode()?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("a port"))?;
    let port = listener.local_addr().map_err(failed("a port"))?.port();
    settings::make_keys(home, port)?;
    fs::write(home.path("box.toml"), topology::spec(home.layout()))
        .map_err(failed("the VPC's spec"))?;
    let mut child = spawn(home, &assets, listener, tied)?;
    let vpcbox = child.id();
    // Right after exec a process has no command line yet.
    while running(home).is_none() {
        if let Some(status) = child.try_wait().map_err(failed("the box"))? {
            let log = fs::read_to_string(home.path("box.log")).unwrap_or_default();
            return Err(format!("the box exited with {status}: {log}"));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(Running { home: home.clone(), vpcbox })
}

fn spawn(home: &Home, assets: &Assets, listener: TcpListener, tied: bool) -> Outcome<Child> {
    let log = File::create(home.path("box.log")).map_err(failed("a log"))?;
    let errors = log.try_clone().map_err(failed("a log"))?;
    let mut command = if tied {
        let mut command = Command::new("/proc/self/exe");
        command.arg("tied").arg("--").arg(home.vpcbox());
        command
    } else {
        Command::new(home.vpcbox())
    };
    let own_binary = std::env::current_exe().map_err(failed("our own binary"))?;
    // How long EC2 takes: `make e2e PROFILE=realistic`.
    if std::env::var_os(PROFILE).is_none() {
        command.env(PROFILE, "fast");
    }
    command
        .args(["run", "--spec"])
        .arg(home.path("box.toml"))
        .arg("--")
        .arg(own_binary)
        .arg("supervise")
        .args(home.flags())
        .env("KUBE_ASSETS", assets.program(""))
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(log)
        .stderr(errors);
    if !tied {
        // Ctrl-C at the terminal must not stop the box.
        command.process_group(0);
    }
    command.spawn().map_err(failed("start the box"))
}

/// The process ID of the cluster's box, if it runs.
pub(crate) fn running(home: &Home) -> Option<u32> {
    boxes(home).first().copied()
}

/// Process IDs of all boxes of the cluster, found by command line, including orphaned ones.
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

/// Stops the cluster and removes everything that it created, also after a crash.
pub(crate) fn down(home: &Home) -> Outcome {
    let asked = Instant::now();
    let mut signal = Signal::SIGTERM;
    loop {
        let left = boxes(home);
        if left.is_empty() {
            break;
        }
        if asked.elapsed() > PATIENCE {
            return Err(format!("boxes of {} do not exit: processes {left:?}", home.name()));
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
    // Processes that are killed with the box may write until they are dead.
    let end = Instant::now() + PATIENCE;
    while let Err(error) = home.remove() {
        if Instant::now() > end {
            return Err(error);
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn end(process: Pid, signal: Signal) -> Outcome {
    match kill(process, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(format!("send {signal} to process {process}: {error}")),
    }
}

impl Running {
    /// Finds the running cluster of this name.
    pub(crate) fn find(home: &Home) -> Outcome<Self> {
        let vpcbox = running(home).ok_or_else(|| format!("{} is not up", home.name()))?;
        Ok(Self { home: home.clone(), vpcbox })
    }

    /// Starts or stops a component or a worker: `start kube-apiserver`.
    pub(crate) fn order(&self, order: &str) -> Outcome {
        let context = || failed::<std::io::Error>(format!("order: {order}"));
        let mut stream = UnixStream::connect(self.home.orders()).map_err(context())?;
        writeln!(stream, "{order}").map_err(context())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).map_err(context())?;
        if answer.trim() == "done" { Ok(()) } else { Err(format!("order: {order}: {answer}")) }
    }

    /// A command that runs a program in the mount and network namespaces of a worker. It does not
    /// join the worker's PID namespace, so that killing the command kills the program.
    pub(crate) fn on(&self, worker: &str, program: impl AsRef<OsStr>) -> Outcome<Command> {
        let first = self.init_process(worker)?;
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--uts", "--target", &first.to_string(), "--"]);
        command.arg(program);
        Ok(command)
    }

    /// The same on a worker, or on another machine of the VPC.
    pub(crate) fn on_machine(&self, place: &str, program: impl AsRef<OsStr>) -> Outcome<Command> {
        if WORKERS.iter().any(|worker| worker.name == place) {
            return self.on(place, program);
        }
        let vpc = Client::attach(self.vpcbox).map_err(|error| error.chain())?;
        Ok(vpc.exec(&self.home.vpcbox(), place, program))
    }

    /// A command that runs our own binary in a worker's network namespace, with our files.
    pub(crate) fn in_network_of(&self, worker: &str) -> Outcome<Command> {
        let first = self.init_process(worker)?;
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &first.to_string(), "--"]).arg(self.own_binary()?);
        Ok(command)
    }

    /// The path of our own binary, valid in every namespace.
    pub(crate) fn own_binary(&self) -> Outcome<PathBuf> {
        fs::read_link(self.home.vpcbox()).map_err(failed("our own binary"))
    }

    /// The worker's init process, by its ID in our PID namespace.
    pub(crate) fn init_process(&self, worker: &str) -> Outcome<i32> {
        let context = || failed(format!("{worker} is not up"));
        let socket = UnixStream::connect(self.home.init_socket(worker)).map_err(context())?;
        let peer = getsockopt(&socket, PeerCredentials).map_err(failed("read peer credentials"))?;
        Ok(peer.pid())
    }
}
