//! A fleet of up to 1,000 nodes on a real kube-apiserver and etcd: a tenth of the agents are real,
//! the others send the recorded requests of a real one.

mod agents;
mod arrivals;
mod audit;
mod catalogue;
mod changes;
mod compare;
mod control;
mod counters;
mod fleet;
mod load;
mod objects;
mod page;
mod prometheus;
mod record;
mod replay;
mod rest;
mod round;
mod scale_run;
mod trace;
mod usage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use firecamp_testkit::build::Layout;
use firecamp_testkit::kubernetes::Assets;
use tokio::runtime::Builder;
use tokio::time::Instant;

pub(crate) use self::fleet::Fleet;
pub(crate) use self::scale_run::Plan;

use self::fleet::{MEMBERS, PODS};
use self::page::Record;
use self::record::{Beginning, record};
use self::rest::UNLIKE;
use self::scale_run::{LONGEST, ScaleRun};
use crate::args::ScaleArguments;
use crate::boxed;
use crate::boxed::fixture::Fixture;
use crate::boxed::job::{Job, Scenario, Tools};
use crate::failure::Failure;
use crate::machine::{self, Machine};
use crate::samples::{Samples, progress};
use crate::shipped::Shipped;
use crate::stats::Spread;

/// The fewest minutes at rest for a page: every agent lists its objects again 10 to 15 minutes
/// after its start, and the leader those of the cluster.
pub(crate) const PAGE: u32 = 15;
/// The fewest minutes at rest for figures of EC2 calls: the leader lists EC2 once a minute.
const SHORTEST: u32 = 3;
/// Set if a round has failed, or its leader made no call to EC2 or lost its Lease. The run
/// fails at its end, when the results are written.
const INCOMPLETE: &str = "incomplete";
/// The time limit of everything but waits, for the whole fleet.
const OVERHEAD: Duration = Duration::from_hours(4);

/// Builds, measures and writes the page.
pub(crate) fn run(arguments: &ScaleArguments) -> Result<(), Failure> {
    let file = page_file(arguments)?;
    let layout = Layout::of_this_process(None).map_err(Failure::of("find this program"))?;
    let kubernetes = version()?;
    let mut tools = crate::plan::build(&layout)?;
    let shipped =
        arguments.images.as_deref().map(|dir| Shipped::open(dir, &mut tools)).transpose()?;
    let build = if shipped.is_some() { "image" } else { layout.profile() };
    let before = arguments.before.as_deref().map(page::read).transpose()?;
    let fleet = arguments.scale;
    let mut result = Record {
        at: machine::now(),
        commit: machine::commit(&crate::page::root()),
        kubernetes,
        build: build.to_owned(),
        machine: Machine::look(),
        fleet,
        minutes: arguments.minutes,
        figures: BTreeMap::new(),
    };
    let samples = measure(arguments, tools)?;
    result.machine.look_again();
    result.figures = figures(&samples);
    if let Some(file) = &arguments.json {
        page::write(file, &result)?;
    }
    publish(file.as_deref(), &page::page(&result, before.as_ref()))?;
    let wrong =
        |what: &str| result.figures.iter().any(|(id, value)| id.ends_with(what) && *value > 0.0);
    if wrong(INCOMPLETE) {
        return Err(Failure::new("a round is incomplete; see why above"));
    }
    if wrong(UNLIKE) {
        let why = "the replayed agents send other requests than the real ones; see the comparison \
                   above";
        return Err(Failure::new(why));
    }
    Ok(())
}

/// The median of each figure.
fn figures(samples: &Samples) -> BTreeMap<String, f64> {
    let median = |(id, values): (&String, &Vec<f64>)| {
        Spread::of(values).map(|spread| (id.clone(), (spread.median * 1e4).round() / 1e4))
    };
    samples.0.iter().filter_map(median).collect()
}

/// A round takes long, and a run that is ended writes no file.
fn print_figures(samples: &Samples) {
    for (id, value) in figures(samples) {
        progress(&format!("{id} {value}"));
    }
}

/// The file of the page. None for a part of the fleet, other agents than the images' or one round.
fn page_file(arguments: &ScaleArguments) -> Result<Option<PathBuf>, Failure> {
    let complete =
        arguments.scale.is_whole() && arguments.images.is_some() && !arguments.cached_only;
    let standard = complete.then(|| crate::page::root().join(page::PAGE));
    let file = arguments.page.clone().or(standard);
    if file.is_some() && arguments.minutes < PAGE {
        let why = format!("a page needs {PAGE} minutes: agents list their objects within them");
        return Err(Failure::new(why));
    }
    Ok(file)
}

