//! Every deliberate bug applies to the tree as it is. Whether the proofs find it says `make bugs`.

use std::path::Path;

use firecamp_bugs::catalogue;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_patch_says_what_it_breaks_and_applies_to_this_tree() {
    let bugs = catalogue::read(&root().join("tests/bugs")).unwrap();
    assert!(!bugs.is_empty());
    for (name, bug) in bugs {
        let about = &bug.patch.about;
        assert!(about.ends_with('.') && !about.contains('\n'), "{name}: {about:?}");
        assert!(!bug.patch.files.is_empty(), "{name} changes nothing");
        for file in &bug.patch.files {
            let text = std::fs::read_to_string(root().join(&file.path)).unwrap();
            let changed = file.apply(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_ne!(changed, text, "{name} does not change {}", file.path);
        }
    }
}

#[test]
fn no_product_code_knows_of_the_bugs() {
    for dir in ["lib", "agent", "cli", "initcontainer", "stopcontainer"] {
        let mut left = vec![root().join(dir)];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|end| end == "rs" || end == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                for word in ["planted(", "deliberate-bugs", "FIRECAMP_BUG"] {
                    assert!(!text.contains(word), "{} says {word}", path.display());
                }
            }
        }
    }
}
