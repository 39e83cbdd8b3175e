//! What the leader plans, one cluster at a time.

#[cfg(test)]
mod cluster {
    mod bound;
    mod controller;
    mod golden;
    mod lease;
    mod nodes;
    mod pools;
    mod properties;
    mod reachability;
    mod reclaim;
    mod retention;
    mod scale;
    mod support;
    mod volume_waits;
    mod zone_gates;
}
