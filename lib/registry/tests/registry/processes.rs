//! Several processes with one directory, some of them killed.
//!
//! A test starts itself again as its children; environment variables select the work of a child.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Stored, Write};
use firecamp_registry::{FileRegistry, Timeouts, conformance};

use super::support::{ADDRESS, Bench};

const DIR: &str = "FIRECAMP_TEST_REGISTRY_DIR";
const INDEX: &str = "FIRECAMP_TEST_CHILD_INDEX";

/// The directory and number of this process, if it is a child.
fn child() -> Option<(PathBuf, u32)> {
    let dir = env::var_os(DIR)?;
    let index = env::var(INDEX).expect("a child has a number").parse().expect("a number");
    Some((PathBuf::from(dir), index))
}

fn start(test: &str, dir: &Path, index: u32) -> Child {
    spawn(Command::new(env::current_exe().unwrap()), test, dir, index)
}

fn spawn(mut command: Command, test: &str, dir: &Path, index: u32) -> Child {
    command
        .args([&format!("registry::processes::{test}"), "--exact", "--nocapture"])
        .env(DIR, dir)
        .env(INDEX, index.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a child that ends by itself, and prints its output if it failed.
fn joined(mut child: Child) -> String {
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}: {output}");
    output
}

fn open(dir: &Path) -> FileRegistry {
    FileRegistry::open(dir, Timeouts::default()).unwrap()
}

/// Makes racing children start together.
fn wait_for_all(dir: &Path, index: u32, count: u32) {
    fs::write(dir.join(format!("ready-{index}")), "").unwrap();
    for _ in 0..2000 {
        if (0..count).all(|other| dir.join(format!("ready-{other}")).exists()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the other processes did not start within 10 s");
}

fn contested(round: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 16)) + round)
}

const MANAGERS: u32 = 2;
const ROUNDS: u32 = 1000;

#[tokio::test]
async fn f072_racing_processes_never_allocate_one_address_twice() {
    let test = "f072_racing_processes_never_allocate_one_address_twice";
    if let Some((dir, index)) = child() {
        return race_for_addresses(&dir, index).await;
    }
    let bench = Bench::new().await;
    let children: Vec<Child> = (0..MANAGERS).map(|index| start(test, bench.dir(), index)).collect();
    let mut winners = BTreeSet::new();
    let mut won = Vec::new();
    for (index, child) in (0..).zip(children) {
        joined(child);
        let list = fs::read_to_string(bench.path(&format!("won-{index}"))).unwrap();
        won.push(list.lines().count());
        for address in list.lines() {
            assert!(winners.insert(address.to_owned()), "{address} was won twice");
            let address = address.parse().unwrap();
            let stored = bench.registry.static_ip(address).await.unwrap().unwrap();
            assert_eq!(stored.object.member, conformance::member(index).unwrap());
        }
    }
    assert_eq!(winners.len(), usize::try_from(ROUNDS).unwrap(), "each round has a winner");
    println!("won by each process: {won:?}");
}

async fn race_for_addresses(dir: &Path, index: u32) {
    let registry = open(dir);
    let member = conformance::member(index).unwrap();
    let mut pool = conformance::pool("a", &[1]).unwrap();
    pool.subnets[0].cidr = "10.1.0.0/16".parse().unwrap();
    wait_for_all(dir, index, MANAGERS);
    let mut won: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let ip = conformance::static_ip(contested(round), &member, &pool).unwrap();
        match registry.write(&Write::CreateStaticIp(ip)).await {
            Ok(_) => won.push(contested(round).to_string()),
            Err(failure) => assert_eq!(failure.kind, RegistryKind::AlreadyExists, "{failure}"),
        }
    }
    fs::write(dir.join(format!("won-{index}")), won.join("\n")).unwrap();
}

const RAISES: u64 = 300;

#[tokio::test]
async fn f072_compare_and_swap_between_processes_loses_no_update() {
    let test = "f072_compare_and_swap_between_processes_loses_no_update";
    if let Some((dir, index)) = child() {
        return raise_epochs(&dir, index).await;
    }
    let (bench, stored) = Bench::with_address().await;
    let children: Vec<Child> = (0..MANAGERS).map(|index| start(test, bench.dir(), index)).collect();
    for child in children {
        joined(child);
    }
    let read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    let raised = read.object.epoch.0 - stored.object.epoch.0;
    assert_eq!(raised, RAISES * u64::from(MANAGERS));
}

async fn raise_epochs(dir: &Path, index: u32) {
    let registry = open(dir);
    wait_for_all(dir, index, MANAGERS);
    let mut won = 0;
    while won < RAISES {
        let mut stored = registry.static_ip(ADDRESS).await.unwrap().unwrap();
        stored.object.epoch = stored.object.epoch.next();
        match registry.write(&Write::UpdateStaticIp(stored)).await {
            Ok(_) => won += 1,
            Err(failure) => assert_eq!(failure.kind, RegistryKind::Conflict, "{failure}"),
        }
    }
}

const KILLS: u64 = 120;

