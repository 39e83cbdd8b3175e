//! The page of figures says what the kept results say.

#[test]
fn the_page_is_what_the_results_say() {
    let bless = std::env::var_os("BLESS").is_some();
    assert_eq!(firecamp_bench::page::check(bless), Ok(None));
}
