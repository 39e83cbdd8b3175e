//! Rules that lints cannot check: sizes of files, functions and traits, where literals of the
//! contract may stand, and which package may depend on which. CONTRIBUTING.md gives the reasons.

mod dependencies;
mod private_words;
mod rust_tokens;
mod size_limits;
mod source_files;

pub use dependencies::Graph;
pub use private_words::retired_words;
pub use rust_tokens::{Block, Kind, Literal, Scan};
pub use size_limits::{
    contract_literals, dead_words, debug_assertions, formatted_volumes, host_words, ignored_tests,
    long_files, long_functions, long_lines, own_versions, sleeping_lints, started_programs,
    wall_clocks, wide_traits,
};
pub use source_files::{Source, Tree};
