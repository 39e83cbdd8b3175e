//! The machine that this runs on.

use firecamp_core::ids::NodeName;

use crate::failure::Failure;

/// The name of this node: as it was given, or else the host name, as kubelets and our containers
/// take it. None if the host name is no node's.
pub fn node_name(given: Option<&str>) -> Result<Option<NodeName>, Failure> {
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        let name = NodeName::new(name);
        return name.map(Some).map_err(|wrong| Failure::Usage(format!("--node-name: {wrong}")));
    }
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    Ok(host.and_then(|name| NodeName::new(&name.to_lowercase()).ok()))
}
