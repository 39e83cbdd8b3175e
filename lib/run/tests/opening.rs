//! Opens registries by URL, and tests the errors.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::path::PathBuf;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::ports::{PodView, Registry};
use firecamp_registry::RegistryUrl;
use firecamp_run::connect::{OpenRegistry, open};

/// A kubeconfig of a cluster at this local port.
fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n"
    )
}

async fn failed(url: RegistryUrl) -> RegistryFailure {
    match open(&url).await {
        Ok(registry) => panic!("{url} opens {registry:?}"),
        Err(failure) => failure,
    }
}

#[tokio::test]
async fn a_directory_is_a_file_registry_and_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&RegistryUrl::File(dir.path().to_owned())).await.unwrap();
    assert!(matches!(registry.get().await, Ok(OpenRegistry::File(_))), "{registry:?}");
    let member = Member::new("prod", "redis-0").unwrap();
    assert_eq!(registry.pod(&member).await, Ok(PodView::Vouched));
    let missing = dir.path().join("missing");
    let failure = failed(RegistryUrl::File(missing.clone())).await;
    assert!(failure.detail.contains(&missing.display().to_string()), "{failure}");
}

#[tokio::test]
async fn a_kubeconfig_opens_without_a_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    // No process listens there.
    std::fs::write(&path, kubeconfig(1)).unwrap();
    let registry = open(&RegistryUrl::Kubeconfig(path)).await.unwrap();
    assert!(matches!(registry.get().await, Ok(OpenRegistry::Kube(_))), "{registry:?}");
    let failure = registry.pod(&Member::new("prod", "redis-0").unwrap()).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (RegistryKind::Unavailable, Effect::None));
    assert!(failure.detail.contains("read pod prod/redis-0"), "{failure}");
}

#[tokio::test]
async fn a_missing_or_invalid_kubeconfig_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let invalid = dir.path().join("invalid");
    std::fs::write(&invalid, "\u{1}").unwrap();
    for path in [PathBuf::from("/no/such/kubeconfig"), invalid] {
        let failure = failed(RegistryUrl::Kubeconfig(path.clone())).await;
        assert_eq!((failure.kind, failure.effect), (RegistryKind::NotFound, Effect::None));
        let named = format!("find the Kubernetes API with {}", path.display());
        assert!(failure.detail.contains(&named), "{failure}");
    }
}

#[tokio::test]
async fn outside_of_a_pod_there_is_no_default_cluster() {
    assert_eq!(
        std::env::var_os("KUBERNETES_SERVICE_HOST"),
        None,
        "this test must not run in a pod"
    );
    let failure = failed(RegistryUrl::InCluster).await;
    assert!(failure.detail.contains("from inside a pod"), "{failure}");
}
