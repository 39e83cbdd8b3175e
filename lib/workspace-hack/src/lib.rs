//! No code. Cargo builds a dependency anew for each feature set that a selection of packages asks
//! of it, and the AWS SDK takes minutes. Its dependents depend on this crate too, so that
//! `cargo build -p ANY` and `cargo test` ask for the same features and share one build.
