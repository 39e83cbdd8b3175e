//! The process that holds a node's namespaces, and the handle of the first process to it.

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::process::{Child, ChildStdin, Stdio};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::sethostname;

use crate::failure::Failure;
use crate::run_command::self_command;
use crate::{namespace, namespace_sysctls};

/// A running holder process. Its namespaces exist as long as it does.
#[derive(Debug)]
pub(crate) struct Holder {
    child: Child,
    /// Closing it ends the holder.
    _stdin: Option<ChildStdin>,
}

impl Holder {
    /// Starts a holder for a node or client and waits until its namespaces exist.
    pub(crate) fn start(name: &str) -> Result<Self, Failure> {
        let mut child = self_command()
            .args(["box-holder", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::kernel("start", format!("the holder of {name}"), e))?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out)
                .read_line(&mut line)
                .map_err(|e| Failure::kernel("read from", format!("the holder of {name}"), e))?;
        }
        if line.trim() == "ready" {
            Ok(Self { child, _stdin: stdin })
        } else {
            Err(Failure::Died {
                what: format!("the holder of {name} failed to create its namespaces"),
            })
        }
    }

    /// Its process ID in the box.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// The holder process: creates the namespaces, reports that, and waits for the end.
pub(crate) fn hold(name: &str) -> Result<u8, Failure> {
    // In its own process group, Ctrl-C at the terminal does not reach it.
    nix::unistd::setsid().map_err(|e| Failure::kernel("detach", "the holder", e))?;
    namespace::enter_new_node()?;
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| Failure::kernel("set the parent-death signal of", name, e))?;
    namespace::mount_node()?;
    namespace_sysctls::node()?;
    sethostname(name).map_err(|e| Failure::kernel("name", name, e))?;
    let failed = |e| Failure::kernel("report to", "the box", e);
    stdout().write_all(b"ready\n").and_then(|()| stdout().flush()).map_err(failed)?;
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest).map_err(failed)?;
    Ok(0)
}
