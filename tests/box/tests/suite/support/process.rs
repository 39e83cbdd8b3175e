//! A process in the box. It dies with its value.

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

/// What a process leaves behind.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    pub(crate) out: PathBuf,
    pub(crate) log: PathBuf,
    /// A container's termination message.
    pub(crate) words: PathBuf,
    /// What a container was told and did, for the core to follow.
    pub(crate) trace: PathBuf,
}

impl Traces {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let file = |end: &str| dir.join(format!("{name}.{end}"));
        Self { out: file("out"), log: file("log"), words: file("words"), trace: file("trace") }
    }
}

/// A running process: `vpcbox exec`, whose only child is the program.
pub(crate) struct Process {
    child: Child,
    traces: Traces,
    clock: Clock,
    followed: bool,
}

impl Process {
    pub(crate) fn start(command: &mut Command, traces: Traces, clock: Clock) -> Self {
        let out = File::create(&traces.out).unwrap();
        let log = File::create(&traces.log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap();
        Self { child, traces, clock, followed: false }
    }

    pub(crate) fn out(&self) -> String {
        read(&self.traces.out)
    }

    pub(crate) fn log(&self) -> String {
        read(&self.traces.log)
    }

    /// Waits until it has printed this on standard output.
    #[track_caller]
    pub(crate) fn prints(&mut self, text: &str) {
        let what = format!("{text:?} on standard output of {}", self.traces.out.display());
        self.until(&what, |this| this.out().contains(text));
    }

    /// Waits until its log has this.
    #[track_caller]
    pub(crate) fn logs(&mut self, text: &str) {
        let what = format!("{text:?} in {}", self.traces.log.display());
        self.until(&what, |this| this.log().contains(text));
    }

    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        eventually(what, || {
            let ended = self.child.try_wait().unwrap();
            let held = holds(self);
            let gone = ended.is_some() && !held;
            assert!(!gone, "it ended ({ended:?}) before {what}:\n{}", self.log());
            held.then_some(())
        });
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGTERM, through its parent.
    pub(crate) fn terminate(&self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    }

    /// The program itself: the child of `vpcbox exec`.
    fn program(&self) -> Pid {
        let outer = self.child.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        Pid::from_raw(children.trim().parse().expect("vpcbox exec has one child"))
    }

    /// What the program has of the machine's memory, in KiB.
    #[track_caller]
    pub(crate) fn resident_kib(&self) -> u64 {
        self.memory_kib("RssAnon:")
    }

    /// The most that it ever had of it, in KiB: what it has of files can be had again.
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

    /// Waits until the program is stopped, as by SIGSTOP.
    #[track_caller]
    pub(crate) fn is_frozen(&mut self) {
        self.logs("crashing at the requested step");
        eventually("the program is stopped", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.program())).unwrap();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
        });
    }

    /// Lets a stopped program go on.
    pub(crate) fn resume(&self) {
        kill(self.program(), Signal::SIGCONT).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let begun = self.clock.now();
        let status = eventually("the end of a process", || {
            let overdue = self.clock.now().saturating_sub(begun) > PATIENCE;
            assert!(!overdue, "it does not end within {PATIENCE:?}:\n{}", self.log());
            self.child.try_wait().unwrap()
        });
        Ended {
            at_us: self.clock.now_us(),
            code: status.code(),
            out: self.out(),
            log: self.log(),
            words: fs::read_to_string(&self.traces.words).ok(),
            trace: self.follow(),
            steps: fs::read_to_string(&self.traces.trace).unwrap_or_default(),
        }
    }

    /// Drives the core by the trace, if there is one: what the program did must be a path of it.
    #[track_caller]
    fn follow(&mut self) -> Option<Accepted> {
        self.followed = true;
        let text = fs::read_to_string(&self.traces.trace).ok()?;
        let followed = firecamp_checks::trace::check(&text);
        followed.unwrap_or_else(|why| panic!("{}: {why}", self.traces.trace.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; the program dies with its parent.
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
    /// When its end was seen, on the box's clock.
    pub(crate) at_us: u64,
    /// Its exit code; 128 + N after signal N.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) log: String,
    words: Option<String>,
    /// What the core said of its trace, if it left one.
    pub(crate) trace: Option<Accepted>,
    /// The trace itself.
    pub(crate) steps: String,
}

impl Ended {
    /// A container's last line, which must be its termination message word for word.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let line = self.log.lines().last().unwrap_or_default();
        assert_eq!(self.words.as_deref(), Some(line), "{}", self.log);
        assert!(line.len() <= 4096, "{} bytes", line.len());
        serde_json::from_str(line).unwrap()
    }

    /// It succeeded; its report.
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
            assert!(succeeded, "its trace ends otherwise: {:?}", self.trace);
        }
        report
    }

    /// An agent has ended because it was told to.
    #[track_caller]
    pub(crate) fn well(&self) {
        assert_eq!(self.code, Some(0), "{}", self.log);
        assert_eq!(self.report()["result"], "succeeded");
    }

    /// It killed itself where it was told to.
    #[track_caller]
    pub(crate) fn crashed(&self) {
        assert_eq!(self.code, Some(128 + Signal::SIGKILL as i32), "{}", self.log);
        assert!(self.log.contains("crashing at the requested step"), "{}", self.log);
        assert_eq!(self.words, None, "who is killed has no last words");
        let cut = self.trace.as_ref().is_some_and(|trace| trace.end == End::Cut);
        assert!(cut, "its trace breaks off: {:?}", self.trace);
    }

    /// It failed with this code and reason, and its message has all of these texts.
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
        // What fails before it has begun has no trace.
        let same = self.trace.as_ref().is_none_or(|trace| match &trace.end {
            End::Outcome(Outcome::Failed(why)) => i32::from(why.exit.code()) == code,
            End::Interrupted => code == 128 + Signal::SIGTERM as i32,
            End::Outcome(
                Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Maintained { .. },
            )
            | End::Cut => false,
        });
        assert!(same, "its trace ends otherwise: {:?}", self.trace);
        assert!(report["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{report}");
        report
    }
}
