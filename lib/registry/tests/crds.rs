//! The CustomResourceDefinitions and their files.

#[cfg(test)]
mod crds {
    mod definitions;
}
