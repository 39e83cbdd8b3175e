//! systemd's configuration files: sections of settings, and drop-ins that override them.

/// One assignment: section, key and value.
type Line<'a> = (&'a str, &'a str, &'a str);

/// All assignments of a file, in their order.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (key, value) = line.split_once('=')?;
        Some((section, key.trim(), value.trim()))
    })
}

/// The last value of a setting in a section.
pub(super) fn setting<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let wanted = |line: &Line<'a>| line.0 == section && line.1 == key;
    lines(text).filter(wanted).last().map(|line| line.2)
}

/// A boolean as systemd writes it.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_in_its_own_section_counts() {
        let text = "# Key=no\n[A]\nKey=yes\n Key = off \n[B]\nKey=1\n;Key=0\nKeyTwo=no\n";
        assert_eq!(setting(text, "A", "Key"), Some("off"));
        assert_eq!(setting(text, "B", "Key"), Some("1"));
        assert_eq!(setting(text, "C", "Key"), None);
    }

    #[test]
    fn booleans_are_read_as_systemd_writes_them() {
        assert_eq!(["yes", "ON", "1"].map(boolean), [Some(true); 3]);
        assert_eq!(["no", "False", "0"].map(boolean), [Some(false); 3]);
        assert_eq!(boolean("static"), None);
    }
}
