//! The generated member.conf, sourced by a shell as the original's start-up scripts do.

use std::fs;
use std::process::Command;

use firecamp_cli::service::cluster::kind;
use serde_json::{Value, json};

use super::objects::{defined, service};

const REDIS: &str = "
pool: main
ports: {redis: 6379}
container: {image: redis, env: {MEMBER_INDEX_INSHARD: '0'}}
config: {service.conf: 'SHARDS=1'}
memberConf: true
";

/// The objects of a service with these changes.
fn objects(change: &str) -> Result<Vec<(&'static str, Value)>, String> {
    let objects = service(defined(REDIS).overlaid(defined(change))).objects()?;
    Ok(objects.into_iter().map(|(path, object)| (path.kind.kind, object)).collect())
}

fn object(change: &str, kind: &str) -> Value {
    objects(change).unwrap().into_iter().find(|(one, _)| *one == kind).unwrap().1
}

/// What a strict shell has after it has sourced the file, as one text; or its error.
fn sourced(change: &str, zone: Option<&str>, address: Option<&str>) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let (conf, file) = (dir.path().join("member.conf"), dir.path().join("address"));
    if let Some(address) = address {
        fs::write(&file, format!("{address}\n")).unwrap();
    }
    let config = object(change, kind::CONFIG_MAP.kind);
    let text = config["data"]["member.conf"].as_str().unwrap();
    assert!(text.contains("/run/firecamp.io/address"), "{text}");
    let text = text.replace("/run/firecamp.io/address", file.to_str().unwrap());
    fs::write(&conf, text).unwrap();
    let names = "$AVAILABILITY_ZONE|$MEMBER_NAME|$SERVICE_MEMBER|$MEMBER_STATIC_IP|$BIND_IP";
    let script = format!(". {}; printf %s \"{names}\"", conf.display());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).env_remove("AVAILABILITY_ZONE").env("POD_NAME", "kafka-1");
    shell.envs(zone.map(|zone| ("AVAILABILITY_ZONE", zone)));
    let done = shell.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
}

#[test]
fn a_shell_that_sources_the_generated_file_has_the_values_of_its_member() {
    let values = sourced("{}", Some("us-east-1a"), Some("10.0.1.50")).unwrap();
    let expected = "us-east-1a|kafka-1|kafka-1.kafka-static.prod.svc|10.0.1.50|10.0.1.50";
    assert_eq!(values, expected);
    let values = sourced("dnsZone: db.example.com", None, Some("10.0.1.50")).unwrap();
    let expected = "|kafka-1|kafka-1.db.example.com|10.0.1.50|10.0.1.50";
    assert_eq!(values, expected, "without the zone of the node, it is empty");
}

/// A member without its address must not start with an empty one.
#[test]
fn a_strict_shell_stops_if_the_member_has_no_address() {
    let error = sourced("{}", None, None).unwrap_err();
    assert!(error.contains("address"), "{error}");
}

#[test]
fn members_find_the_generated_file_beside_those_of_the_user() {
    let set = object("{}", kind::STATEFUL_SET.kind);
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let mounts = container["volumeMounts"].as_array().unwrap();
    let places: Vec<&Value> = mounts.iter().map(|one| &one["mountPath"]).collect();
    assert_eq!(places, ["/data/conf/member.conf", "/data/conf/service.conf"]);
    let zone = json!({ "name": "AVAILABILITY_ZONE", "valueFrom": { "fieldRef": {
        "fieldPath": "metadata.labels['topology.kubernetes.io/zone']" } } });
    assert!(container["env"].as_array().unwrap().contains(&zone), "{container}");
    let without = object("memberConf: false", kind::CONFIG_MAP.kind);
    assert_eq!(without["data"], json!({ "service.conf": "SHARDS=1" }));
}

#[test]
fn a_zone_that_the_user_names_replaces_that_of_the_node() {
    let set = object("{container: {env: {AVAILABILITY_ZONE: z}}}", kind::STATEFUL_SET.kind);
    let env = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().clone();
    let zones: Vec<&Value> = env
        .iter()
        .filter(|one| one["name"] == "AVAILABILITY_ZONE")
        .map(|one| &one["value"])
        .collect();
    assert_eq!(zones, ["z"]);
}

#[test]
fn a_member_conf_without_its_values_or_beside_the_users_own_is_refused() {
    let refused = |change: &str| objects(change).unwrap_err();
    let own = refused("config: {member.conf: 'BIND_IP=0.0.0.0'}");
    assert!(own.contains("--member-conf false"), "{own}");
    assert!(objects("{config: {member.conf: a}, memberConf: false}").is_ok());
    let zone = refused("dnsZone: default");
    assert!(zone.contains("--dns-zone"), "{zone}");
    let mut definition = defined(REDIS);
    definition.pool = None;
    let pool = service(definition).objects().unwrap_err();
    assert!(pool.contains("without --pool"), "{pool}");
}
