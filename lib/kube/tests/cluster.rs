//! The Kubernetes registry against a strict in-process API server, and against unreachable servers.

#[cfg(test)]
mod cluster {
    mod bare_watcher;
    mod budget;
    mod census;
    mod conformance;
    mod failures;
    mod gated_pods;
    mod inventory;
    mod leader;
    mod lists;
    mod pods;
    mod status_writer;
    mod support;
    mod volumes;
    mod watches;
    mod workload;
    mod writes;
}
