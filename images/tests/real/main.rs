//! Tests the archives of `make images` in the directory IMAGES: unpacks each image and starts the
//! program with only the files of the image, in separate namespaces.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read an archive has failed"
)]
#![expect(clippy::indexing_slicing, reason = "a missing field of a JSON value reads as null")]

mod names;
mod server;
mod starts;
mod unpacked;

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_testkit::netns::run(firecamp_testkit::netns::cases! {
        names::{
            the_agent_resolves_ec2_and_has_its_root_certificates,
            the_init_container_resolves_the_api_server,
            a_name_in_the_hosts_file_needs_no_dns_server,
        },
        starts::{
            each_image_starts_its_program,
            each_image_is_one_layer_within_the_size_limit,
            each_image_has_an_sbom,
            no_image_reads_variables_for_tests,
        },
    })
}
