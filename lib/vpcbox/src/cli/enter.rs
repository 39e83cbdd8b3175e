//! Commands that run a program in a box.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::arguments::{BoxAddress, ExecArguments, RunArguments};
use crate::boot_record::Boot;
use crate::client::{Client, socket_of};
use crate::failure::Failure;
use crate::{first_process, namespace, pod, run_command, supervise};

/// Proxy variables of the caller, which would send a program's requests elsewhere.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// `vpcbox run`.
pub(super) fn run(arguments: &RunArguments) -> Result<u8, Failure> {
    let spec = read_spec(&arguments.spec)?;
    // Checked before anything is created, so that a mistake costs nothing.
    first_process::parse_spec(&spec)?;
    run_command::run(&Boot {
        spec,
        profile: arguments.profile.map(Into::into),
        seed: arguments.seed,
        extra_enis: arguments.extra_enis,
        command: arguments.command.clone(),
        until_eof: arguments.until_eof,
        json: arguments.json,
        outer: std::process::id(),
    })
}

fn read_spec(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Usage {
        what: format!("failed to read the spec {}: {error}", path.display()),
        next: "`vpcbox spec > box.toml` writes a working one",
    })?;
    Ok(text)
}

/// `vpcbox exec`.
pub(super) fn exec(arguments: &ExecArguments) -> Result<u8, Failure> {
    if let Some(outer) = arguments.place.outer {
        return exec_from_outside(outer, arguments);
    }
    let (node, in_pod) = arguments.node_and_pod();
    let place = connect(&arguments.place)?.place(node)?;
    namespace::join_node(&place)?;
    if let Some(name) = in_pod {
        pod::join(name)?;
    }
    let (program, rest) = split(&arguments.command)?;
    let mut command = Command::new(program);
    command.args(rest);
    let foreign = std::env::vars_os().map(|(key, _)| key).filter(is_foreign);
    for key in foreign {
        command.env_remove(key);
    }
    command.envs(place.env).env("VPCBOX_SOCKET", namespace::SOCKET);
    for variable in &arguments.variables {
        let Some((key, value)) = variable.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(super::fields::usage(format!("--env {variable:?} is not KEY=VALUE")));
        };
        command.env(key, value);
    }
    let source = command.exec();
    Err(Failure::command(program, source))
}

fn is_foreign(key: &OsString) -> bool {
    let Some(key) = key.to_str() else { return false };
    key.starts_with("AWS_") || PROXIES.contains(&key) || key == "VPCBOX_ENV"
}

/// Joins the box first, because its PID namespace takes effect only in a child.
fn exec_from_outside(outer: u32, arguments: &ExecArguments) -> Result<u8, Failure> {
    let number = i32::try_from(outer)
        .map_err(|_source| super::fields::usage(format!("--box {outer} is not a process ID")))?;
    // Checks first that the box exists and has this node, for a clear error.
    Client::attach(outer)?.place(arguments.node_and_pod().0)?;
    let mut words: Vec<OsString> = vec![
        run_command::SELF_EXE.into(),
        "exec".into(),
        "--socket".into(),
        namespace::SOCKET.into(),
    ];
    for variable in &arguments.variables {
        words.extend(["--env".into(), variable.into()]);
    }
    words.extend([arguments.node.clone().into(), "--".into()]);
    words.extend(arguments.command.iter().cloned());
    run_command::attach(number, &words)
}

/// The child of a process outside the box: dies with it, and becomes the command.
pub(super) fn guest(words: &[OsString]) -> Result<u8, Failure> {
    supervise::unblock()?;
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| Failure::kernel("set the parent-death signal for", "its parent", e))?;
    // 0 is a parent outside the box. A parent that died before this point left the process to the
    // box's init.
    if getppid().as_raw() != 0 {
        return Err(Failure::kernel("set the parent-death signal for", "its parent", Errno::ESRCH));
    }
    let (program, rest) = split(words)?;
    // A multi-call binary must see the name under which it was called.
    let ours = program == run_command::SELF_EXE;
    let mut command = if ours { run_command::self_command() } else { Command::new(program) };
    let source = command.args(rest).exec();
    Err(Failure::command(program, source))
}

fn split(words: &[OsString]) -> Result<(&OsString, &[OsString]), Failure> {
    words.split_first().ok_or_else(|| super::fields::usage("no command was given".to_owned()))
}

/// Connects to the requested box.
pub(super) fn connect(place: &BoxAddress) -> Result<Client, Failure> {
    let path: PathBuf = match (place.outer, &place.socket) {
        (Some(outer), _) => socket_of(outer),
        (None, Some(path)) => path.clone(),
        (None, None) => {
            return Err(Failure::Unreachable {
                socket: "VPCBOX_SOCKET".to_owned(),
                source: std::io::Error::other(
                    "it is not set, so this process is not inside of a box",
                ),
            });
        }
    };
    Client::connect(&path)
}
