//! `firecamp service`: creates, changes, restarts, stops and deletes services, as StatefulSets or,
//! if they are stateless, as Deployments, with what belongs to them.

pub mod adopt;
pub mod apply;
pub mod cluster;
pub mod create;
pub mod definition;
pub mod delete;
pub mod list;
pub mod members;
pub mod names;
pub mod objects;
pub mod ready;
pub mod restart;
pub mod scale;
pub mod stateless;
pub mod update;
pub mod volume;

use clap::{Args, Subcommand};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::SetName;
use firecamp_kube::Timeouts;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::common::select_registry::{self, RegistryArguments};
use crate::failure::Failure;
use cluster::{KubeServices, kind, path};
use members::Members;

/// `firecamp service`.
#[derive(Debug, Clone, Args)]
pub struct ServiceArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// What to do with a service.
#[derive(Debug, Clone, Subcommand)]
pub enum ServiceCommand {
    /// Create a service: a StatefulSet or a Deployment, its Service, its budget and its
    /// ServiceAccount
    Create(create::CreateArguments),
    /// Adopt a StatefulSet that somebody else made, with the order of its restarts
    Adopt(adopt::AdoptArguments),
    /// List the services of a namespace, or of all
    List(list::ListArguments),
    /// Show the members of a service, and what is wrong with them
    Status(list::StatusArguments),
    /// Change the number of members
    Scale(scale::ScaleArguments),
    /// Stop all members, and wait until their pods are gone and their addresses are released
    Stop(scale::StopArguments),
    /// Start a stopped service again
    Start(scale::StartArguments),
    /// Change a service, and restart its members if their template changed
    Update(update::UpdateArguments),
    /// Restart the members one by one, in the order of the service
    Restart(restart::RestartArguments),
    /// Delete a service; its volumes are kept unless you say otherwise
    Delete(delete::DeleteArguments),
    /// Make an existing EBS volume the volume of a member
    Volume(volume::VolumeArguments),
}

/// Does it. Returns the exit code.
pub(crate) async fn run(arguments: &ServiceArguments) -> Result<u8, Failure> {
    match &arguments.command {
        ServiceCommand::Create(arguments) => create::run(arguments).await,
        ServiceCommand::Adopt(arguments) => adopt::run(arguments).await,
        ServiceCommand::List(arguments) => list::list(arguments).await,
        ServiceCommand::Status(arguments) => list::status(arguments).await,
        ServiceCommand::Scale(arguments) => scale::scale(arguments).await,
        ServiceCommand::Stop(arguments) => scale::stop(arguments).await,
        ServiceCommand::Start(arguments) => scale::start(arguments).await,
        ServiceCommand::Update(arguments) => update::run(arguments).await,
        ServiceCommand::Restart(arguments) => restart::run(arguments).await,
        ServiceCommand::Delete(arguments) => delete::run(arguments).await,
        ServiceCommand::Volume(arguments) => volume::run(arguments).await,
    }
}

/// A service in a cluster.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The service: NAMESPACE/NAME, or NAME in the namespace of -n or of the context
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The cluster.
    #[command(flatten)]
    pub place: RegistryArguments,
}

/// A service in an open cluster.
pub struct Opened {
    /// The cluster.
    pub cluster: KubeServices,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: SetName,
}

impl Opened {
    /// Its members, which are those of a StatefulSet.
    pub fn members(&self) -> Members<'_, KubeServices> {
        let set = path(kind::STATEFUL_SET, &self.namespace, self.name.as_str());
        Members { cluster: &self.cluster, set }
    }

    /// The members of the service that exists, which may be stateless.
    pub async fn found(&self) -> Result<Members<'_, KubeServices>, RegistryFailure> {
        Members::of(&self.cluster, &self.namespace, self.name.as_str()).await
    }
}

impl Target {
    /// The cluster and the name of the service. Sends no request.
    pub async fn open(&self) -> Result<Opened, Failure> {
        let (cluster, of_context) = open(&self.place).await?;
        let (namespace, name) = self.place.set(&self.service, Some(&of_context))?;
        Ok(Opened { cluster, namespace, name })
    }
}

/// The cluster, and the namespace of its context. Sends no request.
pub(crate) async fn open(place: &RegistryArguments) -> Result<(KubeServices, String), Failure> {
    let select_registry::Target::Cluster(choice) = place.target()? else {
        return Err(Failure::Usage("a file registry has no services".to_owned()));
    };
    let timeouts = Timeouts::default();
    let chosen = choice.connect(timeouts).await?;
    Ok((KubeServices::new(chosen.client, timeouts), chosen.namespace))
}

/// A short hash of a value.
pub(crate) fn hash(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
    format!("{first:016x}")
}
