//! A box for tests: started from a binary, killed when dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::Client;
use crate::failure::Failure;
use crate::protocol::Condition;

/// A running box without a command. Dropping it kills every process and namespace in it; so does
/// the end of this process, for any reason.
#[derive(Debug)]
pub struct RunningBox {
    child: Child,
    binary: PathBuf,
    client: Client,
}

/// Options of a box for tests.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Additional arguments of `vpcbox run`, for example `--profile realistic`.
    pub arguments: Vec<String>,
    /// A prefix of the command line, for example `setpriv --reuid 65534 …`; it must exec.
    pub prefix: Vec<String>,
}

impl RunningBox {
    /// Starts a box with the fast profile and waits until it is up. `binary` is `vpcbox`.
    pub fn start(binary: &Path, spec: &str) -> Result<Self, Failure> {
        let arguments = vec!["--profile".to_owned(), "fast".to_owned()];
        Self::start_with(binary, spec, &Options { arguments, prefix: Vec::new() })
    }

    /// Starts a box and waits until it is up.
    pub fn start_with(binary: &Path, spec: &str, options: &Options) -> Result<Self, Failure> {
        let failed = |e| Failure::kernel("write", "a temporary file", e);
        let file = write_spec(spec).map_err(failed)?;
        let mut log = tempfile::tempfile().map_err(failed)?;
        let words = options.prefix.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let words: Vec<&OsStr> = words.collect();
        let Some((program, before)) = words.split_first() else {
            return Err(Failure::Died { what: "no binary was given".to_owned() });
        };
        let mut child = Command::new(program)
            .args(before)
            .args(["run", "--json", "--until-eof", "--spec"])
            .arg(file.path())
            .args(&options.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().map_err(failed)?)
            .spawn()
            .map_err(|e| Failure::kernel("start", binary.display().to_string(), e))?;
        let client = match ready(&mut child, &mut log).and_then(|()| Client::attach(child.id())) {
            Ok(client) => client,
            Err(failure) => {
                end(&mut child);
                return Err(failure);
            }
        };
        Ok(Self { child, binary: binary.to_owned(), client })
    }

    /// The process id of `vpcbox run`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The client.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// A command that runs `program` in a node or client of the box.
    pub fn exec(&self, node: &str, program: impl AsRef<OsStr>) -> Command {
        self.client.exec(&self.binary, node, program)
    }

    /// Waits until the router delivers the address to the node.
    pub fn wait_routed(
        &mut self,
        address: Ipv4Addr,
        node: &str,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let condition = Condition::Routed { address, node: Some(node.to_owned()) };
        self.client.wait(&condition, timeout)
    }
}

impl Drop for RunningBox {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn write_spec(spec: &str) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;

    let mut file = tempfile::Builder::new().prefix("vpcbox-spec-").suffix(".toml").tempfile()?;
    file.write_all(spec.as_bytes())?;
    // Readable for a box that runs as another user.
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    Ok(file)
}

/// Waits for the announcement that the box is up, or for the reason why it is not.
fn ready(child: &mut Child, log: &mut File) -> Result<(), Failure> {
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out)
            .read_line(&mut line)
            .map_err(|e| Failure::kernel("read from", "the box", e))?;
    }
    if line.contains("\"ready\":true") {
        return Ok(());
    }
    let mut words = String::new();
    log.rewind()
        .and_then(|()| log.read_to_string(&mut words))
        .map_err(|e| Failure::kernel("read", "the output of the box", e))?;
    Err(Failure::Died { what: format!("the box did not come up: {}", words.trim()) })
}

fn end(child: &mut Child) {
    // Either fails only if the process has already ended.
    drop(child.kill());
    drop(child.wait());
}
