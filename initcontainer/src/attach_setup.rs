//! Builds the protocol's input and its systems from the configuration.

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::attach::AttachInput;
use firecamp_core::contract::{endpoint, timing};
use firecamp_engine::{Rng, Systems};
use firecamp_host::{FileOptions, HostTimeouts, LinuxHost, StaticIpFile, unwanted_enis};
use firecamp_run::config::InitConfig;
use firecamp_run::connect::AnyRegistry;
use firecamp_run::report::Report;

/// The systems of an attach.
pub(crate) type Node = Systems<AwsCloud, LinuxHost, AnyRegistry, StaticIpFile>;

/// The protocol's input.
pub(crate) fn input(config: &InitConfig) -> AttachInput {
    AttachInput {
        member: config.identity.member.clone(),
        pod: config.identity.pod.clone(),
        node: config.identity.node.clone(),
        cluster: config.cluster.clone(),
        pool: config.address.pool.clone(),
        pool_is_approved: false,
        rule: config.address.eni,
        unwanted: unwanted_enis(&config.places.run_dir),
        metadata_poll: timing::METADATA_POLL,
        run: Rng::default().run_id(),
        deadline: config.address.timeout,
        predecessor_grace: config.address.predecessor_grace,
        looked_up: None,
    }
}

/// The real systems.
pub(crate) fn systems(config: &InitConfig, registry: AnyRegistry) -> Result<Node, Report> {
    let run_dir = &config.places.run_dir;
    let settings = CloudConfig::from_env().named(endpoint::INIT_CONTAINER).on_node(run_dir);
    Ok(Systems {
        cloud: AwsCloud::connect(settings).map_err(|why| Report::from(&why))?,
        host: LinuxHost::new(run_dir, HostTimeouts::default()),
        registry,
        file: StaticIpFile::new(&config.address.conf_dir, FileOptions::default()),
    })
}
