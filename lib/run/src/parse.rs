//! Parsers of settings that are not types of the core.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::ids::{DnsZone, InvalidId};
use ipnet::Ipv4Net;
use thiserror::Error;

use crate::config_errors::escaped;

/// The longest accepted duration.
const LONGEST: Duration = Duration::from_hours(24);

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text} is not {kind}: expected {expected}")]
pub struct InvalidSetting {
    kind: &'static str,
    expected: &'static str,
    text: String,
}

pub(crate) fn invalid(kind: &'static str, expected: &'static str, text: &str) -> InvalidSetting {
    InvalidSetting { kind, expected, text: escaped(text) }
}

/// A whole number and a unit (`1500ms`, `30s`, `2m`, `1h`); without a unit, seconds. At most 24 h.
pub fn duration(text: &str) -> Result<Duration, InvalidSetting> {
    let wrong = || {
        invalid("a duration", "a whole number with ms, s, m or h, such as 30s; at most 24h", text)
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_source| wrong())?;
    let duration = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(60 * 60).map(Duration::from_secs),
        _ => None,
    };
    duration.filter(|duration| *duration <= LONGEST).ok_or_else(wrong)
}

/// Like [`duration`], but not zero.
pub fn positive_duration(text: &str) -> Result<Duration, InvalidSetting> {
    let nonzero = duration(text)?;
    if nonzero.is_zero() {
        return Err(invalid("a duration", "more than zero", text));
    }
    Ok(nonzero)
}

/// The timeout of an attach: more than zero. A longer one than [`timing::LONGEST_ATTACH`] counts as
/// that, because an interface that is being removed waits for every attach that may have chosen it.
pub fn attach_timeout(text: &str) -> Result<Duration, InvalidSetting> {
    Ok(positive_duration(text)?.min(timing::LONGEST_ATTACH))
}

/// A boolean in the spellings of Go's `strconv.ParseBool`, as in the original.
pub fn boolean(text: &str) -> Result<bool, InvalidSetting> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(invalid("a boolean", "true or false", text)),
    }
}

/// DNS zones, separated by commas.
pub fn zones(text: &str) -> Result<Vec<DnsZone>, InvalidId> {
    text.split(',').map(|zone| zone.trim().parse()).collect()
}

/// A loopback address and a port, reachable only from this machine.
pub fn loopback(text: &str) -> Result<SocketAddr, InvalidSetting> {
    let parsed = text.parse::<SocketAddr>().ok().filter(|at| at.ip().is_loopback());
    parsed.ok_or_else(|| {
        invalid("a listen address", "a loopback address and a port: 127.0.0.1:9810", text)
    })
}

/// An address of this machine and a port.
pub fn served(text: &str) -> Result<SocketAddr, InvalidSetting> {
    let parsed = text.parse::<SocketAddr>().ok().filter(|at| at.port() != 0);
    parsed.ok_or_else(|| {
        invalid("a listen address", "an address of the node and a port: 10.0.1.11:9811", text)
    })
}

/// The address and port of the agent's endpoint.
pub fn endpoint(text: &str) -> Result<SocketAddr, InvalidSetting> {
    let parsed = text.parse::<SocketAddr>().ok().filter(|at| at.is_ipv4() && at.port() != 0);
    parsed.ok_or_else(|| {
        invalid("an endpoint", "an IPv4 address and a port: 169.254.196.96:9814", text)
    })
}

/// Ranges of IPv4 addresses, separated by commas.
pub fn ranges(text: &str) -> Result<Vec<Ipv4Net>, InvalidSetting> {
    let all = text.split(',').map(|range| range.trim().parse::<Ipv4Net>());
    let all: Result<Vec<Ipv4Net>, _> = all.collect();
    let exact = |all: &Vec<Ipv4Net>| all.iter().all(|one| one.trunc() == *one);
    all.ok().filter(exact).ok_or_else(|| {
        invalid("ranges", "IPv4 ranges with their prefix lengths: 10.244.0.0/16,10.96.0.0/12", text)
    })
}

