//! `firecamp service adopt`.

use clap::Args;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::service::{NAME_LABEL, PRIMARY_COMMAND, PRIMARY_LABEL, RESTART_ORDER};
use serde_json::{Map, Value, json};

use super::Target;
use super::cluster::ServiceCluster;
use super::members::Members;
use super::restart::progress::Order;
use super::scale::change;
use crate::common::print::out;
use crate::failure::Failure;

/// `firecamp service adopt`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  firecamp service adopt prod/postgres --order primary-last --primary-label role=primary
  firecamp service adopt prod/postgres --on-delete

The StatefulSet gets a label, by which `firecamp service list` shows it, and annotations with the \
order of its restarts. Its template stays as it is, so no pod restarts. `firecamp service` can \
then restart, stop and start it, and show its status; change it by its own manifest.

With the update strategy RollingUpdate, Kubernetes restarts the pods by itself when the template \
changes, in the order of descending ordinals. With --on-delete they wait for `firecamp service \
restart`.

Exit codes: 0 the StatefulSet is adopted; 15 the cluster cannot be reached; 16 it does not exist; \
22 the cluster denied a request; 2 invalid flag.")]
pub struct AdoptArguments {
    /// The StatefulSet.
    #[command(flatten)]
    pub target: Target,
    /// The order in which members are restarted
    #[arg(long, value_enum, value_name = "ORDER", default_value_t)]
    pub order: Order,
    /// The label that the pod of the primary has: NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "primary_command")]
    pub primary_label: Option<String>,
    /// A shell command that succeeds in the pod of the primary only
    #[arg(long, value_name = "COMMAND")]
    pub primary_command: Option<String>,
    /// Set the update strategy OnDelete
    #[arg(long)]
    pub on_delete: bool,
}

/// Adopts. Returns the exit code.
pub(crate) async fn run(arguments: &AdoptArguments) -> Result<u8, Failure> {
    let opened = arguments.target.open().await?;
    let members = opened.members();
    adopt(&members, arguments).await?;
    out(&format!("{} is adopted\n", members.set))?;
    Ok(Exit::Success.code())
}

/// Labels and annotates the StatefulSet.
pub async fn adopt<C: ServiceCluster>(
    members: &Members<'_, C>,
    arguments: &AdoptArguments,
) -> Result<(), Failure> {
    let patch = patch(&members.set.name, arguments);
    change(members, |_set| Ok(Some(patch.clone()))).await
}

/// The change of the StatefulSet. What the user does not say is removed.
fn patch(name: &str, arguments: &AdoptArguments) -> Value {
    let annotations = json!({
        RESTART_ORDER: arguments.order,
        PRIMARY_LABEL: arguments.primary_label,
        PRIMARY_COMMAND: arguments.primary_command,
    });
    let labels = json!({ NAME_LABEL: name });
    let mut patch = Map::new();
    patch.insert("metadata".to_owned(), json!({ "labels": labels, "annotations": annotations }));
    if arguments.on_delete {
        // The fields of RollingUpdate do not exist for OnDelete.
        let strategy = json!({ "type": "OnDelete", "rollingUpdate": null });
        patch.insert("spec".to_owned(), json!({ "updateStrategy": strategy }));
    }
    Value::Object(patch)
}
