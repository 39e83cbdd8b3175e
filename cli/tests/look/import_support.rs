//! Records in the format of the original.

use std::net::Ipv4Addr;

use firecamp_apiserver::ApiServer;
use firecamp_core::contract::original::{ADDRESS_PREFIX, MEMBER_PREFIX};
use serde_json::{Value, json};

use super::support::{ENI, NODE, address, sample_pool};

pub(crate) const SERVICE: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const OTHER_SERVICE: &str = "ffffffffffffffffffffffffffffffff";
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
/// The zone of the sample pool's subnet.
pub(crate) const ZONE: &str = "us-east-1a";

/// A ConfigMap: name and data.
#[derive(Debug, Clone)]
pub(crate) struct Map(pub(crate) String, pub(crate) Value);

/// `firecamp-staticip-ADDRESS`, in the format of Go's encoding/json.
pub(crate) fn old_address(last: u8) -> Map {
    let address = address(last);
    let spec = json!({
        "ServiceUUID": SERVICE,
        "AvailableZone": ZONE,
        "ServerInstanceID": INSTANCE,
        "NetworkInterfaceID": ENI,
    });
    let data = json!({
        "StaticIP": address.to_string(),
        "Revision": "2",
        "StaticIPSpec": spec.to_string(),
    });
    Map(format!("{ADDRESS_PREFIX}{address}"), data)
}

/// `firecamp-servicemember-UUID-NAME`.
pub(crate) fn old_member(index: u32, address: Ipv4Addr) -> Map {
    let name = format!("redis-{index}");
    let volumes = json!({ "PrimaryVolumeID": "vol-1", "PrimaryDeviceName": "/dev/xvdf" });
    let file = json!({ "FileName": "member.conf", "FileID": "redis-1-0", "FileMD5": "d41d8cd9" });
    let spec = json!({
        "AvailableZone": ZONE,
        "TaskID": "defaultTaskID",
        "ContainerInstanceID": "defaultContainerInstanceID",
        "ServerInstanceID": "defaultServerInstanceID",
        "Volumes": volumes,
        "StaticIP": address.to_string(),
        "Configs": [file],
    });
    let data = json!({
        "ServiceUUID": SERVICE,
        "MemberName": name,
        "Revision": "1",
        "MemberMeta": r#"{"LastModified":1741259600000000000,"Status":"ACTIVE"}"#,
        "MemberSpec": spec.to_string(),
    });
    Map(format!("{MEMBER_PREFIX}{SERVICE}-{name}"), data)
}

impl Map {
    /// The same with a text replaced.
    pub(crate) fn but(self, key: &str, old: &str, new: &str) -> Self {
        let Self(name, mut data) = self;
        let text = data[key].as_str().unwrap().to_owned();
        assert!(text.contains(old), "{old:?} is not in {text:?}");
        data[key] = json!(text.replace(old, new));
        Self(name, data)
    }

    /// Writes it to the API server.
    pub(crate) fn put(&self, server: &ApiServer, namespace: &str) {
        let label = json!({ "firecamp": "anything" });
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "labels": label },
            "data": self.1,
        });
        server.set("configmaps", (Some(namespace), &self.0), object);
    }
}

/// Three members of a service, the last without an address, an address without a member, and
/// unrelated ConfigMaps.
pub(crate) fn original() -> ApiServer {
    let server = ApiServer::default();
    server.create_pool(&sample_pool());
    let provider = format!("aws:///{ZONE}/{INSTANCE}");
    server.set(
        "nodes",
        (None, NODE),
        json!({ "metadata": {}, "spec": { "providerID": provider } }),
    );
    let none = Ipv4Addr::LOCALHOST;
    let all = [
        old_address(20),
        old_address(21).but("StaticIPSpec", INSTANCE, "i-0fffffffffffffff9"),
        old_address(22),
        old_member(0, address(20)),
        old_member(1, address(21)),
        old_member(2, none),
        Map("firecamp-service-70-71".to_owned(), json!({ "ServiceUUID": SERVICE })),
        Map("app".to_owned(), json!({ "password": "hunter2" })),
    ];
    for map in all {
        map.put(&server, "prod");
    }
    server
}
