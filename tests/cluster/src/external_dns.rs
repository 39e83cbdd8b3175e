//! ExternalDNS, which makes records of the VPC from the DNSEndpoints in the cluster. It runs in the
//! network of a worker, whose role Route 53 knows from the metadata service, and only while a
//! scenario wants it.

use std::path::PathBuf;

use firecamp_testkit::kubernetes::User;

use crate::home::Home;
use crate::install::{Admin, source, until};
use crate::settings::kubeconfig;
use crate::topology::CLUSTER;
use crate::{Outcome, failed};

/// The name of the component.
pub(crate) const EXTERNAL_DNS: &str = "external-dns";
/// The worker in whose network it runs.
pub(crate) const MACHINE: &str = "node-c";
/// How often it compares records, in seconds. Its default is a minute.
pub(crate) const SYNC: u32 = 20;
/// The variables with the path of the program and of its source; scripts/cluster.sh sets them.
const PROGRAM: &str = "EXTERNAL_DNS";
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

fn given(variable: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.ok_or_else(|| format!("{variable} is not set: run this by `make`"))
}

pub(crate) fn program() -> Outcome<PathBuf> {
    given(PROGRAM)
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
        format!("--interval={SYNC}s"),
        "--metrics-address=127.0.0.1:7979".to_owned(),
    ]
}

/// Installs its CustomResourceDefinition and what it may do.
pub(crate) async fn install(admin: &Admin) -> Outcome {
    let crd = given(SOURCE)?.join("config/crd/standard/dnsendpoints.externaldns.k8s.io.yaml");
    for file in [crd.display().to_string(), source(OBJECTS)] {
        let words = ["apply", "--server-side", "--filename", &file];
        until(&file, || admin.kubectl(&words)).await.map_err(failed(&file))?;
    }
    Ok(())
}
