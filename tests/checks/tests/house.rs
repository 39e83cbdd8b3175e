//! The size limits hold in the whole tree.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

use std::path::Path;
use std::sync::LazyLock;

use firecamp_checks::tidy::{Scan, Tree};

static TREE: LazyLock<Tree> =
    LazyLock::new(|| Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap());

fn holds(rule: impl Fn(&Tree) -> Vec<String>) {
    assert!(TREE.sources.len() > 50, "only {} files found", TREE.sources.len());
    let broken = rule(&TREE);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    holds(firecamp_checks::tidy::long_files);
}

#[test]
fn no_function_is_longer_than_it_may_be() {
    holds(firecamp_checks::tidy::long_functions);
}

#[test]
fn no_trait_has_more_methods_than_a_fake_can_get_right() {
    holds(firecamp_checks::tidy::wide_traits);
}

#[test]
fn no_line_is_wider_than_it_may_be() {
    holds(firecamp_checks::tidy::long_lines);
}

#[test]
fn no_note_to_oneself_is_left_behind() {
    holds(firecamp_checks::tidy::dead_words);
}

#[test]
fn no_file_names_the_machine_that_it_was_written_on() {
    holds(firecamp_checks::tidy::host_words);
}

#[test]
fn no_text_uses_a_retired_word() {
    holds(firecamp_checks::tidy::retired_words);
}

#[test]
fn no_test_is_skipped() {
    holds(firecamp_checks::tidy::ignored_tests);
}

#[test]
fn no_lint_is_switched_off_without_a_reason() {
    holds(firecamp_checks::tidy::sleeping_lints);
}

#[test]
fn no_public_constant_is_spelled_outside_the_contract() {
    holds(firecamp_checks::tidy::contract_literals);
}

#[test]
fn no_member_chooses_lints_or_versions_of_its_own() {
    holds(firecamp_checks::tidy::own_versions);
}

#[test]
fn f014_no_container_can_start_another_program() {
    holds(firecamp_checks::tidy::started_programs);
}

#[test]
fn f094_nothing_is_decided_by_a_wall_clock() {
    holds(firecamp_checks::tidy::wall_clocks);
}

#[test]
fn no_build_asks_for_debug_assertions_by_which_programs_obey_tests() {
    holds(firecamp_checks::tidy::debug_assertions);
}

#[test]
fn f083_no_path_formats_a_volume() {
    holds(firecamp_checks::tidy::formatted_volumes);
}

#[test]
fn a_scan_sees_functions_traits_literals_and_what_is_test_code() {
    let text = "
        /// \"not a literal\"
        pub const NAME: &str = \"NAME\";
        trait Two { fn one(&self); fn two(&self) { call(\"inside\") } }
        fn typed(f: fn(u8)) -> u8
        where Self: Sized {
            1
        }
        #[cfg(test)] mod tests { const T: &str = \"hidden\"; }
        #[ignore = \"why\"] fn last() {}
    ";
    let scan = Scan::of(text.parse().unwrap());
    let blocks: Vec<_> =
        scan.blocks.iter().map(|b| (b.name.as_str(), b.lines, b.methods)).collect();
    assert_eq!(blocks, [("Two", 1, 2), ("two", 1, 0), ("typed", 4, 0), ("last", 1, 0)]);
    let literals: Vec<_> =
        scan.literals.iter().map(|l| (l.text.as_str(), l.test, l.constant)).collect();
    assert_eq!(literals, [("NAME", false, true), ("inside", false, false), ("hidden", true, true)]);
    assert!(scan.attributes.iter().any(|(_, text)| text == "ignore=\"why\""));
}
