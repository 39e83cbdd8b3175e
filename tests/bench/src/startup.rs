//! Measures the start-up time and the size of the binaries.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firecamp_core::contract::env;
use tokio::time::Instant;

use crate::boxed::job::Tools;
use crate::failure::Failure;
use crate::samples::Samples;
use crate::table::BASELINE;

/// The debug message of each action.
const ACTION: &str = "action requested";

/// Measures all binaries, which alternate.
pub(crate) fn measure(
    tools: &Tools,
    baseline: Option<&(PathBuf, PathBuf)>,
    rounds: u32,
) -> Result<Samples, Failure> {
    let registry = tempfile::tempdir().map_err(Failure::of("make a directory"))?;
    let pools = registry.path().join("staticippools");
    std::fs::create_dir(&pools).map_err(Failure::of("make a directory"))?;
    let mut samples = Samples::default();
    samples.add("size.vpcbox", size(&tools.vpcbox)?);
    for _round in 0..rounds {
        samples.add("startup.vpcbox.version", version(&tools.vpcbox)?);
        both(&mut samples, "", (&tools.init, &tools.stop), registry.path())?;
        if let Some((init, stop)) = baseline {
            both(&mut samples, BASELINE, (init, stop), registry.path())?;
        }
    }
    Ok(samples)
}

fn both(
    samples: &mut Samples,
    prefix: &str,
    (init, stop): (&Path, &Path),
    registry: &Path,
) -> Result<(), Failure> {
    samples.add(format!("{prefix}startup.init.version"), version(init)?);
    samples.add(format!("{prefix}startup.stop.version"), version(stop)?);
    let action = first_action(Command::new(init).args(["--pool", "bench"]), registry)?;
    samples.add(format!("{prefix}startup.init.action"), action);
    let action = first_action(Command::new(stop).arg("release"), registry)?;
    samples.add(format!("{prefix}startup.stop.action"), action);
    Ok(())
}

/// The sizes of the three programs.
pub(crate) fn sizes(tools: &Tools, samples: &mut Samples) -> Result<(), Failure> {
    for (name, path) in [("init", &tools.init), ("stop", &tools.stop), ("agent", &tools.agent)] {
        samples.add(format!("size.{name}"), size(path)?);
    }
    Ok(())
}

fn size(path: &Path) -> Result<f64, Failure> {
    Ok(megabytes(std::fs::metadata(path).map_err(Failure::of(path.display()))?.len()))
}

/// Bytes as megabytes (millions of bytes).
pub(crate) fn megabytes(bytes: u64) -> f64 {
    let kilobytes = u32::try_from(bytes / 1000).unwrap_or(u32::MAX);
    f64::from(kilobytes) / 1000.0
}

fn version(program: &Path) -> Result<f64, Failure> {
    let what = format!("{} --version", program.display());
    let begun = Instant::now();
    let ended = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let ended = ended.map_err(Failure::of(&what))?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    if ended.status.success() { Ok(took) } else { Err(Failure::new(what)) }
}

/// The time from the start of the program until it logs its first action, the read of the member's
/// records. Then the program is killed. It has an empty registry and no metadata service.
fn first_action(command: &mut Command, registry: &Path) -> Result<f64, Failure> {
    command
        .env_clear()
        .env(env::CLUSTER, "bench")
        .env(env::SERVICE_NAME, "redis")
        .env(env::POD_NAME, "redis-0")
        .env(env::K8S_NAMESPACE, "bench")
        .env(env::POD_UID, "uid-0")
        .env(env::NODE_NAME, "node-a")
        .env(env::REGISTRY, format!("file://{}", registry.display()))
        .env(env::CONF_DIR, registry.join("conf"))
        .env(env::LOG_LEVEL, "debug")
        .env(env::TERMINATION_LOG, registry.join("termination-log"))
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().map_err(Failure::of("start a container"))?;
    let out = child.stderr.take().map(BufReader::new);
    let mut lines = out.into_iter().flat_map(BufRead::lines);
    let mut last = String::new();
    let found = lines.any(|line| {
        let line = line.unwrap_or_default();
        let asked = line.contains(ACTION);
        last = line;
        asked
    });
    let took = begun.elapsed().as_secs_f64() * 1e3;
    // The process may have ended already.
    child.kill().ok();
    child.wait().map_err(Failure::of("wait for a container"))?;
    if found {
        Ok(took)
    } else {
        Err(Failure::new(format!("the container logged no action; its last line: {last}")))
    }
}
