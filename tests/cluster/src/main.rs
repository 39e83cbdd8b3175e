//! A Kubernetes cluster in a VPC in a box: `docs/development/cluster.md` explains how it is used.

#![expect(clippy::indexing_slicing, reason = "what a JSON value lacks reads as null")]

mod cgroup;
mod cli;
mod e2e;
mod home;
mod images;
mod install;
mod machine;
mod member;
mod node;
mod settings;
mod supervise;
mod topology;
mod up;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // One program: under that name it is the VPC in a box that the cluster is in.
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new(home::VPCBOX)) {
        return vpcbox::cli::main();
    }
    cli::main()
}

/// What is done, or what went wrong.
type Outcome<T = ()> = Result<T, String>;

/// Says what was tried when something failed.
fn failed<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |wrong| format!("{what}: {wrong}")
}
