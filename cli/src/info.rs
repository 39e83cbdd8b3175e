//! `firecamp info`: which cluster and which instance this is, as the original's `K8sInfo`.

use clap::Args;
use firecamp_cloud::{CloudConfig, InstanceTag, instance_tag};
use firecamp_core::contract::cluster::{SYSTEM_NAMESPACE, ZONE_LABEL};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::original::WORKER_TAG;
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

The worker tag is the tag firecamp-worker of the instance, with which the original FireCamp marked \
the nodes of a cluster. Nothing acts on it. The command reads it from the metadata service, so it \
is known only on the node itself, and if the instance's metadata options allow tags \
(`aws ec2 modify-instance-metadata-options --instance-metadata-tags enabled`).

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
    /// The worker tag of the instance. Without an instance there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_tag: Option<WorkerTag>,
}

/// The tag `firecamp-worker` of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerTag {
    /// `Present`, `Absent` or `Unknown`.
    pub state: &'static str,
    /// Its value: the name of the original's cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Prints it. Returns the exit code.
pub(crate) async fn run(arguments: &InfoArguments) -> Result<u8, Failure> {
    let (cluster, _namespace) = open(&arguments.place).await?;
    let mut info = of(&cluster, arguments.node.as_deref()).await?;
    if let Some(instance) = &info.instance_id {
        info.worker_tag = Some(WorkerTag::read(&CloudConfig::from_env(), instance).await);
    }
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
        worker_tag: None,
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

impl WorkerTag {
    /// Reads it from the metadata service. A failure leaves it unknown: it is information only.
    pub async fn read(config: &CloudConfig, instance: &str) -> Self {
        let unknown = |why: String| ("Unknown", None, Some(why));
        let (state, cluster, message) = match instance_tag(config, instance, WORKER_TAG).await {
            Ok(InstanceTag::Value(cluster)) => ("Present", Some(cluster), None),
            Ok(InstanceTag::Absent) => ("Absent", None, None),
            Ok(InstanceTag::NotServed) => {
                unknown("the metadata service serves no tags of the instance".to_owned())
            }
            Ok(InstanceTag::OtherInstance(here)) => {
                unknown(format!("this machine is instance {here}"))
            }
            Err(why) => unknown(why.to_string()),
        };
        Self { state, cluster, message }
    }

    /// The value, or why there is none.
    fn text(&self) -> String {
        let text = self.cluster.as_ref().or(self.message.as_ref());
        text.cloned().unwrap_or_else(|| self.state.to_lowercase())
    }
}

impl Info {
    /// The information as text.
    pub fn people(&self) -> String {
        let cell = |text: &Option<String>| text.clone().unwrap_or_default();
        let row = vec![
            self.cluster_id.clone(),
            cell(&self.node),
            cell(&self.instance_id),
            cell(&self.zone),
        ];
        let mut text = table(&["CLUSTER ID", "NODE", "INSTANCE", "ZONE"], &[row]);
        if let Some(tag) = &self.worker_tag {
            text.extend([format!("\n{WORKER_TAG}: {}\n", tag.text())]);
        }
        text
    }
}
