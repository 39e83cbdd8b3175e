//! ExternalDNS, which makes records of the VPC from the DNSEndpoints in the cluster. It runs in the
//! network of a worker, whose role Route 53 knows from the metadata service, and only while a
//! scenario wants it.

use std::path::PathBuf;
use std::time::Duration;

use firecamp_testkit::kubernetes::User;

use crate::home::Home;
use crate::install::{Admin, source, tool, until};
use crate::settings::kubeconfig;
use crate::topology::CLUSTER;
use crate::{Outcome, failed};

/// The name of the component.
pub(crate) const EXTERNAL_DNS: &str = "external-dns";
/// The worker in whose network it runs.
pub(crate) const MACHINE: &str = "node-c";
/// How often it compares records. Its default is a minute.
pub(crate) const SYNC: Duration = Duration::from_secs(20);
/// The variable with the path of its source; scripts/cluster.sh sets it.
const SOURCE: &str = "EXTERNAL_DNS_SOURCE";
/// What the API server permits to it.
const OBJECTS: &str = "tests/cluster/src/external_dns.yaml";

pub(crate) const USER: User<'static> = User {
    token: "external-dns-of-this-test",
    name: "external-dns",
    group: "system:authenticated",
};

/// The DNS zone of the cluster's members, as in the original FireCamp.
pub(crate) fn zone() -> String {
    format!("{CLUSTER}-firecamp.com")
}

/// The program. The first time, it is built, which takes minutes.
pub(crate) fn program() -> Outcome<PathBuf> {
    tool(EXTERNAL_DNS, "sigs.k8s.io/external-dns", "tools/external-dns")
}

pub(crate) fn flags(home: &Home) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig(home, EXTERNAL_DNS)),
        "--source=crd".to_owned(),
        "--provider=aws".to_owned(),
        "--aws-zone-type=private".to_owned(),
        "--policy=sync".to_owned(),
        "--registry=txt".to_owned(),
        format!("--txt-owner-id={CLUSTER}"),
        format!("--interval={}s", SYNC.as_secs()),
        "--metrics-address=127.0.0.1:7979".to_owned(),
    ]
}

/// Installs its CustomResourceDefinition and what it may do.
pub(crate) async fn install(admin: &Admin) -> Outcome {
    let path = std::env::var_os(SOURCE).map(PathBuf::from);
    let path = path.ok_or_else(|| format!("{SOURCE} is not set: run this by `make`"))?;
    let crd = path.join("config/crd/standard/dnsendpoints.externaldns.k8s.io.yaml");
    for file in [crd.display().to_string(), source(OBJECTS)] {
        let words = ["apply", "--server-side", "--filename", &file];
        until(&file, || admin.kubectl(&words)).await.map_err(failed(&file))?;
    }
    Ok(())
}
