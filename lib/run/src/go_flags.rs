//! Compatibility with the original's command line: Go's single dashes, and the flags of glog.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Command;

/// The flags of glog that the original's containers accepted, and whether the flag takes the next
/// argument as its value (Go's boolean flags do not).
const GLOG: [(&str, bool); 7] = [
    ("logtostderr", false),
    ("alsologtostderr", false),
    ("stderrthreshold", true),
    ("v", true),
    ("vmodule", true),
    ("log_backtrace_at", true),
    ("log_dir", true),
];

/// A command line in the form that clap accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The arguments, the program's name first.
    pub(crate) kept: Vec<OsString>,
    /// The names of the removed glog flags.
    pub(crate) ignored: Vec<&'static str>,
}

struct Known {
    name: String,
    takes_next: bool,
}

fn known_flags(command: &Command) -> Vec<Known> {
    let of = |command: &Command| -> Vec<Known> {
        let arguments = command.get_arguments();
        arguments
            .filter_map(|arg| {
                let name = arg.get_long()?.to_owned();
                let takes_next = arg.get_action().takes_values() && !arg.is_require_equals_set();
                Some(Known { name, takes_next })
            })
            .collect()
    };
    let mut flags = of(command);
    flags.extend(command.get_subcommands().flat_map(of));
    flags.extend(["help", "version"].map(|name| Known { name: name.into(), takes_next: false }));
    flags
}

/// Rewrites `-flag` of a known long flag to `--flag`, and removes glog's flags.
pub(crate) fn compatible(
    arguments: impl IntoIterator<Item = OsString>,
    command: &Command,
) -> Arguments {
    let known = known_flags(command);
    let mut arguments = arguments.into_iter();
    let mut kept: Vec<OsString> = arguments.next().into_iter().collect();
    let mut ignored = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            kept.push(argument);
            kept.extend(arguments);
            break;
        }
        let Some((name, body, valued)) = split(&argument) else {
            kept.push(argument);
            continue;
        };
        if let Some((glog, takes_next)) = GLOG.iter().find(|(flag, _)| *flag == name) {
            ignored.push(*glog);
            if *takes_next && !valued {
                arguments.next();
            }
        } else if let Some(flag) = known.iter().find(|flag| flag.name == name) {
            let mut long = OsString::from("--");
            long.push(body);
            kept.push(long);
            if flag.takes_next && !valued {
                kept.extend(arguments.next());
            }
        } else {
            kept.push(argument);
        }
    }
    Arguments { kept, ignored }
}

/// The flag's name, the text after the dashes, and whether that text contains a value.
fn split(argument: &OsStr) -> Option<(String, OsString, bool)> {
    let bytes = argument.as_bytes();
    let body = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    let end = body.iter().position(|byte| *byte == b'=');
    let name = body.get(..end.unwrap_or(body.len()))?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some((name.to_owned(), OsStr::from_bytes(body).to_owned(), end.is_some()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::flags::{InitFlags, StopFlags};

    fn init(arguments: &[&str]) -> (Vec<String>, Vec<&'static str>) {
        let command = InitFlags::command();
        let all = std::iter::once("init").chain(arguments.iter().copied()).map(OsString::from);
        let Arguments { kept, ignored } = compatible(all, &command);
        let kept = kept.into_iter().skip(1).map(|a| a.into_string().unwrap()).collect();
        (kept, ignored)
    }

    #[test]
    fn a_single_dash_is_accepted() {
        let (kept, ignored) = init(&["-cluster=x", "-service-name", "redis", "--member-name=a"]);
        assert_eq!(kept, ["--cluster=x", "--service-name", "redis", "--member-name=a"]);
        assert!(ignored.is_empty());
    }

    #[test]
    fn only_glog_flags_and_their_values_are_removed() {
        let given =
            ["-logtostderr", "-v", "2", "--v=3", "-log_dir=/x", "-cluster", "-v", "-pool=p"];
        let (kept, ignored) = init(&given);
        assert_eq!(kept, ["--cluster", "-v", "--pool=p"]);
        assert_eq!(ignored, ["logtostderr", "v", "v", "log_dir"]);
    }

    #[test]
    fn short_and_unknown_flags_are_unchanged() {
        let (kept, ignored) = init(&["-h", "-V", "-nonsense=1", "-", "--", "-v"]);
        assert_eq!(kept, ["-h", "-V", "-nonsense=1", "-", "--", "-v"]);
        assert!(ignored.is_empty());
    }

    #[test]
    fn invalid_utf8_passes_unchanged() {
        let hostile = OsStr::from_bytes(b"-cluster=\xff\x01").to_owned();
        let command = InitFlags::command();
        let rewritten = compatible(["init".into(), hostile], &command);
        assert_eq!(rewritten.kept.last().unwrap().as_bytes(), b"--cluster=\xff\x01");
    }

    #[test]
    fn flags_are_known_before_and_after_a_subcommand() {
        let command = StopFlags::command();
        let given = ["stop", "-grace", "3s", "release", "-drain=1s", "-unassign"];
        let rewritten = compatible(given.map(OsString::from), &command);
        assert_eq!(
            rewritten.kept,
            ["stop", "--grace", "3s", "release", "--drain=1s", "--unassign"]
        );
    }
}
