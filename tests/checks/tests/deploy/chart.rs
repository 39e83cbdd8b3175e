//! Checks of the Helm chart that need no Helm.

use std::collections::BTreeSet;
use std::fs;

use firecamp_checks::deploy::{files, objects, place, text};
use serde_json::Value;

use crate::{object, texts};

const CHART: &str = "deploy/chart/firecamp";
/// Values that Kubernetes gives their form.
const FREE: [&str; 5] = ["resources", "tolerations", "nodeSelector", "affinity", "extraEnv"];

fn yaml(file: &str) -> Value {
    objects(&format!("{CHART}/{file}")).unwrap().remove(0)
}

fn schema() -> Value {
    serde_json::from_str(&text(&format!("{CHART}/values.schema.json")).unwrap()).unwrap()
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let chart = yaml("Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let pod = object("deploy/daemonset.yaml", "DaemonSet")["spec"]["template"]["spec"].take();
    let image = format!("firecamp-agent:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(pod["containers"][0]["image"], image);
}

/// One source: what is used without Helm as well is not kept twice.
#[test]
fn the_chart_has_definitions_rights_and_policies_by_links() {
    for name in ["crds", "observability", "policies", "rbac"] {
        let link = fs::read_link(place(&format!("{CHART}/files/{name}"))).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("../../../{name}"));
        assert!(!files(&format!("{CHART}/files/{name}")).unwrap().is_empty());
    }
}

#[test]
fn every_value_is_documented() {
    let values = text(&format!("{CHART}/values.yaml")).unwrap();
    let mut before = "";
    let mut lines = values.lines().filter(|line| !line.is_empty()).peekable();
    let mut seen = 0;
    let mut free = false;
    while let Some(line) = lines.next() {
        let key = line.trim_start().split(':').next().unwrap();
        if !line.starts_with([' ', '-', '#']) {
            free = FREE.contains(&key);
        }
        let is_key = !line.trim_start().starts_with(['#', '-']) && line.contains(':');
        if is_key && !(free && line.starts_with(' ')) {
            seen += 1;
            let section = line.ends_with(':')
                && lines.peek().is_some_and(|next| next.trim_start().starts_with('#'));
            assert!(before.trim_start().starts_with('#') || section, "{line}: what is it?");
        }
        before = line;
    }
    assert!(seen > 30, "only {seen} values");
}

#[test]
fn the_schema_has_every_value_and_no_other() {
    fn compare(values: &Value, schema: &Value, place: &str) {
        if schema["additionalProperties"] != false {
            return;
        }
        let keys = |of: &Value| -> BTreeSet<String> {
            of.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
        };
        let mut known = keys(&schema["properties"]);
        // Helm gives every chart that one.
        known.remove("global");
        assert_eq!(keys(values), known, "{place}");
        for (key, value) in values.as_object().into_iter().flatten() {
            compare(value, &schema["properties"][key], &format!("{place}.{key}"));
        }
    }
    let mut values = yaml("values.yaml");
    // Both keys of it may be there or not.
    values["resources"] = serde_json::json!({ "requests": {}, "limits": {} });
    compare(&values, &schema(), "");
}

/// The golden rendering is of use only if it differs from the defaults wherever it can.
#[test]
fn the_chart_is_tried_with_each_value_other_than_its_default() {
    fn same(default: &Value, tried: &Value, place: &str) -> Vec<String> {
        match default.as_object() {
            Some(map)
                if !map.is_empty() && !FREE.iter().any(|free| place == format!(".{free}")) =>
            {
                let each = map.iter();
                each.flat_map(|(key, one)| same(one, &tried[key], &format!("{place}.{key}")))
                    .collect()
            }
            _ if default == tried => vec![place.to_owned()],
            _ => Vec::new(),
        }
    }
    let kept = same(&yaml("values.yaml"), &yaml("ci/most-values.yaml"), "");
    // A cluster has one name or the other; what is switched off has no other values.
    let switches = [".endpoint.enabled", ".injection.enabled", ".volumes.enabled"];
    assert_eq!(kept, [[".clusterName"].as_slice(), &switches].concat());
}

#[test]
fn kustomize_has_all_that_the_chart_has() {
    let listed = objects("deploy/kustomization.yaml").unwrap().remove(0);
    let listed: BTreeSet<String> =
        texts(&listed["resources"]).into_iter().map(|file| format!("deploy/{file}")).collect();
    let mut there: BTreeSet<String> = ["crds", "policies", "rbac"]
        .iter()
        .flat_map(|name| files(&format!("deploy/{name}")).unwrap())
        .collect();
    // For a namespace that has members, and for agents that keep names.
    for optional in ["rbac/member-bindings.yaml", "rbac/names.yaml", "policies/names.yaml"] {
        assert!(there.remove(&format!("deploy/{optional}")));
    }
    there.insert("deploy/daemonset.yaml".to_owned());
    there.insert("deploy/injection/guard.yaml".to_owned());
    assert_eq!(listed, there);
}
