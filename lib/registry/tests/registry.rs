//! Tests of the registries' guarantees through their public API.

#[cfg(test)]
mod registry {
    mod conformance;
    mod damage;
    mod documents;
    mod files;
    mod follow;
    mod hostile;
    mod model;
    mod processes;
    mod support;
    mod yaml;
}
