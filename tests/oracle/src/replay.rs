//! Feeds recorded events into the code of this tree, and requires the recorded effects.
//!
//! Guarantees: an unknown event is a difference, and so is one whose arguments do not survive
//! deserialising (an unknown variant, a field that is ignored). Caveats: after its first difference
//! an instance is in another state, so its later effects are not compared.

mod agent;
mod leader;
mod machines;
mod publish;
mod volumes;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::compare::{Unlike, differ, lost, short};
use crate::renames::Renames;

/// A line of a recording: the beginning of a history, or an event (`call`, `of`, `with`) with its
/// effect (`gives`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    history: Option<String>,
    seed: Option<u64>,
    call: Option<&'a str>,
    #[serde(default)]
    of: u64,
    #[serde(borrow)]
    with: Option<&'a RawValue>,
    #[serde(borrow)]
    gives: Option<&'a RawValue>,
}

/// An effect that is not the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The history and its seed.
    pub history: (String, u64),
    /// The kind of event.
    pub call: String,
    /// The number of the instance.
    pub of: u64,
    /// The number of the event in its history.
    pub event: u64,
    /// Its arguments.
    pub with: String,
    /// How they differ.
    pub unlike: Unlike,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history: (name, seed), call, of, event, with, unlike } = self;
        writeln!(f, "DIFFERENT history {name:?} seed {seed}: {call} of instance {of}")?;
        writeln!(f, "  event {event} {with}")?;
        let Unlike { place, expected, got } = unlike;
        write!(f, "  at {place}\n    expected {expected}\n    got      {got}")
    }
}

/// The counts of a replay.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Histories.
    pub histories: u64,
    /// Machines and other stateful components.
    pub instances: u64,
    /// Events.
    pub events: u64,
    /// Effects that were compared.
    pub compared: u64,
    /// Effects that were not compared because the instance had differed before.
    pub skipped: u64,
    /// Effects that were different.
    pub different: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, instances, events, compared, skipped, different, .. } = self;
        write!(
            f,
            "histories {histories} instances {instances} events {events} compared {compared} \
             skipped {skipped} different {different}"
        )
    }
}

/// Why an event has no effect that could be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unable(String);

/// The JSON of an effect; none if another module handles the event.
type Answer = Result<Option<String>, Unable>;

/// The instances of one history.
#[derive(Debug, Default)]
struct Instances {
    machines: machines::Machines,
    agent: agent::Agent,
    leader: leader::Leader,
    volumes: volumes::Volumes,
    publish: publish::Publishers,
}

impl Instances {
    fn ask(&mut self, call: &str, of: u64, with: &str) -> Result<String, Unable> {
        let mut answer = self.machines.ask(call, of, with)?;
        if answer.is_none() {
            answer = self.agent.ask(call, of, with)?;
        }
        if answer.is_none() {
            answer = self.leader.ask(call, of, with)?;
        }
        if answer.is_none() {
            answer = self.volumes.ask(call, of, with)?;
        }
        if answer.is_none() {
            answer = self.publish.ask(call, of, with)?;
        }
        answer.ok_or_else(|| Unable(format!("unknown event {call:?}")))
    }
}

/// Deserialises arguments. Everything that was recorded must survive.
fn read<T: DeserializeOwned + Serialize>(with: &str) -> Result<T, Unable> {
    let taken: T = serde_json::from_str(with)
        .map_err(|error| Unable(format!("the arguments cannot be deserialised: {error}")))?;
    match lost(with, &json(&taken)) {
        None => Ok(taken),
        Some(Unlike { place, expected, got }) => {
            Err(Unable(format!("the argument {expected} at {place} is deserialised as {got}")))
        }
    }
}

/// An absent value is `null`.
fn text(json: Option<&RawValue>) -> &str {
    json.map_or("null", RawValue::get)
}

fn json(what: &impl Serialize) -> String {
    serde_json::to_string(what).expect("answers have texts for keys")
}

/// An effect.
fn gives(what: &impl Serialize) -> Answer {
    Ok(Some(json(what)))
}

fn known<T>(instance: Option<T>) -> Result<T, Unable> {
    instance.ok_or_else(|| Unable("the instance was not created".to_owned()))
}

