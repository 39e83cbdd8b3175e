//! The size limits. Each function returns the violations of its rule, as `file:line: what`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tidy::rust_tokens::Kind;
use crate::tidy::source_files::{Source, Tree};

const FILE_LINES: usize = 400;
const MAIN_LINES: usize = 80;
const FUNCTION_LINES: usize = 60;
const LINE_COLUMNS: usize = 100;
const TRAIT_METHODS: usize = 8;

/// Where the public constants are spelled.
const CONTRACT: &str = "lib/core/src/contract";

/// Packages that do not depend on the core, so that others can take them for their own tests.
const STAND_ALONE: [&str; 2] = ["lib/vpc", "lib/vpcbox"];

/// Rust files of more than 400 lines, and `main.rs` of more than 80.
pub fn long_files(tree: &Tree) -> Vec<String> {
    let long = tree.rust().filter_map(|(source, _)| {
        let main = source.path.ends_with("src/main.rs");
        let bound = if main { MAIN_LINES } else { FILE_LINES };
        let lines = source.text.lines().count();
        (lines > bound).then(|| format!("{}: {lines} lines, at most {bound}", source.name()))
    });
    long.collect()
}

/// Functions of more than 60 lines, from `fn` to the closing brace.
pub fn long_functions(tree: &Tree) -> Vec<String> {
    blocks(tree, |block| {
        (block.kind == Kind::Function && block.lines > FUNCTION_LINES).then(|| {
            format!("fn {} has {} lines, at most {FUNCTION_LINES}", block.name, block.lines)
        })
    })
}

/// Traits of more than 8 methods.
pub fn wide_traits(tree: &Tree) -> Vec<String> {
    blocks(tree, |block| {
        (block.kind == Kind::Trait && block.methods > TRAIT_METHODS).then(|| {
            format!("trait {} has {} methods, at most {TRAIT_METHODS}", block.name, block.methods)
        })
    })
}

fn blocks(tree: &Tree, wrong: impl Fn(&crate::tidy::Block) -> Option<String>) -> Vec<String> {
    let found = tree.rust().flat_map(|(source, scan)| {
        let name = source.name();
        let wrong = &wrong;
        scan.blocks.iter().filter_map(move |block| {
            wrong(block).map(|text| format!("{name}:{}: {text}", block.line))
        })
    });
    found.collect()
}

/// Lines of more than 100 columns in Rust, scripts and the Makefile. A line with a text that
/// rustfmt does not break may be wider.
pub fn long_lines(tree: &Tree) -> Vec<String> {
    lines(tree, |source, line| {
        let width = line.chars().count();
        (is_code(source) && width > LINE_COLUMNS && !line.contains('"'))
            .then(|| format!("{width} columns, at most {LINE_COLUMNS}"))
    })
}

fn is_code(source: &Source) -> bool {
    let script = source.path.starts_with("scripts") || source.path.starts_with(".ci");
    source.scan.is_some() || script || source.path == Path::new("Makefile")
}

fn lines(tree: &Tree, wrong: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(text) = wrong(source, line) {
                found.push(format!("{}:{}: {text}", source.name(), index + 1));
            }
        }
    }
    found
}

/// Notes to oneself. Put together here, so that this file does not contain them.
pub fn dead_words(tree: &Tree) -> Vec<String> {
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["unimplem", "ented!"]];
    contain(tree, &words.map(|parts| parts.concat()))
}

/// Paths of the machine that a file was written on, and hosts of package registries.
pub fn host_words(tree: &Tree) -> Vec<String> {
    let words = [
        ["/wor", "k/"],
        ["/far", "m"],
        ["/ro", "ot/"],
        ["crates", ".io"],
        ["pypi", ".org"],
        ["registry.", "npmjs"],
        ["deb.", "debian"],
    ];
    contain(tree, &words.map(|parts| parts.concat()))
}

fn contain(tree: &Tree, words: &[String]) -> Vec<String> {
    lines(tree, |_, line| {
        words.iter().find(|word| says(line, word)).map(|word| format!("says {word:?}"))
    })
}

/// What is shipped: the containers and all that they are made of.
const SHIPPED: [&str; 13] = [
    "agent",
    "lib/controllers",
    "lib/core",
    "lib/engine",
    "lib/cloud",
    "lib/host",
    "lib/registry",
    "lib/kube",
    "lib/node",
    "lib/run",
    "initcontainer",
    "stopcontainer",
    "containers",
];

/// Ways to start another program in what is shipped.
pub fn started_programs(tree: &Tree) -> Vec<String> {
    let ways = ["unistd::exec", "execve(", "posix_spawn"];
    shipped_lines(tree, |line| {
        let command = line.contains("process::") && line.contains("Command");
        command || ways.iter().any(|way| line.contains(way))
    })
}

/// Programs and ioctls that make a file system or wipe a device, in what is shipped.
pub fn formatted_volumes(tree: &Tree) -> Vec<String> {
    let ways = ["mkfs", "mke2fs", "wipefs", "BLKDISCARD", "BLKZEROOUT", "sgdisk"];
    shipped_lines(tree, |line| ways.iter().any(|way| line.contains(way)))
}

