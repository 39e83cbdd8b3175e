//! `firecamp service volume`: existing EBS volumes as volumes of members.
//!
//! What is refused ([`check`]) and what is made ([`objects`]) is pure. [`import`] reads what they
//! need, and [`verify`] reads the superblock of a volume in a pod.

pub mod check;
pub mod filesystem;
pub mod import;
pub mod objects;
pub mod quantity;
pub mod verify;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// `firecamp service volume`.
#[derive(Debug, Clone, Args)]
pub struct VolumeArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: VolumeCommand,
}

/// What to do with a volume of a member.
#[derive(Debug, Clone, Subcommand)]
pub enum VolumeCommand {
    /// Make an existing EBS volume the volume of a member, before the member's first start
    Import(import::ImportArguments),
}

/// Does it. Returns the exit code.
pub(crate) async fn run(arguments: &VolumeArguments) -> Result<u8, Failure> {
    match &arguments.command {
        VolumeCommand::Import(arguments) => import::run(arguments).await,
    }
}
