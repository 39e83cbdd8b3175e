//! The names of log groups and streams, which deploy/logs makes of what Kubernetes says of a pod.

use firecamp_checks::deploy::{objects, parsed};
use firecamp_core::contract::service::log_group;
use mlua::Lua;
use serde_json::Value;

const FLUENT_BIT: &str = "deploy/logs/fluent-bit-values.yaml";
const COLLECTOR: &str = "deploy/logs/collector.yaml";
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UUID: &str = "0123456789abcdef0123456789abcdef";

/// The Lua function in a filter of Fluent Bit's classic configuration.
fn filter() -> String {
    let values = objects(FLUENT_BIT).unwrap().remove(0);
    let filters = values["additionalFilters"].as_str().unwrap();
    let code = filters.lines().find_map(|line| line.trim().strip_prefix("code "));
    code.unwrap().trim().to_owned()
}

/// What the filter answers for a record in the cluster `prod`: its code, the group and the stream.
fn named(record: &str) -> (i64, Option<String>, Option<String>) {
    let code = filter();
    let text = format!(
        "os.getenv = function(name) return ({{CLUSTER_NAME = 'prod'}})[name] end\n{code}\n\
         local code, _, record = names('kube.x', 1, {record})\n\
         return code, record.log_group, record.log_stream"
    );
    Lua::new().load(text).eval().unwrap()
}

/// The configuration of the OpenTelemetry Collector.
fn collector() -> Value {
    let all = objects(COLLECTOR).unwrap();
    let text = all.iter().find_map(|object| object["data"]["collector.yaml"].as_str()).unwrap();
    parsed(text).unwrap().remove(0)
}

#[test]
fn f100_fluent_bit_names_group_and_stream_of_a_service_as_the_original_did() {
    let labels =
        format!("{{['firecamp-servicename'] = 'redis', ['firecamp-serviceuuid'] = '{UUID}'}}");
    let record = format!(
        "{{log = 'a line', kubernetes = {{namespace_name = 'db', pod_name = 'redis-0', \
         container_name = 'redis', host = 'node-a', docker_id = '{ID}', labels = {labels}}}}}"
    );
    let (code, group, stream) = named(&record);
    assert_eq!(code, 2, "the record is changed, its time is not");
    assert_eq!(group, Some(log_group("prod", "db", "redis", UUID)));
    assert_eq!(group.as_deref(), Some("prod-db-redis-0123456789abcdef0123456789abcdef"));
    // Thirteen characters: the original's inclusive range.
    assert_eq!(stream.as_deref(), Some("redis-0/redis/node-a/0123456789abc"));
}

#[test]
fn f100_fluent_bit_names_the_group_of_another_pod_by_the_pod() {
    for labels in ["", ", labels = {app = 'web'}", ", labels = {['firecamp-servicename'] = 'x'}"] {
        let record = format!(
            "{{kubernetes = {{namespace_name = 'db', pod_name = 'web-1', container_name = 'web', \
             host = 'node-a', docker_id = '{ID}'{labels}}}}}"
        );
        let (_, group, stream) = named(&record);
        assert_eq!(group.as_deref(), Some("prod-db-web-1"), "{labels}");
        assert_eq!(stream.as_deref(), Some("web-1/web/node-a/0123456789abc"));
    }
    assert_eq!(named("{log = 'of no pod'}"), (0, None, None));
}

/// Templates of Fluent Bit and placeholders of the collector's exporter are whole names: between
/// variables they allow only some characters, or none of ours.
#[test]
fn f100_both_collectors_write_to_the_named_streams_and_keep_groups_as_long() {
    let values = objects(FLUENT_BIT).unwrap().remove(0);
    let output = &values["cloudWatchLogs"];
    assert_eq!(output["logGroupTemplate"], "$log_group");
    assert_eq!(output["logStreamTemplate"], "$log_stream");
    // Otherwise Fluent Bit drops what CloudWatch refuses twice.
    assert_eq!(output["extraOutputs"], "Retry_Limit  no_limits\n");
    // With a prefix and a name, Fluent Bit does not start.
    assert_eq!(output["logStreamPrefix"], "");
    let collector = collector();
    let exporter = &collector["exporters"]["awscloudwatchlogs"];
    assert_eq!(exporter["log_group_name"], "{ServiceName}");
    assert_eq!(exporter["log_stream_name"], "{PodName}");
    assert_eq!(exporter["log_retention"], output["logRetentionDays"]);
    assert_eq!(exporter["log_retention"], 120, "the original's");
    // A member whose lines are JSON could choose its group otherwise.
    assert_eq!(exporter["raw_log"], Value::Null);
    assert_eq!(values["filter"]["mergeLog"], "Off");
}

/// Otherwise lines are lost while CloudWatch refuses, or when the collector ends, or a stream is
/// out of order.
#[test]
fn the_collector_retries_for_ever_and_stops_reading_when_its_queue_is_full() {
    let collector = collector();
    let exporter = &collector["exporters"]["awscloudwatchlogs"];
    let receiver = &collector["receivers"]["file_log"];
    for part in [exporter, receiver] {
        assert_eq!(part["retry_on_failure"]["enabled"], true, "{part}");
        assert_eq!(part["retry_on_failure"]["max_elapsed_time"], 0, "{part}");
    }
    assert_eq!(receiver["storage"], "file_storage");
    let queue = &exporter["sending_queue"];
    assert_eq!(queue["enabled"], true);
    assert_eq!(queue["block_on_overflow"], true);
    assert_eq!(queue["storage"], "file_storage");
    assert_eq!(queue["num_consumers"], 1);
    let all = objects(COLLECTOR).unwrap();
    let runs = all.iter().find(|object| object["kind"] == "DaemonSet").unwrap();
    let arguments = runs["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    // Positions in files are stored after each read: by then, the queue must have the lines.
    let gate = "--feature-gates=stanza.synchronousLogEmitter";
    assert!(arguments.iter().any(|argument| argument == gate), "{arguments:?}");
}
