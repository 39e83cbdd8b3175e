//! Measures the static-IP file and the file registry alone, on a real disk.

use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::ids::{Member, PoolName};
use firecamp_core::ports::{MemberFile, Registry};
use firecamp_core::record::{Claim, StaticIp, Stored, Write};
use firecamp_host::{FileOptions, StaticIpFile};
use firecamp_registry::api::{StaticIP, render};
use firecamp_registry::{FileRegistry, Timeouts};
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::boxed::records;
use crate::failure::Failure;
use crate::samples::Samples;

/// The number of objects in a registry, and the suffix of the figures' names.
const SIZES: [(u32, &str); 3] = [(10, ""), (1_000, ".1000"), (10_000, ".10000")];

/// The address of the measured member.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 200, 200);

/// Measures both in the directory of this program, which is on a disk. The sizes alternate.
pub(crate) fn measure(rounds: u32) -> Result<Samples, Failure> {
    let ourselves = std::env::current_exe().map_err(Failure::of("find this program"))?;
    let place = ourselves.parent().unwrap_or(Path::new("."));
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(place);
    let dir = dir.map_err(Failure::of("make a directory"))?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::of("start a runtime"))?;
    runtime.block_on(async {
        let mut samples = file(&dir.path().join("conf"), rounds).await?;
        samples.join(registries(dir.path(), rounds).await?);
        Ok(samples)
    })
}

async fn file(dir: &Path, rounds: u32) -> Result<Samples, Failure> {
    let file = StaticIpFile::new(dir, FileOptions::default());
    let failed = |what| {
        move |failure: firecamp_core::failure::FileFailure| {
            Failure::new(format!("{what}: {}", failure.detail))
        }
    };
    let mut samples = Samples::default();
    for round in 0..rounds {
        let begun = Instant::now();
        file.probe().await.map_err(failed("probe"))?;
        samples.add("file.probe", begun.elapsed().as_secs_f64() * 1e6);
        // Another address in each round, because an unchanged file is not written.
        let address = Ipv4Addr::from(0x0a00_0000 + round);
        let begun = Instant::now();
        file.stage(address).await.map_err(failed("stage"))?;
        file.publish().await.map_err(failed("publish"))?;
        file.sync().await.map_err(failed("sync"))?;
        samples.add("file.write", begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(samples)
}

async fn registries(dir: &Path, rounds: u32) -> Result<Samples, Failure> {
    let mut opened = Vec::new();
    for (count, suffix) in SIZES {
        let dir = dir.join(format!("registry{suffix}"));
        opened.push((filled(&dir, count).await?, suffix));
    }
    let (member, pool) = (member(0)?, pool()?);
    let mut samples = Samples::default();
    for _round in 0..rounds {
        for (registry, suffix) in &opened {
            let mut note = |what: &str, begun: Instant| {
                let took = begun.elapsed().as_secs_f64() * 1e6;
                samples.add(format!("registry.{what}{suffix}"), took);
            };
            let begun = Instant::now();
            let read = registry.member(&member, None).await.map_err(records::failed)?;
            note("read", begun);
            let Some(stored) = read.static_ip else { return Err(Failure::new("no record")) };
            let begun = Instant::now();
            registry.write(&next(stored)).await.map_err(records::failed)?;
            note("write", begun);
            let begun = Instant::now();
            registry.allocated(&pool).await.map_err(records::failed)?;
            note("list", begun);
        }
    }
    Ok(samples)
}

/// The same record with the next epoch.
fn next(Stored { version, object }: Stored<StaticIp>) -> Write {
    let object = StaticIp { epoch: object.epoch.next(), ..object };
    Write::UpdateStaticIp(Stored { version, object })
}

/// A registry with `count` addresses. The registry itself writes only the first; the others are
/// written without sync.
async fn filled(dir: &Path, count: u32) -> Result<FileRegistry, Failure> {
    let pools = dir.join("staticippools");
    let what = format!("fill {}", dir.display());
    std::fs::create_dir_all(&pools).map_err(Failure::of(&what))?;
    std::fs::write(pools.join("bench.yaml"), POOL_YAML).map_err(Failure::of(&what))?;
    let registry = FileRegistry::open(dir, Timeouts::default()).map_err(records::failed)?;
    let (member, pool) = (member(0)?, pool()?);
    let claim =
        Claim { member: member.clone(), pool, requested: None, address: Some(ADDRESS), set: None };
    registry.write(&Write::CreateClaim(claim)).await.map_err(records::failed)?;
    let ours = record(ADDRESS, member)?;
    registry.write(&Write::CreateStaticIp(ours)).await.map_err(records::failed)?;
    for number in 1..count {
        let address = Ipv4Addr::from(0x0a00_0100 + number);
        let object = StaticIP::from(&record(address, self::member(number)?)?);
        let text = render(&object).map_err(Failure::of(&what))?;
        let file = dir.join("staticips").join(format!("{address}.yaml"));
        std::fs::write(file, text).map_err(Failure::of(&what))?;
    }
    Ok(registry)
}

const POOL_YAML: &str = "\
apiVersion: firecamp.io/v1alpha1
kind: StaticIPPool
metadata:
  name: bench
spec:
  releasePolicy: Keep
  subnets:
    - subnet: subnet-0a000000000000001
      cidr: 10.0.0.0/16
      zone: us-east-1a
      ranges:
        - start: 10.0.1.0
          end: 10.0.250.255
...
";

fn member(number: u32) -> Result<Member, Failure> {
    Member::new("bench", &format!("redis-{number}")).map_err(Failure::of("a member"))
}

fn pool() -> Result<PoolName, Failure> {
    PoolName::new("bench").map_err(Failure::of("a pool"))
}

fn record(address: Ipv4Addr, member: Member) -> Result<StaticIp, Failure> {
    records::parked(
        (member, address),
        ("10.0.0.0/16", "bench"),
        ("node-a", "eni-0a000000000000001"),
    )
}
