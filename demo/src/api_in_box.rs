//! A simulated Kubernetes API server in this process, which programs in a box reach at the loopback
//! device of their node.

use std::path::{Path, PathBuf};
use std::process::Command;

use firecamp_apiserver::ApiServer;
use firecamp_apiserver::socket::{FORWARDING, Listening, kubeconfig};
use vpcbox::clock::Clock;

use crate::failure::Failure;
use crate::process::{Process, Traces};

const PORT: u16 = 6443;

/// The API server.
#[derive(Debug)]
pub struct ApiInBox {
    /// Its objects.
    pub server: ApiServer,
    socket: PathBuf,
    kubeconfig: PathBuf,
    _listening: Listening,
}

impl ApiInBox {
    /// Serves an empty cluster. All nodes of the box see the directory.
    pub fn start(dir: &Path) -> Result<Self, Failure> {
        let server = ApiServer::default();
        let (socket, kubeconfig_file) = (dir.join("apiserver.sock"), dir.join("kubeconfig"));
        let listening =
            server.listen(&socket).map_err(|e| Failure::file("listen at", &socket, e))?;
        std::fs::write(&kubeconfig_file, kubeconfig(PORT))
            .map_err(|e| Failure::file("write", &kubeconfig_file, e))?;
        Ok(Self { server, socket, kubeconfig: kubeconfig_file, _listening: listening })
    }

    /// The registry URL.
    pub fn url(&self) -> String {
        format!("kubernetes://{}", self.kubeconfig.display())
    }

    /// Connects a node to the server. The command starts a program of the demo there.
    pub fn connect(
        &self,
        mut command: Command,
        traces: Traces,
        clock: Clock,
    ) -> Result<Process, Failure> {
        command.arg("forward").arg(PORT.to_string()).arg(&self.socket);
        let name = "the forwarder to the API server";
        let mut forward = Process::start(name, &mut command, traces, clock)?;
        forward.ready(FORWARDING)?;
        Ok(forward)
    }
}
