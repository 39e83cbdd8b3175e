//! Private words that the project replaced by standard ones: see "Language" in CONTRIBUTING.md.

use std::collections::BTreeSet;

use crate::tidy::source_files::{Source, Tree};

/// Stands between the two halves of a word below, so that this file does not contain it.
const CUT: char = '|';

/// Words of no other meaning in this project, alone or as a part of an identifier.
const RETIRED: [&str; 23] = [
    "er|rand",
    "er|rands",
    "as|tray",
    "stew|ard",
    "stew|ards",
    "stewar|dship",
    "ten|ure",
    "bulle|tin",
    "at|las",
    "un|say",
    "un|said",
    "un|told",
    "ta|ker",
    "ta|kers",
    "de|ed",
    "de|eds",
    "no|bodys",
    "un|settled",
    "un|claimed",
    "sighti|ng",
    "sight|ed",
    "duti|es",
    "du|ty",
];

/// Where old names are listed on purpose, or text that was recorded before.
const LISTS: [&str; 4] =
    ["CHANGELOG.md", "tests/oracle/renames.tsv", "docs/performance/history", "fuzz/corpus"];

/// Retired words in any text of the repository.
pub fn retired_words(tree: &Tree) -> Vec<String> {
    let retired: BTreeSet<String> = RETIRED.iter().map(|word| word.replace(CUT, "")).collect();
    let sources = tree.sources.iter().filter(|source| !is_list(source));
    sources.flat_map(|source| retired_in(source, &retired)).collect()
}

fn is_list(source: &Source) -> bool {
    let name = source.name();
    LISTS.iter().any(|list| name.starts_with(list)) || name.ends_with("history.jsonl")
}

fn retired_in(source: &Source, retired: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for word in words(line) {
            if retired.contains(&word) {
                found.push(format!("{}:{}: says {word:?}", source.name(), index + 1));
            }
        }
    }
    found
}

/// The words of a line in lower case; an identifier is taken apart.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_lower = false;
    for character in line.chars() {
        let begins = character.is_ascii_uppercase() && after_lower;
        if (begins || !character.is_ascii_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_ascii_alphabetic() {
            word.push(character.to_ascii_lowercase());
        }
        after_lower = character.is_ascii_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_taken_apart_and_longer_words_are_other_words() {
        assert_eq!(words("run_fast(RunId, \"it's\")"), ["run", "fast", "run", "id", "it", "s"]);
        assert_eq!(words("HTTPServer indeed"), ["httpserver", "indeed"]);
    }
}