/// Replays recordings.
#[derive(Debug)]
pub struct Replay<'a> {
    renames: &'a Renames,
    /// The most differences that are kept.
    shown: usize,
    history: (String, u64),
    event: u64,
    instances: Instances,
    met: HashSet<(&'static str, u64)>,
    diverged: HashSet<(&'static str, u64)>,
    /// So far.
    pub summary: Summary,
}

impl<'a> Replay<'a> {
    /// Keeps at most `shown` differences.
    pub fn new(renames: &'a Renames, shown: usize) -> Self {
        Self {
            renames,
            shown,
            history: (String::new(), 0),
            event: 0,
            instances: Instances::default(),
            met: HashSet::new(),
            diverged: HashSet::new(),
            summary: Summary::default(),
        }
    }

    /// Replays all lines; calls `ended` at the beginning of each history.
    pub fn lines(
        &mut self,
        mut from: impl BufRead,
        mut ended: impl FnMut(&Summary),
    ) -> io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line: Line<'_> = serde_json::from_str(&line).map_err(io::Error::other)?;
            match (line.call, line.history) {
                (Some(call), None) => {
                    self.call((call, line.of), text(line.with), text(line.gives));
                }
                (None, Some(history)) => {
                    ended(&self.summary);
                    self.begin((history, line.seed.unwrap_or_default()));
                }
                (Some(_), Some(_)) | (None, None) => {
                    return Err(io::Error::other(
                        "a line is neither the beginning of a history nor an event",
                    ));
                }
            }
        }
    }

    fn begin(&mut self, history: (String, u64)) {
        self.history = history;
        self.event = 0;
        self.instances = Instances::default();
        self.met.clear();
        self.diverged.clear();
        self.summary.histories += 1;
    }

    fn call(&mut self, (call, of): (&str, u64), with: &str, expected: &str) {
        self.event += 1;
        self.summary.events += 1;
        let renames = self.renames;
        let call = renames.call(call);
        let Some(group) = group(call) else {
            self.compare((call, of), with, expected);
            return;
        };
        let whose = (group, of);
        let begins = [".new", ".resume", ".offline"].iter().any(|end| call.ends_with(end));
        if self.met.insert(whose) || begins {
            self.summary.instances += 1;
            self.diverged.remove(&whose);
        }
        if self.diverged.contains(&whose) {
            self.summary.skipped += 1;
        } else if !self.compare((call, of), with, expected) {
            self.diverged.insert(whose);
        }
    }

    /// Whether the effect is the recorded one.
    fn compare(&mut self, (call, of): (&str, u64), with: &str, expected: &str) -> bool {
        let component = call.split('.').next().unwrap_or_default();
        let renamed = self.renames.apply(component, with);
        let expected = self.renames.apply(component, expected);
        self.summary.compared += 1;
        let unlike = match self.instances.ask(call, of, &renamed) {
            Ok(got) => differ(&expected, &got, self.renames.texts()),
            Err(Unable(got)) => {
                Some(Unlike { place: "/".to_owned(), expected: short(&expected), got })
            }
        };
        let Some(unlike) = unlike else { return true };
        self.summary.different += 1;
        if self.summary.differences.len() < self.shown {
            let (history, call, with) = (self.history.clone(), call.to_owned(), short(&renamed));
            let difference = Difference { history, call, of, event: self.event, with, unlike };
            self.summary.differences.push(difference);
        }
        false
    }
}

/// The kind of component that an event belongs to; none for stateless functions.
fn group(call: &str) -> Option<&'static str> {
    Some(match call.split('.').next().unwrap_or_default() {
        "attach" | "release" | "operation" | "machine" => "machine",
        "memory" => "memory",
        "adopter" => "adopter",
        "collector" => "collector",
        "leader" => "leader",
        "candidate" => "candidate",
        "hearing" => "hearing",
        "tracker" => "tracker",
        "budget" => "budget",
        "pace" => "pace",
        "publisher" => "publisher",
        // It carries out the last step of the publisher.
        "publish" if call == "publish.carry_out" => "publisher",
        _ => return None,
    })
}
