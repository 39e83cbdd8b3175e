//! docs/preflight.md matches the code. `BLESS=1` rewrites it.

use std::path::Path;

const BEGIN: &str = "<!-- conditions -->\n";
const END: &str = "<!-- end of conditions -->\n";

#[test]
fn the_preflight_page_matches_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/preflight.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the table's begin is marked");
    let (kept, tail) = rest.split_once(END).expect("the table's end is marked");
    let wanted = firecamp_node::preflight::table();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{wanted}{END}{tail}")).unwrap();
        return;
    }
    let hint = "docs/preflight.md is out of date: BLESS=1 cargo test -p firecamp-node";
    assert!(kept == wanted, "{hint}");
}
