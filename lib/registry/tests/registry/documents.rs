//! docs/file-registry.md and its examples match the real output. `BLESS=1` rewrites the examples;
//! correct the page by hand.

use std::fs;
use std::path::{Path, PathBuf};

use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid, RunId};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Attachment, Claim, State, StaticIp, Stored, Write};
use firecamp_registry::{FileRegistry, Timeouts, registry_url};

const PAGE: &str = include_str!("../../../../docs/file-registry.md");
const POOL: &str = include_str!("../../../../docs/examples/registry/pool.yaml");
/// The registry's directory on the page.
const SHOWN_DIR: &str = "/var/lib/firecamp";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/registry")
}

/// The registry of the page: a pool written by hand, then the writes of an attach.
struct Example {
    dir: tempfile::TempDir,
    registry: FileRegistry,
    member: Member,
}

impl Example {
    async fn written() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("staticippools")).unwrap();
        fs::write(dir.path().join("staticippools/prod.yaml"), POOL).unwrap();
        let registry = FileRegistry::open(dir.path(), Timeouts::default()).unwrap();
        let member = Member::new("demo", "redis-0").unwrap();
        let example = Self { dir, registry, member };
        example.attach().await;
        example
    }

    async fn attach(&self) {
        let pool = self.registry.member(&self.member, None).await.unwrap().pool.unwrap();
        let subnet = pool.subnets[0].clone();
        let mut claim = Claim {
            member: self.member.clone(),
            pool: pool.name.clone(),
            requested: None,
            address: None,
            set: None,
        };
        let version = self.write(Write::CreateClaim(claim.clone())).await;
        claim.address = Some(subnet.ranges[0].0);
        self.write(Write::UpdateClaim(Stored { version, object: claim })).await;
        let mut ip = StaticIp {
            address: subnet.ranges[0].0,
            pool: pool.name,
            subnet: subnet.subnet,
            cidr: subnet.cidr,
            zone: subnet.zone,
            member: self.member.clone(),
            epoch: Epoch(0),
            attachment: None,
            reserved_on: None,
            pending_mutations: std::collections::BTreeSet::new(),
        };
        let version = self.write(Write::CreateStaticIp(ip.clone())).await;
        let eni = EniId::new("eni-0f1e2d3c4b5a69788").unwrap();
        ip.epoch = Epoch(1);
        ip.reserved_on = Some(eni.clone());
        ip.attachment = Some(Attachment {
            state: State::Attached,
            pod: PodUid::new("redis-0-first").unwrap(),
            node: NodeName::new("node-a").unwrap(),
            eni: Some(eni),
            run: RunId::new("init-8f3a").unwrap(),
            served: true,
        });
        self.write(Write::UpdateStaticIp(Stored { version, object: ip })).await;
    }

    async fn write(&self, write: Write) -> firecamp_core::ids::Version {
        self.registry.write(&write).await.unwrap()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn shown(&self, text: &str) -> String {
        text.replace(&self.dir.path().display().to_string(), SHOWN_DIR)
    }
}

/// Replaces the random UID by a fixed one.
fn with_fixed_uid(text: &str) -> String {
    let fixed = |line: &str| {
        let uid = line.starts_with("  uid: ");
        let line = if uid { "  uid: 5d1f3a52-8a0e-4c65-9e0b-6a1c0d2e7f90" } else { line };
        format!("{line}\n")
    };
    text.lines().map(fixed).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn the_page_and_the_examples_show_what_the_registry_writes() {
    let example = Example::written().await;
    let mut shown = vec![POOL.to_owned()];
    for (file, name) in [
        ("staticips/10.0.0.16.yaml", "static-ip.yaml"),
        ("staticipclaims/demo/redis-0.yaml", "claim.yaml"),
    ] {
        let written = with_fixed_uid(&fs::read_to_string(example.path(file)).unwrap());
        let shown_file = examples().join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&shown_file, &written).unwrap();
        }
        let stored = fs::read_to_string(&shown_file).unwrap_or_default();
        assert_eq!(stored, written, "run again with BLESS=1 to rewrite {}", shown_file.display());
        shown.push(written);
    }
    for text in shown {
        assert!(PAGE.contains(&text), "docs/file-registry.md does not show\n{text}");
    }
}

#[tokio::test]
async fn the_page_shows_the_printed_messages() {
    let example = Example::written().await;
    let mut messages = vec![
        registry_url::default(false).unwrap_err().to_string(),
        registry_url::parse("file://var/lib/firecamp").unwrap_err().to_string(),
    ];
    let file = example.path("staticips/10.0.0.16.yaml");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, &whole[..whole.find("  reservedOn").unwrap()]).unwrap();
    let address = "10.0.0.16".parse().unwrap();
    messages.push(example.registry.static_ip(address).await.unwrap_err().detail);
    fs::write(&file, whole.replace("epoch: 1", "epoch: one")).unwrap();
    messages.push(example.registry.static_ip(address).await.unwrap_err().detail);
    fs::copy(example.path("staticippools/prod.yaml"), example.path("staticippools/test.yaml"))
        .unwrap();
    let other = Member::new("demo", "redis-1").unwrap();
    messages.push(example.registry.member(&other, None).await.unwrap_err().detail);
    for text in messages {
        let text = example.shown(&text);
        assert!(PAGE.contains(&text), "docs/file-registry.md does not show: {text}");
    }
}
