//! Whatever may happen, all at once, for minutes: does each member keep its address, and does
//! everything agree once it is over?

mod disruptions;
mod frozen;
mod orders;
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

use super::scene::{ADDRESSES, Scene, ensure, text};
use super::set::Set;
use super::staged;
use crate::Outcome;
use crate::cli::say;
use crate::home::Home;
use crate::install::{nodes_ready, until};
use crate::topology::WORKERS;

const MEMBERS: u32 = 5;
/// Between two looks of a client.
const EVERY: Duration = Duration::from_millis(200);
/// In a run of this length every kind of disruption happens.
const LONG: Duration = Duration::from_mins(15);

/// What happened so far.
#[derive(Debug, Default)]
struct Tally {
    /// How often, and how often it could not be done because of something else that went on.
    disruptions: BTreeMap<String, (u32, u32)>,
    answers: u32,
    silences: u32,
    /// How often EC2's truth was seen, and how often it could not be.
    seen: u32,
    unseen: u32,
    /// How often EC2 was asked to change something.
    orders: usize,
    /// Broken promises, each once.
    broken: BTreeSet<String>,
}

impl Tally {
    /// Nothing yet. What is never even tried counts as well: it never happened.
    fn of(kinds: impl IntoIterator<Item = String>) -> Self {
        let disruptions = kinds.into_iter().map(|kind| (kind, (0, 0))).collect();
        Self { disruptions, ..Self::default() }
    }

    /// What never happened.
    fn missing(&self) -> Vec<&str> {
        let never = self.disruptions.iter().filter(|(_, (did, _))| *did == 0);
        never.map(|(kind, _)| kind.as_str()).collect()
    }

    /// EC2 never lets go of a member's address.
    fn judge(&mut self, member: &str, address: Ipv4Addr, held: Outcome<Option<Address>>) {
        match held.map(|truth| truth.and_then(|truth| truth.owner)) {
            Ok(Some(_eni)) => self.seen += 1,
            Ok(None) => {
                self.broken.insert(format!("EC2 has {address} of {member} on no ENI"));
            }
            Err(_unseen) => self.unseen += 1,
        }
    }

    /// What EC2 was asked to change: its record of calls since this one, whole.
    fn ordered(&mut self, calls: &[Call], since: u64, members: &BTreeMap<String, Ipv4Addr>) {
        if calls.first().is_some_and(|first| first.seq != since + 1) {
            self.broken.insert("EC2's record of calls has lost its beginning".to_owned());
        }
        self.orders = calls.iter().filter(|call| call.mutating).count();
        self.broken.extend(orders::strange(calls, members));
    }

    fn count(&mut self, kind: impl Display, done: &Outcome) {
        let (did, could_not) = self.disruptions.entry(kind.to_string()).or_default();
        *(if done.is_ok() { did } else { could_not }) += 1;
    }
}

/// One run.
struct Course {
    end: Instant,
    tally: RefCell<Tally>,
    /// Held by whoever does something that takes a while: one goes on at a time.
    turn: Mutex<()>,
    /// Held by whoever has stopped processes that it will let go on: nobody else does that.
    stopped: Mutex<()>,
}

/// Runs it on a cluster of its own.
pub(crate) fn run(home: &Home, seed: u64, minutes: u64) -> Outcome {
    staged(home, async |scene| {
        let outcome = chaos(scene, seed, Duration::from_mins(minutes)).await;
        if outcome.is_err() {
            scene.dump().await?;
            say(&format!("again by: make chaos SEED={seed} MINUTES={minutes}"))?;
        }
        outcome
    })
}

async fn chaos(scene: &Scene<'_>, seed: u64, length: Duration) -> Outcome {
    let set = Set { parallel: true, ..Set::new("chaos", MEMBERS) };
    scene.create(&set).await?;
    let mut members = BTreeMap::new();
    for pod in scene.all_ready(&set).await? {
        members.insert(pod.name.clone(), scene.holds(&pod).await?.address);
    }
    say(&format!("seed {seed}, {} s: {members:?}", length.as_secs()))?;
    let since = scene.calls()?;
    let course = Course {
        end: Instant::now() + length,
        tally: RefCell::new(Tally::of(plan::kinds())),
        turn: Mutex::new(()),
        stopped: Mutex::new(()),
    };
    tokio::join!(
        undergo(scene, plan::heavy(seed), &course),
        undergo(scene, plan::frozen(seed), &course),
        suffer(scene, seed, &members, &course),
        look(scene, &members, &course),
    );
    let begun = Instant::now();
    let healed = heal(scene, &set, &members).await;
    let mut tally = course.tally.into_inner();
    tally.broken.extend(healed.err());
    match scene.vpc(|vpc| vpc.calls(since)) {
        Ok(calls) => tally.ordered(&calls, since, &members),
        Err(why) => drop(tally.broken.insert(why)),
    }
    reported(&tally, begun.elapsed(), length)?;
    scene.delete(&set).await
}

async fn undergo(scene: &Scene<'_>, disruptions: plan::Disruptions<plan::Heavy>, course: &Course) {
    for disruption in disruptions {
        sleep(disruption.pause).await;
        let _turn = course.turn.lock().await;
        if Instant::now() > course.end {
            return;
        }
        let done = scene.undergo(&disruption, course).await;
        report(&course.tally, disruption.kind, &done);
    }
}

