//! The table of failure cases is complete, and its page is up to date.

use std::path::{Path, PathBuf};

use firecamp_checks::cases::{Case, Level, Sources, Table, cases_of, page};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_case_is_there_once_and_none_is_renumbered() {
    let table = Table::read().unwrap();
    let ids: Vec<_> = table.cases.keys().cloned().collect();
    let wanted: Vec<_> = (1..=155).map(|n| format!("F{n:03}")).collect();
    assert_eq!(ids, wanted);
}

#[test]
fn every_case_names_a_test_or_who_it_is_open_to() {
    let table = Table::read().unwrap();
    assert_eq!(table.forgotten(), [""; 0], "cases with neither a test nor an open part");
}

#[test]
fn every_test_that_the_table_names_exists() {
    let (table, sources) = (Table::read().unwrap(), Sources::read(&root()).unwrap());
    let missing: Vec<_> = table
        .tests()
        .filter(|t| !sources.contains(&t.package, &t.test))
        .map(ToString::to_string)
        .collect();
    assert_eq!(missing, [""; 0], "tests that the table names and no source declares");
}

/// The last column of docs/migration.md names tests of what replaces a function of the original.
#[test]
fn every_function_of_the_original_has_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/migration.md")).unwrap();
    let (_, table) = page.split_once("## What replaces which function").unwrap();
    let sources = Sources::read(&root()).unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    let is_tested = |row: &&&str| {
        let mut tests = row.rsplit('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        tests.clone().count() > 0 && tests.all(|test| sources.declares(test))
    };
    let untested: Vec<_> = rows.iter().filter(|row| !is_tested(row)).collect();
    assert!(rows.len() > 15 && untested.is_empty(), "{} rows: {untested:?}", rows.len());
}

#[test]
fn every_test_named_after_a_case_is_in_its_row() {
    let (table, sources) = (Table::read().unwrap(), Sources::read(&root()).unwrap());
    let unlisted: Vec<_> = sources
        .named_after_cases()
        .filter(|(package, test)| {
            let listed = |id: &String| {
                let tests = table.cases.get(id).map(|case| case.tests.as_slice());
                tests.unwrap_or_default().iter().any(|t| t.package == *package && t.test == *test)
            };
            !cases_of(test).iter().all(listed)
        })
        .map(|(package, test)| format!("{package}::{test}"))
        .collect();
    assert_eq!(unlisted, [""; 0], "tests named after a case that the table does not list there");
}

/// Package of the scenarios that run on a real Kubernetes.
const ON_A_CLUSTER: &str = "firecamp-cluster-tests";

/// What needs an account cannot be wholly shown here, and what needs a cluster only by what runs
/// on one.
#[test]
fn a_case_is_closed_only_by_a_test_of_its_level() {
    let table = Table::read().unwrap();
    let on_a_cluster = |case: &Case| case.tests.iter().any(|test| test.package == ON_A_CLUSTER);
    let closed: Vec<_> = table
        .cases
        .iter()
        .filter(|(_, c)| c.open.is_empty())
        .filter(|(_, c)| {
            c.levels.contains(&Level::Aws)
                || (c.levels.contains(&Level::Cluster) && !on_a_cluster(c))
        })
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(closed, [""; 0]);
}

/// A scenario is no test of Rust's: it runs because it is in the list.
#[test]
fn every_scenario_that_the_table_names_is_run() {
    let list = std::fs::read_to_string(root().join("tests/cluster/src/e2e.rs")).unwrap();
    let table = Table::read().unwrap();
    let tests = table.cases.values().flat_map(|case| &case.tests);
    let idle: Vec<_> = tests
        .filter(|test| test.package == ON_A_CLUSTER)
        .filter(|test| !list.contains(&format!("::{},", test.test)))
        .map(|test| test.test.as_str())
        .collect();
    assert_eq!(idle, [""; 0], "no part of `make e2e`");
}

#[test]
fn the_page_says_what_the_table_says() {
    let wanted = page(&Table::read().unwrap());
    let file = root().join("docs/proof/failure-cases.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/proof/failure-cases.md is out of date: BLESS=1 cargo test -p firecamp-checks"
    );
}

#[test]
fn a_garbled_table_is_refused_with_the_place() {
    let unknown = Table::parse("[F001]\narea = 1\n", "point = []").unwrap_err();
    assert_eq!(unknown.to_string(), "cases.toml is not a valid table");
    let name = "[[point]]\nat = \"a\"\nleft = \"b\"\ntests = [\"no colons\"]\n";
    let name = Table::parse("", name).unwrap_err();
    let source = std::error::Error::source(&name).unwrap().to_string();
    assert!(source.contains("is not PACKAGE::TEST"), "{source}");
}
