//! The true problems of a volume, and since when: derived only from
//! [`volumes.md`](../../../docs/volumes.md), without the product's decisions.

use std::collections::BTreeMap;

use firecamp_node::volumes::Reason;
use firecamp_node::volumes::observation::AttachmentState;

use crate::volumes::scenario::Ix;
use crate::volumes::simulated_node::{Ec2, PodIncarnation, State, Volume};
use crate::volumes::views::is_here;

/// Whether a problem exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does not exist.
    No,
    /// It exists.
    Yes,
    /// The sources are not sufficient to tell.
    Unknown,
}

impl From<bool> for Verdict {
    fn from(so: bool) -> Self {
        if so { Self::Yes } else { Self::No }
    }
}

/// The facts about a volume that decide whether it has a problem.
struct Facts<'a> {
    volume: &'a Volume,
    xen: bool,
    /// It is an EBS volume.
    ebs: bool,
    /// Its pod is staying here and has no mount of it.
    lacks: bool,
    /// EC2 shows an attachment to this instance.
    shown: bool,
    attached: bool,
    /// There is a device that identifies itself as this volume's.
    known: bool,
    /// Kubernetes has an object here that names it.
    in_view: bool,
}

impl<'a> Facts<'a> {
    fn new(state: &State, volume: &'a Volume) -> Self {
        let named = volume.ix != 0 && volume.ix != state.shape.orphan();
        let lacks = |pod: PodIncarnation| !pod.ending && volume.mounted != Some(pod.lifecycle);
        let here = matches!(volume.ec2, Ec2::Here(..));
        let shown = here && !volume.has(Reason::DeviceWithoutVolume);
        Self {
            volume,
            xen: state.shape.xen,
            ebs: volume.ix != state.shape.export(),
            lacks: volume.pod.is_some_and(lacks),
            shown,
            attached: shown && is_here(volume.ec2, AttachmentState::Attached),
            known: volume.visible_slot().is_some() && !volume.has(Reason::SerialUnreadable),
            in_view: named && (volume.pod.is_some() || volume.believed.is_some()),
        }
    }

    fn stuck(&self, state: AttachmentState) -> bool {
        let here = self.shown && is_here(self.volume.ec2, state);
        let elsewhere = self.volume.ec2 == Ec2::Elsewhere(state) && self.lacks;
        self.ebs && (here || elsewhere)
    }

    fn full(&self, percent: u8) -> Verdict {
        match self.volume {
            volume if !volume.is_mounted() => Verdict::No,
            volume if volume.has(Reason::NotResponding) => Verdict::Unknown,
            _ => (percent >= 90).into(),
        }
    }
}

/// Whether a volume has this problem.
pub fn is_wrong(state: &State, volume: &Volume, reason: Reason) -> Verdict {
    let it = Facts::new(state, volume);
    let (has, mounted) = (volume.has(reason), volume.is_mounted());
    let claims = |lifecycle: u32| volume.pod.is_some_and(|pod| pod.lifecycle == lifecycle);
    let is = match reason {
        Reason::StuckAttaching => it.stuck(AttachmentState::Attaching),
        Reason::StuckDetaching => it.stuck(AttachmentState::Detaching),
        Reason::Busy => it.stuck(AttachmentState::Busy),
        Reason::AttachmentFailing => has && volume.believed.is_some(),
        Reason::StaleAttachment => volume.believed == Some(true) && !it.shown,
        Reason::DeviceMissing => !it.xen && it.attached && !it.known,
        // Without an attachment, only mounts tell Xen devices apart.
        Reason::DeviceWithoutVolume if it.xen && has => return Verdict::Unknown,
        Reason::DeviceWithoutVolume => it.known && !it.shown && it.ebs,
        Reason::SerialUnreadable => !it.xen && volume.visible_slot().is_some() && has,
        Reason::LinkMismatch => !it.xen && it.known && has,
        Reason::NotInKubernetes => {
            it.attached && it.known && !mounted && !it.in_view && volume.ix != 0
        }
        Reason::ZoneMismatch => it.in_view && has,
        Reason::NotMounted => it.lacks,
        Reason::PodGone => volume.mounted.is_some_and(|lifecycle| !claims(lifecycle)),
        Reason::ReadOnly => has && mounted && !volume.frozen,
        Reason::NotResponding => has && mounted,
        Reason::AlmostFull => return it.full(volume.used.0),
        Reason::InodesAlmostFull => return it.full(volume.used.1),
    };
    is.into()
}

/// A time span in which a problem existed; without an end it still exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first second.
    pub from: u64,
    /// The first second after it.
    pub to: Option<u64>,
}

/// The problems of each volume, and when.
#[derive(Debug, Default)]
pub struct Truths {
    spans: BTreeMap<(Ix, Reason), Vec<Span>>,
    /// Since when the sources have not been sufficient to tell.
    unknown: BTreeMap<(Ix, Reason), Span>,
}

impl Truths {
    /// Records the state from this second on.
    pub fn take(&mut self, state: &State, second: u64) {
        for volume in &state.volumes {
            for reason in Reason::ALL {
                let is = is_wrong(state, volume, reason);
                self.unknown(volume.ix, reason, is, second);
                let key = (volume.ix, reason);
                let open = self.last(key).is_some_and(|span| span.to.is_none());
                if is == Verdict::Yes && !open {
                    self.spans.entry(key).or_default().push(Span { from: second, to: None });
                } else if is != Verdict::Yes
                    && open
                    && let Some(span) = self.spans.get_mut(&key).and_then(|all| all.last_mut())
                {
                    span.to = Some(second);
                }
            }
        }
    }

    fn unknown(&mut self, ix: Ix, reason: Reason, is: Verdict, second: u64) {
        let key = (ix, reason);
        match (is, self.unknown.get_mut(&key)) {
            (Verdict::Unknown, Some(span)) => span.to = None,
            (Verdict::Unknown, None) => {
                self.unknown.insert(key, Span { from: second, to: None });
            }
            (Verdict::Yes | Verdict::No, Some(span)) if span.to.is_none() => span.to = Some(second),
            (Verdict::Yes | Verdict::No, _) => {}
        }
    }

    fn last(&self, key: (Ix, Reason)) -> Option<Span> {
        self.spans.get(&key)?.last().copied()
    }

    /// The problem existed at some time since this second, or the sources were not sufficient to
    /// tell.
    pub fn was_since(&self, key: (Ix, Reason), second: u64) -> bool {
        let reaches = |span: Span| span.to.is_none_or(|to| to > second);
        self.last(key).is_some_and(reaches) || self.unknown.get(&key).copied().is_some_and(reaches)
    }

    /// The problem began at this second or before.
    pub fn began_by(&self, key: (Ix, Reason), second: u64) -> bool {
        let first = self.spans.get(&key).and_then(|all| all.first());
        let unknown = self.unknown.get(&key);
        first.into_iter().chain(unknown).any(|span| span.from <= second)
    }

    /// Since when the problem has existed without a pause.
    pub fn lasts_since(&self, key: (Ix, Reason)) -> Option<u64> {
        self.last(key).filter(|span| span.to.is_none()).map(|span| span.from)
    }

    /// How often the problem began.
    pub fn times(&self, key: (Ix, Reason)) -> usize {
        let unknown = usize::from(self.unknown.contains_key(&key));
        self.spans.get(&key).map_or(0, Vec::len) + unknown
    }

    /// The problems that exist now.
    pub fn open(&self) -> impl Iterator<Item = ((Ix, Reason), u64)> {
        self.spans.keys().filter_map(|key| Some((*key, self.lasts_since(*key)?)))
    }
}
