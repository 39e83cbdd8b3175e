//! Hunts bugs: builds each in a copy of the tree, searches there, and compares what was found.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use firecamp_bugs::catalogue::{self, Bug, Test};

use crate::copy::{TreeCopy, git};
use crate::search::Found;
use crate::{Failure, command, page};

/// What was found, by bug and search.
pub(crate) type Results = BTreeMap<(String, String), Found>;

/// The name of the build without a bug.
const NONE: &str = "none";

/// One build and its searches, each with what it must find.
struct Task<'b> {
    name: &'b str,
    bug: Option<&'b Bug>,
    searches: Vec<(String, Option<&'b str>)>,
}

/// Hunts, and writes or checks the page. True if everything is as expected.
pub(crate) fn run(args: &command::Hunt) -> Result<bool, Failure> {
    let all = catalogue::read(&args.from)?;
    let chosen = chosen(args, &all)?;
    let copy = TreeCopy::update(&args.dir)?;
    let complete = chosen.len() == all.len();
    if !complete {
        println!("hunting {}", chosen.keys().copied().collect::<Vec<_>>().join(" "));
    }
    let tasks = tasks(&chosen, complete);
    let (results, mut ok) = hunt_all(&copy, &args.dir, &tasks);
    if args.bless {
        std::fs::write(&args.page, page::of(&all, &results))?;
    } else if ok {
        let text = std::fs::read_to_string(&args.page)?;
        let same = |(name, bug): (&&str, &&Bug)| text.contains(&page::row(name, bug, &results));
        ok = chosen.iter().all(same) && (!complete || text == page::of(&all, &results));
        if !ok {
            println!("{} is out of date: run `make bugs BLESS=1`", args.page.display());
        }
    }
    Ok(ok)
}

/// All bugs, the named ones, or a sample that is spread over the catalogue and depends on the
/// commit.
fn chosen<'b>(
    args: &command::Hunt,
    all: &'b BTreeMap<String, Bug>,
) -> Result<BTreeMap<&'b str, &'b Bug>, Failure> {
    let each = all.iter().map(|(name, bug)| (name.as_str(), bug));
    if let Some(name) = args.bugs.iter().find(|name| !all.contains_key(*name)) {
        return Err(format!("unknown bug {name}").into());
    }
    if let Some(wanted) = args.sample {
        let head = git(&["rev-parse", "HEAD"])?;
        let number = usize::from_str_radix(head.get(..8).unwrap_or_default(), 16)?;
        let (first, step) = (number % all.len(), all.len() / wanted.clamp(1, all.len()));
        return Ok(each.cycle().skip(first).step_by(step).take(wanted.min(all.len())).collect());
    }
    Ok(each
        .filter(|(name, _)| args.bugs.is_empty() || args.bugs.iter().any(|b| b == name))
        .collect())
}

/// A complete hunt begins with the tree as it is, in which nothing may be found.
fn tasks<'b>(chosen: &BTreeMap<&'b str, &'b Bug>, complete: bool) -> Vec<Task<'b>> {
    let mut tasks = Vec::new();
    if complete {
        let searches =
            ["histories", "endpoint", "sweeps", "volumes"].map(|by| (by.to_owned(), None));
        tasks.push(Task { name: NONE, bug: None, searches: searches.into() });
    }
    for (name, bug) in chosen {
        let searches = bug.expected.searches();
        let searches = searches.into_iter().map(|(by, what)| (by, Some(what))).collect();
        tasks.push(Task { name, bug: Some(bug), searches });
    }
    tasks
}

/// Builds one bug while the previous one is searched for.
fn hunt_all(copy: &TreeCopy, dir: &Path, tasks: &[Task<'_>]) -> (Results, bool) {
    let (mut results, mut ok) = (Results::new(), true);
    std::thread::scope(|scope| {
        let mut searching: Option<std::thread::ScopedJoinHandle<'_, (Results, bool)>> = None;
        let mut finish = |searching: Option<std::thread::ScopedJoinHandle<'_, (Results, bool)>>| {
            let done = searching.map(std::thread::ScopedJoinHandle::join);
            match done {
                Some(Ok((found, good))) => {
                    results.extend(found);
                    ok &= good;
                }
                Some(Err(_panic)) => ok = false,
                None => {}
            }
        };
        for task in tasks {
            let program = dir.join(format!("hunt-{}", task.name));
            let started = SystemTime::now();
            let built = copy.build(task.bug, &program);
            let took = started.elapsed().unwrap_or_default();
            finish(searching.take());
            searching = Some(scope.spawn(move || match built {
                Ok(()) => search_all(task, &program, took),
                Err(error) => {
                    println!("FAILED {}: {error}", task.name);
                    (Results::new(), false)
                }
            }));
        }
        finish(searching);
    });
    (results, ok)
}

fn search_all(task: &Task<'_>, program: &Path, built: Duration) -> (Results, bool) {
    let (mut results, mut ok) = (Results::new(), true);
    println!("{}: built in {:.1} s", task.name, built.as_secs_f64());
    for (by, wanted) in &task.searches {
        let started = SystemTime::now();
        let test = task.bug.and_then(|bug| bug.expected.test.as_ref());
        match test.map_or_else(|| search(program, by), |test| run_test(program, test)) {
            Ok(found) => {
                ok &= report(task.name, by, *wanted, &found, started);
                results.insert((task.name.to_owned(), by.clone()), found);
            }
            Err(error) => {
                println!("FAILED {} by {by}: {error}", task.name);
                ok = false;
            }
        }
    }
    let _left = std::fs::remove_file(program);
    (results, ok)
}

/// Searches in a process of its own, so that a bug that panics or hangs is none that was found.
fn search(program: &Path, by: &str) -> Result<Found, Failure> {
    let output = Command::new(program).args(["search", by]).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines = text.lines().filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>();
        return Err(format!("the search failed: {}", lines.join(" | ")).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs one test. A test that fails for another reason has found nothing.
fn run_test(program: &Path, test: &Test) -> Result<Found, Failure> {
    let output = Command::new(program)
        .args(["--exact", &test.name])
        .env_remove("HISTORIES")
        .env_remove("SEED")
        .stdin(Stdio::null())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !printed.contains("running 1 test\n") {
        return Err(format!("{} has no test {}", test.package, test.name).into());
    }
    let is_found = !output.status.success() && printed.contains(&test.message);
    Ok(Found { what: is_found.then(|| test.message.clone()), after: 1, text: printed })
}

/// Prints one result. True if it is as expected.
fn report(name: &str, by: &str, wanted: Option<&str>, found: &Found, since: SystemTime) -> bool {
    let ok = found.what.as_deref() == wanted;
    let unit = match by.split_once(':') {
        Some(("model", _)) => "states",
        Some(_) => "test",
        None => by,
    };
    println!(
        "{} {name} by {by}: {} after {} {unit}, {:.1} s",
        if ok { "ok    " } else { "FAILED" },
        found.what.as_deref().unwrap_or("nothing"),
        found.after,
        since.elapsed().unwrap_or_default().as_secs_f64(),
    );
    if !ok {
        println!("expected {}\n{}", wanted.unwrap_or("nothing"), found.text);
    }
    ok
}
