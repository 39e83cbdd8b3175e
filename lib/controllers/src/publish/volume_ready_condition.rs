//! The condition `VolumeReady` of a claim: whether its member's pod has its volumes. The agent of
//! the pod's node writes it from the first reported volume problem on; a claim whose pods never had
//! a volume problem has no such condition.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_core::time::Moment;
use firecamp_node::volumes::{Blocker, PodVolumes, Reason, Served};
use firecamp_registry::api::{Condition, VOLUME_READY};
use jiff::{SignedDuration, Timestamp};

use crate::publish::facts::Facts;
use crate::publish::ports::ObservedStatus;
use crate::publish::static_ip_conditions::{condition, merged_where};
use crate::publish::volume_status::attachment;

/// The condition is removed once the pod has been away from this node for this long.
const LEAVE: Duration = Duration::from_mins(1);
/// A missing volume is reported again after this long, because the claim may be newer.
const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// The reason once the pod has all its volumes again.
const MOUNTED: &str = "Mounted";

/// What the condition of a claim reports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum VolumeReport {
    /// The pod lacks a volume.
    Missing {
        /// Why.
        reason: Reason,
        /// Which volume, on which instance, in what state, and what to do.
        about: String,
        /// Since when (RFC 3339).
        since: String,
    },
    /// The pod has all its volumes.
    Ready,
    /// The pod has left this node: the condition is removed.
    Removed,
}

/// The volume reports for the claims of this node's pods.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(BTreeMap<Member, ReportedVolumes>);

#[derive(Debug, Clone)]
struct ReportedVolumes {
    pod: PodUid,
    wanted: Option<VolumeReport>,
    written: Option<(VolumeReport, Moment)>,
    gone: Option<Moment>,
}

impl Claims {
    /// Processes the current facts. An unknown list of pods means no pod has left.
    pub(crate) fn step(&mut self, facts: &Facts, (now, timestamp): (Moment, &str)) {
        let Some(pods) = &facts.pods else { return };
        let here: BTreeMap<Member, &PodVolumes> = pods
            .iter()
            .filter_map(|pod| Some((Member::new(&pod.namespace, &pod.name).ok()?, pod)))
            .collect();
        self.0.retain(|member, reported| here.contains_key(member) || reported.left(now));
        for (member, pod) in here {
            let new =
                ReportedVolumes { pod: pod.uid.clone(), wanted: None, written: None, gone: None };
            self.0.entry(member).or_insert(new).take(pod, facts, timestamp);
        }
    }

    /// The reports to write.
    pub(crate) fn next(&self, now: Moment) -> impl Iterator<Item = (&Member, &VolumeReport)> {
        self.0.iter().filter_map(move |(member, reported)| Some((member, reported.next(now)?)))
    }

    /// The report was written, was there already, or the claim does not exist.
    pub(crate) fn done(&mut self, member: &Member, report: &VolumeReport, now: Moment) {
        match (report, self.0.get_mut(member)) {
            (VolumeReport::Removed, _) => drop(self.0.remove(member)),
            (VolumeReport::Missing { .. } | VolumeReport::Ready, Some(reported)) => {
                reported.written = Some((report.clone(), now));
            }
            (VolumeReport::Missing { .. } | VolumeReport::Ready, None) => {}
        }
    }
}

impl ReportedVolumes {
    fn take(&mut self, pod: &PodVolumes, facts: &Facts, timestamp: &str) {
        self.gone = None;
        if self.pod != pod.uid {
            self.pod = pod.uid.clone();
            self.written = None;
        }
        match &pod.served {
            // Another node's agent may have written the condition, and it may still be true.
            Served::Pending => {}
            Served::Ready => self.wanted = Some(VolumeReport::Ready),
            Served::Blocked(blocker) => self.set_missing(blocker, facts, timestamp),
        }
    }

