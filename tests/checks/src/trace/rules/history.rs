//! What a run has read and done so far, according to its trace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::AttachInput;
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, HostKind};
use firecamp_core::ids::{EniId, Epoch, Mac, Member, PodUid, RunId, Version};
use firecamp_core::ports::{Owner, PodLifecycle, PodView};
use firecamp_core::record::{State, StaticIp, Stored, Write};
use firecamp_core::time::Moment;
use firecamp_engine::Input;

/// The epoch that this run took.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) epoch: Epoch,
    /// When the answer to the write came.
    pub(super) answered: Moment,
    /// The record that was read before.
    pub(super) before: StaticIp,
    /// The ENI that it took it for.
    pub(super) eni: Option<EniId>,
}

/// An owner that EC2 showed.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    pub(super) address: Ipv4Addr,
    pub(super) owner: Owner,
    pub(super) asked: Moment,
}

#[derive(Debug)]
pub(super) struct History {
    pub(super) input: Input,
    asking: Option<(Action, Moment)>,
    begun: Option<(Ipv4Addr, Moment)>,
    pub(super) claim: Option<Version>,
    /// The member's record as it was last known.
    pub(super) record: Option<Stored<StaticIp>>,
    pub(super) taken: Option<Taken>,
    /// The pod, as it was read since the record was.
    pub(super) pod: Option<PodView>,
    /// The pod was seen ending.
    pub(super) ending: bool,
    /// A read or write of the own record that no mutation has used up.
    pub(super) authority: Option<Moment>,
    pub(super) looked: Option<Looked>,
    /// A look-up from before the run, and until when it counts.
    early: Option<(Looked, Moment)>,
    macs: BTreeMap<EniId, Mac>,
    /// What IMDS lists, as it was last read.
    listed: BTreeMap<Mac, BTreeSet<Ipv4Addr>>,
    /// IMDS listed the address before the Assign that was sent last; none was sent yet.
    listed_before: Option<bool>,
    /// The data path leads to the ENI of the take.
    pub(super) leads_here: bool,
    /// A call of this run may land until then.
    pub(super) unanswered: Option<Moment>,
    /// The last epoch that this node's lock names.
    pub(super) floor: Epoch,
    pub(super) observed: bool,
    pub(super) staged: bool,
    pub(super) synced: bool,
    /// The epoch that a release fixed at its start.
    pub(super) fixed: Option<Epoch>,
    /// Somebody else's take has been seen.
    pub(super) superseded: bool,
}

impl History {
    pub(super) fn new(input: &Input) -> Self {
        Self {
            input: input.clone(),
            asking: None,
            begun: None,
            claim: None,
            record: None,
            taken: None,
            pod: None,
            ending: false,
            authority: None,
            looked: None,
            early: None,
            macs: BTreeMap::new(),
            listed: BTreeMap::new(),
            listed_before: None,
            leads_here: false,
            unanswered: None,
            floor: Epoch::default(),
            observed: false,
            staged: false,
            synced: false,
            fixed: None,
            superseded: false,
        }
    }

    pub(super) fn run(&self) -> &RunId {
        match &self.input {
            Input::Attach(input) => &input.run,
            Input::Release(input) => &input.run,
        }
    }

    pub(super) fn pod_uid(&self) -> &PodUid {
        match &self.input {
            Input::Attach(input) => &input.pod,
            Input::Release(input) => &input.pod,
        }
    }

    fn member(&self) -> &Member {
        match &self.input {
            Input::Attach(input) => &input.member,
            Input::Release(input) => &input.member,
        }
    }

    /// The action that is being performed, and since when.
    pub(super) fn asking(&self) -> Option<(&Action, Moment)> {
        self.asking.as_ref().map(|(action, asked)| (action, *asked))
    }

    /// The member's record as it was last known.
    pub(super) fn own_record(&self) -> Option<&StaticIp> {
        self.record.as_ref().map(|stored| &stored.object)
    }

    /// Whether a record's attachment was written by this run.
    pub(super) fn is_of_this_run(&self, record: &StaticIp) -> bool {
        record.attachment.as_ref().is_some_and(|a| a.run == *self.run())
    }

