//! Ages in the format of `kubectl get`.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The age of an object with this creation time; `None` if the time is missing or invalid.
pub fn of(created: Option<&str>, now: Timestamp) -> Option<String> {
    let created: Timestamp = created?.parse().ok()?;
    Some(format(now.as_second().saturating_sub(created.as_second())))
}

/// A duration in seconds, with a precision of about 1 %.
pub fn format(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let two = |large: i64, big: char, small: i64, little: char| {
        let rest = (seconds % large) / small;
        let first = format!("{}{big}", seconds / large);
        if rest == 0 { first } else { format!("{first}{rest}{little}") }
    };
    match seconds {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(MINUTE, 'm', 1, 's'),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(HOUR, 'h', MINUTE, 'm'),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(DAY, 'd', HOUR, 'h'),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(YEAR, 'y', DAY, 'd'),
        s => format!("{}y", s / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_format_of_kubectl() {
        let cases = [
            (-5, "0s"),
            (119, "119s"),
            (125, "2m5s"),
            (180, "3m"),
            (7_200, "120m"),
            (3 * HOUR + 240, "3h4m"),
            (9 * HOUR, "9h"),
            (2 * DAY + 3 * HOUR, "2d3h"),
            (30 * DAY, "30d"),
            (3 * YEAR + 10 * DAY, "3y10d"),
            (9 * YEAR, "9y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(format(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn an_invalid_or_missing_time_has_no_age() {
        let now = "2026-11-20T15:00:00Z".parse().unwrap();
        assert_eq!(of(Some("2026-11-20T14:59:00Z"), now).as_deref(), Some("60s"));
        assert_eq!(of(Some("yesterday"), now), None);
        assert_eq!(of(None, now), None);
    }
}
