//! Gives a StatefulSet member its static IP address, and ends when the address works.

use std::io::{self, Write};
use std::process::ExitCode;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::attach::AttachInput;
use firecamp_core::contract::exit::Exit;
use firecamp_engine::{Dice, Ended, Run, Signal, Systems};
use firecamp_host::{FileOptions, HostTimeouts, LinuxHost, StaticIpFile};
use firecamp_registry::{FileRegistry, RegistryUrl, Timeouts};
use firecamp_run::config::InitConfig;
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::report::Report;
use firecamp_run::{mount, preview, start};

type Node = Systems<AwsCloud, LinuxHost, FileRegistry, StaticIpFile>;

fn main() -> ExitCode {
    match start::init() {
        Ok(started) => started.run(FirstSignal::Ends, async |config, signals| {
            attach(&config, signals).await.unwrap_or_else(|failed| failed)
        }),
        Err(ended) => ended,
    }
}

async fn attach(config: &InitConfig, signals: Signals) -> Result<Report, Report> {
    if config.address.require_mount {
        mount::require_own_mount(&config.address.conf_dir)
            .map_err(|why| Report::new(Exit::DiskRefused, why.to_string()))?;
    }
    let systems = systems(config)?;
    let input = input(config);
    if config.address.dry_run {
        return dry_run(config, &input, &systems).await;
    }
    let signal = Signal::Interrupt(signals.end);
    let (member, pool) = (input.member.clone(), input.pool.clone());
    let run = Run { member, pool, signal, dice: Dice::default() };
    match firecamp_engine::run(input, &systems, &run).await {
        Ended::Outcome(outcome) => Ok(Report::from(&outcome)),
        Ended::Interrupted => Err(Report::interrupted()),
    }
}

fn input(config: &InitConfig) -> AttachInput {
    AttachInput {
        member: config.identity.member.clone(),
        pod: config.identity.pod.clone(),
        node: config.identity.node.clone(),
        cluster: config.cluster.clone(),
        pool: config.address.pool.clone(),
        rule: config.address.eni,
        run: Dice::default().run_id(),
        deadline: config.address.timeout,
        predecessor_grace: config.address.predecessor_grace,
    }
}

fn systems(config: &InitConfig) -> Result<Node, Report> {
    let RegistryUrl::File(directory) = &config.places.registry;
    Ok(Systems {
        cloud: AwsCloud::connect(CloudConfig::from_env()).map_err(|why| Report::from(&why))?,
        host: LinuxHost::new(&config.places.run_dir, HostTimeouts::default()),
        registry: FileRegistry::open(directory, Timeouts::default())
            .map_err(|why| Report::from(&why))?,
        file: StaticIpFile::new(&config.address.conf_dir, FileOptions::default()),
    })
}

async fn dry_run(config: &InitConfig, input: &AttachInput, node: &Node) -> Result<Report, Report> {
    let plan = firecamp_engine::preview(input, node).await.map_err(|why| Report::from(&why))?;
    let text = preview::show(&plan, &config.identity, config.address.output);
    io::stdout().write_all(text.as_bytes()).map_err(|why| Report::unprintable(&why))?;
    Ok(Report::from(&plan.outcome).of_a_dry_run())
}
