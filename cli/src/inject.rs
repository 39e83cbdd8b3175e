//! `firecamp inject`: adds to manifests what a pod needs to be a member.

pub mod documents;
pub mod pod;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use firecamp_core::contract::{endpoint, path};
use serde_json::Value;

use crate::common::json::at;
use crate::common::print::out;
use crate::failure::Failure;

pub use pod::Settings;

const EXAMPLES: &str = "\
The command adds to each Pod and StatefulSet with the label firecamp.io/pool what the admission \
policy firecamp-injection adds to pods: an init container, a token, a volume with the address, \
the extended resource of the pool, and annotations for service meshes. Use it where the API \
server has no MutatingAdmissionPolicy (Kubernetes before 1.36), or to review the result. It does \
not ask any cluster. Documents without the label are printed as they are; the others lose their \
comments. What was injected before is not injected again.

Examples:
  firecamp inject -f redis.yaml --image registry.example.com/firecamp-initcontainer:0.1.0
  kustomize build . | firecamp inject --image IMAGE --pool-file pool.yaml | kubectl apply -f -
  helm3 install redis CHART --post-renderer firecamp --post-renderer-args inject

Helm 4 runs post-renderers as plugins, and Kustomize runs exec functions: docs/endpoint.md has \
one of each. A ResourceList on standard input makes the command a KRM function: the data of \
its functionConfig, a ConfigMap, replaces the flags of the same names (image, endpoint, resource, \
cpu, memory, run-dir).

Exit codes: 0 the manifests were printed; 2 invalid flag or manifest; 18 a file cannot be read.";

/// `firecamp inject`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct InjectArguments {
    /// The manifests; - is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub filename: PathBuf,
    /// Image of the init container, with the registry from which your nodes pull it
    #[arg(long, env = "FIRECAMP_INJECT_IMAGE", value_name = "IMAGE")]
    pub image: Option<String>,
    /// Where the agents listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = endpoint::DEFAULT)]
    pub endpoint: String,
    /// Manifests of the pools: each pod requests the extended resource of its pool
    #[arg(long, value_name = "FILE", conflicts_with = "resource")]
    pub pool_file: Option<PathBuf>,
    /// The extended resource of the pods, if it is not the default one
    #[arg(long, value_name = "NAME")]
    pub resource: Option<String>,
    /// CPU of the init container, if another container of the pod requests CPU or memory
    #[arg(long, value_name = "QUANTITY", default_value = pod::CPU)]
    pub cpu: String,
    /// Memory of the init container, if another container of the pod requests CPU or memory
    #[arg(long, value_name = "QUANTITY", default_value = pod::MEMORY)]
    pub memory: String,
    /// The chart's host.runDir: pods whose init container mounts it are in direct mode
    #[arg(long, value_name = "DIR", default_value = path::RUN_DIR)]
    pub run_dir: String,
}

impl InjectArguments {
    fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings {
            image: self.image.clone(),
            endpoint: self.endpoint.clone(),
            pools: self.pool_file.as_deref().map(resources_of).transpose()?,
            resource: self.resource.clone(),
            cpu: self.cpu.clone(),
            memory: self.memory.clone(),
            run_dir: self.run_dir.clone(),
        })
    }

    /// What the data of a KRM function's configuration sets replaces the flags.
    fn overlay(&mut self, config: &Value) -> Result<(), Failure> {
        let data = config.get("data").and_then(Value::as_object);
        for (name, value) in data.into_iter().flatten() {
            let wrong = |why: &str| Failure::Usage(format!("functionConfig.data.{name}: {why}"));
            let value = value.as_str().ok_or_else(|| wrong("is not a string"))?.to_owned();
            match name.as_str() {
                "image" => self.image = Some(value),
                "endpoint" => self.endpoint = value,
                "resource" => self.resource = Some(value),
                "cpu" => self.cpu = value,
                "memory" => self.memory = value,
                "run-dir" => self.run_dir = value,
                _ => return Err(wrong("use image, endpoint, resource, cpu, memory or run-dir")),
            }
        }
        Ok(())
    }
}

/// The extended resource of each pool of a file.
fn resources_of(file: &Path) -> Result<pod::Pools, Failure> {
    let text = read(file)?;
    documents::pools(&text).map_err(|why| Failure::Usage(format!("{}: {why}", file.display())))
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).map(|_length| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|why| Failure::file("failed to read", file, why))
}

/// Prints the manifests. Returns the exit code.
pub(crate) fn run(arguments: &InjectArguments) -> Result<u8, Failure> {
    out(&injected(&read(&arguments.filename)?, arguments)?)?;
    Ok(0)
}

/// The manifests with what their members need.
pub fn injected(text: &str, arguments: &InjectArguments) -> Result<String, Failure> {
    let wrong = |why: String| {
        let file = &arguments.filename;
        let is_input = file == Path::new("-");
        let file = if is_input { "standard input".into() } else { file.to_string_lossy() };
        Failure::Usage(format!("{file}: {why}"))
    };
    if let Some(list) = documents::resource_list(text) {
        let mut arguments = arguments.clone();
        arguments.overlay(at(&list, "/functionConfig"))?;
        return documents::inject_list(list, &arguments.settings()?).map_err(wrong);
    }
    documents::inject(text, &arguments.settings()?).map_err(wrong)
}
