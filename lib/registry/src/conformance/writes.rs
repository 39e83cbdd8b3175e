//! Create-if-absent and compare-and-swap.

use std::net::Ipv4Addr;
use std::sync::Arc;

use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::{EniId, Epoch, RunId, Version, Zone};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Pool, State, StaticIp, Stored, Write};

use super::samples::{attached, claim, member, pool, static_ip};
use super::{Broken, Fixture, Outcome, broken, fails, good, names, same, there};

pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);

pub(super) async fn created<R: Registry>(
    registry: &R,
    ip: &StaticIp,
) -> Result<Stored<StaticIp>, Broken> {
    let version = good("create", registry.write(&Write::CreateStaticIp(ip.clone())).await)?;
    Ok(Stored { version, object: ip.clone() })
}

pub(super) async fn update<R: Registry>(
    registry: &R,
    old: &Stored<StaticIp>,
    new: StaticIp,
) -> Result<Stored<StaticIp>, Broken> {
    let write = Write::UpdateStaticIp(Stored { version: old.version.clone(), object: new.clone() });
    let version = good("update", registry.write(&write).await)?;
    Ok(Stored { version, object: new })
}

async fn one_address<F: Fixture>(
    fixture: &F,
) -> Result<(Arc<F::Registry>, Pool, Stored<StaticIp>), Broken> {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let ip = static_ip(ADDRESS, &member(0)?, &pool)?;
    let stored = created(&*registry, &ip).await?;
    Ok((registry, pool, stored))
}

/// Every field of a record survives a write and a read, at the version that the write returned.
pub async fn every_field_round_trips<F: Fixture>(fixture: &F) -> Outcome {
    let (registry, pool, created) = one_address(fixture).await?;
    same("created", &good("read", registry.static_ip(ADDRESS).await)?, &Some(created.clone()))?;
    let mut last = update(&*registry, &created, attached(&created.object, 7)?).await?;
    same("attached", &good("read", registry.static_ip(ADDRESS).await)?, &Some(last.clone()))?;
    for state in [State::Attached, State::Parked, State::Releasing, State::Released] {
        let mut next = last.object.clone();
        let attachment = there("attachment", next.attachment.as_mut())?;
        attachment.state = state;
        if matches!(state, State::Releasing | State::Released) {
            attachment.eni = None;
        }
        last = update(&*registry, &last, next).await?;
        let read = good("read", registry.static_ip(ADDRESS).await)?;
        same(&format!("{state:?}"), &read, &Some(last.clone()))?;
    }
    let mut claim = claim(&member(0)?, &pool);
    let mut version = good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    for (requested, address) in [(Some(ADDRESS), None), (None, Some(ADDRESS)), (None, None)] {
        claim.requested = requested;
        claim.address = address;
        let write = Write::UpdateClaim(Stored { version, object: claim.clone() });
        version = good("bind", registry.write(&write).await)?;
        let read = good("read", registry.member(&claim.member, None).await)?;
        let wanted = Stored { version: version.clone(), object: claim.clone() };
        same("claim", &read.claim, &Some(wanted))?;
        same("pool", &read.pool, &Some(pool.clone()))?;
        same("address of the claim", &read.static_ip.map(|ip| ip.object.address), &address)?;
    }
    Ok(())
}

/// Creating an object is exclusive, and the loser changes nothing.
pub async fn f073_an_address_is_created_once<F: Fixture>(fixture: &F) -> Outcome {
    let (registry, pool, created) = one_address(fixture).await?;
    let other = static_ip(ADDRESS, &member(1)?, &pool)?;
    for again in [created.object.clone(), other] {
        let answer = registry.write(&Write::CreateStaticIp(again)).await;
        let text = fails("second create", RegistryKind::AlreadyExists, answer)?;
        names(&text, "10.1.0.20")?;
    }
    same("object", &good("read", registry.static_ip(ADDRESS).await)?, &Some(created))?;
    let claim = claim(&member(0)?, &pool);
    good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    let again = registry.write(&Write::CreateClaim(claim)).await;
    names(&fails("second claim", RegistryKind::AlreadyExists, again)?, "prod/redis-0")
}