/// Where what is shipped reads the wall clock: what it reads there is told to people and decides
/// nothing, but in the file registry, which compares it with the times of this machine's files.
const WALL_CLOCKS: [&str; 6] = [
    "agent/src/publish.rs",
    "agent/src/status.rs",
    "lib/run/src/connect/write_event.rs",
    "lib/kube/src/cluster.rs",
    "lib/kube/src/cluster/",
    "lib/registry/src/file/cache.rs",
];

/// Reads of the wall clock where it could decide something.
pub fn wall_clocks(tree: &Tree) -> Vec<String> {
    let ways = ["SystemTime::now", "Timestamp::now", "Zoned::now", "CLOCK_REALTIME"];
    let is_reported = |path: &str| WALL_CLOCKS.iter().any(|known| path.contains(known));
    let mut found = shipped_lines(tree, |line| ways.iter().any(|way| line.contains(way)));
    found.retain(|line| !is_reported(line));
    found
}

/// Where debug assertions are asked for, or refused: builds that have none obey no test. The
/// workspace of the fuzz targets ships nothing.
pub fn debug_assertions(tree: &Tree) -> Vec<String> {
    let words = ["debug-assertions", "DEBUG_ASSERTIONS"];
    lines(tree, |source, line| {
        let prose = source.path.extension().is_some_and(|extension| extension == "md");
        let builds = source.scan.is_none() && !prose && !source.path.starts_with("fuzz");
        (builds && words.iter().any(|word| line.contains(word))).then(|| line.trim().to_owned())
    })
}

fn shipped_lines(tree: &Tree, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    lines(tree, |source, line| {
        let shipped = SHIPPED.iter().any(|part| source.path.starts_with(part));
        let code = source.scan.is_some() && !source.is_test() && shipped;
        (code && wrong(line)).then(|| line.trim().to_owned())
    })
}

/// As a word of its own: `/proc/PID/root/run` is no path below a person's home.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|start| start.chars().next_back());
        !before.is_some_and(char::is_alphanumeric)
    })
}

/// Tests that are skipped.
pub fn ignored_tests(tree: &Tree) -> Vec<String> {
    attributes(tree, |text| text == "ignore" || text.starts_with("ignore="))
}

/// Lints that are switched off without a reason, or without noticing when that is not needed.
pub fn sleeping_lints(tree: &Tree) -> Vec<String> {
    attributes(tree, |text| {
        text.starts_with("allow(") || (text.starts_with("expect(") && !text.contains("reason="))
    })
}

fn attributes(tree: &Tree, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (source, scan) in tree.rust() {
        for (line, text) in scan.attributes.iter().filter(|(_, text)| wrong(text)) {
            found.push(format!("{}:{line}: #[{text}]", source.name()));
        }
    }
    found
}

/// Variables, paths, tags and kinds of the contract that are spelled outside its module. Tests
/// may: what they spell out is the promise. So may the simulator, which stands on its own, and
/// texts for people, which are prose and have spaces.
pub fn contract_literals(tree: &Tree) -> Vec<String> {
    let constants: BTreeSet<&str> = tree
        .rust()
        .filter(|(source, _)| is_contract(source))
        .flat_map(|(_, scan)| scan.literals.iter().filter(|literal| literal.constant))
        .map(|literal| literal.text.as_str())
        .filter(|text| text.contains(|c: char| c.is_ascii_uppercase() || "/-_.".contains(c)))
        .collect();
    let mut found = Vec::new();
    for (source, scan) in tree.rust() {
        let alone = STAND_ALONE.iter().any(|own| source.path.starts_with(own));
        if is_contract(source) || source.is_test() || alone {
            continue;
        }
        for literal in scan.literals.iter().filter(|literal| !literal.test) {
            let (line, text) = (literal.line, literal.text.as_str());
            let prose = text.contains(char::is_whitespace);
            let ours = ["FIRECAMP_", "firecamp.io/"].iter().any(|own| text.contains(own));
            if (ours && !prose) || constants.contains(text) {
                let name = source.name();
                found.push(format!("{name}:{line}: {text:?} belongs to firecamp_core::contract"));
            }
        }
    }
    found
}

fn is_contract(source: &Source) -> bool {
    source.path.starts_with(CONTRACT) || source.path == Path::new("lib/core/src/contract.rs")
}

/// Members that do not inherit the lints, or choose a version of a dependency themselves.
pub fn own_versions(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let is_root = source.text.contains("\n[workspace]\n");
        let is_member = !is_root && source.path != Path::new("Cargo.toml");
        if !source.path.ends_with("Cargo.toml") || !is_member {
            continue;
        }
        let inherits = source.text.contains("[lints]\nworkspace = true");
        if !inherits {
            found.push(format!("{}: does not inherit the workspace's lints", source.name()));
        }
        for line in
            source.text.lines().filter(|l| l.contains("version = \"") || l.contains("= \"^"))
        {
            found.push(format!("{}: {line}: versions stand in the root", source.name()));
        }
    }
    found
}
