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
    mod offered_slots;
    mod resources;
    mod support;
    mod volumes;
}
