//! docs/install.md names only objects and files that exist.

use firecamp_checks::deploy::{files, objects, parsed, place, text};
use firecamp_core::contract::api::EXTENDED_RESOURCE;
use firecamp_core::contract::endpoint::POOL_LABEL;
use serde_json::Value;

/// The lines between fences that are a shell's.
fn commands() -> Vec<String> {
    let page = text("docs/install.md").unwrap();
    let mut inside = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    assert!(lines.len() > 30);
    lines
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let page = text("docs/install.md").unwrap();
    let words = page.split(|c: char| c.is_whitespace() || "`)(,;".contains(c));
    let mut count = 0;
    for word in words.filter(|word| word.starts_with("deploy/")) {
        assert!(place(word.trim_end_matches('.')).exists(), "{word}");
        count += 1;
    }
    assert!(count > 10, "only {count}");
}

#[test]
fn every_value_that_the_page_sets_is_one_of_the_chart() {
    let values = objects("deploy/chart/firecamp/values.yaml").unwrap().remove(0);
    let all = commands().join("\n");
    let mut count = 0;
    for set in all.split("--set ").skip(1) {
        let key = set.trim_start_matches(['\'', '"']).split('=').next().unwrap();
        let pointer = format!("/{}", key.replace('.', "/"));
        assert!(values.pointer(&pointer).is_some(), "{key}");
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn what_the_page_replaces_is_in_the_files() {
    let bindings = text("deploy/rbac/member-bindings.yaml").unwrap();
    assert!(bindings.contains("NAMESPACE"));
    for file in ["deploy/iam-policy.json", "deploy/iam-policy-interfaces.json"] {
        let policy = text(file).unwrap();
        for word in ["REGION", "ACCOUNT", "VPC\"", "\"CLUSTER\""] {
            assert!(policy.contains(word), "{file}: {word}");
        }
    }
    for (file, cluster) in [("redis-direct.yaml", "prod"), ("edge/member.yaml", "edge")] {
        let member = text(&format!("deploy/examples/{file}")).unwrap();
        assert!(member.contains(&format!("{{name: CLUSTER, value: {cluster}}}")), "{file}");
        assert_eq!(member.matches("image: firecamp-").count(), 2, "{file}");
    }
    let agent = crate::object("deploy/daemonset.yaml", "DaemonSet");
    let agent = &agent["spec"]["template"]["spec"]["containers"][0];
    let cluster = &agent["env"][0]["valueFrom"]["configMapKeyRef"];
    assert_eq!(cluster["name"], "firecamp-agent");
    assert_eq!(cluster["key"], "CLUSTER");
}

/// The containers of a pod of an example.
fn containers(pod: &Value, kind: &str) -> Vec<Value> {
    pod[kind].as_array().cloned().unwrap_or_default()
}

#[test]
fn every_example_has_the_containers_of_this_version_and_lets_the_service_do_without_rights() {
    let examples = [files("deploy/examples").unwrap(), files("deploy/examples/edge").unwrap()];
    let mut members = 0;
    for file in examples.concat() {
        let objects = objects(&file).unwrap();
        for set in objects.iter().filter(|object| object["kind"] == "StatefulSet") {
            let pod = &set["spec"]["template"]["spec"];
            let all = [containers(pod, "initContainers"), containers(pod, "containers")].concat();
            let ours = all.iter().filter(|one| one["image"].as_str().unwrap().contains("firecamp"));
            let mut images: Vec<&str> = ours.map(|one| one["image"].as_str().unwrap()).collect();
            images.sort_unstable();
            let version = env!("CARGO_PKG_VERSION");
            let wanted = ["init", "stop"].map(|it| format!("firecamp-{it}container:{version}"));
            let labels = &set["spec"]["template"]["metadata"]["labels"];
            let injected = images.is_empty() && labels[POOL_LABEL].is_string();
            assert!(injected || images == wanted, "{file}: {images:?}");
            for one in all.iter().filter(|one| one["name"] == set["metadata"]["name"]) {
                assert_eq!(one["securityContext"]["capabilities"]["add"], Value::Null, "{file}");
                assert_eq!(one["securityContext"]["runAsNonRoot"], true, "{file}");
            }
            let namespace = objects.iter().find(|object| object["kind"] == "Namespace").unwrap();
            let level = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
            let strict = file.ends_with("/redis.yaml") || file.ends_with("/kafka.yaml");
            assert_eq!(level, if strict { "restricted" } else { "privileged" }, "{file}");
            assert_eq!(pod["hostNetwork"] == true, !strict, "{file}");
            members += 1;
        }
    }
    assert_eq!(members, 7);
}

#[test]
fn the_first_example_has_nothing_of_firecamp_but_the_label() {
    let file = text("deploy/examples/redis.yaml").unwrap();
    let lines = file.lines().filter(|line| !line.trim().starts_with('#'));
    let ours: Vec<&str> = lines.filter(|line| line.contains("firecamp")).collect();
    assert_eq!(ours, [format!("        {POOL_LABEL}: main")]);
}

/// How many slots the scheduler takes for a pod, by the rule of Kubernetes: native sidecars run
/// beside the service, and beside the init containers that come after them.
fn slots(pod: &Value) -> i64 {
    let asked = |one: &Value| {
        let kinds = ["requests", "limits"].map(|kind| &one["resources"][kind][EXTENDED_RESOURCE]);
        assert_eq!(kinds[0], kinds[1], "{}", one["name"]);
        kinds[0].as_i64().unwrap_or_default()
    };
    let mut sidecars = 0;
    let mut most = 0;
    for one in containers(pod, "initContainers") {
        if one["restartPolicy"] == "Always" {
            sidecars += asked(&one);
            most = most.max(sidecars);
        } else {
            most = most.max(sidecars + asked(&one));
        }
    }
    let together: i64 = containers(pod, "containers").iter().map(asked).sum();
    most.max(sidecars + together)
}

#[test]
fn every_example_asks_for_one_slot_where_nodes_publish_any() {
    let examples = [files("deploy/examples").unwrap(), files("deploy/examples/edge").unwrap()];
    let mut found = Vec::new();
    for file in examples.concat() {
        for set in objects(&file).unwrap().iter().filter(|it| it["kind"] == "StatefulSet") {
            let pod = &set["spec"]["template"]["spec"];
            // Without it, the container that asks is injected.
            let Some(env) = pod["initContainers"][0]["env"].as_array() else { continue };
            // Where the registry is not the cluster's, the agent has no Node to write to.
            let in_cluster = env.iter().all(|one| one["name"] != "FIRECAMP_REGISTRY");
            assert_eq!(slots(pod), i64::from(in_cluster), "{file}");
            found.push(in_cluster);
        }
    }
    found.sort_unstable();
    assert_eq!(found, [false, true, true, true]);
}

/// Is all that is shown in the whole, too? Of a list, each item in one of the whole's.
fn is_part(shown: &Value, whole: &Value) -> bool {
    match (shown, whole) {
        (Value::Object(shown), Value::Object(whole)) => shown
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|other| is_part(value, other))),
        (Value::Array(shown), Value::Array(whole)) => {
            shown.iter().all(|item| whole.iter().any(|other| is_part(item, other)))
        }
        _ => shown == whole,
    }
}

