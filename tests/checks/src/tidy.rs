//! What lints cannot see: sizes of files, functions and traits, who may spell the public
//! constants, and which package may depend on which. The tests of this package hold the tree to
//! them; CONTRIBUTING.md gives the reasons.

mod arrows;
mod house;
mod scan;
mod tree;
mod words;

pub use arrows::Graph;
pub use house::{
    contract_literals, dead_words, debug_assertions, formatted_volumes, host_words, ignored_tests,
    long_files, long_functions, long_lines, own_versions, sleeping_lints, started_programs,
    wall_clocks, wide_traits,
};
pub use scan::{Block, Kind, Literal, Scan};
pub use tree::{Source, Tree};
pub use words::retired_words;