/// Prints the page, and writes it to its file.
fn publish(file: Option<&Path>, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").map_err(Failure::of("print the page"))?;
    let Some(file) = file else {
        progress("the page is not written: this is a part of the measurement");
        return Ok(());
    };
    std::fs::write(file, text).map_err(Failure::of(format!("write {}", file.display())))
}

/// What kube-apiserver prints about itself.
fn version() -> Result<String, Failure> {
    let assets = Assets::find(&["etcd", "kube-apiserver"]).map_err(Failure::new)?;
    let program = assets.program("kube-apiserver");
    let asked = Command::new(&program).arg("--version").output();
    let asked = asked.map_err(Failure::of(program.display()))?;
    Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}

/// Runs the fleet in a box.
fn measure(arguments: &ScaleArguments, tools: Tools) -> Result<Samples, Failure> {
    let _files = Files::create(directory(&tools.bench))?;
    let (fleet, minutes) = (arguments.scale, arguments.minutes);
    let what = Scenario::Scale(Plan { fleet, minutes, cached_only: arguments.cached_only });
    let job = Job { what, tools, baseline: None };
    // Twice the waits, which are three at rest and four to settle.
    let waits = (Duration::from_mins(1).saturating_mul(3 * minutes) + LONGEST * 4) * 2;
    control::leave_the_servers_half()?;
    boxed::in_a_box(&job, &fleet.spec(), ("fast", arguments.seed), waits + OVERHEAD)
}

/// The directory of the servers' files, beside this program: etcd needs a disk.
fn directory(bench: &Path) -> PathBuf {
    bench.with_file_name("scale")
}

/// The servers' files. An earlier run may have been killed, so they are removed first.
struct Files(PathBuf);

impl Files {
    fn create(dir: PathBuf) -> Result<Self, Failure> {
        let files = Self(dir);
        files.remove()?;
        std::fs::create_dir_all(&files.0).map_err(Failure::of(files.0.display()))?;
        Ok(files)
    }

    fn remove(&self) -> Result<(), Failure> {
        match std::fs::remove_dir_all(&self.0) {
            Ok(()) => Ok(()),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(why) => Err(Failure::of(self.0.display())(why)),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(why) = self.remove() {
            progress(&format!("failed to remove the servers' files: {why}"));
        }
    }
}

/// The part inside the box.
pub(crate) fn play(job: Job, plan: Plan) -> Result<Samples, Failure> {
    let dir = directory(&job.tools.bench);
    let fixture = Fixture::set_up(job)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Failure::of("start a runtime"))?;
    runtime.block_on(async {
        let mut run = ScaleRun::start(plan, dir, fixture).await?;
        fleet_runs(&mut run).await?;
        run.control.stop().await?;
        Ok(run.samples)
    })
}

/// Everything in its order.
async fn fleet_runs(run: &mut ScaleRun) -> Result<(), Failure> {
    load(run).await?;
    let first = Arc::new(record(run, Beginning::First).await?);
    run.stop_all()?;
    round::publish(run, &first).await?;
    round::warm_up(run).await?;
    let again = Arc::new(record(run, Beginning::Again).await?);
    run.stop_all()?;
    let rounds: &[bool] = if run.plan.cached_only { &[true] } else { &[true, false] };
    for snapshots in rounds {
        if let Err(why) = round::round(run, *snapshots, &again).await {
            progress(&format!("the round has ended too soon: {why}"));
            run.samples.add(INCOMPLETE, 1.0);
            run.stop_all()?;
        }
        print_figures(&run.samples);
    }
    Ok(())
}

/// Creates all objects.
async fn load(run: &mut ScaleRun) -> Result<(), Failure> {
    let (fleet, begun) = (run.plan.fleet, Instant::now());
    progress("creating the objects");
    load::deploy(&run.api).await?;
    run.created = load::load(&run.api, &run.control, fleet).await?;
    let took = begun.elapsed().as_secs_f64();
    let database = run.servers()?.database().await?;
    progress(&format!("all objects exist after {took:.0} s; etcd has {database:.0} MiB"));
    run.samples.add("load.pods", f64::from(fleet.nodes * PODS));
    run.samples.add("load.addresses", f64::from(fleet.nodes * MEMBERS));
    run.samples.add("load.seconds", took);
    run.samples.add("load.database", database);
    Ok(())
}
