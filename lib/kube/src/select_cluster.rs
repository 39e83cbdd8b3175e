//! The cluster that the user selects, by the same rules as `kubectl`.

use std::fmt::Display;
use std::path::PathBuf;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::http_request::Timeouts;

/// The user's selection of a cluster. The default file is that of `KUBECONFIG`, then
/// `~/.kube/config`, then the service account of the pod. The default context is the file's
/// current one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig.
    pub context: Option<String>,
}

/// A client of the selected cluster, and its namespace.
#[derive(Clone)]
pub struct Chosen {
    /// A client that makes one attempt for each request.
    pub client: Client,
    /// The namespace of the context.
    pub namespace: String,
    /// The URL of the API server.
    pub server: String,
}

impl Choice {
    /// Finds the cluster. Sends nothing.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<Chosen, RegistryFailure> {
        let mut config = self.config().await?;
        // The caller has a deadline, so the client must not retry.
        config.default_retry = false;
        config.connect_timeout = Some(timeouts.call);
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|wrong| self.refused(&wrong))?;
        Ok(Chosen { client, namespace, server })
    }

    async fn config(&self) -> Result<Config, RegistryFailure> {
        let file = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let file = match file {
            Ok(file) => file,
            Err(wrong) if self.is_open() => {
                return Config::incluster().map_err(|pod| {
                    self.refused(&format!("{wrong}; not running in a Kubernetes pod: {pod}"))
                });
            }
            Err(wrong) => return Err(self.refused(&wrong)),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let config = Config::from_custom_kubeconfig(file, &options).await;
        config.map_err(|wrong| self.refused(&wrong))
    }

    /// Whether the user selected neither a kubeconfig nor a context.
    fn is_open(&self) -> bool {
        *self == Self::default()
    }

    fn refused(&self, wrong: &dyn Display) -> RegistryFailure {
        let file = self.kubeconfig.as_ref().map(|path| format!(" with {}", path.display()));
        let context = self.context.as_ref().map(|name| format!(" with the context {name}"));
        let place = [file, context].into_iter().flatten().collect::<String>();
        let detail = format!("find the Kubernetes API{place}: {wrong}");
        RegistryFailure { kind: RegistryKind::NotFound, effect: Effect::None, detail }
    }
}
