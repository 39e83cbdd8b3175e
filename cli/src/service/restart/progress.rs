//! The progress of a restart. It is stored on the StatefulSet, so that it survives the command.

use std::collections::BTreeMap;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The order in which members are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The primary, then the others by ascending ordinals
    PrimaryFirst,
    /// The others by ascending ordinals, then the primary
    PrimaryLast,
    /// By ascending ordinals
    #[default]
    Ordinal,
    /// By descending ordinals
    Reverse,
}

/// Which members are restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// All of them.
    All {
        /// The UID of each pod when the restart began.
        before: BTreeMap<String, String>,
    },
    /// Those whose pods are not of the current revision of the template.
    Outdated,
}

/// How the primary is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PrimaryBy {
    /// It is not known.
    Nothing,
    /// A label of its pod has this value.
    Label(String, String),
    /// This command succeeds in its pod.
    Command(Vec<String>),
}

/// A member whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The name of its pod.
    pub pod: String,
    /// The UID of the pod that is deleted.
    pub uid: String,
    /// Whether it is the primary.
    pub primary: bool,
}

/// Why a restart does not go on. Stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopReason {
    /// The StatefulSet controller has not processed the last change.
    StatefulSetNotObserved,
    /// The Deployment controller has not processed the last change.
    DeploymentNotObserved,
    /// A Deployment has not replaced a pod of an earlier template yet.
    PodOutdated,
    /// The pod of a member does not exist.
    PodMissing,
    /// The old pod of a member does not end.
    PodTerminating,
    /// The new pod of a member is not ready.
    PodNotReady,
    /// The address of a member is not attached to its new pod.
    AddressNotAttached,
    /// A PodDisruptionBudget forbids the eviction.
    BudgetForbids,
    /// The API server cannot evict the pod.
    EvictionFailed,
    /// No member is the primary.
    PrimaryUnknown,
    /// More than one member is the primary.
    PrimaryAmbiguous,
}

impl StopReason {
    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::StatefulSetNotObserved | Self::DeploymentNotObserved => {
                "check that the kube-controller-manager runs"
            }
            Self::PodOutdated => {
                "look at the Deployment with `kubectl describe deployment`: it may be paused"
            }
            Self::PodMissing => {
                "look at the Events of the StatefulSet or ReplicaSet: the controller cannot create \
                 the pod"
            }
            Self::PodTerminating => {
                "wait for its grace period; if its node is gone, delete the pod with --force only \
                 after the node is off"
            }
            Self::PodNotReady => {
                "look at the pod with `kubectl describe pod` and at its log; correct the template \
                 with `firecamp service update`, or repair what it needs"
            }
            Self::AddressNotAttached => "ask `firecamp explain` about the member",
            Self::BudgetForbids => {
                "make the other members ready, or use --delete if the budget counts what does not \
                 matter"
            }
            Self::EvictionFailed => {
                "check that only one PodDisruptionBudget selects the pod, and that the API server \
                 answers; or use --delete"
            }
            Self::PrimaryUnknown => {
                "wait until the service has a primary, or choose an order that needs none"
            }
            Self::PrimaryAmbiguous => {
                "correct how the primary is known, or choose the order ordinal: a service with \
                 several primaries has no single one"
            }
        }
    }
}

/// What a restart waits for, or why it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// The member, or the StatefulSet.
    pub object: String,
    /// Why.
    pub reason: StopReason,
    /// The same as text.
    pub message: String,
}

/// Who performs the restart: one command at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The machine, the process ID and the start of the command.
    pub identity: String,
    /// When it last said so, by its own clock. Others only compare it with what they read before.
    pub renewed: Timestamp,
}

/// The progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// When the restart began.
    pub begun: Timestamp,
    /// The order of the members.
    pub order: Order,
    /// How the primary is known.
    pub primary: PrimaryBy,
    /// Which members are restarted.
    pub scope: Scope,
    /// How long a member may take to be back.
    pub member_timeout_seconds: u32,
    /// The revision of the template to which `--undo` returns.
    pub undo_revision: String,
    /// Who performs it; none after it ended or was interrupted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Owner>,
    /// The member that was deleted last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub turn: Option<Turn>,
    /// When the current turn began, the last member was back, or a command went on.
    pub since: Timestamp,
    /// Whether the primary had its turn.
    #[serde(default)]
    pub primary_restarted: bool,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stopped>,
    /// When it was finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished: Option<Timestamp>,
}

impl Progress {
    /// Whether members are left to restart.
    pub fn is_open(&self) -> bool {
        self.finished.is_none()
    }

    /// Whether this command performs it.
    pub fn is_owned_by(&self, identity: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.identity == identity)
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}: {}", self.object, self.reason, self.message)
    }
}

impl std::fmt::Display for PrimaryBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => {
                f.write_str("nothing: name it with --primary-label or --primary-command")
            }
            Self::Label(name, value) => write!(f, "the label {name}={value}"),
            Self::Command(command) => write!(f, "the command {command:?}"),
        }
    }
}
