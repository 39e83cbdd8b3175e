//! A process in the box. It is killed when its value is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use firecamp_checks::trace::{Accepted, End};
use firecamp_core::machine::Outcome;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use vpcbox::clock::Clock;

use super::{PATIENCE, eventually};

/// The files that a process writes.
#[derive(Debug, Clone)]
pub(crate) struct OutputFiles {
    pub(crate) out: PathBuf,
    pub(crate) log: PathBuf,
    /// A container's termination message.
    pub(crate) termination_log: PathBuf,
    /// The container's trace of inputs, actions and replies, for the core to replay.
    pub(crate) trace: PathBuf,
}

impl OutputFiles {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let file = |end: &str| dir.join(format!("{name}.{end}"));
        Self {
            out: file("out"),
            log: file("log"),
            termination_log: file("termination-log"),
            trace: file("trace"),
        }
    }
}

/// A running process: `vpcbox exec`, whose only child is the program.
pub(crate) struct Process {
    child: Child,
    files: OutputFiles,
    clock: Clock,
    followed: bool,
}

impl Process {
    pub(crate) fn start(command: &mut Command, files: OutputFiles, clock: Clock) -> Self {
        let out = File::create(&files.out).unwrap();
        let log = File::create(&files.log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap();
        Self { child, files, clock, followed: false }
    }

    pub(crate) fn out(&self) -> String {
        read(&self.files.out)
    }

    pub(crate) fn log(&self) -> String {
        read(&self.files.log)
    }

    /// Waits until standard output contains the text.
    #[track_caller]
    pub(crate) fn wait_for_output(&mut self, text: &str) {
        let what = format!("{text:?} on standard output of {}", self.files.out.display());
        self.until(&what, |this| this.out().contains(text));
    }

    /// Waits until the log contains the text.
    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        let what = format!("{text:?} in {}", self.files.log.display());
        self.until(&what, |this| this.log().contains(text));
    }

    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        eventually(what, || {
            let ended = self.child.try_wait().unwrap();
            let held = holds(self);
            let gone = ended.is_some() && !held;
            assert!(!gone, "the process ended ({ended:?}) before {what}:\n{}", self.log());
            held.then_some(())
        });
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends SIGTERM through its parent.
    pub(crate) fn terminate(&self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    }

    /// The program itself: the child of `vpcbox exec`.
    fn program(&self) -> Pid {
        let outer = self.child.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        Pid::from_raw(children.trim().parse().expect("vpcbox exec has one child"))
    }

    /// The program's anonymous resident memory in KiB.
    #[track_caller]
    pub(crate) fn resident_kib(&self) -> u64 {
        self.memory_kib("RssAnon:")
    }