/// A compare-and-swap on a version other than the stored one.
pub async fn f072_a_write_on_an_old_version_is_a_conflict_and_changes_nothing<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let (registry, pool, created) = one_address(fixture).await?;
    let newer = update(&*registry, &created, attached(&created.object, 1)?).await?;
    let stale = Stored { version: created.version, object: attached(&newer.object, 9)? };
    let foreign =
        Stored { version: Version::new("no-such-version")?, object: stale.object.clone() };
    for write in [stale, foreign] {
        let answer = registry.write(&Write::UpdateStaticIp(write)).await;
        names(&fails("stale write", RegistryKind::Conflict, answer)?, "10.1.0.20")?;
    }
    same("object", &good("read", registry.static_ip(ADDRESS).await)?, &Some(newer))?;
    let mut claim = claim(&member(0)?, &pool);
    let first = good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    claim.address = Some(ADDRESS);
    let bind = Write::UpdateClaim(Stored { version: first, object: claim });
    good("bind", registry.write(&bind).await)?;
    names(&fails("second bind", RegistryKind::Conflict, registry.write(&bind).await)?, "redis-0")
}

/// An update never creates.
pub async fn an_update_of_a_missing_object_is_not_found<F: Fixture>(fixture: &F) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let version = Version::new("1")?;
    let ip = static_ip(ADDRESS, &member(0)?, &pool)?;
    let write = Write::UpdateStaticIp(Stored { version: version.clone(), object: ip });
    names(&fails("address", RegistryKind::NotFound, registry.write(&write).await)?, "10.1.0.20")?;
    let write = Write::UpdateClaim(Stored { version, object: claim(&member(0)?, &pool) });
    names(&fails("claim", RegistryKind::NotFound, registry.write(&write).await)?, "redis-0")?;
    same("address", &good("read", registry.static_ip(ADDRESS).await)?, &None)
}

/// A version from before a change is stale, even if the content was changed back.
pub async fn every_change_creates_a_new_version<F: Fixture>(fixture: &F) -> Outcome {
    let (registry, _pool, mut last) = one_address(fixture).await?;
    let mut versions = vec![last.version.clone()];
    for round in 0..20 {
        let run = RunId::new(&format!("init-{}", round % 2))?;
        let mut next = attached(&last.object, 1)?;
        there("attachment", next.attachment.as_mut())?.run = run;
        last = update(&*registry, &last, next).await?;
        if versions.contains(&last.version) {
            return broken(format!("version {} came twice", last.version));
        }
        versions.push(last.version.clone());
    }
    Ok(())
}

/// For the registries that guarantee it: a write without a change also creates a new version.
/// In Kubernetes it does not.
pub async fn every_write_creates_a_new_version<F: Fixture>(fixture: &F) -> Outcome {
    let (registry, _pool, mut last) = one_address(fixture).await?;
    let mut versions = vec![last.version.clone()];
    for _ in 0..20 {
        last = update(&*registry, &last, last.object.clone()).await?;
        if versions.contains(&last.version) {
            return broken(format!("version {} came twice", last.version));
        }
        versions.push(last.version.clone());
    }
    Ok(())
}

/// The response of a write was lost: a retry is rejected, and a read shows that the write
/// succeeded.
pub async fn f052_a_repeated_write_is_rejected_and_a_read_returns_the_first<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let (registry, _pool, created) = one_address(fixture).await?;
    let create = Write::CreateStaticIp(created.object.clone());
    fails("repeated create", RegistryKind::AlreadyExists, registry.write(&create).await)?;
    let taken = attached(&created.object, 1)?;
    let take = Write::UpdateStaticIp(Stored { version: created.version, object: taken.clone() });
    good("take", registry.write(&take).await)?;
    fails("repeated take", RegistryKind::Conflict, registry.write(&take).await)?;
    let read = there("address", good("read", registry.static_ip(ADDRESS).await)?)?;
    same("taken once", &read.object, &taken)
}

/// The owner and the location of an address are immutable.
pub async fn f073_a_change_of_an_immutable_field_is_rejected<F: Fixture>(fixture: &F) -> Outcome {
    let (registry, a, created) = one_address(fixture).await?;
    let other = pool("b", &[2])?;
    let ip = || created.object.clone();
    let larger = ipnet::Ipv4Net::new(Ipv4Addr::new(10, 1, 0, 0), 16);
    let cases = [
        ("spec.claimRef", StaticIp { member: member(1)?, ..ip() }),
        ("spec.pool", StaticIp { pool: other.name.clone(), ..ip() }),
        (
            "spec.subnet",
            StaticIp {
                subnet: other.subnets[..]
                    .first()
                    .map_or_else(|| ip().subnet, |entry| entry.subnet.clone()),
                ..ip()
            },
        ),
        (
            "spec.cidr",
            StaticIp { cidr: larger.map_err(|wrong| Broken(wrong.to_string()))?, ..ip() },
        ),
        ("spec.zone", StaticIp { zone: Zone::new("us-east-1b")?, ..ip() }),
    ];
    for (field, changed) in cases {
        let write = Stored { version: created.version.clone(), object: changed };
        let answer = registry.write(&Write::UpdateStaticIp(write)).await;
        names(&fails(field, RegistryKind::Refused, answer)?, field)?;
    }
    same("address", &good("read", registry.static_ip(ADDRESS).await)?, &Some(created.clone()))?;
    let mut claim = claim(&member(0)?, &a);
    let version = good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    claim.pool = other.name;
    let write = Write::UpdateClaim(Stored { version, object: claim });
    let text = fails("claim", RegistryKind::Refused, registry.write(&write).await)?;
    names(&text, "spec.pool")
}