    pub(super) fn asked(&mut self, action: &Action, now: Moment) {
        if let Action::BeginOwner(address, _) = action {
            self.begun = Some((*address, now));
        } else if let Action::Assign { eni, address, .. } = action {
            self.listed_before = Some(self.lists(eni, *address));
            self.leads_here = false;
            self.authority = None;
        } else if let Action::Unassign { .. } = action {
            self.authority = None;
        } else if let Action::AddAddress(..) | Action::AddRouting(..) = action {
            self.observed = false;
        } else if let Action::StageFile(_) = action {
            self.synced = false;
        }
        self.asking = Some((action.clone(), now));
    }

    pub(super) fn replied(&mut self, reply: &Reply, now: Moment) {
        let Some((action, asked)) = self.asking.take() else { return };
        match (&action, reply) {
            (_, Reply::Member(Ok(records))) => {
                self.claim = records.claim.as_ref().map(|claim| claim.version.clone());
                let own = records.static_ip.clone().filter(|s| s.object.member == *self.member());
                self.fix(own.as_ref());
                self.early = self.early_look_up(own.as_ref());
                self.read(own, asked, now);
            }
            (_, Reply::Record(Ok(stored))) => {
                self.read(stored.as_ref().map(|s| (**s).clone()), asked, now);
            }
            (_, Reply::Pod(Ok(pod))) => {
                self.ending |= self.ends(pod);
                self.pod = Some(pod.clone());
            }
            (Action::Write(write), Reply::Written(Ok(version))) => {
                self.wrote(write, version, asked, now);
            }
            (_, Reply::Identity(Ok(node))) => {
                self.macs = node.enis.iter().map(|e| (e.id.clone(), e.mac)).collect();
                self.listed = node.enis.iter().map(|e| (e.mac, e.listed.clone())).collect();
            }
            (Action::ReadListed(mac), Reply::Listed(Ok(listed))) => self.list(*mac, listed),
            (_, Reply::Owner(Ok(owner))) => self.look(&action, owner, asked),
            (_, Reply::Cloud(Err(failure))) if failure.effect == Effect::Unknown => {
                self.unanswered = self.unanswered.max(not_after(&action));
            }
            (_, Reply::Observed(Ok(view))) => {
                self.observed = view.link_up && view.address && view.routing;
                let recorded = view.recorded.as_ref().map(|lock| lock.holder.epoch);
                self.floor = self.floor.max(recorded.unwrap_or_default());
            }
            (Action::StageFile(_), Reply::File(Ok(changed))) => self.staged = *changed,
            (Action::SyncFile, Reply::File(Ok(_))) => self.synced = true,
            (_, Reply::Host(Err(failure))) => {
                self.superseded |= failure.kind == HostKind::Superseded;
            }
            (_, _) => {}
        }
    }

    /// A release holds the epoch that its pod held when it began.
    fn fix(&mut self, own: Option<&Stored<StaticIp>>) {
        if let (Input::Release(_), None) = (&self.input, self.fixed) {
            self.fixed = own.map(|stored| stored.object.epoch);
        }
    }

    fn ends(&self, pod: &PodView) -> bool {
        match pod {
            PodView::Vouched | PodView::Absent => true,
            PodView::Present { pod, lifecycle, .. } => {
                pod != self.pod_uid() || *lifecycle != PodLifecycle::Running
            }
        }
    }

    fn read(&mut self, stored: Option<Stored<StaticIp>>, asked: Moment, now: Moment) {
        self.pod = None;
        let Some(stored) = stored else {
            self.superseded |= self.taken.is_some();
            self.record = None;
            return;
        };
        self.get_node(stored, now);
        let ours = self.own_record().is_some_and(|record| self.is_of_this_run(record));
        self.superseded |= self.taken.is_some() && !ours;
        self.authority = ours.then_some(asked);
    }

