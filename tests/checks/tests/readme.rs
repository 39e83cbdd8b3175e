//! The README shows a part of the demo's output in docs/development/demo.md (`BLESS=1` updates it),
//! ARCHITECTURE names only files that exist, and docs/support.md says how each environment is
//! supported.

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

#[test]
fn every_environment_has_a_level_of_support() {
    const LEVELS: [&str; 3] = ["tested here", "by documentation", "not work"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/support.md")).unwrap();
    // The rows below the dashes of each table, and their cells after that of the environment.
    let tables = page.split("\n| ---").skip(1).map(|table| table.lines().skip(1));
    let rows = tables.flat_map(|lines| lines.take_while(|line| line.starts_with("| ")));
    let cells: Vec<&str> = rows.flat_map(|row| row.split(" | ").skip(1)).collect();
    let has_level = |cell: &str| LEVELS.iter().any(|level| cell.contains(level));
    let open: Vec<_> = cells.iter().filter(|cell| !has_level(cell)).collect();
    assert!(open.is_empty(), "without a level: {open:?}");
    assert!(cells.len() > 50, "only {} cells found", cells.len());
}
