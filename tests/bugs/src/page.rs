//! Compares all searches with the expectations, and generates the page of results.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firecamp_core::bug::Bug;

use crate::expect::{self, Expected};
use crate::hunt::{self, Found, HISTORIES, VOLUMES};

/// The row of the build without a bug.
const NONE: &str = "none";

type Hunt = (String, String);
type Results = BTreeMap<Hunt, Result<(Found, Duration), String>>;

/// Searches, compares, and writes or checks the page. True if everything is as expected.
pub fn run(
    path: &Path,
    page: &Path,
    bless: bool,
    only: Option<&str>,
    jobs: usize,
) -> Result<bool, Box<dyn std::error::Error>> {
    let mut all = expect::read(path)?;
    all.retain(|name, _expected| only.is_none_or(|only| only == name));
    let results = hunt_all(hunts(&all), jobs);
    let mut ok = true;
    for ((bug, by), result) in &results {
        let wanted = all.get(bug).and_then(|expected| wanted(expected, by));
        ok &= report(bug, by, wanted.as_deref(), result);
    }
    if only.is_some() {
        return Ok(ok);
    }
    let text = page_of(&all, &results);
    if bless {
        std::fs::write(page, text)?;
    } else if std::fs::read_to_string(page)? != text {
        println!("{} is out of date: run `make bugs BLESS=1`", page.display());
        ok = false;
    }
    Ok(ok)
}

fn hunts(all: &BTreeMap<String, Expected>) -> VecDeque<Hunt> {
    let by = ["histories", "sweeps", "volumes"];
    let mut hunts: VecDeque<Hunt> =
        by.map(|by| (NONE.to_owned(), by.to_owned())).into_iter().collect();
    for (bug, expected) in all {
        if let Some((config, _property)) = &expected.model {
            hunts.push_back((bug.clone(), format!("model:{config}")));
        }
        if expected.histories.is_some() {
            hunts.push_back((bug.clone(), "histories".to_owned()));
        }
        if expected.sweeps.is_some() {
            hunts.push_back((bug.clone(), "sweeps".to_owned()));
        }
        if expected.volumes.is_some() {
            hunts.push_back((bug.clone(), "volumes".to_owned()));
        }
    }
    hunts
}

fn wanted(expected: &Expected, by: &str) -> Option<String> {
    if by == "histories" {
        return expected.histories.clone();
    }
    if by == "sweeps" {
        return expected.sweeps.clone();
    }
    if by == "volumes" {
        return expected.volumes.clone();
    }
    expected.model.as_ref().map(|(_config, property)| property.clone())
}

fn hunt_all(hunts: VecDeque<Hunt>, jobs: usize) -> Results {
    let queue = Mutex::new(hunts);
    let results = Mutex::new(Results::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((bug, by)) = next else { return };
                    let result = hunt::in_child_process(&bug, &by);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.insert((bug, by), result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Prints one result. True if it is as expected.
fn report(
    bug: &str,
    by: &str,
    wanted: Option<&str>,
    result: &Result<(Found, Duration), String>,
) -> bool {
    let (found, took) = match result {
        Ok(result) => result,
        Err(text) => {
            println!("FAILED {text}");
            return false;
        }
    };
    let ok = found.what.as_deref() == wanted;
    let verdict = if ok { "ok    " } else { "FAILED" };
    let what = found.what.as_deref().unwrap_or("nothing");
    let unit = if by.starts_with("model:") { "states" } else { by };
    println!(
        "{verdict} {bug} by {by}: {what} after {} {unit}, {:.1} s{}",
        found.after,
        took.as_secs_f64(),
        if ok {
            String::new()
        } else {
            format!(" (expected {})\n{}", wanted.unwrap_or("nothing"), found.text)
        },
    );
    ok
}

fn page_of(all: &BTreeMap<String, Expected>, results: &Results) -> String {
    let mut page = String::from(
        "# Deliberate bugs\n\n\
         Each row is a bug that is planted in a rule of the protocol, in a build that is never \
         shipped. The tests\nmust find it by a named invariant or property. `make bugs BLESS=1` \
         writes this page, `make bugs` checks\nit. [verification.md](verification.md) lists the \
         invariants, `lib/core/src/bug.rs` the bugs.\n\n\
         | Bug | What it breaks | Model: property, after N states \
         | Histories: invariant, after N histories |\n\
         | --- | --- | --- | --- |\n",
    );
    for bug in Bug::ALL {
        let Some(expected) = all.get(bug.name()) else { continue };
        let model = expected.model.as_ref().map(|(config, _property)| format!("model:{config}"));
        let why = expected.only.clone().unwrap_or_default();
        let by_model = model.and_then(|by| cell(results, bug.name(), &by)).unwrap_or(why.clone());
        let by_histories = cell(results, bug.name(), "histories")
            .or_else(|| cell(results, bug.name(), "sweeps"))
            .or_else(|| cell(results, bug.name(), "volumes"))
            .unwrap_or(why);
        let about = bug.about();
        let _infallible = writeln!(page, "| `{bug}` | {about} | {by_model} | {by_histories} |");
    }
    let _infallible = writeln!(
        page,
        "\nWithout a bug the same build finds no violation in {HISTORIES} histories,\nas many \
         sweeps (small histories of garbage collection) and {VOLUMES} histories of volumes."
    );
    page
}

fn cell(results: &Results, bug: &str, by: &str) -> Option<String> {
    let (found, _took) = results.get(&(bug.to_owned(), by.to_owned()))?.as_ref().ok()?;
    let what = found.what.as_deref().unwrap_or("not found");
    let place = by.strip_prefix("model:").map(|c| format!("`{c}`: ")).unwrap_or_default();
    let place = if matches!(by, "sweeps" | "volumes") { format!("{by}: ") } else { place };
    Some(format!("{place}{what}, {}", found.after))
}
