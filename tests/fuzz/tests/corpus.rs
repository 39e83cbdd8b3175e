//! Runs every file of the corpus, and random mutations of the files, through its fuzz target.
//! `FIRECAMP_FUZZ_CHANGES` sets the number of mutations per target.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot read the corpus fails, and prints the current file"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use firecamp_fuzz_bodies::{Changes, TARGETS, Target};

/// The limit of the whole corpus, so that a clone stays small.
const BYTES_MAX: u64 = 300_000;

fn fuzz(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(below)
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Prints the current file, so that a failure names it.
fn replay(name: &str) {
    let Target { run, .. } = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = fuzz("corpus").join(name);
    let names = names(&corpus);
    assert!(names.len() >= 5, "{} has {} files", corpus.display(), names.len());
    let mut inputs = Vec::new();
    for file in names {
        println!("fuzz/corpus/{name}/{file}");
        let input = fs::read(corpus.join(file)).unwrap();
        run(&input);
        inputs.push(input);
    }
    let mut changes = Changes::new(inputs);
    for number in 0..count() {
        println!("change {number}");
        run(&changes.next());
    }
    // The empty input and all inputs of one byte are not in the corpus.
    run(&[]);
    (0..=u8::MAX).for_each(|byte| run(&[byte]));
}

/// By default few, so that the tests stay fast.
fn count() -> u32 {
    std::env::var("FIRECAMP_FUZZ_CHANGES").map_or(100, |text| text.parse().unwrap())
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    ec2 endpoint_request endpoint_response file_registry
    flags imds netlink static_ip_file texts yaml
}

#[test]
fn every_target_has_a_binary_a_corpus_and_a_replay() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
    let binaries = names(&fuzz("fuzz_targets"));
    let binaries: BTreeSet<String> =
        binaries.iter().map(|file| file.strip_suffix(".rs").unwrap().to_owned()).collect();
    let replayed: BTreeSet<String> = REPLAYED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(targets, binaries);
    assert_eq!(targets, replayed);
    assert_eq!(targets, names(&fuzz("corpus")));
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for name in targets {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "fuzz/Cargo.toml has no binary {name}"
        );
    }
}

#[test]
fn the_corpus_stays_small() {
    let mut total = 0;
    for target in TARGETS {
        let corpus = fuzz("corpus").join(target.name);
        for file in names(&corpus) {
            total += fs::metadata(corpus.join(file)).unwrap().len();
        }
    }
    assert!(total < BYTES_MAX, "the corpus has {total} bytes, not less than {BYTES_MAX}");
}
