//! `vpcbox run`, outside the box: creates the namespaces, starts the first process in them,
//! forwards signals and exits with the command's exit code.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeReader, pipe};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use crate::boot_record::Boot;
use crate::failure::Failure;
use crate::namespace;
use crate::supervise::{self, Forward, Signals};

/// This binary, even if the file was replaced meanwhile.
pub(crate) const SELF_EXE: &str = "/proc/self/exe";

/// A command that starts this binary, under its own name.
pub(crate) fn self_command() -> Command {
    let mut command = Command::new(SELF_EXE);
    command.arg0("vpcbox");
    command
}

/// Runs a whole box and returns the exit code of its command.
pub(crate) fn run(boot: &Boot) -> Result<u8, Failure> {
    namespace::enter_new_box()?;
    let signals = Signals::collect()?;
    let (reader, mut writer) = pipe().map_err(|e| Failure::kernel("create", "a pipe", e))?;
    let child = start_first_process(reader)?;
    let pid = child_pid(&child);
    // If the process has already died, it has printed the reason; waiting for it returns its
    // status.
    if let Err(error) = boot.send(&mut writer) {
        tracing::debug!(error = error.chain(), "the first process did not read the boot record");
    }
    let status = signals.wait_for(pid, Forward::Pipe(writer))?;
    if let WaitStatus::Signaled(_, Signal::SIGKILL, _) = status {
        return Err(Failure::Died {
            what: format!("the first process of the box (pid {pid}) was killed"),
        });
    }
    Ok(supervise::exit_code(status))
}

fn start_first_process(reader: PipeReader) -> Result<Child, Failure> {
    keep_over_exec(&reader)?;
    let number = reader.as_raw_fd().to_string();
    let child = self_command().args(["box-init", &number]).spawn();
    drop(reader);
    child.map_err(|e| Failure::kernel("start", "the first process of the box", e))
}

fn keep_over_exec(fd: &impl AsFd) -> Result<(), Failure> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))
        .map(drop)
        .map_err(|e| Failure::kernel("inherit", "a pipe", e))
}

/// Opens the pipe that [`start_first_process`] left open, and closes the original so that no child
/// inherits it.
pub(crate) fn take_inherited_pipe(number: i32) -> Result<File, Failure> {
    let path = format!("/proc/self/fd/{number}");
    let file = File::open(&path).map_err(|e| Failure::kernel("open", path, e))?;
    nix::unistd::close(number).map_err(|e| Failure::kernel("close", "the inherited pipe", e))?;
    Ok(file)
}

/// The process ID in nix's type.
pub(crate) fn child_pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Runs a command in a box that another process started.
pub(crate) fn attach(outer: i32, command: &[impl AsRef<OsStr>]) -> Result<u8, Failure> {
    let signals = Signals::collect()?;
    namespace::join_box(outer)?;
    let child = self_command()
        .arg("box-guest")
        .arg("--")
        .args(command)
        .env("VPCBOX_SOCKET", namespace::SOCKET)
        .spawn()
        .map_err(|e| Failure::kernel("start", "a process in the box", e))?;
    let status = signals.wait_for(child_pid(&child), Forward::Kill)?;
    Ok(supervise::exit_code(status))
}
