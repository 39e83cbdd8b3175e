//! The condition of a claim that says whether its member's pod has its volumes. The agent of the
//! pod's node says it, from the first time on at which a volume is reported to be out of order: a
//! claim whose pods never lacked one carries nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_core::time::Moment;
use firecamp_node::volumes::{Hindrance, PodVolumes, Reason, Served};
use firecamp_registry::api::{Condition, VOLUME_READY};
use jiff::{SignedDuration, Timestamp};

use crate::publish::facts::Facts;
use crate::publish::outside::Reported;
use crate::publish::static_ip::{condition, merged_where};
use crate::publish::volume::attachment;

/// A pod must have been away for so long before what was said of it is taken back.
const LEAVE: Duration = Duration::from_mins(1);
/// What is wrong is read again after so long: the claim may have been made only since.
const READ_AGAIN: Duration = Duration::from_mins(5);
/// The reason of a claim whose pod has all of its volumes again.
const MOUNTED: &str = "Mounted";

/// What is said of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Saying {
    /// Its pod lacks a volume.
    Lacks {
        /// Why.
        reason: Reason,
        /// Which volume, on which instance, in what state, and what to do.
        about: String,
        /// Since when (RFC 3339).
        since: String,
    },
    /// Its pod has all of them.
    Has,
    /// Its pod is on this node no more.
    Left,
}

/// What is remembered of the claims of this node's pods.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(BTreeMap<Member, Told>);

#[derive(Debug, Clone)]
struct Told {
    pod: PodUid,
    wanted: Option<Saying>,
    said: Option<(Saying, Moment)>,
    gone: Option<Moment>,
}

impl Claims {
    /// Takes in what is known now. Pods that are not known are not gone.
    pub(crate) fn step(&mut self, facts: &Facts, (now, wall): (Moment, &str)) {
        let Some(pods) = &facts.pods else { return };
        let here: BTreeMap<Member, &PodVolumes> = pods
            .iter()
            .filter_map(|pod| Some((Member::new(&pod.namespace, &pod.name).ok()?, pod)))
            .collect();
        self.0.retain(|member, told| here.contains_key(member) || told.left(now));
        for (member, pod) in here {
            let new = Told { pod: pod.uid.clone(), wanted: None, said: None, gone: None };
            self.0.entry(member).or_insert(new).take(pod, facts, wall);
        }
    }

    /// What there is to say.
    pub(crate) fn next(&self, now: Moment) -> impl Iterator<Item = (&Member, &Saying)> {
        self.0.iter().filter_map(move |(member, told)| Some((member, told.next(now)?)))
    }

    /// It was said, or there is no claim, or it stands there already.
    pub(crate) fn done(&mut self, member: &Member, saying: &Saying, now: Moment) {
        match (saying, self.0.get_mut(member)) {
            (Saying::Left, _) => drop(self.0.remove(member)),
            (Saying::Lacks { .. } | Saying::Has, Some(told)) => {
                told.said = Some((saying.clone(), now));
            }
            (Saying::Lacks { .. } | Saying::Has, None) => {}
        }
    }
}

impl Told {
    fn take(&mut self, pod: &PodVolumes, facts: &Facts, wall: &str) {
        self.gone = None;
        if self.pod != pod.uid {
            self.pod = pod.uid.clone();
            self.said = None;
        }
        match &pod.served {
            // What stands may have been said by the agent of another node, and still be so.
            Served::NotYet => {}
            Served::Wholly => self.wanted = Some(Saying::Has),
            Served::No(hindrance) => self.lacks(hindrance, facts, wall),
        }
    }

    fn lacks(&mut self, hindrance: &Hindrance, facts: &Facts, wall: &str) {
        let Some(about) = about(facts, hindrance) else { return };
        let now = (hindrance.reason, about);
        if let Some(Saying::Lacks { reason, about, .. }) = &self.wanted
            && (*reason, about) == (now.0, &now.1)
        {
            return;
        }
        let since = since(wall, hindrance.lasted.unwrap_or_default());
        self.wanted = Some(Saying::Lacks { reason: now.0, about: now.1, since });
    }

    /// Whether there is still something to do about a pod that is not here.
    fn left(&mut self, now: Moment) -> bool {
        let has_said = |saying: &Saying| self.said.as_ref().is_some_and(|(said, _)| said == saying);
        match &self.wanted {
            None => return false,
            Some(Saying::Has) if has_said(&Saying::Has) => return false,
            Some(_) => {}
        }
        let gone = *self.gone.get_or_insert(now);
        if now.since(gone) >= LEAVE {
            self.wanted = Some(Saying::Left);
        }
        true
    }

    fn next(&self, now: Moment) -> Option<&Saying> {
        let wanted = self.wanted.as_ref()?;
        let (said, at) = match &self.said {
            Some((said, at)) => (Some(said), *at),
            None => (None, now),
        };
        let again = matches!(wanted, Saying::Lacks { .. }) && now.since(at) >= READ_AGAIN;
        (said != Some(wanted) || again).then_some(wanted)
    }
}

/// Who says it, and all that does not change while it lasts; none before the instance is known.
fn about(facts: &Facts, hindrance: &Hindrance) -> Option<String> {
    let Hindrance { volume, claim, reason, message, .. } = hindrance;
    let (node, instance) = (&facts.node, facts.instance.as_ref()?);
    let state = reason.attachment().map(|state| format!(", {}", attachment(state)));
    let state = state.unwrap_or_default();
    let (own, advice) = (own(node), reason.advice());
    Some(format!(
        "{own}({instance}): volume {volume} (PersistentVolumeClaim {claim}{state}): {message}. \
         {advice}."
    ))
}

/// How everything begins that is said from this node; the admission policy asks for it.
fn own(node: &NodeName) -> String {
    format!("{node} ")
}

fn since(wall: &str, lasted: Duration) -> String {
    let at = wall.parse::<Timestamp>().ok();
    let begun = SignedDuration::try_from(lasted).ok();
    let begun = at.zip(begun).and_then(|(at, lasted)| at.checked_sub(lasted).ok());
    let whole = begun.and_then(|begun| Timestamp::from_second(begun.as_second()).ok());
    whole.map_or_else(|| wall.to_owned(), |begun| begun.to_string())
}

/// The conditions as they are to be written; none if nothing changes by it.
pub(crate) fn to_write(
    there: &Reported,
    saying: &Saying,
    (node, wall): (&NodeName, &str),
) -> Option<Vec<Condition>> {
    let old = &there.conditions;
    let before = old.iter().find(|one| one.kind == VOLUME_READY);
    let over = |new: Condition, fits: &dyn Fn(&str) -> bool| {
        merged_where(old, &[new], (there.generation, wall), fits)
    };
    let all = match saying {
        Saying::Lacks { reason, about, since } => {
            let text = format!("{about} Since {since}.");
            let new = condition(VOLUME_READY, Some(false), reason.name(), text);
            over(new, &|old| old.starts_with(about))
        }
        Saying::Has => {
            before.filter(|before| before.status != "True")?;
            let text = format!("{}has mounted all volumes of the pod", own(node));
            over(condition(VOLUME_READY, Some(true), MOUNTED, text), &|_old| false)
        }
        Saying::Left => {
            // By now another node may speak for it.
            before.filter(|one| one.status != "True" && one.message.starts_with(&own(node)))?;
            old.iter().filter(|one| one.kind != VOLUME_READY).cloned().collect()
        }
    };
    (all != *old).then_some(all)
}
