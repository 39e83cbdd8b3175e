//! Keeping the source addresses of members, as far as the kernel can.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::EPROTONOSUPPORT;

use crate::error::{HostError, NetlinkError};
use crate::kernel::failed;
use crate::kernel::members_table::{self, Kept};
use crate::linux::{LinuxHost, NETFILTER};
use crate::netlink::Netlink;

/// What is known of the kernel's NAT. Without NAT nothing can be kept, and only the older iptables
/// could rewrite anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nat {
    absent: Arc<AtomicBool>,
}

impl LinuxHost {
    /// Keeps the source of what leaves through the ENI. Where the kernel has no NAT, nothing can
    /// rewrite it, but for rules of the older iptables.
    pub(super) async fn keep_source(&self, kept: Kept) -> Result<bool, HostError> {
        let Some(mut filter) = self.filter()? else { return Ok(false) };
        let done = members_table::keep(&mut filter, kept).await;
        if done.as_ref().is_err_and(members_table::is_without_nat) {
            self.nat.absent.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        done
    }

    pub(super) async fn forget_source(&self, address: Ipv4Addr) -> Result<bool, HostError> {
        match self.filter()? {
            Some(mut filter) => members_table::forget(&mut filter, address).await,
            None => Ok(false),
        }
    }

    /// Whose sources are kept; none if the kernel can keep none.
    pub(super) async fn kept_sources(&self) -> Result<Option<BTreeSet<Kept>>, HostError> {
        match self.filter()? {
            Some(mut filter) => members_table::list(&mut filter).await,
            None => Ok(None),
        }
    }

    /// A socket of nf_tables; none if the kernel has no netfilter, or no NAT.
    pub(crate) fn filter(&self) -> Result<Option<Netlink>, HostError> {
        if self.nat.absent.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match Netlink::open(NETFILTER, self.limit) {
            Ok(filter) => Ok(Some(filter)),
            Err(NetlinkError::Socket(why)) if why.raw_os_error() == Some(EPROTONOSUPPORT) => {
                Ok(None)
            }
            Err(why) => Err(failed("open", "a netlink socket")(why)),
        }
    }
}
