//! Injects disruptions for minutes, and checks that each member keeps its address and that EC2,
//! kernels and records agree afterwards.

mod disruptions;
mod ec2_mutations;
mod frozen;
mod plan;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use vpcbox::protocol::{Address, Call};

use super::on_new_cluster;
use super::set::Set;
use super::test_cluster::{ADDRESSES, TestCluster, ensure, text};
use crate::Outcome;
use crate::cli::print_line;
use crate::home::Home;
use crate::install::{nodes_ready, until};
use crate::topology::{Layout, WORKERS};

const MEMBERS: u32 = 5;
/// Poll interval of the client.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A run of at least this length must have every kind of disruption.
const LONG: Duration = Duration::from_mins(15);

/// Counts and violations of a run.
#[derive(Debug, Default)]
struct Tally {
    /// For each kind: how often it succeeded, and how often another disruption prevented it.
    disruptions: BTreeMap<String, (u32, u32)>,
    answers: u32,
    timeouts: u32,
    /// How often EC2's state was read, and how often the read failed.
    reads: u32,
    failed_reads: u32,
    /// Number of mutating EC2 calls.
    mutations: usize,
    /// Violations, without duplicates.
    violations: BTreeSet<String>,
}

impl Tally {
    /// An empty tally that knows all kinds, so that one that was never tried counts as missing.
    fn of(kinds: impl IntoIterator<Item = String>) -> Self {
        let disruptions = kinds.into_iter().map(|kind| (kind, (0, 0))).collect();
        Self { disruptions, ..Self::default() }
    }

    /// Kinds of disruption that never succeeded.
    fn missing(&self) -> Vec<&str> {
        let never = self.disruptions.iter().filter(|(_, (succeeded, _))| *succeeded == 0);
        never.map(|(kind, _)| kind.as_str()).collect()
    }

    /// Checks that a member's address is on an ENI.
    fn check_ec2(&mut self, member: &str, address: Ipv4Addr, held: Outcome<Option<Address>>) {
        match held.map(|truth| truth.and_then(|truth| truth.owner)) {
            Ok(Some(_eni)) => self.reads += 1,
            Ok(None) => {
                self.violations.insert(format!("EC2 has {address} of {member} on no ENI"));
            }
            Err(_error) => self.failed_reads += 1,
        }
    }

    /// Checks the complete list of EC2 calls after `since`.
    fn check_mutations(
        &mut self,
        calls: &[Call],
        since: u64,
        members: &BTreeMap<String, Ipv4Addr>,
    ) {
        if calls.first().is_some_and(|first| first.seq != since + 1) {
            self.violations.insert("the first calls are missing in EC2's call log".to_owned());
        }
        self.mutations = calls.iter().filter(|call| call.mutating).count();
        self.violations.extend(ec2_mutations::unexpected(calls, members));
    }

    fn count(&mut self, kind: impl Display, done: &Outcome) {
        let (succeeded, prevented) = self.disruptions.entry(kind.to_string()).or_default();
        *(if done.is_ok() { succeeded } else { prevented }) += 1;
    }
}

/// One run.
struct Run {
    end: Instant,
    tally: RefCell<Tally>,
    /// Serializes heavy disruptions.
    heavy_lock: Mutex<()>,
    /// Serializes disruptions that stop processes and continue them later.
    stop_lock: Mutex<()>,
}

/// Runs chaos on a new cluster.
pub(crate) fn run(home: &Home, seed: u64, minutes: u64) -> Outcome {
    on_new_cluster(home, Layout::OneSubnet, async |cluster| {
        let outcome = chaos(cluster, seed, Duration::from_mins(minutes)).await;
        if outcome.is_err() {
            cluster.dump().await?;
            print_line(&format!("to repeat: make chaos SEED={seed} MINUTES={minutes}"))?;
        }
        outcome
    })
}

async fn chaos(cluster: &TestCluster<'_>, seed: u64, length: Duration) -> Outcome {
    let set = Set { parallel: true, ..Set::new("chaos", MEMBERS) };
    cluster.create(&set).await?;
    let mut members = BTreeMap::new();
    for pod in cluster.wait_all_ready(&set).await? {
        members.insert(pod.name.clone(), cluster.wait_held(&pod).await?.address);
    }
    print_line(&format!("seed {seed}, {} s: {members:?}", length.as_secs()))?;
    let since = cluster.last_call()?;
    let run = Run {
        end: Instant::now() + length,
        tally: RefCell::new(Tally::of(plan::kinds())),
        heavy_lock: Mutex::new(()),
        stop_lock: Mutex::new(()),
    };
    tokio::join!(
        run_heavy(cluster, plan::heavy(seed), &run),
        run_heavy(cluster, plan::freezes(seed), &run),
        run_light(cluster, seed, &members, &run),
        poll_members(cluster, &members, &run),
    );
    let begun = Instant::now();
    let recovered = recover(cluster, &set, &members).await;
    let mut tally = run.tally.into_inner();
    tally.violations.extend(recovered.err());
    match cluster.vpc(|vpc| vpc.calls(since)) {
        Ok(calls) => tally.check_mutations(&calls, since, &members),
        Err(why) => drop(tally.violations.insert(why)),
    }
    print_tally(&tally, begun.elapsed(), length)?;
    cluster.delete(&set).await
}

async fn run_heavy(
    cluster: &TestCluster<'_>,
    disruptions: plan::Disruptions<plan::Heavy>,
    run: &Run,
) {
    for disruption in disruptions {
        sleep(disruption.pause).await;
        let _alone = run.heavy_lock.lock().await;
        if Instant::now() > run.end {
            return;
        }
        let done = cluster.inject_heavy(&disruption, run).await;
        record_result(&run.tally, disruption.kind, &done);
    }
}

