//! What the holder of the Lease plans, one cluster at a time.

#[cfg(test)]
mod cluster {
    mod bound;
    mod crowd;
    mod golden;
    mod hearing;
    mod lease;
    mod nodes;
    mod pools;
    mod properties;
    mod reclaim;
    mod retention;
    mod support;
    mod waits;
}
