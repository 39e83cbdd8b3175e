//! The process that holds a node's namespaces, and the first process's handle on it.

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::process::{Child, ChildStdin, Stdio};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::sethostname;

use crate::failure::Failure;
use crate::outer::ourselves;
use crate::{namespace, sysctl};

/// A running holder. Its namespaces live as long as it does.
#[derive(Debug)]
pub(crate) struct Holder {
    child: Child,
    /// Its end would end the holder.
    _stdin: Option<ChildStdin>,
}

impl Holder {
    /// Starts a holder for the node or client of this name and waits until its namespaces stand.
    pub(crate) fn start(name: &str) -> Result<Self, Failure> {
        let mut child = ourselves()
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
                .map_err(|e| Failure::kernel("hear from", format!("the holder of {name}"), e))?;
        }
        if line.trim() == "ready" {
            Ok(Self { child, _stdin: stdin })
        } else {
            Err(Failure::Died {
                what: format!("the holder of {name} could not make its namespaces"),
            })
        }
    }

    /// Its process id in the box.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// The holder itself: makes the namespaces, says so, and waits for the end.
pub(crate) fn hold(name: &str) -> Result<u8, Failure> {
    // In a process group of its own, Ctrl-C at the terminal does not reach it.
    nix::unistd::setsid().map_err(|e| Failure::kernel("detach", "the holder", e))?;
    namespace::enter_new_node()?;
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| Failure::kernel("tie to the box", name, e))?;
    namespace::mount_node()?;
    sysctl::node()?;
    sethostname(name).map_err(|e| Failure::kernel("name", name, e))?;
    let failed = |e| Failure::kernel("report to", "the box", e);
    stdout().write_all(b"ready\n").and_then(|()| stdout().flush()).map_err(failed)?;
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest).map_err(failed)?;
    Ok(0)
}