#[test]
fn the_member_that_the_init_containers_page_shows_is_the_example() {
    let page = text("docs/init-container.md").unwrap();
    let shown = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let shown = parsed(shown).unwrap().remove(0);
    let whole = crate::object("deploy/examples/redis-direct.yaml", "StatefulSet");
    assert!(is_part(&shown, &whole), "{shown:#}");
    let pod = "/spec/template/spec";
    for part in ["initContainers", "volumes"] {
        let at = format!("{pod}/{part}");
        assert_eq!(shown.pointer(&at), whole.pointer(&at), "a part of {part} is not shown");
    }
}

/// The names and tags of the images in a file, in its order.
fn images(file: &str) -> Vec<(String, String)> {
    let text = text(file).unwrap();
    let all = text.lines().filter_map(|line| line.trim().strip_prefix("image: "));
    all.map(|image| image.rsplit_once(':').unwrap())
        .map(|(name, tag)| (name.to_owned(), tag.to_owned()))
        .collect()
}

#[test]
fn f097_everything_that_is_deployed_names_one_version_and_no_image_is_the_latest() {
    let version = env!("CARGO_PKG_VERSION");
    let mut found = Vec::new();
    let examples = [files("deploy/examples").unwrap(), files("deploy/examples/edge").unwrap()];
    for file in examples.concat().into_iter().chain(["deploy/daemonset.yaml".to_owned()]) {
        for (name, tag) in images(&file) {
            assert_ne!(tag, "latest", "{name} in {file}");
            if name.starts_with("firecamp-") {
                assert_eq!(tag, version, "{name} in {file}");
                found.push(name);
            }
        }
    }
    let count = |part: &str| found.iter().filter(|name| *name == part).count();
    let parts = ["firecamp-agent", "firecamp-initcontainer", "firecamp-stopcontainer"];
    assert_eq!(parts.map(count), [1, 4, 4]);
    // The chart's agent has the version of the chart unless somebody names another one.
    let chart = text("deploy/chart/firecamp/Chart.yaml").unwrap();
    assert!(chart.lines().any(|line| line == format!("appVersion: {version}")), "{chart}");
    let values = text("deploy/chart/firecamp/values.yaml").unwrap();
    assert!(values.lines().any(|line| line.trim() == "tag: \"\""), "{values}");
}
