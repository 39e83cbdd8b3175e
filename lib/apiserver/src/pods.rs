//! Which changes of a pod's spec a real API server allows: of those, only what FireCamp makes. A
//! scheduling gate can be removed, never added. While the pod has one, its node selector can get
//! further labels (KEP-3838).

use serde_json::{Map, Value};

use crate::answer::{About, Answer};

/// Checks the change of a pod.
pub(crate) fn check_change(about: About<'_>, old: &Value, new: &Value) -> Result<(), Answer> {
    let invalid = |field: &str, problem: String| {
        Err(Answer::invalid(about, (format!("spec.{field}"), problem)))
    };
    let (gates, before) = (gates(new), gates(old));
    if let Some(added) = gates.iter().find(|gate| !before.contains(gate)) {
        let problem = format!("only deletion is allowed, but found new scheduling gate {added}");
        return invalid("schedulingGates", problem);
    }
    let is_gated = !before.is_empty();
    let (selector, kept) = (selector(new), selector(old));
    let is_extended = kept.iter().all(|(key, value)| selector.get(key) == Some(value));
    if is_gated && !is_extended {
        let problem = "only additions are allowed to spec.nodeSelector (no mutations or deletions)";
        return invalid("nodeSelector", problem.to_owned());
    }
    if rest(old, is_gated) != rest(new, is_gated) {
        let problem = "pod updates may not change fields other than `spec.containers[*].image`";
        return invalid("", problem.to_owned());
    }
    Ok(())
}

fn gates(pod: &Value) -> Vec<&Value> {
    pod.pointer("/spec/schedulingGates").and_then(Value::as_array).into_iter().flatten().collect()
}

fn selector(pod: &Value) -> Map<String, Value> {
    let selector = pod.pointer("/spec/nodeSelector").and_then(Value::as_object);
    selector.cloned().unwrap_or_default()
}

/// The spec without the fields that may have changed.
fn rest(pod: &Value, is_gated: bool) -> Map<String, Value> {
    let mut spec = pod.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.remove("schedulingGates");
    if is_gated {
        spec.remove("nodeSelector");
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ABOUT: About<'_> = About { plural: "pods", name: "redis-0" };

    fn pod(gates: &[&str], selector: &Value) -> Value {
        let gates: Vec<Value> = gates.iter().map(|gate| json!({ "name": gate })).collect();
        json!({ "spec": { "schedulingGates": gates, "nodeSelector": selector, "containers": [] } })
    }

    fn is_allowed(old: &Value, new: &Value) -> bool {
        check_change(ABOUT, old, new).is_ok()
    }

    #[test]
    fn a_gate_can_be_removed_and_none_added() {
        let none = json!({});
        let both = pod(&["a", "b"], &none);
        assert!(is_allowed(&both, &pod(&["b"], &none)));
        assert!(is_allowed(&both, &pod(&[], &none)));
        assert!(!is_allowed(&pod(&["a"], &none), &both));
        assert!(!is_allowed(&pod(&[], &none), &pod(&["a"], &none)));
    }

    #[test]
    fn the_node_selector_of_a_gated_pod_can_only_get_more() {
        let (one, two) = (json!({ "disk": "ssd" }), json!({ "disk": "ssd", "zone": "a" }));
        assert!(is_allowed(&pod(&["a"], &one), &pod(&["a"], &two)));
        assert!(is_allowed(&pod(&["a"], &one), &pod(&[], &two)), "at once with the gate");
        assert!(!is_allowed(&pod(&["a"], &two), &pod(&["a"], &one)));
        assert!(!is_allowed(&pod(&["a"], &one), &pod(&["a"], &json!({ "disk": "hdd" }))));
        assert!(!is_allowed(&pod(&[], &one), &pod(&[], &two)), "not of a pod without a gate");
    }

    #[test]
    fn nothing_else_of_the_spec_changes() {
        let mut other = pod(&[], &json!({}));
        other["spec"]["nodeName"] = json!("node-1");
        assert!(!is_allowed(&pod(&["a"], &json!({})), &other));
    }
}
