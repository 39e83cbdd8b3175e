//! Applies the objects of a service.

use clap::ValueEnum;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_kube::{Apply, ObjectPath, SERVICE_MANAGER};
use serde::Serialize;
use serde_json::{Value, json};

use super::cluster::ServiceCluster;
use super::objects::Service;
use crate::common::print::Output;
use crate::failure::Failure;

/// A message that is shorter was not cut off.
const WHOLE: usize = 400;

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DryRun {
    /// Make the changes
    #[default]
    None,
    /// Print the objects without asking the cluster
    Client,
    /// Let the API server validate and default the objects, and store nothing
    Server,
}

/// The objects of a service, as the command leaves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    objects: Vec<Value>,
    #[serde(skip)]
    lines: Vec<String>,
}

/// Applies the objects of a service in their order.
pub async fn apply<C: ServiceCluster>(
    cluster: &C,
    service: &Service,
    dry_run: DryRun,
    force: bool,
) -> Result<Applied, Failure> {
    apply_all(cluster, service.objects().map_err(Failure::Usage)?, dry_run, force).await
}

/// Applies objects in their order.
pub async fn apply_all<C: ServiceCluster>(
    cluster: &C,
    planned: Vec<(ObjectPath, Value)>,
    dry_run: DryRun,
    force: bool,
) -> Result<Applied, Failure> {
    if dry_run == DryRun::Client {
        return Ok(Applied::planned(planned));
    }
    let how = Apply { dry_run: dry_run == DryRun::Server, force };
    let done = if how.dry_run { "would be applied" } else { "applied" };
    let (mut objects, mut lines) = (Vec::new(), Vec::new());
    for (path, object) in planned {
        objects.push(applied(cluster, &path, &object, how).await?);
        lines.push(format!("{path} {done}\n"));
    }
    Ok(Applied { objects, lines })
}

async fn applied<C: ServiceCluster>(
    cluster: &C,
    path: &ObjectPath,
    object: &Value,
    how: Apply,
) -> Result<Value, Failure> {
    let applied = match cluster.apply(path, object, how).await {
        // Stops, starts and undos change fields as another operation of the same manager.
        Err(why) if is_own_conflict(&why) => {
            cluster.apply(path, object, Apply { force: true, ..how }).await
        }
        other => other,
    };
    applied.map(without_managers).map_err(explained)
}

/// An object without the record of who set which field.
fn without_managers(mut object: Value) -> Value {
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// Whether a conflict of server-side apply is with this command's own changes only. The message
/// names each manager; one that is cut off may lack some.
fn is_own_conflict(failure: &RegistryFailure) -> bool {
    let mut managers = failure.detail.split("with \"").skip(1);
    let own = |rest: &str| rest.split('"').next() == Some(SERVICE_MANAGER);
    let is_whole = failure.detail.len() < WHOLE;
    failure.kind == RegistryKind::Conflict
        && is_whole
        && failure.detail.contains("Apply failed with")
        && managers.all(own)
}

/// A conflict of server-side apply names the other manager.
fn explained(failure: RegistryFailure) -> Failure {
    if failure.kind != RegistryKind::Conflict {
        return failure.into();
    }
    let next = "somebody else manages these fields: change them there, or take them over with \
                --force-conflicts";
    Failure::CheckExit { failure, next }
}

impl Applied {
    /// Objects that are not applied.
    pub fn planned(objects: Vec<(ObjectPath, Value)>) -> Self {
        Self::each(objects, "would be applied")
    }

    /// Objects that exist as they should be.
    pub fn unchanged(objects: Vec<(ObjectPath, Value)>) -> Self {
        let objects = objects.into_iter().map(|(path, one)| (path, without_managers(one)));
        Self::each(objects.collect(), "exists, and stays as it is")
    }

    fn each(objects: Vec<(ObjectPath, Value)>, done: &str) -> Self {
        let lines = objects.iter().map(|(path, _object)| format!("{path} {done}\n"));
        Self { lines: lines.collect(), objects: objects.into_iter().map(|(_, one)| one).collect() }
    }

    /// The objects in the format that the user chose: for people, what was done with each.
    pub fn text(&self, output: Output) -> Result<String, Failure> {
        match output {
            Output::Table | Output::Wide => Ok(self.lines.concat()),
            Output::Json => {
                let list = json!({ "apiVersion": "v1", "kind": "List", "items": self.objects });
                output.text(&list, |_wide| String::new())
            }
            Output::Yaml => {
                let documents = self.objects.iter().map(|one| output.text(one, |_| String::new()));
                let documents = documents.collect::<Result<Vec<String>, Failure>>()?;
                Ok(documents.join("---\n"))
            }
        }
    }
}