    fn wrote(&mut self, write: &Write, version: &Version, asked: Moment, now: Moment) {
        let version = version.clone();
        match write {
            Write::CreateClaim(_) | Write::UpdateClaim(_) => self.claim = Some(version),
            Write::CreateStaticIp(object) | Write::UpdateStaticIp(Stored { object, .. }) => {
                self.get_node(Stored { version, object: object.clone() }, now);
                let ours = self.own_record().is_some_and(|record| self.is_of_this_run(record));
                self.authority = ours.then_some(asked);
            }
        }
    }

    /// A record as it is now; if this run has an epoch by it that it had not before, it took it.
    fn get_node(&mut self, stored: Stored<StaticIp>, now: Moment) {
        let epoch = stored.object.epoch;
        let new = self.taken.as_ref().is_none_or(|taken| taken.epoch != epoch);
        if self.is_of_this_run(&stored.object)
            && new
            && let Some(before) = self.own_record().cloned()
        {
            let eni = stored.object.attachment.as_ref().and_then(|a| a.eni.clone());
            let lists = eni.as_ref().is_some_and(|eni| self.lists(eni, before.address));
            let rests = eni.as_ref().is_some_and(|eni| rests_on(&before, eni));
            self.leads_here = rests && lists;
            self.listed_before = None;
            let early = self.early.take().filter(|(_, until)| now < *until);
            self.looked = early.map(|(looked, _)| looked).or_else(|| self.looked.take());
            self.taken = Some(Taken { epoch, answered: now, before, eni });
        }
        self.record = Some(stored);
    }

    /// Whether IMDS lists the address on an ENI.
    fn lists(&self, eni: &EniId, address: Ipv4Addr) -> bool {
        let listed = self.macs.get(eni).and_then(|mac| self.listed.get(mac));
        listed.is_some_and(|listed| listed.contains(&address))
    }

    /// After an Assign, an address that appears was put there by it.
    fn list(&mut self, mac: Mac, listed: &BTreeSet<Ipv4Addr>) {
        self.listed.insert(mac, listed.clone());
        let taken = self.taken.as_ref().and_then(|taken| taken.eni.clone());
        if let (Some(eni), Some(record)) = (taken, self.own_record()) {
            self.leads_here |=
                self.listed_before == Some(false) && self.lists(&eni, record.address);
        }
    }

    /// A look-up from before the run, if the record has its version: it counts once the epoch was
    /// taken, if that was in time.
    fn early_look_up(&self, own: Option<&Stored<StaticIp>>) -> Option<(Looked, Moment)> {
        let Input::Attach(AttachInput { looked_up: Some(early), .. }) = &self.input else {
            return None;
        };
        let own = own.filter(|own| own.version == early.version)?;
        let (address, owner) = (own.object.address, early.owner.clone());
        let asked = Moment(early.until.0.saturating_sub(timing::EARLY_LOOK_UP));
        Some((Looked { address, owner, asked }, early.until))
    }

    /// What Describe shows proves something after an Assign, or where the record was at rest.
    fn look(&mut self, action: &Action, owner: &Owner, asked: Moment) {
        let (address, asked) = match (action, self.begun) {
            (Action::ReadOwner(address, _), _) => (*address, asked),
            (_, Some(begun)) => begun,
            (_, None) => return,
        };
        self.looked = Some(Looked { address, owner: owner.clone(), asked });
        let Some(Taken { before, eni: Some(eni), .. }) = &self.taken else { return };
        let here = matches!(owner, Owner::Eni(shown) if shown.id == *eni && !shown.primary);
        let meant = self.listed_before.is_some() || rests_on(before, eni);
        self.leads_here |= here && meant && address == before.address;
    }
}

fn not_after(action: &Action) -> Option<Moment> {
    let (Action::Assign { not_after, .. } | Action::Unassign { not_after, .. }) = action else {
        return None;
    };
    Some(*not_after)
}

/// EC2 has the address on that ENI and nothing can be in flight.
fn rests_on(record: &StaticIp, eni: &EniId) -> bool {
    let attached = record.attachment.as_ref().is_some_and(|a| match a.state {
        State::Attaching | State::Attached | State::Parked => a.eni.as_ref() == Some(eni),
        State::Releasing | State::Released => false,
    });
    attached && record.reserved_on.as_ref() == Some(eni) && record.pending_mutations.is_empty()
}
