//! Starts boxes, as root and as an unprivileged user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, SystemTime};

use vpcbox::testing::{Options, RunningBox};

/// Long enough for a slow machine with parallel tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A user ID that owns nothing.
const UNPRIVILEGED_UID: &str = "65534";

/// Three nodes in two zones, clients in the VPC and outside. `.50` starts on node-a, `.60` on
/// its second ENI, whose link is down.
pub(crate) const SPEC: &str = r#"
profile = "fast"

[vpc]
cidr = "10.0.0.0/16"

[[subnets]]
name = "a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"

[[subnets]]
name = "b"
cidr = "10.0.2.0/24"
zone = "us-east-1b"

[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.11"
secondary = ["10.0.1.50"]

[[nodes.enis]]
id = "eni-0000000000000a001"
subnet = "a"
device_index = 1
address = "10.0.1.21"
secondary = ["10.0.1.60"]

[[nodes]]
name = "node-b"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.12"

[[nodes.enis]]
id = "eni-0000000000000b001"
subnet = "a"
device_index = 1
address = "10.0.1.22"

[[nodes]]
name = "node-c"
subnet = "b"
instance_type = "t3.medium"
address = "10.0.2.11"

[[clients]]
name = "client-a"
subnet = "a"
address = "10.0.1.200"

[[clients]]
name = "onprem"
address = "192.168.7.7"
"#;

/// The user that runs a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// The user that runs the tests.
    Current,
    /// Uid 65534, by setpriv.
    Unprivileged,
}

/// Runs a test as the current user and, if that is root, also as an unprivileged one.
pub(crate) fn as_root_and_user(test: fn(User)) {
    test(User::Current);
    if nix::unistd::geteuid().is_root() {
        test(User::Unprivileged);
    }
}

/// A directory that every user can read, with a copy of the binary. If this process is killed,
/// [`sweep`] of a later run removes it: its name contains the process ID.
fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("vpcbox-test-{}", std::process::id()));
        sweep();
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        // Not a hard link, because the target directory may be on another file system. `cp` writes
        // the copy, because a file that this process opens for writing may stay open in a forked
        // child of another test until its exec, and the kernel does not execute such a file.
        let (from, to) = (env!("CARGO_BIN_EXE_vpcbox").as_ref(), dir.join("vpcbox"));
        assert!(Command::new("cp").args([from, to.as_os_str()]).status().unwrap().success());
        fs::set_permissions(dir.join("vpcbox"), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    })
}

/// Removes the directories of test processes that no longer exist.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix("vpcbox-test-") else { continue };
        if !Path::new("/proc").join(pid).exists() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

impl User {
    /// The binary that this user can execute.
    pub(crate) fn binary(self) -> PathBuf {
        match self {
            Self::Current => PathBuf::from(env!("CARGO_BIN_EXE_vpcbox")),
            Self::Unprivileged => shared().join("vpcbox"),
        }
    }

    fn prefix(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Current => &[],
            Self::Unprivileged => &[
                "setpriv",
                "--reuid",
                UNPRIVILEGED_UID,
                "--regid",
                UNPRIVILEGED_UID,
                "--clear-groups",
                "--",
            ],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// A box that keeps running.
    pub(crate) fn start(self) -> RunningBox {
        self.start_with(&["--profile", "fast"])
    }

    /// A box that keeps running, with these arguments.
    pub(crate) fn start_with(self, arguments: &[&str]) -> RunningBox {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        let options = Options { arguments, prefix: self.prefix() };
        RunningBox::start_with(&self.binary(), SPEC, &options).unwrap_or_else(|failure| {
            panic!("start a box as {self:?}: {}; run `vpcbox doctor`", failure.chain())
        })
    }

    /// `vpcbox` with these arguments, as this user, in a clean environment and a readable
    /// directory.
    pub(crate) fn vpcbox(self, arguments: &[&str]) -> Command {
        let mut words = self.prefix();
        words.push(self.binary().display().to_string());
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/").stdin(Stdio::null());
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("VPCBOX_")) {
            command.env_remove(key);
        }
        command
    }

    /// `vpcbox run --spec SPEC -- sh -c SCRIPT`. `$0` in the script is the binary.
    pub(crate) fn run(self, script: &str) -> Command {
        let binary = self.binary().display().to_string();
        self.vpcbox(&["run", "--spec", &spec_file(), "--", "sh", "-c", script, &binary])
    }
}

/// A file with the spec.
pub(crate) fn spec_file() -> String {
    let spec = shared().join("spec.toml");
    // Written by rename, because tests run in parallel.
    let draft = shared().join(format!("{:?}", thread::current().id()));
    fs::write(&draft, SPEC).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&draft, &spec).unwrap();
    spec.display().to_string()
}

/// Standard output of a command that must succeed.
pub(crate) fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output_text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Status and output of a command.
pub(crate) fn output_text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{}\n{out}{err}", output.status)
}

/// Waits for a condition, and panics with its description after the deadline.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = SystemTime::now() + TIMEOUT;
    while !holds() {
        assert!(SystemTime::now() < deadline, "{what}: not within {TIMEOUT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A server in a node; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts `vpcbox probe serve` in a node and waits until it is reachable.
    pub(crate) fn start(running: &RunningBox, user: User, node: &str, bind: &str) -> Self {
        Self::of(running.exec(node, user.binary()).args(["probe", "serve", bind]), "serving")
    }

    /// Starts a program and waits until it prints that it is ready.
    pub(crate) fn of(command: &mut Command, ready: &str) -> Self {
        use std::io::{BufRead, BufReader};

        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), ready, "{command:?} did not come up");
        Self { child }
    }

    /// Ends it by SIGTERM.
    pub(crate) fn end(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Whether a signal ended it, within the deadline.
    pub(crate) fn ended_by_signal(mut self) -> bool {
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code() == Some(137)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The name that answers on an address, dialed from a node or client; `None`: no answer.
pub(crate) fn who_answers(
    running: &RunningBox,
    user: User,
    from: &str,
    to: &str,
) -> Option<String> {
    ask(running, user, from, &[to, "--timeout", "0.5"])
}

/// `vpcbox probe dial` with these arguments in a node or client.
pub(crate) fn ask(
    running: &RunningBox,
    user: User,
    from: &str,
    arguments: &[&str],
) -> Option<String> {
    let mut command = running.exec(from, user.binary());
    let output = command.args(["probe", "dial"]).args(arguments).output().unwrap();
    match output.status.code() {
        Some(0) => Some(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
        Some(124) => None,
        _ => panic!("{command:?}: {}", output_text(&output)),
    }
}
