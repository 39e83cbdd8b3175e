//! Wall-clock times in the formats of AWS.

use std::time::Duration;

/// A UTC calendar time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: u64,
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Howard Hinnant's `civil_from_days`, for times since 1970.
fn civil(unix: Duration) -> Civil {
    let seconds = unix.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    Civil {
        year,
        month,
        day,
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: days % 7,
    }
}

/// `2026-01-02T03:04:05.000Z`, as in EC2 responses.
pub(crate) fn iso_millis(unix: Duration) -> String {
    let whole = iso_seconds(unix);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), unix.subsec_millis())
}

/// `2026-01-02T03:04:05Z`, as in the metadata service.
pub(crate) fn iso_seconds(unix: Duration) -> String {
    let Civil { year, month, day, hour, minute, second, weekday: _ } = civil(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Fri, 02 Jan 2026 03:04:05 GMT`, as in the header `Date`.
pub(crate) fn http_date(unix: Duration) -> String {
    let Civil { year, month, day, hour, minute, second, weekday } = civil(unix);
    let name = |names: &[&'static str], index: u64| {
        usize::try_from(index).ok().and_then(|i| names.get(i).copied()).unwrap_or("???")
    };
    let (weekday, month) = (name(&DAYS, weekday), name(&MONTHS, month.saturating_sub(1)));
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Parses `20260102T030405Z`, the format of `X-Amz-Date`.
pub(crate) fn parse_amz_date(text: &str) -> Option<Duration> {
    let shape = text.len() == 16 && text.is_ascii();
    if !shape || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let sane = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !sane || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = (month + 9) % 12;
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    Some(Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_the_same_in_every_form() {
        let moment = Duration::from_millis(1_767_323_045_678);
        assert_eq!(iso_millis(moment), "2026-01-02T03:04:05.678Z");
        assert_eq!(iso_seconds(moment), "2026-01-02T03:04:05Z");
        assert_eq!(http_date(moment), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(parse_amz_date("20260102T030405Z"), Some(Duration::from_secs(1_767_323_045)));
    }

    #[test]
    fn leap_days_and_year_ends_round_trip() {
        for text in ["20240229T235959Z", "20231231T235959Z", "19700101T000000Z", "20000301T000000Z"]
        {
            let moment = parse_amz_date(text).expect("a date");
            let back: String = iso_seconds(moment).chars().filter(|c| !"-:".contains(*c)).collect();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn malformed_dates_are_refused() {
        for text in ["", "20260102", "20261302T030405Z", "2026010xT030405Z", "20260102T250405Z"] {
            assert_eq!(parse_amz_date(text), None, "{text}");
        }
    }
}
