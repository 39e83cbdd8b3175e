//! What a read of a member returns after each crash of an attach, and which member owns an object.

use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::Member;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Stored, Write};

use super::samples::{attached, claim, member, pool, static_ip};
use super::writes::{ADDRESS, created, update};
use super::{Fixture, Outcome, fails, good, names, same, there};

/// A crash after attach.3: the claim exists and has no address.
pub async fn f075_a_claim_without_an_address_is_found_and_not_created_again<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let claim = claim(&member(0)?, &pool);
    let version = good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    let read = good("read", registry.member(&claim.member, None).await)?;
    same("claim", &read.claim, &Some(Stored { version, object: claim.clone() }))?;
    same("address", &read.static_ip, &None)?;
    let again = registry.write(&Write::CreateClaim(claim)).await;
    fails("second claim", RegistryKind::AlreadyExists, again).map(drop)
}

/// A crash between the choice of the address and attach.4: the StaticIP does not exist yet.
pub async fn f075_a_claim_whose_address_has_no_object_reads_without_static_ip<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let mut claim = claim(&member(0)?, &pool);
    claim.address = Some(ADDRESS);
    good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    let read = good("read", registry.member(&claim.member, None).await)?;
    same("address", &there("claim", read.claim)?.object.address, &Some(ADDRESS))?;
    same("object", &read.static_ip, &None)
}

/// A crash after attach.4 with the claim naming no address: the StaticIP names its owner.
pub async fn f075_an_object_whose_claim_does_not_name_it_is_found_by_its_address<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let member = member(0)?;
    let made = created(&*registry, &static_ip(ADDRESS, &member, &pool)?).await?;
    let read = good("read", registry.member(&member, None).await)?;
    same("claim", &read.claim, &None)?;
    same("object", &read.static_ip, &None)?;
    same("by address", &good("read", registry.static_ip(ADDRESS).await)?, &Some(made))?;
    let taken = good("allocated", registry.allocated(&pool.name).await)?;
    same("taken", &taken.contains(&ADDRESS), &true)
}

/// The requested address has effect until an address is bound. Until then it may change;
/// afterwards it may stay, be removed, or be set to the bound address.
pub async fn the_requested_address_changes_only_until_an_address_is_bound<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let first = claim(&member(0)?, &pool);
    let mut version = good("claim", registry.write(&Write::CreateClaim(first.clone())).await)?;
    let at = |last| Some(Ipv4Addr::new(10, 1, 0, last));
    let steps = [
        (at(20), None, true),
        (at(21), None, true),
        (at(21), at(20), true),
        (at(22), at(20), false),
        (at(22), at(23), false),
        (at(21), at(23), true),
        (None, at(23), true),
        (at(22), at(23), false),
        (at(23), at(23), true),
        (at(22), None, true),
    ];
    for (requested, address, allowed) in steps {
        let object = Claim { requested, address, ..first.clone() };
        let write = Write::UpdateClaim(Stored { version: version.clone(), object });
        let answer = registry.write(&write).await;
        let what = format!("{requested:?} {address:?}");
        if allowed {
            version = good(&what, answer)?;
        } else {
            let text = fails(&what, RegistryKind::Refused, answer)?;
            names(&text, "spec.requestedAddress")?;
        }
    }
    Ok(())
}

/// Two init containers raced for the address: a read of the loser returns the winner's StaticIP.
pub async fn f075_a_read_returns_the_static_ip_of_a_claim_even_if_another_member_owns_it<
    F: Fixture,
>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let winner = created(&*registry, &static_ip(ADDRESS, &member(1)?, &pool)?).await?;
    let mut claim = claim(&member(0)?, &pool);
    claim.address = Some(ADDRESS);
    good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    let read = good("read", registry.member(&claim.member, None).await)?;
    same("object", &read.static_ip, &Some(winner))
}

/// The namespace is part of a member's identity.
pub async fn f079_one_pod_name_in_two_namespaces_is_two_members<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    for (index, namespace) in [(20_u8, "prod"), (21, "test")] {
        let member = Member::new(namespace, "redis-0")?;
        let address = Ipv4Addr::new(10, 1, 0, index);
        let mut claim = claim(&member, &pool);
        claim.address = Some(address);
        good("claim", registry.write(&Write::CreateClaim(claim)).await)?;
        created(&*registry, &static_ip(address, &member, &pool)?).await?;
        let read = good("read", registry.member(&member, None).await)?;
        same("object's member", &there("object", read.static_ip)?.object.member, &member)?;
    }
    Ok(())
}

/// A write that an earlier pod of the member prepared fails once a later pod has taken over, even
/// if the later pod wrote the same content.
pub async fn f079_an_earlier_incarnation_of_a_pod_changes_nothing<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let made = created(&*registry, &static_ip(ADDRESS, &member(0)?, &pool)?).await?;
    let first = update(&*registry, &made, attached(&made.object, 1)?).await?;
    let second = update(&*registry, &first, attached(&first.object, 2)?).await?;
    let mut other = second.object.clone();
    there("attachment", other.attachment.as_mut())?.served = false;
    let between = update(&*registry, &second, other).await?;
    // The same content has a new version, so the first read is stale.
    let back = update(&*registry, &between, second.object.clone()).await?;
    for late in [made, first, second, between] {
        let answer = registry.write(&Write::UpdateStaticIp(late)).await;
        fails("late write", RegistryKind::Conflict, answer)?;
    }
    same("object", &good("read", registry.static_ip(ADDRESS).await)?, &Some(back))
}
