//! The names of members.

mod fixture;
mod in_dns;
mod in_the_cluster;
mod stored;
