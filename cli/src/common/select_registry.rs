//! Selects the registry by flags and environment variables.

use std::path::PathBuf;

use clap::Args;
use firecamp_core::contract::env;
use firecamp_core::ids::{Member, SetName};
use firecamp_kube::Choice;
use firecamp_registry::registry_url::{self, RegistryUrl};

use crate::failure::Failure;

/// The namespace if none is given, as in Kubernetes.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Flags that select the registry and the namespace.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryArguments {
    /// The registry: file:///DIR, kubernetes: or kubernetes:///KUBECONFIG. Default: the cluster
    /// that kubectl would use, or in a pod the cluster of the pod
    #[arg(long, env = env::REGISTRY, hide_env_values = true, value_name = "URL")]
    pub registry: Option<String>,
    /// Use the cluster of this kubeconfig file; overrides --registry. Default: KUBECONFIG, then
    /// ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Use the cluster of this context of the kubeconfig; overrides --registry
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Show only members of this namespace; also the namespace of a MEMBER given without one
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
}

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The directory of a file registry.
    File(PathBuf),
    /// A cluster.
    Cluster(Choice),
}

impl RegistryArguments {
    /// The selected registry.
    pub fn target(&self) -> Result<Target, Failure> {
        if self.kubeconfig.is_some() || self.context.is_some() {
            let choice =
                Choice { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
            return Ok(Target::Cluster(choice));
        }
        let url = self.registry.as_deref().filter(|url| !url.trim().is_empty());
        let Some(url) = url else { return Ok(Target::Cluster(Choice::default())) };
        match registry_url::parse(url).map_err(|wrong| Failure::Usage(wrong.to_string()))? {
            RegistryUrl::File(directory) => Ok(Target::File(directory)),
            RegistryUrl::InCluster => Ok(Target::Cluster(Choice::default())),
            RegistryUrl::Kubeconfig(path) => {
                Ok(Target::Cluster(Choice { kubeconfig: Some(path), context: None }))
            }
        }
    }

    /// Parses a member: `NAMESPACE/NAME`, or `NAME` in the namespace of the flag, of the context,
    /// or `default`.
    pub fn member(&self, text: &str, of_context: Option<&str>) -> Result<Member, Failure> {
        self.named("MEMBER", text, of_context)
    }

    /// Parses the namespace and name of a StatefulSet, in the same format.
    pub fn set(&self, text: &str, of_context: Option<&str>) -> Result<(String, SetName), Failure> {
        let named = self.named("STATEFULSET", text, of_context)?;
        let name = SetName::new(named.name());
        let name = name.map_err(|wrong| Failure::Usage(format!("STATEFULSET: {wrong}")))?;
        Ok((named.namespace().to_owned(), name))
    }

    fn named(&self, word: &str, text: &str, of_context: Option<&str>) -> Result<Member, Failure> {
        let usage = |why: &dyn ToString| Failure::Usage(format!("{word}: {}", why.to_string()));
        let Some((namespace, name)) = text.split_once('/') else {
            let own = self.namespace.as_deref().or(of_context).unwrap_or(DEFAULT_NAMESPACE);
            return Member::new(own, text).map_err(|wrong| usage(&wrong));
        };
        if self.namespace.as_deref().is_some_and(|own| own != namespace) {
            return Err(usage(&format!("{text} is not in the namespace that -n specifies")));
        }
        Member::new(namespace, name).map_err(|wrong| usage(&wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(url: &str) -> RegistryArguments {
        RegistryArguments { registry: Some(url.to_owned()), ..RegistryArguments::default() }
    }

    #[test]
    fn the_default_is_the_cluster_that_kubectl_would_use() {
        let same = Target::Cluster(Choice::default());
        for flags in [RegistryArguments::default(), registry(""), registry("kubernetes:")] {
            assert_eq!(flags.target().unwrap(), same);
        }
    }

    #[test]
    fn kubectl_flags_override_the_registry_variable() {
        let flags = RegistryArguments { context: Some("test".to_owned()), ..registry("file:///a") };
        let choice = Choice { kubeconfig: None, context: Some("test".to_owned()) };
        assert_eq!(flags.target().unwrap(), Target::Cluster(choice));
        assert_eq!(registry("file:///a").target().unwrap(), Target::File("/a".into()));
        assert!(matches!(registry("ftp://x").target(), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_member_namespace_defaults_to_the_flag_the_context_or_default() {
        let named = RegistryArguments {
            namespace: Some("prod".to_owned()),
            ..RegistryArguments::default()
        };
        let text = |flags: &RegistryArguments, text, context| {
            flags.member(text, context).unwrap().to_string()
        };
        assert_eq!(text(&named, "redis-0", Some("dev")), "prod/redis-0");
        assert_eq!(text(&RegistryArguments::default(), "redis-0", Some("dev")), "dev/redis-0");
        assert_eq!(text(&RegistryArguments::default(), "redis-0", None), "default/redis-0");
        assert_eq!(
            text(&RegistryArguments::default(), "prod/redis-0", Some("dev")),
            "prod/redis-0"
        );
        assert!(named.member("dev/redis-0", None).is_err());
        assert!(named.member("Redis", None).is_err());
        let set = ("prod".to_owned(), SetName::new("redis").unwrap());
        assert_eq!(named.set("redis", Some("dev")).unwrap(), set);
        assert_eq!(RegistryArguments::default().set("prod/redis", Some("dev")).unwrap(), set);
        let wrong = named.set("dev/redis", None).unwrap_err().to_string();
        assert!(wrong.starts_with("STATEFULSET: dev/redis is not in the namespace"), "{wrong}");
    }
}
