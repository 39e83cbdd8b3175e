//! A worker: a process in the network namespace of its machine, and its child, the init process of
//! a PID namespace. If either is killed, all processes of the worker die, as in a power failure.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use firecamp_testkit::kubernetes::Assets;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, sethostname};
use tokio::time::Instant;

use crate::home::Home;
use crate::topology::{Layout, Worker, worker};
use crate::{Outcome, cgroup, failed, pod_network, rootfs, settings};

const PATIENCE: Duration = Duration::from_mins(2);
/// The name of the kubelet among the programs, and the pause before it is started again.
const KUBELET: &str = "kubelet";
const KUBELET_RESTART: Duration = Duration::from_millis(100);
const SOCKET: &str = "/run/containerd/containerd.sock";
/// The page with the command that imports an image where there is no registry.
const GUIDE: &str = include_str!("../../../docs/install.md");
/// Exists on the disk once the images are imported, so that a reboot does not import them again.
const IMPORTED: &str = "imported";

/// Has the kernel kill this process when its parent dies.
pub(crate) fn die_with_parent() -> Outcome {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed("tie to the parent"))
}

/// Enters the machine's network namespace, which process `holder` of the box holds, and starts the
/// init process. Returns when it exits.
pub(crate) fn run(home: &Home, name: &str, holder: u32) -> Outcome {
    die_with_parent()?;
    let net = format!("/proc/{holder}/ns/net");
    let net = File::open(&net).map_err(failed(net))?;
    setns(&net, CloneFlags::CLONE_NEWNET).map_err(failed("enter the machine's network"))?;
    let own = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    unshare(own).map_err(failed("make the worker's namespaces"))?;
    sethostname(name).map_err(failed("name the worker"))?;
    let mut first = Command::new("/proc/self/exe");
    let status = first.arg("node-init").args(home.flags()).arg(name).status();
    Err(format!("the init process of {name} exited: {:?}", status.map_err(failed("start it"))?))
}

/// The init process: it prepares the worker, starts its programs, and reaps children. It starts a
/// kubelet that has exited again, as a real node's service manager does. It returns when another
/// one of the programs exits, which crashes the worker.
pub(crate) fn run_init(home: &Home, name: &str) -> Outcome {
    die_with_parent()?;
    let worker = worker(name)?;
    let assets = Assets::find(&settings::PROGRAMS)?;
    let dir = home.worker(name);
    fs::create_dir_all(&dir).map_err(failed(dir.display()))?;
    cgroup::make(&format!("{}{name}", home.cgroups()))?;
    settings::write_worker(home, worker)?;
    let binaries = assets.program("");
    let own_binary = fs::read_link(home.vpcbox()).map_err(failed("our own binary"))?;
    let own = own_binary.parent().unwrap_or(Path::new("/"));
    rootfs::enter(home, name, &[&binaries, own])?;
    let socket = listen_on_init_socket(home, name)?;
    let mut running = start(home, &assets, worker)?;
    let ended = reap(&mut running)?;
    drop(socket);
    Err(ended)
}

/// A socket whose peer credentials give a client the init process's ID in the client's namespace.
fn listen_on_init_socket(home: &Home, name: &str) -> Outcome<UnixListener> {
    let socket = home.init_socket(name);
    if socket.exists() {
        fs::remove_file(&socket).map_err(failed(socket.display()))?;
    }
    UnixListener::bind(&socket).map_err(failed(socket.display()))
}

/// A program of a worker.
struct Program {
    name: &'static str,
    path: PathBuf,
    flags: Vec<String>,
    log: PathBuf,
}

fn start(home: &Home, assets: &Assets, worker: Worker) -> Outcome<BTreeMap<Pid, Program>> {
    let dir = home.worker(worker.name);
    if home.layout() != Layout::VpcCni {
        pod_network::connect(worker, home.layout())?;
        install(&dir.join("cni.conflist"), Path::new("/etc/cni/net.d/10-pods.conflist"))?;
    }
    let mut running = BTreeMap::new();
    let config = format!("--config={}", dir.join("containerd.toml").display());
    let program = |(name, path, flags): (&'static str, PathBuf, Vec<String>)| {
        let log = dir.join(format!("{name}.log"));
        Program { name, path, flags, log }
    };
    let containerd = program(("containerd", PathBuf::from("containerd"), vec![config]));
    running.insert(spawn(&containerd)?, containerd);
    let end = Instant::now() + PATIENCE;
    while !Path::new(SOCKET).exists() {
        if Instant::now() > end {
            return Err(format!("containerd does not listen after {} s", PATIENCE.as_secs()));
        }
        sleep(Duration::from_millis(20));
    }
    import(home, &dir)?;
    for one in settings::worker_programs(home, assets, worker).into_iter().map(program) {
        running.insert(spawn(&one)?, one);
    }
    Ok(running)
}

fn install(from: &Path, to: &Path) -> Outcome {
    let dir = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(failed(dir.display()))?;
    fs::copy(from, to).map(drop).map_err(failed(to.display()))
}

fn spawn(Program { path, flags, log, .. }: &Program) -> Outcome<Pid> {
    let context = || failed::<std::io::Error>(format!("start {}", path.display()));
    let log = OpenOptions::new().append(true).create(true).open(log).map_err(context())?;
    let errors = log.try_clone().map_err(context())?;
    let mut command = Command::new(path);
    command.args(flags).stdin(Stdio::null()).stdout(log).stderr(errors);
    // `reap` collects its status.
    let child = command.spawn().map_err(context())?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(failed("a process ID"))?))
}

/// Imports the cluster's images into containerd, by the command of docs/install.md.
fn import(home: &Home, dir: &Path) -> Outcome {
    let mark = dir.join(IMPORTED);
    if mark.exists() {
        return Ok(());
    }
    let command = GUIDE.lines().find_map(|line| line.strip_prefix("$ ctr ")?.rsplit_once(' '));
    let (words, _archive) = command.ok_or("docs/install.md imports no image")?;
    let images = home.path("images");
    for entry in fs::read_dir(&images).map_err(failed(images.display()))? {
        let path = entry.map_err(failed(images.display()))?.path();
        let ended = Command::new("ctr").args(words.split(' ')).arg(&path).output();
        let ended = ended.map_err(failed("run ctr"))?;
        if !ended.status.success() {
            let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
            return Err(format!("import {}: {stderr}", path.display()));
        }
    }
    File::create(&mark).and_then(|mut file| file.write_all(b"all\n")).map_err(failed("a mark"))
}

/// Reaps all children, including orphans. Returns when one of `running` except the kubelet exits,
/// and its status.
fn reap(running: &mut BTreeMap<Pid, Program>) -> Outcome<String> {
    loop {
        let status = waitpid(None, None).map_err(failed("wait for a process"))?;
        let (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) = status else {
            continue;
        };
        let Some(program) = running.remove(&pid) else { continue };
        if program.name != KUBELET {
            return Ok(format!("{} exited: {status:?}", program.name));
        }
        sleep(KUBELET_RESTART);
        running.insert(spawn(&program)?, program);
    }
}
