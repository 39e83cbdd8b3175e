//! Runs a real binary with a separate environment and reads its termination message.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use firecamp_core::contract::path::{AGENT_LOCK, AGENT_PROTOCOL};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The deadline of every process.
const DEADLINE: Duration = Duration::from_secs(30);

/// A process to run, with only the environment that is set here.
pub(crate) struct Run {
    pub(crate) command: Command,
    /// The files of the process; deleted with the last reference.
    pub(crate) dir: Rc<TempDir>,
    /// The lock of the agent on the same node.
    agent: Option<Rc<File>>,
}

impl Run {
    /// A binary with only the file for its termination message set.
    pub(crate) fn bare(binary: &str) -> Self {
        let dir = Rc::new(TempDir::new().unwrap());
        let mut command = Command::new(binary);
        command.env_clear().env("FIRECAMP_TERMINATION_LOG", dir.path().join("termination-message"));
        // `make coverage` sets the file for the counters in this variable.
        let counts = "LLVM_PROFILE_FILE";
        command.envs(std::env::var_os(counts).map(|file| (counts, file)));
        // Exit codes and texts must not depend on the machine.
        command.env("NODE_NAME", "node-a").current_dir(dir.path());
        Self { command, dir, agent: None }
    }

    /// A binary with a valid configuration.
    pub(crate) fn configured(binary: &str) -> Self {
        let run = Self::bare(binary);
        let registry = run.dir.path().join("registry");
        std::fs::create_dir(&registry).unwrap();
        run.set("CLUSTER", "prod")
            .set("SERVICE_NAME", "redis")
            .set("POD_NAME", "redis-0")
            .set("K8S_NAMESPACE", "demo")
            .set("POD_UID", "uid-1")
            .set("FIRECAMP_REGISTRY", format!("file://{}", registry.display()))
            .with_own("FIRECAMP_RUN_DIR", "run")
            .with_own("FIRECAMP_CONF_DIR", "conf")
    }

    fn with_own(self, variable: &str, name: &str) -> Self {
        let path = self.dir.path().join(name);
        self.set(variable, path)
    }

    pub(crate) fn set(mut self, variable: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(variable, value);
        self
    }

    pub(crate) fn unset(mut self, variable: &str) -> Self {
        self.command.env_remove(variable);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs beside an agent of this protocol, which also understands the previous one.
    pub(crate) fn beside_agent(mut self, current: u32) -> Self {
        self.agent = Some(self.after_agent(current));
        self
    }

    /// Creates the files of such an agent; it exits when the returned file is dropped.
    pub(crate) fn after_agent(&self, current: u32) -> Rc<File> {
        let oldest = current.saturating_sub(1).max(1);
        let text = format!(r#"{{"protocol":{current},"oldest":{oldest},"version":"9.8.7"}}"#);
        let run_dir = self.path("run");
        std::fs::DirBuilder::new().mode(0o700).create(&run_dir).unwrap();
        std::fs::write(run_dir.join(AGENT_PROTOCOL), text).unwrap();
        let lock = File::create(run_dir.join(AGENT_LOCK)).unwrap();
        lock.lock().unwrap();
        Rc::new(lock)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn start(mut self) -> Running {
        let stdout = File::create(self.path("stdout")).unwrap();
        let stderr = File::create(self.path("stderr")).unwrap();
        self.command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = self.command.spawn().unwrap();
        Running { child, dir: self.dir, _agent: self.agent }
    }

    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }
}

/// A running process; dropping the value kills it.
pub(crate) struct Running {
    child: Child,
    dir: Rc<TempDir>,
    _agent: Option<Rc<File>>,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until the log contains the text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let logged = || self.read("stderr").contains(text).then_some(());
        let waited = until(logged);
        assert!(waited.is_some(), "the log does not contain {text:?}: {}", self.read("stderr"));
    }

    pub(crate) fn end(mut self) -> Ended {
        let status = until(|| self.child.try_wait().unwrap());
        assert!(status.is_some(), "the process did not exit: {}", self.read("stderr"));
        Ended {
            code: status.and_then(|status| status.code()),
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
            termination_message: std::fs::read_to_string(
                self.dir.path().join("termination-message"),
            )
            .ok(),
        }
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.path().join(name)).unwrap()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have exited already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Polls until a result or the deadline.
fn until<T>(mut poll: impl FnMut() -> Option<T>) -> Option<T> {
    let start = SystemTime::now();
    loop {
        if let Some(found) = poll() {
            return Some(found);
        }
        if start.elapsed().unwrap_or_default() > DEADLINE {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that has exited.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) termination_message: Option<String>,
}

impl Ended {
    /// The output, without line breaks.
    pub(crate) fn on_one_line(&self) -> String {
        self.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The last line of the log, which must equal the termination message.
    pub(crate) fn report(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        assert_eq!(self.termination_message.as_deref(), Some(line), "{}", self.stderr);
        assert!(line.len() <= 4096, "{} bytes", line.len());
        serde_json::from_str(line).unwrap()
    }

    /// Asserts that the process rejected its configuration with a message that contains these
    /// texts, and that the log has no control characters.
    #[track_caller]
    pub(crate) fn is_refused_naming(&self, texts: &[&str]) {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        let strange = |c: char| c.is_control() && c != '\n';
        assert!(!self.stderr.contains(strange), "{:?}", self.stderr);
        let shown = &self.stderr;
        for text in texts {
            assert!(shown.contains(text), "{text:?} is not in {shown}");
        }
        assert!(shown.len() < 10_000, "{} bytes of log", shown.len());
    }
}

/// Values that every setting rejects, each with the reason.
pub(crate) fn invalid_values() -> [(&'static str, OsString); 4] {
    [
        ("empty", OsString::new()),
        ("garbled", OsString::from("\u{1b}[31m\n{\"result\":\"succeeded\"}\n../…")),
        ("huge", OsString::from("%!".repeat(50_000))),
        ("not UTF-8", OsString::from_vec(b"\xff\xfe\x01".to_vec())),
    ]
}
