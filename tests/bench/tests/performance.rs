//! docs/proof/PERFORMANCE.md is up to date with the saved results.

#[test]
fn performance_page_is_up_to_date() {
    let bless = std::env::var_os("BLESS").is_some();
    assert_eq!(firecamp_bench::page::check(bless), Ok(None));
}
