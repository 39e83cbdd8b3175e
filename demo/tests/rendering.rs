//! Output is rendered from the events alone: the tests replay a recorded run and compare. `BLESS=1`
//! rewrites the golden files.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot do its work has failed"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use firecamp_demo::event::Event;
use firecamp_demo::render::{html, text};

const FIRECAMP: &str = env!("CARGO_BIN_EXE_firecamp-demo");

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("data").join(name)
}

fn recorded() -> Vec<Event> {
    let text = std::fs::read_to_string(data("run.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn same_as(golden: &str, text: &str) {
    let path = data(golden);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(expected == text, "{golden} differs; BLESS=1 rewrites it:\n{text}");
}

/// The documentation with the output of the recorded run in its place.
fn documented(docs: &str, output: &str) -> String {
    let (begin, end) = ("<!-- begin run.txt -->\n", "<!-- end run.txt -->");
    let (before, rest) =
        docs.split_once(begin).expect("docs/development/demo.md has no start marker");
    let (_, after) = rest.split_once(end).expect("docs/development/demo.md has no end marker");
    format!("{before}{begin}```text\n{output}```\n{end}{after}")
}

#[test]
fn the_documentation_shows_the_printed_text() {
    let docs =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/development/demo.md");
    let (_, output) = replay(&[]);
    let text = std::fs::read_to_string(&docs).unwrap();
    let expected = documented(&text, &output);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&docs, &expected).unwrap();
    } else {
        assert!(text == expected, "docs/development/demo.md differs; BLESS=1 rewrites it");
    }
}

fn replay(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(FIRECAMP)
        .arg("--replay")
        .arg(data("run.jsonl"))
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_replay_prints_the_same_text() {
    let (code, output) = replay(&[]);
    assert_eq!(code, Some(0));
    assert!(!output.contains('\u{1b}'), "colors without a terminal:\n{output}");
    same_as("run.txt", &output);
}

#[test]
fn a_replay_writes_the_same_page() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("demo.html");
    let (code, _) = replay(&["--report", page.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    same_as("run.html", &std::fs::read_to_string(&page).unwrap());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "files are left beside the page: {left:?}");
}

#[test]
fn a_replay_as_json_is_the_same_stream() {
    let (code, output) = replay(&["--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(output, std::fs::read_to_string(data("run.jsonl")).unwrap());
}

#[test]
fn the_page_has_no_scripts_or_external_resources() {
    let page = html::page(&recorded());
    for forbidden in ["http:", "https:", "src=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn all_tags_of_the_page_are_closed_in_order() {
    let page = html::page(&recorded());
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag without an end");
        let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
        } else if !(tag.ends_with('/') || ["!doctype", "meta"].contains(&name.as_str())) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn an_incomplete_run_is_shown_as_incomplete() {
    let mut events = recorded();
    events.truncate(events.len() / 2);
    let page = html::page(&events);
    assert!(page.contains("run is incomplete"));
    let output: String = events.iter().map(text::event).collect();
    assert!(!output.contains("All guarantees held"));
}

#[test]
fn a_violated_guarantee_is_highlighted_in_text_and_page() {
    let mut events = recorded();
    let Some(Event::Ended(summary)) = events.last_mut() else { panic!("the run is incomplete") };
    summary.kept = false;
    summary.rows[0].verdict = firecamp_demo::event::Verdict::Missed;
    let output = text::event(events.last().unwrap());
    assert!(output.contains("A guarantee was violated") && output.contains("FAILED"), "{output}");
    let page = html::page(&events);
    assert!(page.contains("A guarantee was violated") && page.contains(">failed<"));
}
