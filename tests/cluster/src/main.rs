//! A Kubernetes cluster in a VPC in a box. `docs/development/cluster.md` documents its use.

#![expect(clippy::indexing_slicing, reason = "a missing field of a JSON value reads as null")]

mod cgroup;
mod cli;
mod dns;
mod e2e;
mod external_dns;
mod home;
mod images;
mod install;
mod member;
mod network_policy;
mod node;
mod pod_network;
mod rootfs;
mod settings;
mod supervise;
mod topology;
mod up;
mod vpc_cni;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Under the name `vpcbox` this program is the VPC in a box that contains the cluster.
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new(home::VPCBOX)) {
        return vpcbox::cli::main();
    }
    cli::main()
}

/// A result whose error is a text for people.
type Outcome<T = ()> = Result<T, String>;

/// Prefixes an error with the operation or object that it is about.
fn failed<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}
