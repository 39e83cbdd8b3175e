//! What is published, when, and how often, on an API in memory.

#[cfg(test)]
mod publish {
    mod addresses;
    mod capacity;
    mod claims;
    mod documents;
    mod events;
    mod faults;
    mod no_needless_writes;
    mod support;
    mod volumes;
}
