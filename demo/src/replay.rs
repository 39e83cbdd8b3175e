//! Replays a recorded run.

use std::path::Path;

use super::run_inside_box::{finish, write_report};
use crate::args::DemoArguments;
use crate::event::Event;
use crate::failure::Failure;
use crate::render::{Form, Sink};

/// Size limit of a recorded run; the run of a demo is below one megabyte.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Prints the events of the file. The exit code is that of the recorded run.
pub(crate) fn run(
    recorded: &Path,
    arguments: &DemoArguments,
    report: Option<&Path>,
) -> Result<u8, Failure> {
    let failed = |source| Failure::file("read", recorded, source);
    let size = std::fs::metadata(recorded).map_err(failed)?.len();
    if size > MAX_BYTES {
        let why = std::io::Error::other(format!("it has {size} bytes, more than {MAX_BYTES}"));
        return Err(failed(why));
    }
    let text = std::fs::read_to_string(recorded).map_err(failed)?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    let mut sink = Sink::stdout(form, arguments.no_color);
    for (index, line) in text.lines().enumerate() {
        let event: Event = serde_json::from_str(line).map_err(|error| {
            let number = index.saturating_add(1);
            failed(std::io::Error::other(format!(
                "line {number} is not an event of a demo: {error}"
            )))
        })?;
        sink.report(event).map_err(Failure::Output)?;
    }
    if let Some(report) = report {
        write_report(report, sink.events())?;
    }
    finish(sink.events())
        .ok_or_else(|| failed(std::io::Error::other("the recorded run is incomplete")))
}
