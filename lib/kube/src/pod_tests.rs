use super::*;

const NOW: &str = "Fri, 20 Nov 2026 15:00:00 GMT";
const UID: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";

fn pod(metadata: &str, spec: &str, status: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"redis-0","namespace":"prod","uid":"{UID}"{metadata}}},
            "spec":{{{spec}}},"status":{{{status}}}}}"#
    )
}

fn view_of(text: &str, date: Option<&str>) -> Result<(Option<String>, PodLifecycle), String> {
    match fresh(text.as_bytes(), ("prod", "redis-0"), date).map(|pod| pod.view)? {
        PodView::Present { pod, node, lifecycle, .. } => {
            assert_eq!(pod.as_str(), UID);
            Ok((node.map(|node| node.to_string()), lifecycle))
        }
        other @ (PodView::Vouched | PodView::Absent) => Err(format!("{other:?}")),
    }
}

fn ending(end: &str, date: Option<&str>) -> PodLifecycle {
    let more = format!(r#","deletionTimestamp":"{end}","deletionGracePeriodSeconds":30"#);
    view_of(&pod(&more, r#""nodeName":"n1""#, r#""phase":"Running""#), date).unwrap().1
}

fn requested(spec: &str, status: &str) -> Vec<(String, u32)> {
    let pod = read(&pod("", &format!(r#""nodeName":"n1",{spec}"#), status)).unwrap();
    pod.requested.into_iter().map(|(name, amount)| (name.to_string(), amount)).collect()
}

fn slots_of(spec: &str, status: &str) -> u32 {
    let requested = requested(spec, status);
    assert!(requested.iter().all(|(name, _)| name == "firecamp.io/static-ip"), "{requested:?}");
    requested.iter().map(|(_, amount)| amount).sum()
}

#[test]
fn each_resource_of_a_pool_is_counted_by_itself_and_no_other_resource() {
    let spec = r#""initContainers":[{"resources":{"requests":{"firecamp.io/static-ip-b":"1"}}}],
        "containers":[{"resources":{"requests":{"firecamp.io/static-ip":"2","cpu":"1",
        "firecamp.io/static-ips":"1","example.com/static-ip":"1"}}}]"#;
    let wanted = [("firecamp.io/static-ip", 2), ("firecamp.io/static-ip-b", 1)];
    let wanted = wanted.map(|(name, amount)| (name.to_owned(), amount));
    assert_eq!(requested(spec, r#""phase":"Running""#), wanted);
}

#[test]
fn a_pod_occupies_the_slots_that_its_containers_request_at_the_same_time() {
    let one = r#"{"resources":{"requests":{"cpu":"1","firecamp.io/static-ip":"1"}}}"#;
    let sidecar = r#"{"restartPolicy":"Always",
        "resources":{"requests":{"firecamp.io/static-ip":"1"}}}"#;
    let spec = |init: &[&str], containers: &[&str]| {
        let (init, containers) = (init.join(","), containers.join(","));
        format!(r#""initContainers":[{init}],"containers":[{containers}]"#)
    };
    for (init, containers, slots) in [
        (vec![], vec!["{}"], 0),
        (vec![one], vec!["{}"], 1),
        (vec![one, one], vec!["{}"], 1),
        (vec![one], vec![one, one], 2),
        (vec![sidecar], vec![one], 2),
        (vec![sidecar, one], vec!["{}"], 2),
        (vec![one, sidecar], vec!["{}"], 1),
    ] {
        let spec = spec(&init, &containers);
        assert_eq!(slots_of(&spec, r#""phase":"Running""#), slots, "{spec}");
    }
}

#[test]
fn a_pod_whose_containers_have_terminated_occupies_no_slot() {
    let spec = r#""containers":[{"resources":{"requests":{"firecamp.io/static-ip":"1"}}}]"#;
    assert_eq!(slots_of(spec, r#""phase":"Pending""#), 1);
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(slots_of(spec, &format!(r#""phase":"{phase}""#)), 0, "{phase}");
    }
}

#[test]
fn a_pod_without_a_node_is_not_scheduled_yet() {
    let text = pod("", "", r#""phase":"Pending""#);
    assert_eq!(view_of(&text, Some(NOW)), Ok((None, PodLifecycle::Running)));
}

#[test]
fn a_running_pod_has_its_node() {
    let text = pod("", r#""nodeName":"ip-10-0-0-7.ec2.internal""#, r#""phase":"Running""#);
    let node = Some("ip-10-0-0-7.ec2.internal".to_owned());
    assert_eq!(view_of(&text, Some(NOW)), Ok((node, PodLifecycle::Running)));
}

#[test]
fn the_grace_period_of_a_deleted_pod_is_computed_by_the_servers_clock() {
    let lifecycle = ending("2026-11-20T15:00:30Z", Some(NOW));
    assert_eq!(lifecycle, PodLifecycle::Terminating(Some(Duration::from_secs(29))));
    for over in ["2026-11-20T15:00:00Z", "2026-11-20T14:00:00Z"] {
        assert_eq!(
            ending(over, Some(NOW)),
            PodLifecycle::Terminating(Some(Duration::ZERO)),
            "{over}"
        );
    }
}

#[test]
fn without_the_servers_clock_the_grace_period_is_unknown() {
    for date in [None, Some("yesterday")] {
        assert_eq!(ending("2026-11-20T15:00:30Z", date), PodLifecycle::Terminating(None));
    }
    assert_eq!(ending("soon", Some(NOW)), PodLifecycle::Terminating(None));
}

#[test]
fn a_pod_whose_containers_have_ended_is_terminal_deleted_or_not() {
    for phase in ["Succeeded", "Failed"] {
        let status = format!(r#""phase":"{phase}""#);
        for more in ["", r#","deletionTimestamp":"2026-11-20T15:00:30Z""#] {
            let lifecycle =
                view_of(&pod(more, r#""nodeName":"n1""#, &status), Some(NOW)).unwrap().1;
            assert_eq!(lifecycle, PodLifecycle::Terminal, "{phase} {more}");
        }
    }
}

#[test]
fn f105_only_the_apps_group_stateful_set_counts_as_the_controller_of_a_pod() {
    let controller = |version: &str, kind: &str, controls: bool| {
        let reference = format!(
            r#","ownerReferences":[{{"apiVersion":"v1","kind":"Node","name":"n","uid":"u"}},
            {{"apiVersion":"{version}","kind":"{kind}","name":"redis","uid":"s-1",
            "controller":{controls}}}]"#
        );
        let text = pod(&reference, "", "");
        match fresh(text.as_bytes(), ("prod", "redis-0"), None).map(|pod| pod.view) {
            Ok(PodView::Present { controller, .. }) => controller.map(|it| it.to_string()),
            other => Some(format!("{other:?}")),
        }
    };
    let set = Controller::StatefulSet(SetName::new("redis").unwrap()).to_string();
    assert_eq!(controller("apps/v1", "StatefulSet", true), Some(set));
    assert_eq!(controller("apps/v1", "StatefulSet", false), None);
    for (version, kind) in [("apps/v1", "ReplicaSet"), ("apps.kruise.io/v1", "StatefulSet")] {
        let wanted = format!("{kind} redis ({version})");
        assert_eq!(controller(version, kind, true), Some(wanted));
    }
}

#[test]
fn a_pod_that_asks_has_its_network_pool_and_grace_period() {
    let labels = r#","labels":{"firecamp.io/pool":"main"}"#;
    let spec = r#""nodeName":"n1","hostNetwork":true,"terminationGracePeriodSeconds":90"#;
    let read = |text: &str| asking(text.as_bytes(), ("prod", "redis-0"));
    let asking = read(&pod(labels, spec, "")).unwrap();
    assert!(asking.host_network && asking.node.is_some_and(|node| node.as_str() == "n1"));
    assert_eq!(asking.pool.unwrap().unwrap().as_str(), "main");
    assert_eq!(asking.grace, Duration::from_secs(90));
    let plain = read(&pod("", "", "")).unwrap();
    assert_eq!((plain.host_network, plain.pool, plain.node), (false, Ok(None), None));
    assert_eq!(plain.grace, Duration::from_secs(30));
    let wrong = read(&pod(r#","labels":{"firecamp.io/pool":"A b"}"#, "", "")).unwrap();
    assert!(wrong.pool.unwrap_err().contains("firecamp.io/pool"));
}

#[test]
fn an_address_that_cannot_be_read_is_none_of_the_pods_and_no_reason_to_ignore_it() {
    let status = r#""podIPs":[{"ip":"10.244.1.5"},{"ip":"fd00::5"},{"ip":"x"},{}]"#;
    let text = pod("", r#""nodeName":"n1""#, status);
    let asking = asking(text.as_bytes(), ("prod", "redis-0")).unwrap();
    let ips: Vec<String> = asking.ips.iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["10.244.1.5", "fd00::5"]);
    assert!(read(&text).unwrap().own_network);
}

#[test]
fn an_object_other_than_the_requested_pod_is_an_error() {
    let other = pod("", "", "").replace("redis-0", "redis-1");
    let cases = [
        (other.as_str(), "redis-1"),
        (r#"{"metadata":{"name":"redis-0","namespace":"prod"}}"#, "uid"),
        ("{}", "metadata"),
        ("", "EOF"),
        ("<html>", "expected"),
    ];
    for (text, named) in cases {
        let wrong =
            fresh(text.as_bytes(), ("prod", "redis-0"), None).map(|pod| pod.view).unwrap_err();
        assert!(wrong.contains(named), "{text}: {wrong}");
    }
    let node = pod("", r#""nodeName":"a/b""#, "");
    let wrong = fresh(node.as_bytes(), ("prod", "redis-0"), None).map(|pod| pod.view).unwrap_err();
    assert!(wrong.contains("spec.nodeName"), "{wrong}");
}
