//! The page of results.

use std::collections::BTreeMap;

use firecamp_bugs::catalogue::Bug;

use crate::hunt::Results;
use crate::search::{HISTORIES, VOLUMES};

/// The page of a complete hunt.
pub(crate) fn of(all: &BTreeMap<String, Bug>, results: &Results) -> String {
    let rows: String = all.iter().map(|(name, bug)| row(name, bug, results)).collect();
    format!(
        "# Deliberate bugs\n\n\
         Each row is a bug in a rule of the protocol: a patch in `tests/bugs/patches`, which is \
         applied to a copy of\nthe tree. The tests must find it by a named invariant or property. \
         `make bugs BLESS=1` writes this page,\n`make bugs` checks it. \
         [verification.md](verification.md) lists the invariants.\n\n\
         | Bug | What it breaks | Model: property \
         | Histories: invariant; or test: what its failure says |\n\
         | --- | --- | --- | --- |\n{rows}\n\
         Without a bug the same build finds no violation in {HISTORIES} histories,\nas many \
         sweeps (small histories of garbage collection) and {VOLUMES} histories of volumes.\n"
    )
}

/// The row of a bug.
pub(crate) fn row(name: &str, bug: &Bug, results: &Results) -> String {
    let why = || bug.expected.only.clone().unwrap_or_default();
    let cell = |of_model: bool| {
        let searches = bug.expected.searches();
        let mut cells = searches.iter().filter(|(by, _)| by.starts_with("model:") == of_model).map(
            |(by, _)| {
                let found = results.get(&(name.to_owned(), by.clone()))?;
                let what = found.what.as_deref().unwrap_or("not found");
                if let Some(test) = by.strip_prefix("test:") {
                    return Some(format!("`{}`: {what}", test.rsplit("::").next()?));
                }
                let place = match by.as_str() {
                    "histories" => String::new(),
                    "endpoint" | "sweeps" | "volumes" => format!("{by}: "),
                    model => format!("`{}`: ", model.trim_start_matches("model:")),
                };
                Some(format!("{place}{what}"))
            },
        );
        cells.next().flatten().unwrap_or_else(why)
    };
    let (by_model, by_histories) = (cell(true), cell(false));
    format!("| `{name}` | {} | {by_model} | {by_histories} |\n", bug.patch.about)
}
