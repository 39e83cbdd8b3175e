//! Reads the API server's audit log.

use std::path::Path;

use serde_json::Value;

/// One request of a service account.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `system:serviceaccount:prod:redis`.
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) group: String,
    /// `staticips`, `staticips/status`; empty for other paths, such as `/version`.
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) code: u64,
}

/// The log has a record for the start and the end of a watch, which counts once; a rejected watch
/// has only an end.
pub(super) fn read(log: &Path) -> Result<Vec<Request>, String> {
    let text = std::fs::read_to_string(log).map_err(|wrong| format!("read the audit: {wrong}"))?;
    let mut requests = Vec::new();
    for line in text.lines() {
        let event: Value =
            serde_json::from_str(line).map_err(|wrong| format!("{line}: {wrong}"))?;
        let request = request(&event);
        let begins = event["stage"] == "ResponseStarted";
        if begins || request.verb != "watch" || request.code >= 400 {
            requests.push(request);
        }
    }
    Ok(requests)
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(part) => format!("{}/{part}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    let uri = text(&event["requestURI"]);
    Request {
        user: text(&event["user"]["username"]),
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource,
        name: text(&object["name"]),
        query: uri.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}
