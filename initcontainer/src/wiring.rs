//! From the configuration to the protocol and its outside systems.

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::attach::AttachInput;
use firecamp_core::failure::HostFailure;
use firecamp_engine::{Dice, Systems};
use firecamp_host::{BarredFile, FileOptions, HostTimeouts, LinuxHost, StaticIpFile};
use firecamp_run::config::InitConfig;
use firecamp_run::connect::AnyRegistry;
use firecamp_run::report::Report;

/// What an attach asks.
pub(crate) type Node = Systems<AwsCloud, LinuxHost, AnyRegistry, StaticIpFile>;

/// What the protocol is told. Without an agent, or where its word cannot be read, no ENI is barred.
pub(crate) fn input(config: &InitConfig) -> AttachInput {
    let unread = |why: &HostFailure| tracing::warn!(error = %why, "Barred ENIs are not read");
    let barred = BarredFile::new(&config.places.run_dir).read().inspect_err(unread);
    AttachInput {
        member: config.identity.member.clone(),
        pod: config.identity.pod.clone(),
        node: config.identity.node.clone(),
        cluster: config.cluster.clone(),
        pool: config.address.pool.clone(),
        rule: config.address.eni,
        barred: barred.unwrap_or_default(),
        run: Dice::default().run_id(),
        deadline: config.address.timeout,
        predecessor_grace: config.address.predecessor_grace,
    }
}

/// The real outside systems.
pub(crate) fn systems(config: &InitConfig, registry: AnyRegistry) -> Result<Node, Report> {
    Ok(Systems {
        cloud: AwsCloud::connect(CloudConfig::from_env().named("firecamp-init"))
            .map_err(|why| Report::from(&why))?,
        host: LinuxHost::new(&config.places.run_dir, HostTimeouts::default()),
        registry,
        file: StaticIpFile::new(&config.address.conf_dir, FileOptions::default()),
    })
}
