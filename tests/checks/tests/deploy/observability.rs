//! Alerts, runbooks and dashboards use only metrics that the agent has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use firecamp_checks::deploy::{objects, place, text};
use firecamp_core::contract::env::METRICS_LISTEN;
use serde_json::Value;

use crate::texts;

const RULES: &str = "deploy/observability/rules.yaml";
const DASHBOARDS: [&str; 2] = ["deploy/observability/fleet.json", "deploy/observability/node.json"];
const PAGES: &str = "docs/runbooks";
/// What Prometheus itself has, or gives to everything that it asks.
const OF_PROMETHEUS: [&str; 1] = ["up"];
const GIVEN: [&str; 4] = ["cluster", "instance", "job", "le"];
/// What kube-state-metrics tells of nodes and of init containers, with its labels, by its
/// documentation: it is not run here, so these are believed.
const OF_KUBERNETES: [(&str, &[&str]); 4] = [
    ("kube_node_status_capacity", &["node", "resource"]),
    ("kube_pod_init_container_resource_requests", &["resource"]),
    ("kube_pod_init_container_status_ready", &["namespace", "pod", "container"]),
    ("kube_pod_init_container_status_restarts_total", &["namespace", "pod", "container"]),
];

/// A metric of docs/metrics.md, which is held against the code.
struct Metric {
    histogram: bool,
    labels: BTreeSet<String>,
}

fn metrics() -> BTreeMap<String, Metric> {
    let page = text("docs/metrics.md").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let own = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[2].split(',').map(str::trim).filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let name = cells[0].trim_end_matches('`').to_owned();
        (name, Metric { histogram: cells[1] == "histogram", labels })
    });
    let others = OF_KUBERNETES.into_iter().map(|(name, labels)| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        (name.to_owned(), Metric { histogram: false, labels })
    });
    own.chain(others).collect()
}