async fn run_light(
    cluster: &TestCluster<'_>,
    seed: u64,
    members: &BTreeMap<String, Ipv4Addr>,
    run: &Run,
) {
    let names: Vec<String> = members.keys().cloned().collect();
    for disruption in plan::light(seed) {
        sleep(disruption.pause).await;
        if Instant::now() > run.end {
            return;
        }
        let done = cluster.inject_light(&disruption, &names, run).await;
        record_result(&run.tally, disruption.kind, &done);
    }
}

fn record_result(tally: &RefCell<Tally>, kind: impl Display, done: &Outcome) {
    let line = match done {
        Ok(()) => format!("        {kind}"),
        Err(why) => {
            format!(
                "        {kind}: not possible now: {}",
                why.chars().take(200).collect::<String>()
            )
        }
    };
    tally.borrow_mut().count(kind, done);
    // A closed standard output does not change the result.
    drop(print_line(&line));
}

/// A client polls the members in turn: no other pod may answer for one. The address must always be
/// on an ENI.
async fn poll_members(cluster: &TestCluster<'_>, members: &BTreeMap<String, Ipv4Addr>, run: &Run) {
    let tally = &run.tally;
    for (member, address) in members.iter().cycle() {
        if Instant::now() > run.end {
            return;
        }
        match ask(cluster, *address).await {
            Some(answer) => {
                tally.borrow_mut().answers += 1;
                if answer.split(' ').next() != Some(member) {
                    let violation = format!("{address} of {member} is answered by {answer}");
                    tally.borrow_mut().violations.insert(violation);
                }
            }
            None => tally.borrow_mut().timeouts += 1,
        }
        let held = cluster.vpc(|vpc| vpc.address(*address));
        tally.borrow_mut().check_ec2(member, *address, held);
        sleep(POLL_INTERVAL).await;
    }
}

async fn ask(cluster: &TestCluster<'_>, address: Ipv4Addr) -> Option<String> {
    let own_binary = cluster.running.own_binary().ok()?;
    let mut client = Command::from(cluster.running.on_machine("client", own_binary).ok()?);
    client.arg("dial").arg(address.to_string()).kill_on_drop(true);
    let ended = client.output().await.ok()?;
    let answer = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    (ended.status.success() && !answer.is_empty()).then_some(answer)
}

/// After the last disruption: all members become ready with their addresses, and EC2 has no other
/// secondary addresses than the recorded ones.
async fn recover(
    cluster: &TestCluster<'_>,
    set: &Set,
    members: &BTreeMap<String, Ipv4Addr>,
) -> Outcome {
    cluster.vpc(|vpc| vpc.fault_clear(None))?;
    nodes_ready(&cluster.admin).await?;
    for worker in WORKERS {
        // Fails if the node has no such taint.
        drop(cluster.taint(worker.name, false).await);
    }
    for pod in cluster.wait_all_ready(set).await? {
        let held = cluster.wait_held(&pod).await?;
        let before = members.get(&pod.name);
        ensure(before == Some(&held.address), || {
            format!("{} has {} and had {before:?}", pod.name, held.address)
        })?;
    }
    until("EC2 has only recorded addresses", || async {
        let all = cluster.admin.get(ADDRESSES).await?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let known: BTreeSet<String> = all.iter().map(|it| text(&it["metadata"]["name"])).collect();
        let truth = cluster.vpc(vpcbox::client::Client::truth)?;
        ensure(truth.violations.is_empty(), || format!("{:?}", truth.violations))?;
        let secondary =
            truth.addresses.iter().filter(|it| it.held_as.as_deref() == Some("secondary"));
        let leaked: Vec<Ipv4Addr> = secondary
            .map(|it| it.address)
            .filter(|address| !known.contains(&address.to_string()))
            .collect();
        ensure(leaked.is_empty(), || format!("EC2 has {leaked:?} without a record"))
    })
    .await
}

fn print_tally(tally: &Tally, recovery: Duration, length: Duration) -> Outcome {
    for (kind, (succeeded, prevented)) in &tally.disruptions {
        print_line(&format!("{succeeded:6} {kind} ({prevented} not possible)"))?;
    }
    let Tally { answers, timeouts, reads, failed_reads, mutations, .. } = tally;
    print_line(&format!(
        "members: {answers} answers, {timeouts} timeouts; EC2: {reads} reads, {failed_reads} \
         failed reads, {mutations} mutating calls; recovered after {:.1} s",
        recovery.as_secs_f64()
    ))?;
    let missing = tally.missing();
    ensure(length < LONG || missing.is_empty(), || {
        format!("disruptions that never succeeded: {missing:?}")
    })?;
    ensure(*answers > 0, || "no member ever answered".to_owned())?;
    ensure(length < LONG || *mutations > 0, || "no address ever moved".to_owned())?;
    ensure(failed_reads < reads, || "EC2's state was read too rarely".to_owned())?;
    let violations: Vec<&str> = tally.violations.iter().map(String::as_str).collect();
    ensure(violations.is_empty(), || {
        format!("{} violations:\n{}", violations.len(), violations.join("\n"))
    })?;
    print_line("0 violations")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disruption_that_never_succeeded_is_missing() {
        let mut tally = Tally::of(plan::kinds());
        assert_eq!(tally.missing().len(), 16);
        for kind in plan::kinds().filter(|kind| kind != "node rebooted") {
            tally.count(kind, &Ok(()));
        }
        tally.count("node rebooted", &Err("not now".to_owned()));
        assert_eq!(tally.missing(), ["node rebooted"]);
        tally.count("node rebooted", &Ok(()));
        assert!(tally.missing().is_empty());
    }
}
