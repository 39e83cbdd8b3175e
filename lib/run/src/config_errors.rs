//! All errors of a configuration, each with the names of flag and variable.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};

/// One setting with its raw value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    flag: &'static str,
    variable: &'static str,
    value: Option<&'a OsStr>,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(
        flag: &'static str,
        variable: &'static str,
        value: Option<&'a OsString>,
    ) -> Self {
        Self { flag, variable, value: value.map(OsString::as_os_str) }
    }

    pub(crate) fn given(self) -> bool {
        self.value.is_some()
    }
}

impl Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{} (or {})", self.flag, self.variable)
    }
}

/// Escapes control characters and truncates, so that untrusted text cannot forge a log line.
pub(crate) fn escaped(text: &str) -> String {
    const MAX: usize = 80;
    let short: String = text.chars().take(MAX).collect();
    let more = if text.chars().nth(MAX).is_some() { "…" } else { "" };
    format!("{short:?}{more}")
}

/// The errors found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    /// The parsed value; `None` and an error if it is missing or invalid.
    pub(crate) fn required<T, E: Display>(
        &mut self,
        setting: Setting<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !setting.given() {
            self.add(format!("{setting} is missing"));
        }
        self.optional(setting, parse)
    }

    /// The parsed value, if given; an error if it is invalid.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        setting: Setting<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = setting.value?;
        let Some(text) = value.to_str() else {
            self.add(format!("{setting} is not UTF-8: {}", escaped(&value.to_string_lossy())));
            return None;
        };
        if text.is_empty() {
            self.add(format!("{setting} is empty"));
            return None;
        }
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.add(format!("{setting}: {why}"));
                None
            }
        }
    }

    /// The errors; all of them must be reported.
    pub(crate) fn list(&self) -> &[String] {
        &self.0
    }

    /// The configuration, if there are no errors.
    pub(crate) fn unless<C>(self, config: Option<C>) -> Result<C, Self> {
        match config {
            Some(config) if self.0.is_empty() => Ok(config),
            Some(_) | None => Err(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f106_hostile_text_is_escaped_and_truncated() {
        let shown = escaped(&format!("a\n\u{1b}[31m{}", "x".repeat(500)));
        assert!(shown.starts_with("\"a\\n\\u{1b}[31mxxx"), "{shown}");
        assert!(shown.ends_with("xx\"…"), "{shown}");
        assert!(shown.len() < 110, "{shown}");
    }
}
