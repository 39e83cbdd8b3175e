//! The table of conditions in the documentation.

use std::fmt::Write as _;

use crate::preflight::reason::{Kind, Reason};

/// All conditions and their reasons as Markdown.
pub fn table() -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let _infallible = writeln!(text, "\n### {kind}\n\n{}\n", kind.meaning());
        text.push_str(HEAD);
        let of_kind = Reason::ALL.iter().filter(|reason| reason.kind() == Some(*kind));
        of_kind.for_each(|reason| row(&mut text, *reason));
    }
    text.push_str("\n### Any condition\n\n");
    text.push_str(HEAD);
    let general = Reason::ALL.iter().filter(|reason| reason.kind().is_none());
    general.for_each(|reason| row(&mut text, *reason));
    text
}

const HEAD: &str = "| Reason | Status | Severity | Meaning | What to do |\n\
                    | --- | --- | --- | --- | --- |\n";

fn row(text: &mut String, reason: Reason) {
    let (status, severity) = (reason.status(), reason.severity());
    let (meaning, remedy) = (reason.meaning(), reason.remedy());
    let _infallible =
        writeln!(text, "| `{reason}` | {status} | {severity} | {meaning} | {remedy} |");
}
