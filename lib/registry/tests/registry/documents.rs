//! docs/file-registry.md and its examples show what really happens. `BLESS=1` rewrites the
//! examples; the page itself is corrected by hand.

use std::fs;
use std::path::{Path, PathBuf};

use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid, RunId};
use firecamp_core::outside::Registry;
use firecamp_core::record::{Attachment, Claim, State, StaticIp, Stored, Write};
use firecamp_registry::{FileRegistry, Timeouts, registry_url};

const PAGE: &str = include_str!("../../../../docs/file-registry.md");
const POOL: &str = include_str!("../../../../docs/examples/registry/pool.yaml");
/// Where the page says that its registry lies.
const SHOWN_DIR: &str = "/var/lib/firecamp";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/registry")
}

/// The life of a registry as the page tells it: a pool by hand, then what an attach writes.
struct Story {
    dir: tempfile::TempDir,
    registry: FileRegistry,
    member: Member,
}

impl Story {
    async fn told() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("staticippools")).unwrap();
        fs::write(dir.path().join("staticippools/prod.yaml"), POOL).unwrap();
        let registry = FileRegistry::open(dir.path(), Timeouts::default()).unwrap();
        let member = Member::new("demo", "redis-0").unwrap();
        let story = Self { dir, registry, member };
        story.attach().await;
        story
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
            unsettled: std::collections::BTreeSet::new(),
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

/// The random UID gives way to a fixed one.
fn with_fixed_uid(text: &str) -> String {
    let fixed = |line: &str| {
        let uid = line.starts_with("  uid: ");
        let line = if uid { "  uid: 5d1f3a52-8a0e-4c65-9e0b-6a1c0d2e7f90" } else { line };
        format!("{line}\n")
    };
    text.lines().map(fixed).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn the_examples_are_what_the_registry_writes_and_the_page_shows_them() {
    let story = Story::told().await;
    let mut shown = vec![POOL.to_owned()];
    for (file, example) in [
        ("staticips/10.0.0.16.yaml", "static-ip.yaml"),
        ("staticipclaims/demo/redis-0.yaml", "claim.yaml"),
    ] {
        let written = with_fixed_uid(&fs::read_to_string(story.path(file)).unwrap());
        let example = examples().join(example);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&example, &written).unwrap();
        }
        let kept = fs::read_to_string(&example).unwrap_or_default();
        assert_eq!(kept, written, "run again with BLESS=1 to rewrite {}", example.display());
        shown.push(written);
    }
    for text in shown {
        assert!(PAGE.contains(&text), "docs/file-registry.md does not show\n{text}");
    }
}

#[tokio::test]
async fn the_page_shows_the_messages_that_are_really_printed() {
    let story = Story::told().await;
    let mut said = vec![
        registry_url::default(false).unwrap_err().to_string(),
        registry_url::parse("file://var/lib/firecamp").unwrap_err().to_string(),
    ];
    let file = story.path("staticips/10.0.0.16.yaml");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, &whole[..whole.find("  reservedOn").unwrap()]).unwrap();
    let address = "10.0.0.16".parse().unwrap();
    said.push(story.registry.static_ip(address).await.unwrap_err().detail);
    fs::write(&file, whole.replace("epoch: 1", "epoch: one")).unwrap();
    said.push(story.registry.static_ip(address).await.unwrap_err().detail);
    fs::copy(story.path("staticippools/prod.yaml"), story.path("staticippools/test.yaml")).unwrap();
    let other = Member::new("demo", "redis-1").unwrap();
    said.push(story.registry.member(&other, None).await.unwrap_err().detail);
    for text in said {
        let text = story.shown(&text);
        assert!(PAGE.contains(&text), "docs/file-registry.md does not show: {text}");
    }
}
