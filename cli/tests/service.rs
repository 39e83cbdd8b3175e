//! `firecamp service` on a simulated cluster, in virtual time.

#[cfg(test)]
mod service {
    mod fixture;
    mod objects;
    mod restart;
    mod restart_faults;
    mod volume;
    mod volume_cluster;
    mod volume_ec2;
    mod volume_verify;
}
