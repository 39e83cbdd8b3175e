//! Builds the binaries that the demo starts, so that they are never stale.

use firecamp_testkit::build::{self as testkit, BuildError, Layout};

use super::config::Tools;
use crate::failure::Failure;

/// Builds all binaries in the target directory of this binary, in the same profile or as `release`.
/// Returns the profile and the binaries.
pub(crate) fn build(release: bool) -> Result<(String, Tools), Failure> {
    let failed = |error: BuildError| Failure::Build(error.to_string());
    let layout = Layout::of_this_process(release.then_some("release")).map_err(failed)?;
    let built = testkit::build(&layout).map_err(failed)?;
    let demo = std::env::current_exe()
        .map_err(|e| Failure::process("find the path of", "this binary", e))?;
    let testkit::Binaries { init, stop, agent, vpcbox } = built;
    let tools = Tools { init, stop, agent, vpcbox, demo };
    Ok((layout.profile().to_owned(), tools))
}