    fn set_missing(&mut self, blocker: &Blocker, facts: &Facts, timestamp: &str) {
        let Some(about) = about(facts, blocker) else { return };
        let now = (blocker.reason, about);
        if let Some(VolumeReport::Missing { reason, about, .. }) = &self.wanted
            && (*reason, about) == (now.0, &now.1)
        {
            return;
        }
        let since = since(timestamp, blocker.lasted.unwrap_or_default());
        self.wanted = Some(VolumeReport::Missing { reason: now.0, about: now.1, since });
    }

    /// Whether a report is still to be written for a pod that has left.
    fn left(&mut self, now: Moment) -> bool {
        let has_written =
            |report: &VolumeReport| self.written.as_ref().is_some_and(|(last, _)| last == report);
        match &self.wanted {
            None => return false,
            Some(VolumeReport::Ready) if has_written(&VolumeReport::Ready) => return false,
            Some(_) => {}
        }
        let gone = *self.gone.get_or_insert(now);
        if now.since(gone) >= LEAVE {
            self.wanted = Some(VolumeReport::Removed);
        }
        true
    }

    fn next(&self, now: Moment) -> Option<&VolumeReport> {
        let wanted = self.wanted.as_ref()?;
        let (last, at) = match &self.written {
            Some((last, at)) => (Some(last), *at),
            None => (None, now),
        };
        let again =
            matches!(wanted, VolumeReport::Missing { .. }) && now.since(at) >= REFRESH_EVERY;
        (last != Some(wanted) || again).then_some(wanted)
    }
}

/// The part of the message that is stable while the problem lasts; none before the instance is
/// known.
fn about(facts: &Facts, blocker: &Blocker) -> Option<String> {
    let Blocker { volume, claim, reason, message, .. } = blocker;
    let (node, instance) = (&facts.node, facts.instance.as_ref()?);
    let state = reason.attachment().map(|state| format!(", {}", attachment(state)));
    let state = state.unwrap_or_default();
    let (prefix, advice) = (prefix(node), reason.advice());
    Some(format!(
        "{prefix}({instance}): volume {volume} (PersistentVolumeClaim {claim}{state}): {message}. \
         {advice}."
    ))
}

/// The prefix of this node's messages, which the admission policy requires.
fn prefix(node: &NodeName) -> String {
    format!("{node} ")
}

fn since(timestamp: &str, lasted: Duration) -> String {
    let at = timestamp.parse::<Timestamp>().ok();
    let begun = SignedDuration::try_from(lasted).ok();
    let begun = at.zip(begun).and_then(|(at, lasted)| at.checked_sub(lasted).ok());
    let whole = begun.and_then(|begun| Timestamp::from_second(begun.as_second()).ok());
    whole.map_or_else(|| timestamp.to_owned(), |begun| begun.to_string())
}

/// The conditions to write; none if nothing changes.
pub(crate) fn to_write(
    current: &ObservedStatus,
    report: &VolumeReport,
    (node, timestamp): (&NodeName, &str),
) -> Option<Vec<Condition>> {
    let old = &current.conditions;
    let before = old.iter().find(|one| one.kind == VOLUME_READY);
    let over = |new: Condition, fits: &dyn Fn(&str) -> bool| {
        merged_where(old, &[new], (current.generation, timestamp), fits)
    };
    let all = match report {
        VolumeReport::Missing { reason, about, since } => {
            let text = format!("{about} Since {since}.");
            let new = condition(VOLUME_READY, Some(false), reason.name(), text);
            over(new, &|old| old.starts_with(about))
        }
        VolumeReport::Ready => {
            before.filter(|before| before.status != "True")?;
            let text = format!("{}has mounted all volumes of the pod", prefix(node));
            over(condition(VOLUME_READY, Some(true), MOUNTED, text), &|_old| false)
        }
        VolumeReport::Removed => {
            // Another node may have written the condition since.
            before.filter(|one| one.status != "True" && one.message.starts_with(&prefix(node)))?;
            old.iter().filter(|one| one.kind != VOLUME_READY).cloned().collect()
        }
    };
    (all != *old).then_some(all)
}