/// Where an agent may serve its endpoint: other machines must not reach it.
pub fn endpoint_listen(text: &str) -> Result<SocketAddrV4, InvalidSetting> {
    let parsed = text.parse::<SocketAddrV4>().ok();
    let free = |at: &SocketAddrV4| {
        let [a, b, c, _d] = at.ip().octets();
        let reserved = matches!(c, 20 | 168..=175);
        // The kernel connects to all other loopback addresses from this one.
        *at.ip() == Ipv4Addr::LOCALHOST || ((a, b) == (169, 254) && !reserved)
    };
    parsed.filter(free).ok_or_else(|| {
        let expected = "a link-local address that neither AWS (169.254.168.0/21) nor a DNS cache \
                        (169.254.20.0/24) uses, and a port: 169.254.196.96:9814";
        invalid("an endpoint", expected, text)
    })
}

/// An absolute path.
pub fn absolute_path(text: &str) -> Result<PathBuf, InvalidSetting> {
    let path = Path::new(text);
    // PATH_MAX, including the terminating zero.
    if !path.is_absolute() || text.len() >= 4096 || text.contains('\0') {
        return Err(invalid("a path", "an absolute path of at most 4095 bytes", text));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed_in_every_unit() {
        let read = |text| duration(text).unwrap();
        assert_eq!(read("1500ms"), Duration::from_millis(1500));
        assert_eq!(read("30s"), Duration::from_secs(30));
        assert_eq!(read("30"), Duration::from_secs(30));
        assert_eq!(read("2m"), Duration::from_mins(2));
        assert_eq!(read("24h"), LONGEST);
        assert_eq!(read("0"), Duration::ZERO);
    }

    #[test]
    fn invalid_durations_are_rejected() {
        let huge = "9".repeat(1000);
        for text in ["", "s", "-1s", "1.5s", "25h", "1d", " 1s", "1s ", "1\0", "１s", &huge] {
            let why = duration(text).unwrap_err().to_string();
            assert!(why.contains("is not a duration"), "{text}: {why}");
            assert!(why.len() < 200, "{why}");
        }
        assert!(positive_duration("0ms").is_err());
    }

    #[test]
    fn an_attach_takes_at_most_three_minutes() {
        assert_eq!(attach_timeout("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(attach_timeout("5m").unwrap(), timing::LONGEST_ATTACH);
        assert!(attach_timeout("0s").is_err());
    }

    #[test]
    fn only_loopback_addresses_are_accepted() {
        for good in ["127.0.0.1:9810", "127.8.8.8:0", "[::1]:80"] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:9810", "10.0.0.1:80", "127.0.0.1", "localhost:80", ":80", ""] {
            let why = loopback(bad).unwrap_err().to_string();
            assert!(why.contains("127.0.0.1:9810"), "{why}");
        }
    }

    #[test]
    fn ranges_are_exact_and_never_empty() {
        let read = ranges("10.244.0.0/16, 10.96.0.0/12").unwrap();
        assert_eq!(read.len(), 2);
        for bad in ["", "10.244.0.0", "10.244.0.1/16", "10.244.0.0/16,", "fd00::/8", "10.0.0.0/33"]
        {
            assert!(ranges(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_agent_serves_its_endpoint_only_where_other_machines_do_not_reach_it() {
        for good in ["169.254.196.96:9814", "127.0.0.1:0"] {
            assert!(endpoint_listen(good).is_ok(), "{good}");
        }
        let others = ["169.254.169.254:80", "169.254.170.23:80", "169.254.20.10:53"];
        let bad = [
            "0.0.0.0:9814",
            "127.0.0.2:9814",
            "10.0.0.1:9814",
            "[fe80::1]:9814",
            "169.254.196.96",
            "",
        ];
        for bad in bad.into_iter().chain(others) {
            assert!(endpoint_listen(bad).is_err(), "{bad}");
        }
        assert!(endpoint("169.254.196.96:9814").is_ok());
        assert!(endpoint("169.254.196.96:0").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "\\PC{0,60}|[0-9]{1,30}(ms|s|m|h)?") {
            let accepted = duration(&text).is_ok_and(|read| read <= LONGEST);
            prop_assert_eq!(accepted, duration(&text).is_ok());
            let _boolean = boolean(&text).is_ok();
            let absolute = absolute_path(&text).is_ok();
            prop_assert_eq!(absolute, text.starts_with('/'));
        }

        #[test]
        fn a_printed_duration_is_parsed_again(millis in 0_u64..86_400_000) {
            let read = duration(&format!("{millis}ms")).unwrap();
            prop_assert_eq!(read, Duration::from_millis(millis));
        }
    }
}
