//! The registry of a cluster against a strict API server in this process, and against sockets
//! where nobody listens.

#[cfg(test)]
mod cluster {
    mod board;
    mod budget;
    mod census;
    mod conformance;
    mod failures;
    mod holder;
    mod inventory;
    mod lists;
    mod pods;
    mod support;
    mod volumes;
    mod watches;
    mod workload;
    mod writes;
}
