//! The nf_tables rules that rewrite source addresses. Read-only.
//!
//! The current iptables creates its rules in nf_tables; the legacy one does not.

use std::collections::BTreeSet;

use firecamp_node::preflight::facts::Chain;
use nix::libc::{EINVAL, EOPNOTSUPP, EPROTONOSUPPORT};

use super::members_table;
use super::{Attributes, Raw, cut, elements, failed, fixed_part};
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

/// Subsystem `NFNL_SUBSYS_NFTABLES`, message `NFT_MSG_GETRULE`.
const GET_RULES: u16 = (10 << 8) | 7;
/// `struct nfgenmsg`.
const HEADER: usize = 4;
/// The families of tables that process IPv4: `NFPROTO_INET` and `NFPROTO_IPV4`.
const FAMILIES: [u8; 2] = [1, 2];
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const NAT_TYPE: u16 = 1;
/// `NFT_NAT_SNAT`.
const SOURCE: [u8; 4] = [0; 4];
const TARGET_NAME: u16 = 1;
/// Targets of iptables, as nf_tables represents them.
const TARGETS: [&str; 2] = ["SNAT", "MASQUERADE"];

/// All chains of other programs with such a rule; none if the kernel has no nf_tables.
pub(crate) async fn source_nat(netlink: &mut Netlink) -> Result<BTreeSet<Chain>, HostError> {
    let of_all_families = Raw(vec![0; HEADER]);
    let messages = match netlink.dump(GET_RULES, &of_all_families).await {
        Err(error) if error.errno().is_some_and(is_absent) => return Ok(BTreeSet::new()),
        messages => messages,
    };
    let found: Result<Vec<Option<Chain>>, NetlinkError> =
        messages.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
    Ok(found.map_err(failed("list", "the rules of nf_tables"))?.into_iter().flatten().collect())
}

/// Whether the kernel answers so because it has no nf_tables.
pub(super) fn is_absent(errno: i32) -> bool {
    [EINVAL, EOPNOTSUPP, EPROTONOSUPPORT].contains(&errno)
}

fn decode(payload: &[u8]) -> Result<Option<Chain>, NetlinkError> {
    let [family, ..] = fixed_part::<HEADER>(payload)?;
    if !FAMILIES.contains(&family) {
        return Ok(None);
    }
    let rule = Attributes::after(payload, HEADER)?;
    let expressions = elements(rule.bytes(RULE_EXPRESSIONS).unwrap_or_default())?;
    for expression in expressions {
        if rewrites(&expression)? {
            let text = |kind| rule.text(kind).ok_or_else(cut);
            let chain = Chain { table: text(RULE_TABLE)?, name: text(RULE_CHAIN)? };
            return Ok(Some(chain).filter(|chain| chain.table != members_table::TABLE));
        }
    }
    Ok(None)
}

fn rewrites(expression: &Attributes<'_>) -> Result<bool, NetlinkError> {
    let data = Attributes::of(expression.bytes(EXPRESSION_DATA).unwrap_or_default())?;
    Ok(match expression.text(EXPRESSION_NAME).as_deref() {
        Some("masq") => true,
        Some("nat") => data.fixed::<4>(NAT_TYPE)? == Some(SOURCE),
        Some("target") => data.text(TARGET_NAME).is_some_and(|name| TARGETS.contains(&&*name)),
        Some(_) | None => false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic_or_hang(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            drop(decode(&bytes));
        }
    }
}
