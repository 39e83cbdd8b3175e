//! `docs/proof/failure-cases.md`.

use crate::cases::table::{Case, Level, Point, Table, TestName};

const HEAD: &str = "# Failure cases

<!-- Generated from tests/checks/cases.toml: `BLESS=1 cargo test -p firecamp-checks`. -->

Everything known to have gone wrong, or able to go wrong, when a stateful member carries a fixed
secondary address between EC2 nodes: each with its right behaviour and the tests that show it.
A case is *open* to a level at which no test shows it yet; the tests beside it show the rest.

Levels: *pure* is a function of values; *sim* runs the real binaries or the real runner against
the strict VPC simulator; *netns* has a real kernel in network namespaces; *cluster* needs a real
Kubernetes, *aws* a real account. Run one test with `cargo test -p PACKAGE TEST`; those of
`firecamp-apiserver-tests` with `make test-apiserver ARGS=TEST`, those of `firecamp-cluster-tests`
with `make e2e ARGS=TEST`, and with `CNI=vpc` if they name the VPC CNI.
";

const POINTS: &str = "
## Crash points

`attach.7` is the moment after step 7 of attach took effect and before step 8 does anything. For
each, attach is recovered in three ways: (a) the same pod's init runs again on its node, (b) a
successor starts on another node, (c) nothing starts; release by what its row says.

| Dies after | Left behind | Shown by |
| --- | --- | --- |
";

const COLUMNS: &str = "| Case | Right behaviour | Level | Shown by |\n| --- | --- | --- | --- |\n";

/// The page.
pub fn page(table: &Table) -> String {
    let mut areas: Vec<&str> = Vec::new();
    for case in table.cases.values() {
        if !areas.contains(&case.area.as_str()) {
            areas.push(&case.area);
        }
    }
    let areas: String = areas.into_iter().map(|area| section(table, area)).collect();
    let points: String = table.points.iter().map(point).collect();
    format!("{HEAD}\n{}\n{areas}{POINTS}{points}", summary(table))
}

fn summary(table: &Table) -> String {
    let count = |wanted: fn(&Case) -> bool| table.cases.values().filter(|c| wanted(c)).count();
    format!(
        "{} cases: {} wholly shown by tests, {} in part, {} open.\n",
        table.cases.len(),
        count(|case| !case.tests.is_empty() && case.open.is_empty()),
        count(|case| !case.tests.is_empty() && !case.open.is_empty()),
        count(|case| case.tests.is_empty()),
    )
}

fn section(table: &Table, area: &str) -> String {
    let cases = table.cases.iter().filter(|(_, case)| case.area == area);
    let rows: String = cases.map(|(id, case)| row(id, case)).collect();
    format!("\n## {}\n\n{COLUMNS}{rows}", title(area))
}

fn row(id: &str, case: &Case) -> String {
    let Case { area: _, levels, what, tests, open } = case;
    let levels: Vec<_> = levels.iter().map(|level| level.name()).collect();
    format!("| {id} | {what} | {} | {} |\n", levels.join(", "), shown(tests, open))
}

fn point(point: &Point) -> String {
    let Point { at, left, tests } = point;
    format!("| {at} | {left} | {} |\n", shown(tests, &[]))
}

fn shown(tests: &[TestName], open: &[Level]) -> String {
    let tests = tests.iter().map(|test| format!("`{test}`"));
    let open = open.iter().map(|level| format!("open: {}", level.name()));
    let parts: Vec<_> = tests.chain(open).collect();
    if parts.is_empty() { "**no test yet**".to_owned() } else { parts.join("<br>") }
}

fn title(area: &str) -> String {
    let mut letters = area.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
