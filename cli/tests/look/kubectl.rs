//! The plugin: `kubectl firecamp` starts `kubectl-firecamp` and passes on the other arguments.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::support::{Socket, TOKEN, cluster, run, run_as};

fn plugin(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("kubectl-firecamp");
    symlink(env!("CARGO_BIN_EXE_firecamp"), &path).unwrap();
    path
}

#[tokio::test]
async fn the_plugin_accepts_kubectls_flags_and_variables() {
    let socket = Socket::of(&cluster().await).await;
    let (plugin, file) = (plugin(&socket.dir), socket.kubeconfig());
    let file = file.to_str().unwrap();
    let by_flags = ["status", "--kubeconfig", file, "--context", "test", "-n", "prod"];
    let output = run_as(&plugin, &by_flags, &[]).await;
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{}", output.out);
    assert!(
        output.out.contains("prod/redis-0") && !output.out.contains("dev/old-0"),
        "{}",
        output.out
    );
    let by_variable = ["status", "--context=test", "--namespace=dev"];
    let output = run_as(&plugin, &by_variable, &[("KUBECONFIG", file)]).await;
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{}", output.out);
    assert!(
        output.out.contains("dev/old-0") && !output.out.contains("prod/redis-0"),
        "{}",
        output.out
    );
    let one = ["status", "redis-0", "--context=test"];
    let output = run_as(&plugin, &one, &[("KUBECONFIG", file)]).await;
    assert_eq!(
        output.code,
        Some(0),
        "the context's namespace is prod: {}{}",
        output.out,
        output.err
    );
}

#[tokio::test]
async fn usage_texts_show_how_the_program_was_called() {
    let dir = tempfile::tempdir().unwrap();
    let help = run_as(&plugin(&dir), &["status", "--help"], &[]).await.out;
    assert!(help.contains("Usage: kubectl firecamp status"), "{help}");
    let help = run(&["status", "--help"]).await.out;
    assert!(help.contains("Usage: firecamp status"), "{help}");
}

#[tokio::test]
async fn an_unreachable_cluster_is_an_error_without_secrets() {
    let socket = Socket::of(&cluster().await).await;
    let file = socket.kubeconfig();
    let file = file.to_str().unwrap();
    let output = run(&["status", "--kubeconfig", file]).await;
    assert_eq!(output.code, Some(15), "{}", output.err);
    assert!(output.err.contains("list the objects of kind StaticIP"), "{}", output.err);
    assert!(!output.err.contains(TOKEN));
    let output = run(&["status", "--kubeconfig", file, "--context", "none"]).await;
    assert_eq!(output.code, Some(16), "{}", output.err);
    assert!(output.err.contains("with the context none"), "{}", output.err);
    let output = run(&["status"]).await;
    assert_eq!(output.code, Some(16), "{}", output.err);
    assert!(output.err.contains("find the Kubernetes API"), "{}", output.err);
    assert!(output.err.contains("not running in a Kubernetes pod"), "{}", output.err);
}
