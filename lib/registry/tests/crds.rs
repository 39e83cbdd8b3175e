//! The definitions, and the files that hold them.

#[cfg(test)]
mod crds {
    mod definitions;
}
