//! The part of the demo outside the box: builds the binaries, checks the machine, and becomes the
//! box.

use std::path::{Path, PathBuf};

use crate::args::DemoArguments;
use crate::config::DemoConfig;
use crate::failure::Failure;
use crate::{build, launch, replay};

/// Runs or replays a demo. Returns the exit code of the run.
pub(crate) fn run(arguments: &DemoArguments) -> Result<u8, Failure> {
    let report = arguments.report.as_deref().map(report_file).transpose()?;
    if let Some(recorded) = &arguments.replay {
        return replay::run(recorded, arguments, report.as_deref());
    }
    let (build, tools) = build::build(arguments.release)?;
    let keep = arguments
        .keep
        .then(|| std::env::temp_dir().join(format!("firecamp-demo-{}", std::process::id())));
    let config = DemoConfig {
        profile: arguments.profile,
        seed: arguments.seed,
        json: arguments.json,
        no_color: arguments.no_color,
        report,
        keep,
        build,
        tools,
    };
    Err(launch::become_the_box(&config))
}

/// Checks before the run whether the report can be written.
fn report_file(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).map_err(|source| Failure::file("find", path, source))?;
    launch::refuse_private_places(&path)?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|source| Failure::file("write", &path, source))?;
    Ok(path)
}
