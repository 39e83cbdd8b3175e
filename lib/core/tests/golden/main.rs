//! Golden plans: every decision of the protocol as a small case and its plan. Every case in
//! `worlds/` must produce the plan beside it. `BLESS=1` writes the plans; a person then reads the
//! difference.
//!
//! A case is a YAML file; what it omits is as in a healthy cluster: member `demo/redis-0` of pod
//! `new` on `node-a`, whose ENI `a` (primary) and `a2` (index 1) are in `subnet-0000000a`, while
//! `b` is node-b's ENI in the same subnet and `x` a foreign interface.
#![expect(clippy::expect_used, reason = "a test")]

mod build;
mod show;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use build::Case;
use show::show;

fn worlds() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/worlds");
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("the folder of worlds")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    found.sort();
    found
}

#[test]
fn every_case_has_its_golden_plan() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let worlds = worlds();
    assert!(worlds.len() >= 40, "only {} worlds", worlds.len());
    for path in worlds {
        let yaml = fs::read_to_string(&path).expect("a world");
        let planned = show(&Case::from_yaml(&yaml).plan());
        let golden = path.with_extension("plan");
        if bless {
            fs::write(&golden, &planned).expect("write the plan");
        } else if fs::read_to_string(&golden).ok().as_ref() != Some(&planned) {
            wrong.push(format!("{}:\n{planned}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "plans have changed (BLESS=1 writes them):\n{}", wrong.join("\n"));
}

#[test]
fn a_plan_is_deterministic() {
    for path in worlds() {
        let case = Case::from_yaml(&fs::read_to_string(&path).expect("a world"));
        assert_eq!(case.plan(), case.plan(), "{}", path.display());
    }
}
