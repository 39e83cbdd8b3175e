//! The name of the local node.

use firecamp_core::ids::NodeName;

use crate::failure::Failure;

/// The name of this node: the given one, or else the host name in lower case, like the kubelet
/// and our containers use it. `None` if the host name is not a valid node name.
pub fn node_name(given: Option<&str>) -> Result<Option<NodeName>, Failure> {
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        let name = NodeName::new(name);
        return name.map(Some).map_err(|wrong| Failure::Usage(format!("--node-name: {wrong}")));
    }
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    Ok(host.and_then(|name| NodeName::new(&name.to_lowercase()).ok()))
}
