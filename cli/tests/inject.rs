//! `firecamp inject`: what it adds, what it leaves as it is, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::inject::{InjectArguments, injected};
use serde_json::{Value, json};

const IMAGE: &str = "registry.example.com/firecamp-initcontainer:0.1.0";

fn arguments(more: &[&str]) -> InjectArguments {
    let words = ["firecamp", "inject", "--image", IMAGE].into_iter().chain(more.iter().copied());
    let Command::Inject(arguments) = Cli::try_parse_from(words).unwrap().command else {
        unreachable!("it is inject")
    };
    arguments
}

fn with(text: &str, more: &[&str]) -> Result<String, String> {
    injected(text, &arguments(more)).map_err(|failure| failure.chain())
}

fn member() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "redis-0", "labels": { "firecamp.io/pool": "main" } },
        "spec": {
            "hostNetwork": true,
            "containers": [{ "name": "redis", "image": "redis:8" }],
        },
    })
}

fn pod(object: &Value, more: &[&str]) -> Value {
    serde_saphyr::from_str(&with(&object.to_string(), more).unwrap()).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn refused(object: &Value, more: &[&str]) -> String {
    with(&object.to_string(), more).unwrap_err()
}

#[test]
fn a_member_gets_an_init_container_first_and_its_volumes() {
    let mut before = member();
    before["spec"]["initContainers"] = json!([{ "name": "prepare", "image": "busybox" }]);
    let spec = pod(&before, &[])["spec"].take();
    assert_eq!(names(&spec["initContainers"]), ["firecamp-init", "prepare"]);
    assert_eq!(names(&spec["volumes"]), ["firecamp-token", "firecamp-address"]);
    let mount =
        json!([{ "mountPath": "/run/firecamp.io", "name": "firecamp-address", "readOnly": true }]);
    assert_eq!(spec["containers"][0]["volumeMounts"], mount);
    assert_eq!(spec["initContainers"][1]["volumeMounts"], mount);
    let init = &spec["initContainers"][0];
    assert_eq!(init["image"], IMAGE);
    assert_eq!(init["env"][0]["value"], "169.254.196.96:9814");
    assert_eq!(init["securityContext"]["runAsUser"], 65532);
}

#[test]
fn a_best_effort_pod_stays_best_effort_and_another_one_gets_equal_requests_and_limits() {
    let spec = pod(&member(), &[])["spec"].take();
    let one = json!({ "firecamp.io/static-ip": "1" });
    let expected = json!({ "requests": one, "limits": one });
    assert_eq!(spec["initContainers"][0]["resources"], expected);
    for amounts in ["requests", "limits"] {
        let mut before = member();
        before["spec"]["containers"][0]["resources"] = json!({ amounts: { "memory": "1Gi" } });
        let spec = pod(&before, &["--cpu", "20m"])["spec"].take();
        let all = json!({ "firecamp.io/static-ip": "1", "cpu": "20m", "memory": "32Mi" });
        let expected = json!({ "requests": all, "limits": all });
        assert_eq!(spec["initContainers"][0]["resources"], expected);
    }
}

#[test]
fn the_resource_is_that_of_the_pool() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pools.yaml");
    let pool = |name: &str, spec: &str| {
        format!("kind: StaticIPPool\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let list = "---\nkind: List\nitems: [{kind: StaticIPPool, metadata: {name: x}}]\n";
    let text = pool("main", "{resource: firecamp.io/static-ip-b}") + list;
    std::fs::write(&file, text).unwrap();
    let file = ["--pool-file", file.to_str().unwrap()];
    let requests = |object: &Value, more: &[&str]| {
        pod(object, more)["spec"]["initContainers"][0]["resources"]["requests"].take()
    };
    assert_eq!(requests(&member(), &file), json!({ "firecamp.io/static-ip-b": "1" }));
    let mut other = member();
    other["metadata"]["labels"]["firecamp.io/pool"] = json!("x");
    assert_eq!(requests(&other, &file), json!({ "firecamp.io/static-ip": "1" }));
    other["metadata"]["labels"]["firecamp.io/pool"] = json!("y");
    let why = refused(&other, &file);
    assert!(why.contains("--pool-file has no pool \"y\""), "{why}");
    let named = ["--resource", "firecamp.io/static-ip-c"];
    assert_eq!(requests(&member(), &named), json!({ "firecamp.io/static-ip-c": "1" }));
}

#[test]
fn what_was_injected_is_not_injected_again() {
    let once = with(&member().to_string(), &[]).unwrap();
    assert_eq!(with(&once, &[]).unwrap(), once);
}

#[test]
fn f136_the_endpoint_is_excluded_from_service_meshes_beside_what_is_excluded_already() {
    let excluded = |annotations: Value| {
        let mut before = member();
        before["metadata"]["annotations"] = annotations;
        let after = pod(&before, &["--endpoint", "169.254.200.1:9815"])["metadata"].take();
        let of = |name: &str| after["annotations"][name].as_str().unwrap().to_owned();
        [
            of("traffic.sidecar.istio.io/excludeOutboundIPRanges"),
            of("config.linkerd.io/skip-outbound-ports"),
        ]
    };
    let own = ["169.254.200.1/32".to_owned(), "9815".to_owned()];
    assert_eq!(excluded(Value::Null), own);
    let others = json!({
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.0/8",
        "config.linkerd.io/skip-outbound-ports": "",
    });
    assert_eq!(excluded(others), ["10.0.0.0/8,169.254.200.1/32", "9815"]);
    let both = json!({
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": "169.254.200.1/32,10.0.0.0/8",
        "config.linkerd.io/skip-outbound-ports": "3306,9815",
    });
    assert_eq!(excluded(both), ["169.254.200.1/32,10.0.0.0/8", "3306,9815"]);
}

#[test]
fn everything_but_members_stays_as_it_is() {
    let mut opted_out = member();
    opted_out["metadata"]["labels"]["firecamp.io/inject"] = json!("false");
    let mut direct = member();
    direct["spec"]["volumes"] =
        json!([{ "name": "run", "hostPath": { "path": "/run/firecamp/" } }]);
    let mounts = json!([{ "name": "run", "mountPath": "/run/firecamp" }]);
    direct["spec"]["initContainers"] = json!([{ "name": "init", "volumeMounts": mounts }]);
    let service = "# A comment.\nkind: Service\nmetadata: {name: a}\n";
    let text = format!("{service}---\n{opted_out}\n--- # direct mode\n{direct}\n---\n");
    assert_eq!(with(&text, &[]).unwrap(), text);
    let all = with(&format!("{text}{}\n--- \n{service}", member()), &[]).unwrap();
    assert!(all.starts_with(&text) && all.ends_with(&format!("--- \n{service}")), "{all}");
    assert_eq!(all.matches("firecamp-init\n").count(), 1, "{all}");
}

#[test]
fn the_template_of_a_stateful_set_and_the_items_of_a_list_are_injected() {
    let template = json!({ "metadata": member()["metadata"], "spec": member()["spec"] });
    let mut set = json!({ "kind": "StatefulSet", "metadata": { "name": "redis" } });
    set["spec"]["template"] = template;
    let list = json!({ "kind": "List", "items": [set, member()] });
    let list = pod(&list, &[]);
    let specs = ["/items/0/spec/template/spec", "/items/1/spec"];
    for spec in specs.map(|path| list.pointer(path).unwrap()) {
        assert_eq!(names(&spec["initContainers"]), ["firecamp-init"]);
    }
}

#[test]
fn a_deployment_and_a_sandboxed_pod_with_a_network_of_its_own_are_refused() {
    let mut deployment = json!({ "kind": "Deployment", "metadata": { "name": "web" } });
    deployment["spec"]["template"] = json!({ "metadata": member()["metadata"] });
    let why = refused(&deployment, &[]);
    assert!(why.contains("Deployment web: only StatefulSets and Pods"), "{why}");
    let mut own = member();
    own["spec"]["runtimeClassName"] = json!("kata");
    own["spec"]["hostNetwork"] = json!(false);
    let why = refused(&own, &[]);
    assert!(why.contains("Pod redis-0") && why.contains("set hostNetwork: true"), "{why}");
    let why = with("a: b\n---\nfirecamp.io/pool: [\n", &[]).unwrap_err();
    assert!(why.contains("standard input: document 2"), "{why}");
}

#[test]
fn a_resource_list_makes_it_a_krm_function() {
    let config = json!({ "kind": "ConfigMap", "data": { "image": "other:1", "cpu": "30m" } });
    let mut pod = member();
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1" } });
    let list =
        json!({ "kind": "ResourceList", "functionConfig": config.clone(), "items": [pod.clone()] });
    let text = serde_saphyr::to_string(&list).unwrap();
    let flags = ["--endpoint", "169.254.200.1:1", "--cpu", "5m"];
    for form in [text.clone(), list.to_string()] {
        let result: Value = serde_saphyr::from_str(&with(&form, &flags).unwrap()).unwrap();
        let init = &result["items"][0]["spec"]["initContainers"][0];
        assert_eq!(init["env"][0]["value"], "169.254.200.1:1", "a flag without data stays");
        assert_eq!(init["resources"]["limits"]["cpu"], "30m");
    }
    let result: Value = serde_saphyr::from_str(&with(&text, &[]).unwrap()).unwrap();
    let init = &result["items"][0]["spec"]["initContainers"][0];
    assert_eq!(
        (&init["image"], &init["resources"]["limits"]["cpu"]),
        (&json!("other:1"), &json!("30m"))
    );
    assert_eq!(result["functionConfig"], config);
    let text = text.replace("cpu: 30m", "size: 30m");
    let why = with(&text, &[]).unwrap_err();
    assert!(why.contains("functionConfig.data.size"), "{why}");
}

#[test]
fn numbers_stay_what_they_are_for_kubectl() {
    let text = "\
kind: Pod
metadata: {name: a, labels: {firecamp.io/pool: main}}
spec:
  hostNetwork: true
  containers: [{name: a}]
  volumes:
  - name: keys
    secret: {secretName: keys, defaultMode: 0400, items: [{mode: 0644}, {mode: 416}]}
  - name: other
    flexVolume: {options: {a: \"0400\", b: \"on\", c: \"1e3\"}}
";
    let pod: Value = serde_saphyr::from_str(&with(text, &[]).unwrap()).unwrap();
    let secret = &pod["spec"]["volumes"][0]["secret"];
    assert_eq!(secret["defaultMode"], 0o400);
    assert_eq!(secret["items"], json!([{ "mode": 0o644 }, { "mode": 416 }]));
    let options = &pod["spec"]["volumes"][1]["flexVolume"]["options"];
    assert_eq!(*options, json!({ "a": "0400", "b": "on", "c": "1e3" }));
}

#[test]
fn null_is_taken_for_nothing_and_a_document_may_begin_on_the_line_of_its_separator() {
    let mut before = member();
    for list in ["volumes", "initContainers"] {
        before["spec"][list] = Value::Null;
    }
    before["spec"]["containers"][0]["volumeMounts"] = Value::Null;
    assert_eq!(pod(&before, &[]), pod(&member(), &[]));
    let injected = with(&format!("--- {before}"), &[]).unwrap();
    assert_eq!(injected, format!("---\n{}", with(&before.to_string(), &[]).unwrap()));
}

#[test]
fn a_volume_of_direct_mode_that_no_init_container_mounts_makes_no_exception() {
    let mut left = member();
    left["spec"]["volumes"] = json!([{ "name": "run", "hostPath": { "path": "/run/firecamp" } }]);
    assert_eq!(names(&pod(&left, &[])["spec"]["initContainers"]), ["firecamp-init"]);
    let mounts = json!([{ "name": "run", "mountPath": "/run/firecamp" }]);
    left["spec"]["initContainers"] = json!([{ "name": "init", "volumeMounts": mounts }]);
    left["spec"]["volumes"][0]["hostPath"]["path"] = json!("/run/other");
    assert_eq!(pod(&left, &["--run-dir", "/run/other"]), left);
}

#[test]
fn without_an_image_it_says_which_one_is_missing() {
    let mut arguments = arguments(&[]);
    arguments.image = None;
    let why = injected(&member().to_string(), &arguments).unwrap_err();
    assert!(why.chain().contains("--image is missing"), "{}", why.chain());
    assert_eq!(why.exit().code(), 2);
    assert_eq!(injected("kind: Service\n", &arguments).unwrap(), "kind: Service\n");
}
