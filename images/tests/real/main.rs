//! The archives that `make images` wrote, in the directory that IMAGES names: each is unpacked and
//! the program started with nothing but what is in the image, in namespaces of the test's own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read an archive has failed"
)]
#![expect(clippy::indexing_slicing, reason = "what a value lacks reads as null")]

mod names;
mod server;
mod starts;
mod unpacked;

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_testkit::netns::run(firecamp_testkit::netns::cases! {
        names::{
            the_agent_finds_ec2_by_its_public_name_and_has_roots_to_trust_it_by,
            the_init_container_finds_the_api_server_by_a_name,
            a_name_in_the_hosts_file_needs_no_server,
        },
        starts::{
            each_image_starts_as_what_it_is_called,
            each_image_is_one_layer_and_no_larger_than_promised,
            each_image_lists_what_it_is_made_of,
            no_image_obeys_what_only_tests_say,
        },
    })
}
