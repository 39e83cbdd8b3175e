//! Where the API server is, and who we are to it.

use std::fmt::Display;
use std::path::PathBuf;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::call::Timeouts;
use crate::registry::KubeRegistry;

/// How the API server is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From inside of a pod, with the token of its service account, read anew as it is renewed.
    InCluster,
    /// By a kubeconfig file, with its current context.
    Kubeconfig(PathBuf),
}

impl Source {
    /// A registry over a client that makes one attempt for each request. Sends nothing.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<KubeRegistry, RegistryFailure> {
        Ok(KubeRegistry::new(self.client(timeouts).await?, timeouts))
    }

    /// The client of [`Source::connect`], for what is no part of the registry.
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
        // Whether to repeat is decided by the protocol, which knows what it may repeat.
        config.default_retry = false;
        config.connect_timeout = Some(timeouts.call);
        Client::try_from(config).map_err(|wrong| self.refused(&wrong))
    }

    fn refused(&self, wrong: &dyn Display) -> RegistryFailure {
        let place = match self {
            Self::InCluster => "from inside of a pod".to_owned(),
            Self::Kubeconfig(path) => format!("by {}", path.display()),
        };
        let detail = format!("find the Kubernetes API {place}: {wrong}");
        RegistryFailure { kind: RegistryKind::NotFound, effect: Effect::None, detail }
    }
}
