//! Session tokens: their number is unlimited, so each carries its own state with a MAC.

use std::time::Duration;

use crate::rng::{SeededRng, key_of};
use crate::simulator::micros;

/// The longest TTL of a token.
pub(crate) const MAX_TTL: u32 = 21_600;

fn seal(rng: SeededRng, node: &str, issued_us: u64, expires_us: u64) -> u64 {
    rng.bits("imds-token", key_of(node), issued_us ^ expires_us.rotate_left(32))
}

/// Issues a token for a node.
pub(crate) fn issue(rng: SeededRng, node: &str, now: Duration, ttl: u32) -> String {
    let issued = micros(now);
    let expires = issued.saturating_add(u64::from(ttl) * 1_000_000);
    let seal = seal(rng, node, issued, expires);
    format!("AQAEA{issued:016x}{expires:016x}{seal:016x}==")
}

/// When a valid token was issued, and its remaining seconds.
pub(crate) fn read(rng: SeededRng, node: &str, token: &str, now: Duration) -> Option<(u64, u64)> {
    let digits = token.strip_prefix("AQAEA")?.strip_suffix("==")?;
    let number = |from: usize| u64::from_str_radix(digits.get(from..from + 16)?, 16).ok();
    let (issued, expires, sealed) = (number(0)?, number(16)?, number(32)?);
    let left = expires.checked_sub(micros(now)).filter(|left| *left > 0)?;
    let whole = digits.len() == 48 && sealed == seal(rng, node, issued, expires);
    whole.then_some((issued, left.div_ceil(1_000_000)))
}

/// Parses the TTL header.
pub(crate) fn ttl(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|ttl| (1..=MAX_TTL).contains(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_its_node_and_lifetime_only() {
        let rng = SeededRng::new(1);
        let at = Duration::from_secs;
        let token = issue(rng, "node-1", at(10), 60);
        assert_eq!(read(rng, "node-1", &token, at(10)), Some((10_000_000, 60)));
        assert_eq!(read(rng, "node-1", &token, at(69)), Some((10_000_000, 1)));
        assert_eq!(read(rng, "node-1", &token, at(70)), None);
        assert_eq!(read(rng, "node-2", &token, at(10)), None);
        // A longer TTL than issued.
        let longer = token.replacen("AQAEA00", "AQAEA10", 1);
        assert_eq!(read(rng, "node-1", &longer, at(10)), None);
        for garbage in ["", "AQAEA==", "é", "AQAEA0000000000000000é"] {
            assert_eq!(read(rng, "node-1", garbage, at(10)), None);
        }
    }

    #[test]
    fn a_ttl_is_from_1_to_21600() {
        assert_eq!((ttl("1"), ttl("21600")), (Some(1), Some(21_600)));
        for bad in ["", "0", "21601", "-1", "+1", " 1", "1.0", "99999999999"] {
            assert_eq!(ttl(bad), None, "{bad}");
        }
    }
}
