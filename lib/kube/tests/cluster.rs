//! The registry of a cluster against a strict API server in this process, and against sockets
//! where nobody listens.

#[cfg(test)]
mod cluster {
    mod budget;
    mod conformance;
    mod failures;
    mod lists;
    mod pods;
    mod support;
    mod writes;
}
