//! Checks of the deployment and the Kubernetes registry on a real kube-apiserver with etcd. This is
//! a program instead of a cargo test because it needs both: `make test-apiserver` builds and runs
//! them.

#![expect(clippy::expect_used, reason = "a panic fails the check")]
#![expect(clippy::indexing_slicing, reason = "a missing JSON field reads as null")]

mod agent;
mod checks;
mod cluster;
mod deploy;
mod faulty_proxy;
mod lifecycle;
mod relay;
mod rights;
mod samples;

use std::io::Write;
use std::process::ExitCode;

use cluster::Cluster;

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let run = async {
        match Cluster::start().await {
            Ok(cluster) => Box::pin(checks::all(&cluster, &wanted)).await,
            Err(wrong) => {
                say(&format!("no API server: {wrong}"));
                false
            }
        }
    };
    // Dropping the cluster ends both servers, also after Ctrl-C.
    let good = tokio::select! {
        good = run => good,
        _signal = tokio::signal::ctrl_c() => false,
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line.
fn say(line: &str) {
    writeln!(anstream::stdout(), "{line}").expect("standard output is there");
}
