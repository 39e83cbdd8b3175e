//! The part of libtest's command line that people and tools use.

/// The parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    /// Run this one case in this process.
    pub(crate) child: Option<String>,
    pub(crate) filters: Vec<String>,
    pub(crate) skip: Vec<String>,
    pub(crate) exact: bool,
    pub(crate) list: bool,
    pub(crate) ignored: bool,
    pub(crate) capture: bool,
    pub(crate) threads: Option<usize>,
}

/// The hidden option with which the harness starts a case.
pub(crate) const CHILD: &str = "--netns-case";
/// Options of libtest that have no effect here, without and with a value.
const PLAIN: [&str; 6] =
    ["--quiet", "-q", "--show-output", "--include-ignored", "--test", "--force-run-in-process"];
const VALUED: [&str; 3] = ["--color", "--format", "-Z"];

impl Args {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self { capture: true, ..Self::default() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (option, joined) = match word.split_once('=') {
                Some((option, value)) if option.starts_with('-') => (option, Some(value)),
                _plain => (word.as_str(), None),
            };
            let mut value = || {
                let next = || words.next().ok_or(format!("{option} needs a value"));
                joined.map_or_else(next, |value| Ok(value.to_owned()))
            };
            match option {
                CHILD => args.child = Some(value()?),
                "--skip" => args.skip.push(value()?),
                "--test-threads" => {
                    args.threads = Some(value()?.parse().map_err(|_e| "not a number".to_owned())?);
                }
                "--exact" => args.exact = true,
                "--list" => args.list = true,
                "--ignored" => args.ignored = true,
                "--nocapture" | "--no-capture" => args.capture = false,
                option if PLAIN.contains(&option) => {}
                option if VALUED.contains(&option) => drop(value()?),
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}"));
                }
                filter => args.filters.push(filter.to_owned()),
            }
        }
        Ok(args)
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        let fits =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter) };
        // No case is marked as ignored, so `--ignored` selects none.
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skip.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Args {
        Args::parse(line.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn a_filter_selects_and_skip_excludes() {
        let args = parsed("f02 --skip f024 --color always --test-threads=3");
        assert!(args.wants("f023_x") && !args.wants("f024_x") && !args.wants("f004_x"));
        assert_eq!(args.threads, Some(3));
    }

    #[test]
    fn exact_means_the_whole_name() {
        let args = parsed("f02 --exact");
        assert!(args.wants("f02") && !args.wants("f023"));
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(Args::parse(["--shuffel".to_owned()]).is_err());
        assert!(Args::parse(["--skip".to_owned()]).is_err());
    }
}
