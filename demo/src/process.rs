//! A process in the box: started, signalled, waited for with a deadline, and timed on the box's
//! clock.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vpcbox::clock::Clock;

use crate::failure::Failure;

/// Nothing in a demo takes longer.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// How often a file is looked at for what it does not say yet.
const POLL: Duration = Duration::from_millis(2);

/// Lines of a log that a failure quotes.
const QUOTED: usize = 12;

/// Where a process leaves what it says on standard error, and when it began.
#[derive(Debug, Clone)]
pub struct Traces {
    /// What it said.
    pub log: PathBuf,
    /// When it began.
    pub mark: PathBuf,
}

impl Traces {
    /// The file of a container's termination message.
    pub fn last_words(&self) -> PathBuf {
        self.log.with_extension("words")
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
    ended: Receiver<(u64, std::io::Result<ExitStatus>)>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When its start was ordered.
    pub from_us: u64,
    /// When its program began.
    pub began_us: u64,
    /// When it was gone.
    pub to_us: u64,
    /// Its exit code; none after a signal.
    pub exit: Option<i32>,
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
            let status = child.wait();
            // Nobody waits any more if the demo has failed.
            sender.send((clock.now_us(), status)).ok();
        });
        Ok(Self { name: name.to_owned(), pid, traces, clock, from_us, out, ended })
    }

    /// Its standard output, once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.out.take()
    }

    /// Waits for the first line on its standard output; the time at which it came.
    pub fn ready(&mut self, wanted: &str) -> Result<u64, Failure> {
        let Some(out) = self.output() else { return Err(self.failed("has no output")) };
        let (sender, lines) = channel();
        let clock = self.clock;
        thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(out).read_line(&mut line);
            // Nobody waits any more if the demo has failed.
            sender.send((clock.now_us(), read.map(|_bytes| line))).ok();
        });
        match lines.recv_timeout(DEADLINE) {
            Ok((at_us, Ok(line))) if line.trim() == wanted => Ok(at_us),
            Ok((_, Ok(line))) => Err(self.failed(&format!("said {:?}", line.trim()))),
            Ok((_, Err(error))) => Err(self.failed(&error.to_string())),
            Err(_late) => Err(self.failed("did not say that it is ready")),
        }
    }

    /// Waits until its log says this.
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

    /// Sends a signal; the time at which it was sent.
    pub fn signal(&self, signal: Signal) -> Result<u64, Failure> {
        let at_us = self.clock.now_us();
        kill(self.pid, signal).map_err(|e| Failure::process("signal", &self.name, e))?;
        Ok(at_us)
    }

    /// Waits for its end.
    pub fn wait(&self) -> Result<Ended, Failure> {
        let Ok((to_us, status)) = self.ended.recv_timeout(DEADLINE) else {
            return Err(self.failed("did not end"));
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
        })
    }

    /// Waits for its end by SIGKILL; the time at which it was gone.
    pub fn killed(&self) -> Result<u64, Failure> {
        let ended = self.wait()?;
        match ended.exit {
            None => Ok(ended.to_us),
            Some(code) => Err(self.failed(&format!("ended with {code}, though its node died"))),
        }
    }

    /// Its process id; what went through `member-start` in a box is the program itself.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When its start was ordered.
    pub fn ordered_us(&self) -> u64 {
        self.from_us
    }

    /// The file of its termination message, if it is a container.
    pub fn last_words(&self) -> PathBuf {
        self.traces.last_words()
    }

    /// A failure of this process, with the end of its log.
    pub fn failed(&self, how: &str) -> Failure {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(QUOTED);
        let quoted = lines.get(from..).unwrap_or_default().join("\n  ");
        Failure::Story(format!("{} {how}; its log ends:\n  {quoted}", self.name))
    }

    fn log(&self) -> Result<String, Failure> {
        let path = &self.traces.log;
        std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, e))
    }
}