#[tokio::test]
async fn f075_a_writer_killed_at_any_moment_leaves_the_old_object_or_the_new_one() {
    let test = "f075_a_writer_killed_at_any_moment_leaves_the_old_object_or_the_new_one";
    if let Some((dir, index)) = child() {
        return write_for_ever(&dir, index).await;
    }
    let (bench, stored) = Bench::with_address().await;
    let (mut last, mut staged, mut torn) = (stored.object.epoch.0, 0, 0);
    for kill in 0..KILLS {
        let acknowledged = killed_after(test, bench.dir(), kill);
        let read = bench.registry.static_ip(ADDRESS).await.unwrap().expect("never lost");
        let Epoch(epoch) = read.object.epoch;
        assert_eq!(read.object, bench_object(&bench, epoch), "the object is complete");
        assert!(epoch >= acknowledged.max(last), "an acknowledged write is lost");
        assert!(epoch <= acknowledged + 1, "{epoch} was written before it was requested");
        torn += u64::from(epoch == acknowledged + 1);
        staged += u64::from(bench.path("staticips/.10.1.0.20.new").exists());
        last = epoch;
    }
    // Every created claim parses, and the next writer succeeds.
    for number in 0..=last {
        let member = conformance::member(u32::try_from(number).unwrap()).unwrap();
        bench.registry.member(&member, Some(&bench.pool.name)).await.unwrap();
    }
    let read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    bench.registry.write(&Write::UpdateStaticIp(read)).await.unwrap();
    let claims = fs::read_dir(bench.path("staticipclaims/prod")).unwrap().count();
    println!(
        "{KILLS} kills: epoch {last}, {claims} claims, {staged} left a staged file, {torn} an unseen success"
    );
    assert!(staged > 0, "no kill hit the middle of a write");
}

/// The object that the child writes for an epoch: long and short ones alternate.
fn bench_object(bench: &Bench, epoch: u64) -> firecamp_core::record::StaticIp {
    let mut object = bench.attached(epoch);
    if epoch.is_multiple_of(2) {
        object.pending_mutations.clear();
    }
    object
}

/// Starts a writer, kills it some moments after its first success, and returns the last epoch
/// whose write it saw succeed.
fn killed_after(test: &str, dir: &Path, kill: u64) -> u64 {
    let mut child = start(test, dir, 0);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = 0;
    let mut line = String::new();
    let mut note = |line: &str| {
        if let Some((_, epoch)) = line.trim_end().rsplit_once("wrote ") {
            acknowledged = epoch.parse().unwrap();
        }
        acknowledged
    };
    while note(&line) == 0 {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended before it wrote");
    }
    // The delays cover more than one iteration of the child's loop.
    std::thread::sleep(Duration::from_micros(kill * 7919 % 20_000));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    // The kill truncated a line without a line feed, so it proves nothing.
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    whole.lines().map(&mut note).last();
    note("")
}

async fn write_for_ever(dir: &Path, _index: u32) {
    let registry = open(dir);
    let pool = conformance::pool("a", &[1]).unwrap();
    let member = conformance::member(0).unwrap();
    let bare = conformance::static_ip(ADDRESS, &member, &pool).unwrap();
    let first = registry.static_ip(ADDRESS).await.unwrap().unwrap();
    let (mut version, mut epoch) = (first.version, first.object.epoch.0);
    loop {
        epoch += 1;
        let mut object = conformance::attached(&bare, epoch).unwrap();
        if epoch.is_multiple_of(2) {
            object.pending_mutations.clear();
        }
        version = registry.write(&Write::UpdateStaticIp(Stored { version, object })).await.unwrap();
        println!("\nwrote {epoch}");
        let member = conformance::member(u32::try_from(epoch).unwrap()).unwrap();
        let claim = Write::CreateClaim(conformance::claim(&member, &pool));
        match registry.write(&claim).await {
            Ok(_) => {}
            Err(failure) => assert_eq!(failure.kind, RegistryKind::AlreadyExists, "{failure}"),
        }
    }
}

#[tokio::test]
async fn f075_a_disk_that_fills_up_during_a_write_changes_nothing() {
    let test = "f075_a_disk_that_fills_up_during_a_write_changes_nothing";
    if let Some((dir, _index)) = child() {
        return write_into_a_full_disk(&dir).await;
    }
    let (bench, stored) = Bench::with_address().await;
    let size = fs::metadata(bench.ip_file()).unwrap().len();
    assert!(size > 512, "the object has {size} bytes, which fit into the limit of one block");
    // With a file size limit of one block of 512 bytes the kernel writes the first part and rejects
    // the rest, like a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]);
    limited.arg(env::current_exe().unwrap());
    joined(spawn(limited, test, bench.dir(), 0));
    assert_eq!(bench.registry.static_ip(ADDRESS).await.unwrap(), Some(stored.clone()));
    let names = fs::read_dir(bench.path("staticips")).unwrap().count();
    assert_eq!(names, 1, "what was written so far is removed");
    bench.registry.write(&Write::UpdateStaticIp(stored)).await.unwrap();
}

async fn write_into_a_full_disk(dir: &Path) {
    let registry = open(dir);
    let stored = registry.static_ip(ADDRESS).await.unwrap().unwrap();
    let mut other = stored.object.clone();
    other.address = Ipv4Addr::new(10, 1, 0, 21);
    for write in [Write::UpdateStaticIp(stored), Write::CreateStaticIp(other)] {
        let failure = registry.write(&write).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (RegistryKind::Unavailable, Effect::None));
        assert!(failure.detail.contains("File too large"), "{failure}");
    }
}

#[tokio::test]
async fn the_kernel_releases_the_lock_of_a_dead_process() {
    if let Some((dir, _index)) = child() {
        let lock = fs::File::open(dir.join(".locks/staticips/10.1.0.20")).unwrap();
        lock.lock().unwrap();
        println!("\nlocked");
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    let (bench, stored) = Bench::with_address().await;
    let mut child = start("the_kernel_releases_the_lock_of_a_dead_process", bench.dir(), 0);
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "locked"));
    let short = Timeouts { lock: Duration::from_millis(20), ..Timeouts::default() };
    let impatient = FileRegistry::open(bench.dir(), short).unwrap();
    let write = Write::UpdateStaticIp(stored);
    assert_eq!(impatient.write(&write).await.unwrap_err().kind, RegistryKind::Unavailable);
    child.kill().unwrap();
    child.wait().unwrap();
    impatient.write(&write).await.expect("the kernel freed the lock with its holder");
}
