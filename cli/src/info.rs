//! `firecamp info`: which cluster and which instance this is, as the original's `K8sInfo`.

use clap::Args;
use firecamp_core::contract::cluster::{SYSTEM_NAMESPACE, ZONE_LABEL};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::{ObjectKind, ObjectPath};
use serde::Serialize;
use serde_json::Value;

use crate::common::json::{at, text};
use crate::common::print::{Output, out};
use crate::common::select_registry::RegistryArguments;
use crate::common::table::table;
use crate::failure::Failure;
use crate::service::cluster::{ServiceCluster, kind};
use crate::service::members::invalid;
use crate::service::open;

/// A Namespace.
const NAMESPACE: ObjectKind = ObjectKind { version: "v1", kind: "Namespace", plural: "namespaces" };

/// `firecamp info`.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("namespace", |flag| flag.hide(true)), after_help = "\
The ID of the cluster is the UID of its namespace kube-system, which no other cluster has. The ID \
of the instance is in the provider ID of the Node, which the cloud controller manager sets.

Example, in a pod with the field spec.nodeName in NODE_NAME:
  firecamp info -o json | jq -r .instanceId

Exit codes: 0; 15 the cluster cannot be reached; 16 the node does not exist; 22 the cluster denied \
a request; 2 invalid flag.")]
pub struct InfoArguments {
    /// The node
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node: Option<String>,
    /// The cluster.
    #[command(flatten)]
    pub place: RegistryArguments,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The output of `firecamp info -o json`. Stable: fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// The UID of the namespace kube-system.
    pub cluster_id: String,
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The EC2 instance of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The zone of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Prints it. Returns the exit code.
pub(crate) async fn run(arguments: &InfoArguments) -> Result<u8, Failure> {
    let (cluster, _namespace) = open(&arguments.place).await?;
    let info = of(&cluster, arguments.node.as_deref()).await?;
    out(&arguments.output.text(&info, |_wide| info.people())?)?;
    Ok(Exit::Success.code())
}

/// Reads it.
pub async fn of<C: ServiceCluster>(
    cluster: &C,
    node: Option<&str>,
) -> Result<Info, RegistryFailure> {
    let system = object(cluster, NAMESPACE, SYSTEM_NAMESPACE).await?;
    let found = match node {
        Some(name) => object(cluster, kind::NODE, name).await?,
        None => Value::Null,
    };
    let provider = text(&found, "/spec/providerID");
    let instance = provider.strip_prefix("aws://").and_then(|rest| rest.rsplit('/').next());
    let zone = at(&found, "/metadata/labels").get(ZONE_LABEL).and_then(Value::as_str);
    Ok(Info {
        cluster_id: text(&system, "/metadata/uid").to_owned(),
        node: node.map(str::to_owned),
        instance_id: instance.map(str::to_owned),
        zone: zone.map(str::to_owned),
    })
}

async fn object<C: ServiceCluster>(
    cluster: &C,
    kind: ObjectKind,
    name: &str,
) -> Result<Value, RegistryFailure> {
    let path = ObjectPath { kind, namespace: None, name: name.to_owned() };
    let found = cluster.get(&path).await?;
    found.ok_or_else(|| invalid(format!("{path} does not exist")))
}

impl Info {
    fn people(&self) -> String {
        let cell = |text: &Option<String>| text.clone().unwrap_or_default();
        let row = vec![
            self.cluster_id.clone(),
            cell(&self.node),
            cell(&self.instance_id),
            cell(&self.zone),
        ];
        table(&["CLUSTER ID", "NODE", "INSTANCE", "ZONE"], &[row])
    }
}
