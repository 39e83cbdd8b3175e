//! What is really wrong with a volume, and since when: written down without the product's
//! decisions, from [`volumes.md`](../../../docs/volumes.md) alone.

use std::collections::BTreeMap;

use firecamp_node::volumes::Reason;
use firecamp_node::volumes::seen::AttachmentState;

use crate::volumes::scenario::Ix;
use crate::volumes::views::is_here;
use crate::volumes::world::{Ec2, PodLife, State, Volume};

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// It is not.
    Not,
    /// It is.
    So,
    /// Nobody could tell.
    Either,
}

impl From<bool> for Is {
    fn from(so: bool) -> Self {
        if so { Self::So } else { Self::Not }
    }
}

/// What of a volume decides whether something is wrong with it.
struct Facts<'a> {
    volume: &'a Volume,
    xen: bool,
    /// It is an EBS volume.
    ebs: bool,
    /// Its pod is here to stay and has no mount of it.
    lacks: bool,
    /// EC2 shows an attachment to this instance.
    shown: bool,
    attached: bool,
    /// There is a device that says that it is this volume's.
    known: bool,
    /// Kubernetes has something here that names it.
    in_view: bool,
}

impl<'a> Facts<'a> {
    fn new(state: &State, volume: &'a Volume) -> Self {
        let named = volume.ix != 0 && volume.ix != state.shape.stray();
        let lacks = |pod: PodLife| !pod.ending && volume.mounted != Some(pod.life);
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

    fn full(&self, percent: u8) -> Is {
        match self.volume {
            volume if !volume.is_mounted() => Is::Not,
            volume if volume.has(Reason::NotResponding) => Is::Either,
            _ => (percent >= 90).into(),
        }
    }
}

/// Whether this is wrong with a volume.
pub fn is_wrong(state: &State, volume: &Volume, reason: Reason) -> Is {
    let it = Facts::new(state, volume);
    let (has, mounted) = (volume.has(reason), volume.is_mounted());
    let claims = |life: u32| volume.pod.is_some_and(|pod| pod.life == life);
    let is = match reason {
        Reason::StuckAttaching => it.stuck(AttachmentState::Attaching),
        Reason::StuckDetaching => it.stuck(AttachmentState::Detaching),
        Reason::Busy => it.stuck(AttachmentState::Busy),
        Reason::AttachmentFailing => has && volume.believed.is_some(),
        Reason::StaleAttachment => volume.believed == Some(true) && !it.shown,
        Reason::DeviceMissing => !it.xen && it.attached && !it.known,
        // Without an attachment nothing tells Xen's devices apart but their mounts.
        Reason::DeviceWithoutVolume if it.xen && has => return Is::Either,
        Reason::DeviceWithoutVolume => it.known && !it.shown && it.ebs,
        Reason::SerialUnreadable => !it.xen && volume.visible_slot().is_some() && has,
        Reason::LinkMismatch => !it.xen && it.known && has,
        Reason::NotInKubernetes => {
            it.attached && it.known && !mounted && !it.in_view && volume.ix != 0
        }
        Reason::ZoneMismatch => it.in_view && has,
        Reason::NotMounted => it.lacks,
        Reason::PodGone => volume.mounted.is_some_and(|life| !claims(life)),
        Reason::ReadOnly => has && mounted && !volume.frozen,
        Reason::NotResponding => has && mounted,
        Reason::AlmostFull => return it.full(volume.used.0),
        Reason::InodesAlmostFull => return it.full(volume.used.1),
    };
    is.into()
}

/// A time in which something was so; without an end it still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first second.
    pub from: u64,
    /// The first second in which it was not so.
    pub to: Option<u64>,
}

/// What was wrong with each volume, and when.
#[derive(Debug, Default)]
pub struct Truths {
    spans: BTreeMap<(Ix, Reason), Vec<Span>>,
    /// Since when nobody could tell.
    either: BTreeMap<(Ix, Reason), Span>,
}

impl Truths {
    /// Takes in what is so from this second on.
    pub fn take(&mut self, state: &State, second: u64) {
        for volume in &state.volumes {
            for reason in Reason::ALL {
                let is = is_wrong(state, volume, reason);
                self.either(volume.ix, reason, is, second);
                let key = (volume.ix, reason);
                let open = self.last(key).is_some_and(|span| span.to.is_none());
                if is == Is::So && !open {
                    self.spans.entry(key).or_default().push(Span { from: second, to: None });
                } else if is != Is::So
                    && open
                    && let Some(span) = self.spans.get_mut(&key).and_then(|all| all.last_mut())
                {
                    span.to = Some(second);
                }
            }
        }
    }

    fn either(&mut self, ix: Ix, reason: Reason, is: Is, second: u64) {
        let key = (ix, reason);
        match (is, self.either.get_mut(&key)) {
            (Is::Either, Some(span)) => span.to = None,
            (Is::Either, None) => {
                self.either.insert(key, Span { from: second, to: None });
            }
            (Is::So | Is::Not, Some(span)) if span.to.is_none() => span.to = Some(second),
            (Is::So | Is::Not, _) => {}
        }
    }

    fn last(&self, key: (Ix, Reason)) -> Option<Span> {
        self.spans.get(&key)?.last().copied()
    }

    /// It was so at some time from this second on, or nobody could tell.
    pub fn was_since(&self, key: (Ix, Reason), second: u64) -> bool {
        let reaches = |span: Span| span.to.is_none_or(|to| to > second);
        self.last(key).is_some_and(reaches) || self.either.get(&key).copied().is_some_and(reaches)
    }

    /// It began to be so at this second or before.
    pub fn began_by(&self, key: (Ix, Reason), second: u64) -> bool {
        let first = self.spans.get(&key).and_then(|all| all.first());
        let either = self.either.get(&key);
        first.into_iter().chain(either).any(|span| span.from <= second)
    }

    /// It has been so without a pause since this second, and still is.
    pub fn lasts_since(&self, key: (Ix, Reason)) -> Option<u64> {
        self.last(key).filter(|span| span.to.is_none()).map(|span| span.from)
    }

    /// How often it began to be so.
    pub fn times(&self, key: (Ix, Reason)) -> usize {
        let either = usize::from(self.either.contains_key(&key));
        self.spans.get(&key).map_or(0, Vec::len) + either
    }

    /// What is so now.
    pub fn open(&self) -> impl Iterator<Item = ((Ix, Reason), u64)> {
        self.spans.keys().filter_map(|key| Some((*key, self.lasts_since(*key)?)))
    }
}
