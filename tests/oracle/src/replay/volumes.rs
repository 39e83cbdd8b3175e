//! The volume tracker, its pace and the budget of EC2 calls.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use firecamp_core::agent::{Budget, Ec2Query, Want};
use firecamp_core::time::Moment;
use firecamp_node::volumes::intervals::{Pace, wants_cloud};
use firecamp_node::volumes::observation::{BlockDevice, Mount, Observation, Usage};
use firecamp_node::volumes::{
    Change, Recheck, Table, Tracker, Volumes as Node, VolumesFailure, VolumesKind, observe,
};
use futures_util::FutureExt as _;

use super::{Answer, Unable, gives, known, read};

/// The stateful components, by process.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    trackers: HashMap<u64, Tracker>,
    paces: HashMap<u64, Pace>,
    budgets: HashMap<u64, Budget>,
}

/// The effect of a step.
fn shows(tracker: &Tracker, table: Option<&Table>, now: Moment) -> Answer {
    let lasting: Vec<_> = tracker.lasting(now).collect();
    gives(&(table, tracker.pods(), tracker.lacked(), tracker.is_pending(), lasting))
}

impl Volumes {
    pub(super) fn ask(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "tracker.new" => {
                let (kubelet,): (String,) = read(with)?;
                self.begin(of, Tracker::new(&kubelet))
            }
            "tracker.resume" => {
                let (kubelet, published): (String, Table) = read(with)?;
                self.begin(of, Tracker::resume(&kubelet, &published))
            }
            "tracker.step" => {
                let (now, seen): (Moment, Observation) = read(with)?;
                let tracker = known(self.trackers.get_mut(&of))?;
                let table = tracker.step(now, seen);
                shows(tracker, Some(&table), now)
            }
            "volumes.observe" => look(with),
            _ => self.how_often(call, of, with),
        }
    }

    /// A new tracker has no lasting problems, so the time does not matter.
    fn begin(&mut self, of: u64, tracker: Tracker) -> Answer {
        let answer = shows(&tracker, None, Moment::default());
        self.trackers.insert(of, tracker);
        answer
    }

    fn how_often(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "budget.new" => {
                let _before = self.budgets.insert(of, Budget::new(read(with)?));
                gives(&())
            }
            "budget.ended" => gives(&known(self.budgets.get_mut(&of))?.ended(read(with)?)),
            "budget.grant" => {
                type Wanted = (BTreeMap<Ec2Query, Want>, Moment, Duration);
                let (wanted, now, jitter): Wanted = read(with)?;
                let budget = known(self.budgets.get_mut(&of))?;
                let look = budget.grant(&wanted, now, jitter);
                let asked =
                    [Ec2Query::Interfaces, Ec2Query::Volumes].map(|kind| budget.last_started(kind));
                gives(&(look, asked))
            }
            "pace.moved" => gives(&self.paces.entry(of).or_default().moved()),
            "pace.answered" => gives(&self.paces.entry(of).or_default().answered(read(with)?)),
            "pace.asks_cluster" => {
                let (now, suspects, cloud) = read(with)?;
                gives(&self.paces.entry(of).or_default().asks_cluster(now, suspects, cloud))
            }
            "pace.wants_cloud" => {
                let (since, age, suspects) = read(with)?;
                let recheck = if suspects { Recheck::Now } else { Recheck::Regularly };
                gives(&wants_cloud(since, age, (recheck, Duration::ZERO)))
            }
            _ => Ok(None),
        }
    }
}

type Read<T> = Result<T, VolumesFailure>;

/// A node that returns what was recorded.
struct Reported {
    devices: Read<Vec<BlockDevice>>,
    mounts: Read<Vec<Mount>>,
    spaces: Vec<(Mount, Read<Usage>)>,
}

fn look(with: &str) -> Answer {
    type Lists = (Option<Read<Vec<BlockDevice>>>, Option<Read<Vec<Mount>>>);
    let (lists, spaces, kubelet): (Lists, Vec<(Mount, Read<Usage>)>, String) = read(with)?;
    let (devices, mounts) = (known(lists.0)?, known(lists.1)?);
    let reported = Reported { devices, mounts, spaces };
    let looked = observe(&reported, &kubelet).now_or_never();
    gives(&looked.ok_or_else(|| Unable("the recorded node returns at once".to_owned()))?)
}

impl Node for Reported {
    async fn devices(&self) -> Read<Vec<BlockDevice>> {
        self.devices.clone()
    }

    async fn mounts(&self) -> Read<Vec<Mount>> {
        self.mounts.clone()
    }

    async fn space(&self, mount: &Mount) -> Read<Usage> {
        let said = self.spaces.iter().find(|(asked, _)| asked == mount).map(|(_, said)| said);
        said.cloned().unwrap_or_else(|| {
            let detail = format!("{} was not read in the recording", mount.point);
            Err(VolumesFailure { kind: VolumesKind::Gone, detail })
        })
    }

    async fn changed(&self, _within: Duration) -> Read<Change> {
        Ok(Change::Nothing)
    }
}
