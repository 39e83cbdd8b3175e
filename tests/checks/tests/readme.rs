//! The README shows a part of the demo's output in docs/development/demo.md (`BLESS=1` updates it),
//! and ARCHITECTURE names only files that exist.

#![expect(clippy::panic, clippy::expect_used, reason = "a page without its marks fails the test")]

use std::path::Path;

const BEGIN: &str = "<!-- demo -->\n";
const END: &str = "<!-- end of demo -->\n";

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin:?}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} after {begin:?}")).0
}

/// The move without privileges: what happens, and what the client sees.
fn excerpt(run: &str) -> String {
    let step = between(run, "\n12  ", "\n13  ");
    let (story, rest) = step.split_once("\n   pod").expect("the pod's containers");
    let (_, seen) = rest.split_once("\n   rights").expect("the container's privileges");
    format!("```text\n12  {story}\n   …\n   rights{}\n```\n", seen.trim_end())
}

#[test]
fn the_readme_shows_what_the_demo_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let demo = std::fs::read_to_string(root.join("docs/development/demo.md")).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let run = between(&demo, "<!-- begin run.txt -->\n", "<!-- end run.txt -->");
    let kept = between(&readme, BEGIN, END);
    let wanted = excerpt(run);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(root.join("README.md"), readme.replacen(kept, &wanted, 1)).unwrap();
        return;
    }
    assert!(kept == wanted, "README.md is out of date: BLESS=1 cargo test -p firecamp-checks");
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let code = page.split('`').skip(1).step_by(2);
    let paths: Vec<_> = code
        .filter(|text| ["lib/", "tests/", "agent/"].iter().any(|top| text.starts_with(top)))
        .collect();
    let missing: Vec<_> = paths.iter().filter(|path| !root.join(path).exists()).collect();
    assert!(paths.len() > 50 && missing.is_empty(), "{} paths, missing: {missing:?}", paths.len());
}
