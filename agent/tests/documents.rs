//! The generated page is up to date. `BLESS=1` rewrites it.

use std::path::Path;

#[test]
fn the_page_of_metrics_is_what_the_code_says() {
    let wanted = firecamp_agent::metrics_page();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/metrics.md is out of date: BLESS=1 cargo test -p firecamp-agent --test documents"
    );
}
