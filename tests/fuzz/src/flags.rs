//! Command lines of both containers.
//!
//! Input: the container, and its arguments, one per line. An environment variable equals its flag
//! with a value, so a line `-FLAG=VALUE` covers both.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::ids::PodUid;
use firecamp_run::config::{
    Identity, InitConfig, LogConfig, LogFormat, Output, Places, StopConfig,
};
use firecamp_run::flags::StopMode;
use firecamp_run::pod_identity::Surroundings;
use firecamp_run::start::{init_config, stop_config};

use crate::draw::Draw;

/// No command line makes the parser panic. An accepted configuration, written out as flags with
/// one dash or two, parses to the same configuration.
pub fn flags(input: &[u8]) {
    let mut draw = Draw::new(input);
    let kind = draw.byte();
    let around = Surroundings {
        hostname: Some("Node-1".to_owned()),
        pod_uid: (kind & 2 == 0).then(|| PodUid::new("uid-1").expect("a pod's UID")),
        in_cluster: kind & 4 == 4,
    };
    let lines = draw.rest().split(|byte| *byte == b'\n');
    let given: Vec<OsString> = std::iter::once(OsStr::new("firecamp"))
        .chain(lines.map(OsStr::from_bytes))
        .map(OsStr::to_owned)
        .collect();
    if kind & 1 == 0 {
        round_trip(init_config(given, &around), init_flags, |given| init_config(given, &around));
    } else {
        round_trip(stop_config(given, &around), stop_flags, |given| stop_config(given, &around));
    }
}

type Read<C> = Result<(C, LogConfig), Vec<String>>;

fn round_trip<C: PartialEq + std::fmt::Debug>(
    read: Read<C>,
    written: fn(&C) -> Vec<String>,
    parse: impl Fn(Vec<OsString>) -> Read<C>,
) {
    let (config, log) = match read {
        Ok(accepted) => accepted,
        Err(faults) => {
            assert!(!faults.is_empty(), "the parser rejected the command line without a reason");
            let shown = |c: char| c == '\n' || !c.is_control();
            assert!(faults.iter().all(|fault| fault.chars().all(shown)), "{faults:?}");
            return;
        }
    };
    let flags: Vec<String> = written(&config).into_iter().chain(log_flags(&log)).collect();
    for dashes in ["-", "--"] {
        let dashed = |flag: &String| {
            if flag.contains('=') { format!("{dashes}{flag}").into() } else { flag.into() }
        };
        let given = std::iter::once("firecamp".into()).chain(flags.iter().map(dashed));
        let (same, reported) =
            parse(given.collect()).expect("an accepted configuration parses again");
        assert_eq!((&same, &reported), (&config, &log), "{flags:?}");
    }
}

fn init_flags(config: &InitConfig) -> Vec<String> {
    let InitConfig { identity, cluster, places, address } = config;
    let mut flags = identity_flags(identity).to_vec();
    flags.extend(place_flags(places));
    let eni = match address.eni {
        EniRule::Auto => "auto".to_owned(),
        EniRule::Primary => "primary".to_owned(),
        EniRule::DeviceIndex(index) => index.to_string(),
    };
    let output = match address.output {
        Output::Human => "human",
        Output::Json => "json",
    };
    flags.extend([
        format!("cluster={cluster}"),
        format!("service-name={}", service(identity)),
        format!("eni={eni}"),
        format!("conf-dir={}", address.conf_dir.display()),
        format!("require-mount={}", address.require_mount),
        format!("timeout={}", millis(address.timeout)),
        format!("predecessor-grace={}", millis(address.predecessor_grace)),
        format!("dry-run={}", address.dry_run),
        format!("output={output}"),
    ]);
    flags.extend(address.pool.as_ref().map(|pool| format!("pool={pool}")));
    flags
}

fn stop_flags(config: &StopConfig) -> Vec<String> {
    let StopConfig { mode, identity, cluster, places, drain, grace, unassign } = config;
    let mode = match mode {
        StopMode::Wait => "wait",
        StopMode::Release => "release",
    };
    let mut flags = vec![mode.to_owned()];
    flags.extend(identity_flags(identity));
    flags.extend(place_flags(places));
    flags.extend([
        format!("drain={}", millis(*drain)),
        format!("grace={}", millis(*grace)),
        format!("unassign={unassign}"),
    ]);
    flags.extend(cluster.as_ref().map(|cluster| format!("cluster={cluster}")));
    flags
}

fn identity_flags(identity: &Identity) -> [String; 4] {
    let Identity { member, pod, node } = identity;
    [
        format!("namespace={}", member.namespace()),
        format!("member-name={}", member.name()),
        format!("pod-uid={pod}"),
        format!("node-name={node}"),
    ]
}

/// The service name: the member's name without its ordinal.
fn service(identity: &Identity) -> &str {
    identity.member.name().rsplit_once('-').expect("a member has an ordinal").0
}

fn place_flags(places: &Places) -> [String; 2] {
    let Places { registry, run_dir } = places;
    [format!("registry={registry}"), format!("run-dir={}", run_dir.display())]
}

fn log_flags(log: &LogConfig) -> [String; 3] {
    let LogConfig { format, filter, termination_log, create: _ } = log;
    let format = match format {
        LogFormat::Human => "human",
        LogFormat::Json => "json",
    };
    [
        format!("log-format={format}"),
        format!("log-level={filter}"),
        format!("termination-log={}", termination_log.display()),
    ]
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
