//! An agent's Event in the format of `events.k8s.io/v1`.

use std::net::Ipv4Addr;

use firecamp_controllers::publish::{About, Event};
use firecamp_core::contract::api;
use firecamp_core::ids::NodeName;
use serde_json::{Value, json};

/// The API's limit for a note.
const NOTE_MAX: usize = 1024;
/// The namespace of Events about cluster-scoped objects.
const DEFAULT: &str = "default";

/// The static IP whose UID the Event needs: `kubectl describe` finds Events by UID.
pub(crate) fn needs_uid_of(event: &Event) -> Option<Ipv4Addr> {
    match event.about {
        About::StaticIp(address) => Some(address),
        About::Pod { .. } | About::Node => None,
    }
}

/// The namespace and the object. The name is derived from the Event, so that a retry finds it
/// already created.
pub(crate) fn body(
    event: &Event,
    (node, reporter): (&NodeName, &str),
    uid: Option<&str>,
) -> (String, Value) {
    let (namespace, name, regarding) = match &event.about {
        About::Pod { namespace, name, uid } => {
            let pod = json!({ "apiVersion": "v1", "kind": "Pod", "namespace": namespace,
                "name": name, "uid": uid });
            (namespace.clone(), name.clone(), pod)
        }
        About::StaticIp(address) => {
            let mut ip = static_ip(*address);
            if let (Some(uid), Value::Object(map)) = (uid, &mut ip) {
                map.insert("uid".to_owned(), json!(uid));
            }
            (DEFAULT.to_owned(), address.to_string(), ip)
        }
        About::Node => {
            // The kubelet's Events about its node have the node's name as UID, and users search
            // for it.
            let about = json!({ "apiVersion": "v1", "kind": "Node", "name": node.as_str(),
                "uid": node.as_str() });
            (DEFAULT.to_owned(), node.to_string(), about)
        }
    };
    let mut body = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{}.{:016x}", shortened(&name, 200), digest(event, node)),
            "namespace": namespace,
        },
        "eventTime": with_micros(&event.at),
        "reportingController": reporter,
        "reportingInstance": shortened(node.as_str(), 128),
        "type": if event.warns { "Warning" } else { "Normal" },
        "reason": event.reason,
        "action": event.action,
        "note": shortened(&event.note, NOTE_MAX),
        "regarding": regarding,
    });
    let other = event.related.filter(|address| event.about != About::StaticIp(*address));
    if let (Some(address), Value::Object(map)) = (other, &mut body) {
        map.insert("related".to_owned(), static_ip(address));
    }
    (namespace, body)
}

fn static_ip(address: Ipv4Addr) -> Value {
    json!({ "apiVersion": api::VERSION, "kind": api::STATIC_IP, "name": address.to_string() })
}

fn shortened(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or(text)
}

/// Kubernetes' MicroTime requires six decimal places.
fn with_micros(at: &str) -> String {
    at.strip_suffix('Z')
        .filter(|at| !at.contains('.'))
        .map_or(at.to_owned(), |at| format!("{at}.000000Z"))
}

/// FNV-1a, which is the same in every process and build.
fn digest(event: &Event, node: &NodeName) -> u64 {
    let text = format!("{:?} {} {} {} {node}", event.about, event.reason, event.note, event.at);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
