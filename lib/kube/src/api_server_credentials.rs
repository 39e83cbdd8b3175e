//! The address of the API server, and the credentials for it.

use std::fmt::Display;
use std::path::PathBuf;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::http_request::Timeouts;
use crate::registry::KubeRegistry;

/// The source of the API server's address and of the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The pod's service account; the token is read again after each rotation.
    InCluster,
    /// The current context of a kubeconfig file.
    Kubeconfig(PathBuf),
}

impl Source {
    /// A registry with a client that makes one attempt for each request. Sends nothing.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<KubeRegistry, RegistryFailure> {
        Ok(KubeRegistry::new(self.client(timeouts).await?, timeouts))
    }

    /// The client of [`Source::connect`], for other requests than the registry's.
    pub async fn client(&self, timeouts: Timeouts) -> Result<Client, RegistryFailure> {
        let mut config = match self {
            Self::InCluster => Config::incluster().map_err(|wrong| self.refused(&wrong))?,
            Self::Kubeconfig(path) => {
                let file = Kubeconfig::read_from(path).map_err(|wrong| self.refused(&wrong))?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(|wrong| self.refused(&wrong))?
            }
        };
        // The protocol decides what to retry.
        config.default_retry = false;
        config.connect_timeout = Some(timeouts.call);
        Client::try_from(config).map_err(|wrong| self.refused(&wrong))
    }

    fn refused(&self, wrong: &dyn Display) -> RegistryFailure {
        let place = match self {
            Self::InCluster => "from inside a pod".to_owned(),
            Self::Kubeconfig(path) => format!("with {}", path.display()),
        };
        let detail = format!("find the Kubernetes API {place}: {wrong}");
        RegistryFailure { kind: RegistryKind::NotFound, effect: Effect::None, detail }
    }
}
