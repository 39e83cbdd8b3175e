//! A process in the box: start, signals, waiting with a deadline, and times on the box's clock.

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use vpcbox::clock::Clock;

use crate::event::Privileges;
use crate::failure::Failure;

/// The deadline of every wait.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Poll interval for files.
const POLL: Duration = Duration::from_millis(2);

/// The number of log lines that a failure quotes.
const QUOTED: usize = 12;

/// The files with the standard error and the start time of a process.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Its standard error.
    pub log: PathBuf,
    /// Its start time.
    pub mark: PathBuf,
}

impl Traces {
    /// The file of a container's termination message.
    pub fn termination_message(&self) -> PathBuf {
        self.log.with_extension("words")
    }

    /// Creates it as the kubelet does: the container may run as any user.
    pub fn create_termination_message(&self) -> Result<PathBuf, Failure> {
        let path = self.termination_message();
        File::create(&path)
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o666)))
            .map_err(|e| Failure::file("create", &path, e))?;
        Ok(path)
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    traces: Traces,
    clock: Clock,
    from_us: u64,
    out: Option<ChildStdout>,
    ended: Receiver<(u64, Option<Privileges>, std::io::Result<ExitStatus>)>,
}

/// The exit of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When it was started.
    pub from_us: u64,
    /// When its program began.
    pub began_us: u64,
    /// When it exited.
    pub to_us: u64,
    /// Its exit code; `None` after a signal.
    pub exit: Option<i32>,
    /// The privileges that it had at its exit, without its calls.
    pub privileges: Option<Privileges>,
}

impl Process {
    /// Starts a command that goes through `member-start`.
    pub fn start(
        name: &str,
        command: &mut Command,
        traces: Traces,
        clock: Clock,
    ) -> Result<Self, Failure> {
        let log = File::create(&traces.log).map_err(|e| Failure::file("create", &traces.log, e))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let from_us = clock.now_us();
        let mut child = command.spawn().map_err(|e| Failure::process("start", name, e))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let out = child.stdout.take();
        let (sender, ended) = channel();
        thread::spawn(move || {
            // An ended process has its credentials until its parent has waited for it. An error
            // appears below.
            waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).ok();
            let (to_us, privileges) = (clock.now_us(), privileges(pid));
            // There is no receiver if the demo has failed.
            sender.send((to_us, privileges, child.wait())).ok();
        });
        Ok(Self { name: name.to_owned(), pid, traces, clock, from_us, out, ended })
    }

    /// Its standard output, once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.out.take()
    }

    /// Waits for the first line on its standard output; returns the time.
    pub fn ready(&mut self, wanted: &str) -> Result<u64, Failure> {
        let Some(out) = self.output() else { return Err(self.failed("has no output")) };
        let (sender, lines) = channel();
        let clock = self.clock;
        thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(out).read_line(&mut line);
            // There is no receiver if the demo has failed.
            sender.send((clock.now_us(), read.map(|_bytes| line))).ok();
        });
        match lines.recv_timeout(DEADLINE) {
            Ok((at_us, Ok(line))) if line.trim() == wanted => Ok(at_us),
            Ok((_, Ok(line))) => Err(self.failed(&format!("printed {:?}", line.trim()))),
            Ok((_, Err(error))) => Err(self.failed(&error.to_string())),
            Err(_late) => Err(self.failed("did not report that it is ready")),
        }
    }

    /// Waits until its log contains this text.
    pub fn logged(&self, wanted: &str) -> Result<(), Failure> {
        let deadline = self.clock.now().saturating_add(DEADLINE);
        while self.clock.now() < deadline {
            if self.log()?.contains(wanted) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(self.failed(&format!("did not log {wanted:?}")))
    }

    /// Sends a signal; returns the time.
    pub fn signal(&self, signal: Signal) -> Result<u64, Failure> {
        let at_us = self.clock.now_us();
        kill(self.pid, signal).map_err(|e| Failure::process("signal", &self.name, e))?;
        Ok(at_us)
    }

    /// Waits for its exit.
    pub fn wait(&self) -> Result<Ended, Failure> {
        let Ok((to_us, privileges, status)) = self.ended.recv_timeout(DEADLINE) else {
            return Err(self.failed("did not exit"));
        };
        let status = status.map_err(|e| Failure::process("wait for", &self.name, e))?;
        let began = std::fs::read_to_string(&self.traces.mark).ok();
        let began_us = began.and_then(|text| text.parse::<u64>().ok());
        let began_us = began_us.map(|at| at.saturating_sub(self.clock.origin_ns() / 1000));
        Ok(Ended {
            from_us: self.from_us,
            began_us: began_us.unwrap_or(self.from_us),
            to_us,
            exit: status.code(),
            privileges,
        })
    }

    /// Waits until SIGKILL has terminated it; returns the time.
    pub fn killed(&self) -> Result<u64, Failure> {
        let ended = self.wait()?;
        match ended.exit {
            None => Ok(ended.to_us),
            Some(code) => Err(self.failed(&format!("exited with {code} although its node failed"))),
        }
    }

    /// Its process ID; after `member-start` in a box, that of the program itself.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When it was started.
    pub fn ordered_us(&self) -> u64 {
        self.from_us
    }

    /// The file of its termination message, if it is a container.
    pub fn termination_message(&self) -> PathBuf {
        self.traces.termination_message()
    }

    /// A failure of this process, with the end of its log.
    pub fn failed(&self, how: &str) -> Failure {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(QUOTED);
        let quoted = lines.get(from..).unwrap_or_default().join("\n  ");
        Failure::Story(format!("{} {how}; end of its log:\n  {quoted}", self.name))
    }

    fn log(&self) -> Result<String, Failure> {
        let path = &self.traces.log;
        std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, e))
    }
}

/// The credentials of a process.
fn privileges(pid: Pid) -> Option<Privileges> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next())
    };
    let permitted = u64::from_str_radix(field("CapPrm")?, 16).ok()?;
    Some(Privileges {
        uid: field("Uid")?.parse().ok()?,
        capabilities: permitted.count_ones(),
        can_gain: field("NoNewPrivs")? == "0",
        calls: 0,
    })
}
