//! What is printed and written comes from the events alone: a recorded run is shown again and
//! compared. `BLESS=1` rewrites what is compared with.

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

/// The documentation with the recorded run in its place.
fn documented(docs: &str, told: &str) -> String {
    let (begin, end) = ("<!-- begin run.txt -->\n", "<!-- end run.txt -->");
    let (before, rest) = docs.split_once(begin).expect("docs/demo.md has no place for it");
    let (_, after) = rest.split_once(end).expect("docs/demo.md has no end of it");
    format!("{before}{begin}```text\n{told}```\n{end}{after}")
}

#[test]
fn the_documentation_shows_what_was_really_printed() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/demo.md");
    let (_, told) = replay(&[]);
    let text = std::fs::read_to_string(&docs).unwrap();
    let expected = documented(&text, &told);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&docs, &expected).unwrap();
    } else {
        assert!(text == expected, "docs/demo.md differs; BLESS=1 rewrites it");
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
fn a_recorded_run_is_told_again_word_for_word() {
    let (code, told) = replay(&[]);
    assert_eq!(code, Some(0));
    assert!(!told.contains('\u{1b}'), "colours without a terminal:\n{told}");
    same_as("run.txt", &told);
}

#[test]
fn a_recorded_run_makes_the_same_page_again() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("demo.html");
    let (code, _) = replay(&["--report", page.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    same_as("run.html", &std::fs::read_to_string(&page).unwrap());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "something was left beside the page: {left:?}");
}

#[test]
fn as_json_a_recorded_run_is_the_very_same_stream() {
    let (code, told) = replay(&["--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(told, std::fs::read_to_string(data("run.jsonl")).unwrap());
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_runs_nothing() {
    let page = html::page(&recorded());
    for forbidden in ["http:", "https:", "src=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn every_tag_of_the_page_is_closed_in_order() {
    let page = html::page(&recorded());
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag that does not end");
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
fn a_run_that_broke_off_is_shown_as_far_as_it_came() {
    let mut events = recorded();
    events.truncate(events.len() / 2);
    let page = html::page(&events);
    assert!(page.contains("did not come to its end"));
    let told: String = events.iter().map(text::event).collect();
    assert!(!told.contains("Every promise was kept"));
}

#[test]
fn a_broken_promise_stands_out_in_text_and_page() {
    let mut events = recorded();
    let Some(Event::Ended(summary)) = events.last_mut() else { panic!("no end") };
    summary.kept = false;
    summary.rows[0].verdict = firecamp_demo::event::Verdict::Missed;
    let told = text::event(events.last().unwrap());
    assert!(told.contains("A promise was broken") && told.contains("BROKEN"), "{told}");
    let page = html::page(&events);
    assert!(page.contains("A promise was broken") && page.contains(">broken<"));
}
