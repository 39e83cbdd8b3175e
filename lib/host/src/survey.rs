//! Everything on this node that is ours, or that somebody put in the place of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::agent::KernelMark;
use firecamp_core::lock::LockRecord;

use crate::error::HostError;
use crate::kernel::{address, rule};
use crate::lock::Locks;
use crate::netlink::Netlink;

/// One complete look: where any part could not be read, there is no survey.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Every address that the kernel has as a /32 or has a rule of ours for, and whose it is.
    pub kernel: BTreeMap<Ipv4Addr, KernelMark>,
    /// Who acted last on each address that anybody of ours has acted on since the node started.
    /// A record that is torn is left out.
    pub locks: BTreeMap<Ipv4Addr, LockRecord>,
    /// The addresses of which a record is there and cannot be read.
    pub torn: BTreeSet<Ipv4Addr>,
    /// Every address that the kernel has with a wider block, as cloud-init, DHCP or a person
    /// configures it. None of them is ours; whoever put it there may use it.
    pub wider: BTreeSet<Ipv4Addr>,
}

impl Survey {
    /// What the kernel has of an address, with whatever block.
    pub fn mark(&self, address: Ipv4Addr) -> Option<KernelMark> {
        let wider = self.wider.contains(&address).then_some(KernelMark::Foreign);
        self.kernel.get(&address).copied().or(wider)
    }
}

pub(crate) async fn take(
    netlink: &mut Netlink,
    locks: &Locks,
    is_ours: impl Fn(&address::Assigned, &crate::lock::record::Recorded) -> bool,
) -> Result<Survey, HostError> {
    let mut survey = Survey::default();
    let recorded = locks.all()?;
    let nothing = crate::lock::record::Recorded::Nothing;
    let assigned = address::list(netlink).await?;
    for one in assigned.iter().filter(|one| one.prefix == 32) {
        let ours = is_ours(one, recorded.get(&one.local).unwrap_or(&nothing));
        let mark = if ours { KernelMark::Ours } else { KernelMark::Foreign };
        survey.kernel.entry(one.local).and_modify(|had| *had = mark.min(*had)).or_insert(mark);
    }
    let wider = assigned.iter().filter(|one| one.prefix != 32);
    survey.wider = wider.map(|one| one.local).collect();
    for source in rule::ours(netlink).await?.iter().filter_map(|rule| rule.source) {
        survey.kernel.insert(source, KernelMark::Ours);
    }
    let records = recorded.iter();
    let torn = recorded.iter().filter(|(_, one)| one.is_unreadable());
    survey.torn = torn.map(|(at, _)| *at).collect();
    survey.locks = records.filter_map(|(at, one)| one.last().map(|last| (*at, last))).collect();
    Ok(survey)
}

/// The addresses that have a lock file in this directory; none if there is no directory yet.
pub(crate) fn addresses(dir: &Path) -> std::io::Result<Vec<Ipv4Addr>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        // A file that is not named by an address is none of ours.
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<Ipv4Addr>().ok()));
    }
    Ok(found)
}
