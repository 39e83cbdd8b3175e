//! What the leader keeps of the conditions of tens of thousands of objects: enough to see whether
//! they differ from those it would write. Their texts stay in the API server; a change reads them
//! again, and keeps the conditions of others.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use firecamp_core::contract::cluster::condition::{BOUND, CLAIMED, DELETABLE};
use firecamp_registry::api::{Condition, VOLUME_READY};

use crate::leader::pools::merged;

/// The types of the conditions that the leader writes or removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ConditionKind {
    /// Of a claim: it has its address.
    Bound,
    /// Of a StaticIP: a claim names it.
    Claimed,
    /// Of a StaticIP: nothing delays its deletion.
    Deletable,
    /// Of a claim: the member's pod has its volume.
    VolumeReady,
}

impl ConditionKind {
    fn name(self) -> &'static str {
        match self {
            Self::Bound => BOUND,
            Self::Claimed => CLAIMED,
            Self::Deletable => DELETABLE,
            Self::VolumeReady => VOLUME_READY,
        }
    }

    fn of(condition: &Condition) -> Option<Self> {
        let all = [Self::Bound, Self::Claimed, Self::Deletable, Self::VolumeReady];
        all.into_iter().find(|kind| kind.name() == condition.kind)
    }
}

/// One condition without its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SeenCondition {
    kind: ConditionKind,
    is_true: bool,
    /// Whether it has the time of its last transition.
    dated: bool,
    /// Of everything else but that time.
    digest: u64,
}

/// The conditions of an object, without their texts and without those of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SeenConditions(Box<[SeenCondition]>);

/// A change of an object's conditions; those that it does not name stay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ConditionChange {
    /// Set this one. Without a time, its time stays if its status does, or is set to now.
    Set(Condition),
    /// Remove the one of this type.
    Remove(ConditionKind),
}

impl SeenCondition {
    fn of(condition: &Condition) -> Option<Self> {
        let Condition {
            kind: _,
            status,
            reason,
            message,
            last_transition_time,
            observed_generation,
        } = condition;
        let mut hasher = DefaultHasher::new();
        (status, reason, message, observed_generation).hash(&mut hasher);
        Some(Self {
            kind: ConditionKind::of(condition)?,
            is_true: status == "True",
            dated: last_transition_time.is_some(),
            digest: hasher.finish(),
        })
    }
}

impl From<&[Condition]> for SeenConditions {
    fn from(all: &[Condition]) -> Self {
        Self(all.iter().filter_map(SeenCondition::of).collect())
    }
}

impl SeenConditions {
    /// That the member waits for a volume.
    pub(crate) fn volume_wait(&self) -> Option<SeenCondition> {
        let waits = |one: &&SeenCondition| one.kind == ConditionKind::VolumeReady && !one.is_true;
        self.0.iter().find(waits).copied()
    }

    /// Whether the change changes nothing. A condition without its time is always written again.
    pub(crate) fn unchanged_by(&self, change: &ConditionChange) -> bool {
        match change {
            ConditionChange::Set(wanted) => SeenCondition::of(wanted)
                .is_some_and(|wanted| self.0.contains(&SeenCondition { dated: true, ..wanted })),
            ConditionChange::Remove(kind) => self.0.iter().all(|one| one.kind != *kind),
        }
    }
}

impl ConditionChange {
    /// The conditions after the change.
    pub fn applied(&self, before: &[Condition]) -> Vec<Condition> {
        match self {
            Self::Set(condition) => merged(before, vec![condition.clone()]),
            Self::Remove(kind) => {
                before.iter().filter(|one| one.kind != kind.name()).cloned().collect()
            }
        }
    }
}
