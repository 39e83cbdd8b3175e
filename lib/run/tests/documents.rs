//! The generated pages are up to date. `BLESS=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test that cannot write or read has failed")]

use std::path::Path;

use firecamp_run::documents;

fn up_to_date(name: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "docs/{name} is out of date: BLESS=1 cargo test -p firecamp-run");
}

#[test]
fn the_page_of_exit_codes_is_up_to_date() {
    up_to_date("exit-codes.md", &documents::exit_codes());
}

#[test]
fn the_page_of_the_configuration_is_up_to_date() {
    up_to_date("configuration.md", &documents::configuration());
}
