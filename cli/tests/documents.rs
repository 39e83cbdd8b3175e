//! The generated page is up to date. `BLESS=1` rewrites it.

use std::path::Path;

#[test]
fn the_page_of_the_command_matches_its_help() {
    let wanted = firecamp_cli::documents::cli();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/cli.md is out of date: BLESS=1 cargo test -p firecamp-cli --test documents"
    );
}
