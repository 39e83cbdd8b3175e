//! What `firecamp uninstall` removes next, and what it waits for.

use firecamp_kube::{ObjectName, ReadObject};
use serde::Serialize;

use crate::reasons::reasons;

reasons! {
    "Why something is left.";
    AddressInUse "A member has the address."
        "delete its StatefulSet, and wait with `firecamp wait released NAMESPACE/STATEFULSET`";
    MemberExists "The member has a pod, or its StatefulSet has replicas."
        "delete its StatefulSet, and wait with `firecamp wait released NAMESPACE/STATEFULSET`";
    Unreadable "The object exists but could not be read."
        "repair or delete the named object, or use the version of this command that matches the \
         agents";
    AwaitingUnassign "The leader unassigns the address in EC2."
        "nothing at first; if this persists, check that agents run (`kubectl -n firecamp-system \
         get pods`) and read the log of the leader (`kubectl -n firecamp-system get lease \
         firecamp-agents` names its node)";
    InterfaceRemoved "The leader detaches the interface once it has had no addresses for five \
                      minutes, and deletes it five minutes later."
        "nothing at first; if this persists, check that agents run, that their role has \
         deploy/iam-policy-interfaces.json, and that EC2 shows no secondary address on the \
         interface that no StaticIP names";
    DeletedLast "The pool is deleted once no address and no interface is left."
        "nothing: look at what else is left";
    Terminating "The object is being deleted."
        "nothing at first; if this persists, look at its finalizers";
}

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The objects.
    pub objects: Vec<Fact>,
    /// Those that cannot be read, by kind and name, and why.
    pub unreadable: Vec<(&'static str, String, String)>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name and version.
    pub object: ReadObject,
    /// Whether its deletion was requested.
    pub deleting: bool,
    /// The node that it is about, if any.
    pub node: Option<String>,
    /// The part of its state that decides.
    pub state: State,
}

/// The part of an object's state that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A pool for which interfaces are made; an interface that is used; an address in use; a claim
    /// whose member has a pod or soon will have one.
    Active,
    /// Anything else.
    Idle,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// No more interfaces are made for the pool.
    StopInterfaces(ReadObject),
    /// The interface is removed.
    Drain(ReadObject),
    /// The object is deleted.
    Delete(ReadObject),
}

/// Something that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Its kind.
    pub kind: &'static str,
    /// NAME or NAMESPACE/NAME.
    pub name: String,
    /// The node that it is about, if any.
    pub node: Option<String>,
    /// Why it is left.
    pub reason: Reason,
    /// Details.
    pub message: String,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    /// Why nothing more may be removed.
    pub blocked: Vec<Left>,
    /// The changes that are due.
    pub steps: Vec<Step>,
    /// What is left meanwhile.
    pub left: Vec<Left>,
}

/// The order in which kinds of steps are done. A pool is deleted last, because the leader reads it.
fn stage(step: &Step) -> u8 {
    match step {
        Step::StopInterfaces(_) => 0,
        Step::Drain(_) => 1,
        Step::Delete(object) => match object.name {
            ObjectName::Claim(_) | ObjectName::Interface(_) => 1,
            ObjectName::StaticIp(_) => 2,
            ObjectName::Pool(_) => 3,
        },
    }
}

/// All changes that are left, in their order.
pub fn steps(facts: &Facts) -> Vec<Step> {
    let mut all: Vec<Step> = facts.objects.iter().flat_map(steps_of).collect();
    all.sort_by_key(stage);
    all
}

fn steps_of(fact: &Fact) -> Vec<Step> {
    let object = || fact.object.clone();
    let active = fact.state == State::Active;
    let mut steps = match fact.object.name {
        ObjectName::Pool(_) if active => vec![Step::StopInterfaces(object())],
        // The leader deletes the object once EC2 has deleted the interface.
        ObjectName::Interface(_) if active => return vec![Step::Drain(object())],
        ObjectName::Interface(_) => return Vec::new(),
        ObjectName::Pool(_) | ObjectName::Claim(_) | ObjectName::StaticIp(_) => Vec::new(),
    };
    if !fact.deleting {
        steps.push(Step::Delete(object()));
    }
    steps
}

/// What happens next: nothing as long as a member has an address, or has or will have a pod.
pub fn next(facts: &Facts) -> Next {
    let used = |fact: &Fact| match fact.object.name {
        ObjectName::StaticIp(_) => Some(left(fact, Reason::AddressInUse)),
        ObjectName::Claim(_) => Some(left(fact, Reason::MemberExists)),
        ObjectName::Pool(_) | ObjectName::Interface(_) => None,
    };
    let active = facts.objects.iter().filter(|fact| fact.state == State::Active);
    let mut blocked: Vec<Left> = active.filter_map(used).collect();
    blocked.extend(facts.unreadable.iter().map(|(kind, name, why)| Left {
        kind,
        name: name.clone(),
        node: None,
        reason: Reason::Unreadable,
        message: why.clone(),
    }));
    if !blocked.is_empty() {
        return Next { blocked, ..Next::default() };
    }
    let all = steps(facts);
    let first = all.first().map(stage);
    let is_pool = |fact: &Fact| matches!(fact.object.name, ObjectName::Pool(_));
    let others = facts.objects.iter().any(|fact| !is_pool(fact));
    let due = |step: &Step| Some(stage(step)) == first && (stage(step) < 3 || !others);
    let steps = all.into_iter().filter(|step| due(step)).collect();
    let left = facts.objects.iter().map(|fact| left(fact, waits(fact))).collect();
    Next { blocked, steps, left }
}

fn waits(fact: &Fact) -> Reason {
    match fact.object.name {
        ObjectName::StaticIp(_) => Reason::AwaitingUnassign,
        ObjectName::Interface(_) => Reason::InterfaceRemoved,
        ObjectName::Pool(_) if !fact.deleting => Reason::DeletedLast,
        ObjectName::Pool(_) | ObjectName::Claim(_) => Reason::Terminating,
    }
}

fn left(fact: &Fact, reason: Reason) -> Left {
    let name = &fact.object.name;
    Left {
        kind: name.kind(),
        name: name.to_string(),
        node: fact.node.clone(),
        reason,
        message: reason.meaning().to_owned(),
    }
}