async fn suffer(
    scene: &Scene<'_>,
    seed: u64,
    members: &BTreeMap<String, Ipv4Addr>,
    course: &Course,
) {
    let names: Vec<String> = members.keys().cloned().collect();
    for disruption in plan::light(seed) {
        sleep(disruption.pause).await;
        if Instant::now() > course.end {
            return;
        }
        let done = scene.suffer(&disruption, &names, course).await;
        report(&course.tally, disruption.kind, &done);
    }
}

fn report(tally: &RefCell<Tally>, kind: impl Display, done: &Outcome) {
    let line = match done {
        Ok(()) => format!("        {kind}"),
        Err(why) => {
            format!("        {kind}: not now: {}", why.chars().take(200).collect::<String>())
        }
    };
    tally.borrow_mut().count(kind, done);
    // Whoever listens no more misses nothing that decides.
    drop(say(&line));
}

/// A client asks the members in turn: nobody else ever answers for one. EC2 never lets go of an
/// address, and no rule of it is ever broken.
async fn look(scene: &Scene<'_>, members: &BTreeMap<String, Ipv4Addr>, course: &Course) {
    let tally = &course.tally;
    for (member, address) in members.iter().cycle() {
        if Instant::now() > course.end {
            return;
        }
        match ask(scene, *address).await {
            Some(answer) => {
                tally.borrow_mut().answers += 1;
                if answer.split(' ').next() != Some(member) {
                    let wrong = format!("{address} of {member} is answered by {answer}");
                    tally.borrow_mut().broken.insert(wrong);
                }
            }
            None => tally.borrow_mut().silences += 1,
        }
        let held = scene.vpc(|vpc| vpc.address(*address));
        tally.borrow_mut().judge(member, *address, held);
        sleep(EVERY).await;
    }
}

async fn ask(scene: &Scene<'_>, address: Ipv4Addr) -> Option<String> {
    let ourselves = scene.running.ourselves().ok()?;
    let mut client = Command::from(scene.running.anywhere("client", ourselves).ok()?);
    client.arg("dial").arg(address.to_string()).kill_on_drop(true);
    let ended = client.output().await.ok()?;
    let answer = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    (ended.status.success() && !answer.is_empty()).then_some(answer)
}

/// Nothing more is done to anybody: all members come back, everything agrees about each of them,
/// and EC2 has nothing that nobody knows of.
async fn heal(scene: &Scene<'_>, set: &Set, members: &BTreeMap<String, Ipv4Addr>) -> Outcome {
    scene.vpc(|vpc| vpc.fault_clear(None))?;
    nodes_ready(&scene.admin).await?;
    for worker in WORKERS {
        // A taint that is not there cannot be taken away, which is as good.
        drop(scene.taint(worker.name, false).await);
    }
    for pod in scene.all_ready(set).await? {
        let held = scene.holds(&pod).await?;
        let before = members.get(&pod.name);
        ensure(before == Some(&held.address), || {
            format!("{} has {} and had {before:?}", pod.name, held.address)
        })?;
    }
    until("EC2 has what is on record, and nothing else", || async {
        let all = scene.admin.get(ADDRESSES).await?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let known: BTreeSet<String> = all.iter().map(|it| text(&it["metadata"]["name"])).collect();
        let truth = scene.vpc(vpcbox::client::Client::truth)?;
        ensure(truth.violations.is_empty(), || format!("{:?}", truth.violations))?;
        let secondary =
            truth.addresses.iter().filter(|it| it.held_as.as_deref() == Some("secondary"));
        let leaked: Vec<Ipv4Addr> = secondary
            .map(|it| it.address)
            .filter(|address| !known.contains(&address.to_string()))
            .collect();
        ensure(leaked.is_empty(), || format!("{leaked:?} is in EC2, and on no record"))
    })
    .await
}

fn reported(tally: &Tally, healing: Duration, length: Duration) -> Outcome {
    for (kind, (did, could_not)) in &tally.disruptions {
        say(&format!("{did:6} {kind} ({could_not} could not be done)"))?;
    }
    let Tally { answers, silences, seen, unseen, orders, .. } = tally;
    say(&format!(
        "{answers} answers and {silences} silences of members; EC2's truth seen {seen} times and \
         {unseen} times not, and {orders} orders to it; whole again after {:.1} s",
        healing.as_secs_f64()
    ))?;
    let missing = tally.missing();
    ensure(length < LONG || missing.is_empty(), || format!("never happened: {missing:?}"))?;
    ensure(*answers > 0, || "no member ever answered".to_owned())?;
    ensure(length < LONG || *orders > 0, || "no address ever moved".to_owned())?;
    ensure(unseen < seen, || "EC2's truth was not seen often enough to be judged".to_owned())?;
    let broken: Vec<&str> = tally.broken.iter().map(String::as_str).collect();
    ensure(broken.is_empty(), || format!("{} violations:\n{}", broken.len(), broken.join("\n")))?;
    say("0 violations")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_tried_or_never_worked_never_happened() {
        let mut tally = Tally::of(plan::kinds());
        assert_eq!(tally.missing().len(), 16);
        for kind in plan::kinds().filter(|kind| kind != "a node rebooted") {
            tally.count(kind, &Ok(()));
        }
        tally.count("a node rebooted", &Err("not now".to_owned()));
        assert_eq!(tally.missing(), ["a node rebooted"]);
        tally.count("a node rebooted", &Ok(()));
        assert!(tally.missing().is_empty());
    }
}