    /// The program's peak resident memory in KiB, without file pages, which the kernel can reclaim.
    #[track_caller]
    pub(crate) fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:") - self.memory_kib("RssFile:")
    }

    #[track_caller]
    fn memory_kib(&self, kind: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until the program has stopped itself.
    #[track_caller]
    pub(crate) fn wait_until_frozen(&mut self) {
        self.wait_for_log("crashing at the requested step");
        eventually("the program is stopped", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.program())).unwrap();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
        });
    }

    /// Continues a stopped program.
    pub(crate) fn resume(&self) {
        kill(self.program(), Signal::SIGCONT).unwrap();
    }

    /// Waits until the process ends.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let begun = self.clock.now();
        let status = eventually("the process ends", || {
            let overdue = self.clock.now().saturating_sub(begun) > PATIENCE;
            assert!(!overdue, "the process did not end within {PATIENCE:?}:\n{}", self.log());
            self.child.try_wait().unwrap()
        });
        Ended {
            at_us: self.clock.now_us(),
            code: status.code(),
            out: self.out(),
            log: self.log(),
            termination_message: fs::read_to_string(&self.files.termination_log).ok(),
            trace: self.follow(),
            steps: fs::read_to_string(&self.files.trace).unwrap_or_default(),
        }
    }

    /// Replays the trace in the core, if there is one; fails where the program's actions differ.
    #[track_caller]
    fn follow(&mut self) -> Option<Accepted> {
        self.followed = true;
        let text = fs::read_to_string(&self.files.trace).ok()?;
        let followed = firecamp_checks::trace::check(&text);
        followed.unwrap_or_else(|why| panic!("{}: {why}", self.files.trace.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already. The program is killed with its parent.
        self.child.kill().ok();
        self.child.wait().ok();
        if !self.followed && !std::thread::panicking() {
            self.follow();
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When the test observed its end, on the box's clock.
    pub(crate) at_us: u64,
    /// Its exit code; 128 + N after signal N.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) log: String,
    termination_message: Option<String>,
    /// The result of the replay of its trace, if it wrote one.
    pub(crate) trace: Option<Accepted>,
    /// The trace itself.
    pub(crate) steps: String,
}

impl Ended {
    /// The last line of a container's log, which must equal its termination message.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let line = self.log.lines().last().unwrap_or_default();
        assert_eq!(self.termination_message.as_deref(), Some(line), "{}", self.log);
        assert!(line.len() <= 4096, "{} bytes", line.len());
        serde_json::from_str(line).unwrap()
    }

    /// Asserts that the container succeeded, and returns its report.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.log);
        let report = self.report();
        assert_eq!(report["result"], "succeeded");
        if report["path"] != "dry-run" {
            let succeeded = self.trace.as_ref().is_some_and(|trace| match &trace.end {
                End::Outcome(Outcome::Attached(_) | Outcome::Released { .. }) => true,
                End::Outcome(Outcome::Maintained { .. } | Outcome::Failed(_))
                | End::Interrupted
                | End::Cut => false,
            });
            assert!(
                succeeded,
                "the trace has another outcome than the exit code: {:?}",
                self.trace
            );
        }
        report
    }

    /// Asserts that an agent exited with 0 after SIGTERM.
    #[track_caller]
    pub(crate) fn assert_ended_well(&self) {
        assert_eq!(self.code, Some(0), "{}", self.log);
        assert_eq!(self.report()["result"], "succeeded");
    }

    /// Asserts that the process killed itself at the requested step.
    #[track_caller]
    pub(crate) fn crashed(&self) {
        assert_eq!(self.code, Some(128 + Signal::SIGKILL as i32), "{}", self.log);
        assert!(self.log.contains("crashing at the requested step"), "{}", self.log);
        assert_eq!(
            self.termination_message, None,
            "a killed container writes no termination message"
        );
        let cut = self.trace.as_ref().is_some_and(|trace| trace.end == End::Cut);
        assert!(cut, "the trace of a killed container must be cut off: {:?}", self.trace);
    }

    /// Asserts that it failed with this code and reason, and that its message contains these texts.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, reason: &str, texts: &[&str]) -> Value {
        assert_eq!(self.code, Some(code), "{}", self.log);
        let report = self.report();
        assert_eq!(report["result"], "failed", "{report}");
        assert_eq!(report["exitCode"], code, "{report}");
        assert_eq!(report["reason"], reason, "{report}");
        let message = report["message"].as_str().unwrap();
        for text in texts {
            assert!(message.contains(text), "{text:?} is not in {message:?}");
        }
        // A container that fails before its run begins writes no trace.
        let same = self.trace.as_ref().is_none_or(|trace| match &trace.end {
            End::Outcome(Outcome::Failed(why)) => i32::from(why.exit.code()) == code,
            End::Interrupted => code == 128 + Signal::SIGTERM as i32,
            End::Outcome(
                Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Maintained { .. },
            )
            | End::Cut => false,
        });
        assert!(same, "the trace has another outcome than the exit code: {:?}", self.trace);
        assert!(report["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{report}");
        report
    }
}
