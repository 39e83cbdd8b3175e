//! The machines: attach, release and operations.

use std::collections::HashMap;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::ids::{ClusterName, RunId};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::release::{Release, ReleaseInput};
use firecamp_core::step::Step;
use firecamp_core::time::Moment;
use serde::Serialize;

use super::{Answer, gives, known, read};

#[derive(Debug)]
enum Any {
    Attach(Box<Attach>),
    Release(Box<Release>),
    Execution(Box<Execution>),
}

/// All machines of a history.
#[derive(Debug, Default)]
pub(super) struct Machines(HashMap<u64, Any>);

/// In the form of the recorder.
#[derive(Debug, Serialize)]
struct Effect<'a> {
    action: Action,
    crossed: Option<Step>,
    outcome: Option<&'a Outcome>,
}

fn effect(machine: &impl Machine) -> Answer {
    let (action, crossed, outcome) = (machine.action(), machine.crossed(), machine.outcome());
    gives(&Effect { action, crossed, outcome })
}

impl Any {
    fn reply(&mut self, reply: Reply, now: Moment) -> Answer {
        match self {
            Self::Attach(it) => reported(&mut **it, reply, now),
            Self::Release(it) => reported(&mut **it, reply, now),
            Self::Execution(it) => reported(&mut **it, reply, now),
        }
    }
}

fn reported(machine: &mut impl Machine, reply: Reply, now: Moment) -> Answer {
    machine.reply(reply, now);
    effect(machine)
}

impl Machines {
    pub(super) fn ask(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "attach.new" => {
                let (input, now): (AttachInput, Moment) = read(with)?;
                let machine = Attach::new(input, now);
                let answer = effect(&machine);
                self.0.insert(of, Any::Attach(Box::new(machine)));
                answer
            }
            "release.new" => {
                let (input, now): (ReleaseInput, Moment) = read(with)?;
                let machine = Release::new(input, now);
                let answer = effect(&machine);
                self.0.insert(of, Any::Release(Box::new(machine)));
                answer
            }
            "operation.new" => {
                let (operation, cluster, run, now): (Operation, ClusterName, RunId, Moment) =
                    read(with)?;
                let machine = Execution::new(&operation, &cluster, run, now);
                let answer = effect(&machine);
                self.0.insert(of, Any::Execution(Box::new(machine)));
                answer
            }
            "machine.reply" => {
                let (reply, now): (Reply, Moment) = read(with)?;
                known(self.0.get_mut(&of))?.reply(reply, now)
            }
            _ => Ok(None),
        }
    }
}
