//! Everything that the registries promise, tried from outside.

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