fn alerts() -> Vec<Value> {
    let rules = objects(RULES).unwrap().remove(0);
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

/// Every expression, and where it is.
fn expressions() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = alerts()
        .iter()
        .map(|alert| {
            let name = alert["alert"].as_str().unwrap().to_owned();
            (name, alert["expr"].as_str().unwrap().to_owned())
        })
        .collect();
    for file in DASHBOARDS {
        let status_writer: Value = serde_json::from_str(&text(file).unwrap()).unwrap();
        for panel in status_writer["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let at = format!("{file}: {}", panel["title"]);
                all.push((at, target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in status_writer["templating"]["list"].as_array().unwrap() {
            let query = variable["query"].as_str().unwrap();
            if query.contains('(') {
                all.push((format!("{file}: {}", variable["name"]), query.to_owned()));
            }
        }
    }
    all
}

/// The words of an expression that are in no quotes.
fn words(expression: &str) -> Vec<String> {
    let bare: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    bare.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_metric(word: &str) -> bool {
    let known = ["firecamp_", "process_", "kube_"].iter().any(|it| word.starts_with(it));
    known || OF_PROMETHEUS.contains(&word)
}

/// The metric that a word of an expression means.
fn meant<'a>(word: &'a str, all: &BTreeMap<String, Metric>) -> Option<&'a str> {
    if all.contains_key(word) || OF_PROMETHEUS.contains(&word) {
        return Some(word);
    }
    let parts = ["_bucket", "_sum", "_count"];
    let base = parts.into_iter().find_map(|part| word.strip_suffix(part))?;
    all.get(base).filter(|metric| metric.histogram).map(|_| base)
}

#[test]
fn every_metric_and_label_that_is_used_is_one_that_the_agent_has() {
    let all = metrics();
    assert!(all.len() > 20, "docs/metrics.md was not understood");
    for (place, expression) in expressions() {
        let words = words(&expression);
        let used: Vec<&String> = words.iter().filter(|word| is_metric(word)).collect();
        assert!(!used.is_empty(), "{place}: {expression} is about no metric");
        let mut labels: BTreeSet<&str> = GIVEN.into();
        for word in used {
            let name = meant(word, &all).unwrap_or_else(|| panic!("{place}: there is no {word}"));
            if let Some(metric) = all.get(name) {
                labels.extend(metric.labels.iter().map(String::as_str));
            }
        }
        for label in chosen(&expression) {
            assert!(labels.contains(label.as_str()), "{place}: no label {label}");
        }
    }
}

/// The labels that an expression selects or groups by.
fn chosen(expression: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (open, close) in [('{', '}'), ('(', ')')] {
        for part in expression.split(open).skip(1) {
            let before = expression.split(part).next().unwrap_or_default().trim_end_matches(open);
            let grouping = ["by", "on"].iter().any(|word| before.trim_end().ends_with(word));
            if open == '{' || grouping {
                let inner = part.split(close).next().unwrap_or_default();
                let names = inner.split(',').map(|one| one.split(['=', '!']).next().unwrap_or(""));
                all.extend(names.map(|name| name.trim().to_owned()));
            }
        }
    }
    all
}

#[test]
fn what_is_added_up_or_drawn_is_of_one_cluster() {
    for (place, expression) in expressions() {
        for word in ["sum", "count", "min", "max"] {
            for rest in expression.split(&format!("{word} ")).skip(1) {
                assert!(rest.starts_with("by (cluster"), "{place}: {word} {rest}");
            }
            assert!(!expression.contains(&format!("{word}(")), "{place}: over all clusters");
        }
        let is_drawn = place.contains(".json") && !place.ends_with("\"cluster\"");
        let selected = expression.matches("{cluster=~\"$cluster\"").count();
        // The others are what a series is compared with, by its cluster.
        let compared = expression.matches("on (cluster, ").count();
        let metrics = words(&expression).iter().filter(|word| is_metric(word)).count();
        assert!(!is_drawn || selected + compared == metrics, "{place}: {expression}");
    }
}

#[test]
fn every_alert_has_a_page_that_quotes_it_and_every_page_an_alert() {
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap().to_owned();
        let url = alert["annotations"]["runbook_url"].as_str().unwrap().to_owned();
        assert!(url.ends_with(&format!("/{PAGES}/{name}.md")), "{url}");
        assert!(alert["annotations"]["summary"].is_string(), "{name}");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let page = text(&format!("{PAGES}/{name}.md")).unwrap();
        assert!(page.contains(alert["expr"].as_str().unwrap()), "{name}: another expression");
        assert!(page.contains(&format!("*{severity}*")), "{name}: another severity");
        assert!(text(&format!("{PAGES}/README.md")).unwrap().contains(&format!("[{name}]")));
        named.insert(format!("{name}.md"));
    }
    let pages = fs::read_dir(place(PAGES)).unwrap();
    let pages = pages.map(|page| page.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = pages.filter(|page| page != "README.md").collect();
    assert_eq!(pages, named);
}

#[test]
fn every_alert_is_tried_with_its_cause_and_without_it() {
    let tests = objects("deploy/observability/rules-test.yaml").unwrap().remove(0);
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let own = tests["tests"].as_array().unwrap().iter().filter_map(|test| {
            let rule = &test["alert_rule_test"][0];
            (rule["alertname"] == name).then(|| rule["exp_alerts"].as_array().unwrap().len())
        });
        assert_eq!(own.collect::<BTreeSet<_>>(), [0, 1].into(), "{name}");
    }
    assert_eq!(texts(&tests["rule_files"]), ["rules.yaml"]);
}

#[test]
fn the_operators_objects_have_the_alerts_and_ask_the_port_that_the_agent_serves() {
    let all = objects("tests/checks/rendered/most.yaml").unwrap();
    let kind = |kind: &str| all.iter().find(|object| object["kind"] == kind).unwrap();
    assert_eq!(kind("PrometheusRule")["spec"], objects(RULES).unwrap().remove(0));
    let endpoint = &kind("PodMonitor")["spec"]["podMetricsEndpoints"][0];
    let agent = &kind("DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(endpoint["port"], agent["ports"][0]["name"]);
    let label = &endpoint["relabelings"][0];
    assert_eq!(texts(&label["sourceLabels"]), ["__meta_kubernetes_pod_node_name"]);
    assert_eq!(label["targetLabel"], "instance", "by which nodes are told apart");
    let port = &agent["ports"][0]["containerPort"];
    let listen = agent["env"].as_array().unwrap().iter().find(|one| one["name"] == METRICS_LISTEN);
    assert_eq!(listen.unwrap()["value"], format!("$(HOST_IP):{port}"));
}
