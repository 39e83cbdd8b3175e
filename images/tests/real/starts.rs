//! The contents of the images.

use firecamp_images::root_filesystem::{Entry, SBOM};
use firecamp_images::spec::IMAGES;
use serde_json::Value;

use crate::unpacked::{Unpacked, archive};

/// The design goal for the unpacked size of an image.
const MAX_SIZE: usize = 16_000_000;

pub(crate) fn each_image_starts_its_program() {
    for image in &IMAGES {
        let (success, output) = Unpacked::new(image.name).start(&["--version"], &[]).end();
        assert!(success, "{output}");
        assert_eq!(output, format!("{} {}\n", image.name, env!("CARGO_PKG_VERSION")));
    }
}

pub(crate) fn each_image_is_one_layer_within_the_size_limit() {
    for image in &IMAGES {
        let size = archive(image.name).unpacked;
        assert!(size <= MAX_SIZE, "{}: {size} bytes, at most {MAX_SIZE}", image.name);
    }
}

/// Variables of debug builds: docs/development/testing.md.
const FOR_TESTS: [&str; 4] =
    ["FIRECAMP_CRASH_AT", "FIRECAMP_CRASH_HOW", "FIRECAMP_TRACE", "FIRECAMP_PASSES_FOR"];

pub(crate) fn no_image_reads_variables_for_tests() {
    for image in &IMAGES {
        for (path, entry) in archive(image.name).files {
            let Entry::File(_mode, bytes) = entry else { continue };
            for word in FOR_TESTS {
                let there = bytes.windows(word.len()).any(|part| part == word.as_bytes());
                assert!(!there, "{} of {} reads {word}", path, image.name);
            }
        }
    }
}

pub(crate) fn each_image_has_an_sbom() {
    for image in &IMAGES {
        let files = archive(image.name).files;
        let Entry::File(_mode, text) = &files[SBOM] else { panic!("{SBOM} is a link") };
        let list: Value = serde_json::from_slice(text).unwrap();
        let parts = list["components"].as_array().unwrap();
        assert!(parts.len() > 100, "{} parts", parts.len());
        for name in ["aws-lc-sys", "aws-sdk-ec2", "kube", "firecamp-core", "glibc", "rust-std"] {
            let part = parts.iter().find(|part| part["name"] == name);
            let part = part
                .unwrap_or_else(|| panic!("the SBOM of {} does not contain {name}", image.name));
            assert_ne!(part["version"], "", "{name}");
        }
        // No test code is linked.
        assert!(!parts.iter().any(|part| part["name"] == "firecamp-testkit"));
    }
}
