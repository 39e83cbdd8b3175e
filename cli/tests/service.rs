//! `firecamp service` on a simulated cluster, in virtual time.

#[cfg(test)]
mod service {
    mod adopt;
    mod create;
    mod delete;
    mod fixture;
    mod info;
    mod member_conf;
    mod names;
    mod objects;
    mod restart;
    mod restart_faults;
    mod stateless;
    mod store;
    mod volume;
    mod volume_ec2;
    mod volume_verify;
}
