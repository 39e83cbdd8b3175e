//! What the deployment and the registry of a cluster do on a real kube-apiserver with a real
//! etcd. A program and no test of cargo, because it needs both: `make test-apiserver` builds them
//! and runs it.

#![expect(clippy::expect_used, reason = "a check that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "what a JSON value lacks reads as null")]

mod agent;
mod checks;
mod cluster;
mod deploy;
mod life;
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
    // Both servers end with the cluster, also when somebody does not want to wait.
    let good = tokio::select! {
        good = run => good,
        _signal = tokio::signal::ctrl_c() => false,
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for people.
fn say(line: &str) {
    writeln!(anstream::stdout(), "{line}").expect("standard output is there");
}