/// A record older than the stored one, for example from a backup, does not decrease the epoch.
pub async fn f080_an_epoch_never_decreases<F: Fixture>(fixture: &F) -> Outcome {
    let (registry, _pool, created) = one_address(fixture).await?;
    let taken = update(&*registry, &created, attached(&created.object, 5)?).await?;
    let older = Stored { version: taken.version.clone(), object: attached(&taken.object, 4)? };
    let answer = registry.write(&Write::UpdateStaticIp(older)).await;
    names(&fails("older epoch", RegistryKind::Refused, answer)?, "spec.epoch")?;
    same("object", &good("read", registry.static_ip(ADDRESS).await)?, &Some(taken))
}

/// Addresses that EC2 never assigns, and impossible attachments.
pub async fn f073_an_inconsistent_object_is_rejected<F: Fixture>(fixture: &F) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let good_one = attached(&static_ip(ADDRESS, &member(0)?, &pool)?, 1)?;
    let at = |address| StaticIp { address, ..good_one.clone() };
    let mut without_eni = good_one.clone();
    let mut with_eni = good_one.clone();
    there("attachment", without_eni.attachment.as_mut())?.eni = None;
    let attachment = there("attachment", with_eni.attachment.as_mut())?;
    attachment.state = State::Released;
    attachment.eni = Some(EniId::new("eni-0123456789abcdef0")?);
    let cases = [
        ("spec.address", at(Ipv4Addr::new(10, 2, 0, 20))),
        ("spec.address", at(Ipv4Addr::new(10, 1, 0, 0))),
        ("spec.address", at(Ipv4Addr::new(10, 1, 0, 3))),
        ("spec.address", at(Ipv4Addr::new(10, 1, 0, 255))),
        ("spec.epoch", StaticIp { epoch: Epoch(0), ..good_one.clone() }),
        ("spec.epoch", StaticIp { epoch: Epoch(u64::MAX), ..good_one.clone() }),
        ("spec.attachment.eni", without_eni),
        ("spec.attachment.eni", with_eni),
    ];
    for (field, wrong) in cases {
        let address = wrong.address;
        let answer = registry.write(&Write::CreateStaticIp(wrong)).await;
        names(&fails(field, RegistryKind::Refused, answer)?, field)?;
        same("object", &good("read", registry.static_ip(address).await)?, &None)?;
    }
    Ok(())
}

/// Tasks increase the epoch of one address concurrently: no increase is lost.
pub async fn f072_of_concurrent_writers_on_one_version_exactly_one_wins<F: Fixture>(
    fixture: &F,
) -> Outcome {
    const TASKS: u64 = 4;
    const RAISES: u64 = 25;
    let (registry, _pool, _created) = one_address(fixture).await?;
    let raise = |registry: Arc<F::Registry>| async move {
        let mut won = 0;
        while won < RAISES {
            let old = there("address", good("read", registry.static_ip(ADDRESS).await)?)?;
            let object = attached(&old.object, old.object.epoch.next().0)?;
            let write = Write::UpdateStaticIp(Stored { version: old.version, object });
            match registry.write(&write).await {
                Ok(_) => won += 1,
                Err(failure) if failure.kind == RegistryKind::Conflict => {}
                Err(failure) => return broken(format!("raise: {failure:?}")),
            }
        }
        Ok(())
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(raise(Arc::clone(&registry)))).collect();
    for task in tasks {
        task.await.map_err(|wrong| Broken(wrong.to_string()))??;
    }
    let read = there("address", good("read", registry.static_ip(ADDRESS).await)?)?;
    same("epoch", &read.object.epoch, &Epoch(TASKS * RAISES))
}
