//! What a read of a member shows after each crash of an attach, and whose things are whose.

use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::Member;
use firecamp_core::outside::Registry;
use firecamp_core::record::{Claim, Stored, Write};

use super::samples::{attached, claim, member, pool, static_ip};
use super::writes::{ADDRESS, created, update};
use super::{Fixture, Outcome, fails, good, names, same, there};

/// Died after attach.3: the claim is there and its address is not chosen.
pub async fn f075_a_claim_without_an_address_is_found_and_not_doubled<F: Fixture>(
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

/// Died between the choice of the address and attach.4: the object is not there yet.
pub async fn f075_a_claim_whose_address_has_no_object_shows_none<F: Fixture>(
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

/// Died after attach.4 with the claim not pointing there: the object says whose it is.
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

/// What is asked for counts until the member has an address. Until then it may change; afterwards
/// it may stay, go, or say what is so already.
pub async fn what_is_asked_for_changes_only_while_it_counts<F: Fixture>(fixture: &F) -> Outcome {
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

/// Two inits raced for the address: the loser's claim shows the winner's object.
pub async fn f075_the_object_that_a_claim_names_is_shown_whoever_it_belongs_to<F: Fixture>(
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

/// The namespace is part of who a member is.
pub async fn f079_one_name_in_two_namespaces_is_two_members<F: Fixture>(fixture: &F) -> Outcome {
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

/// A write that an earlier pod of the member prepared fails once a later one has taken over,
/// also when the later one wrote the very same text as the earlier.
pub async fn f079_an_earlier_incarnation_changes_nothing<F: Fixture>(fixture: &F) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let made = created(&*registry, &static_ip(ADDRESS, &member(0)?, &pool)?).await?;
    let first = update(&*registry, &made, attached(&made.object, 1)?).await?;
    let second = update(&*registry, &first, attached(&first.object, 2)?).await?;
    let mut other = second.object.clone();
    there("attachment", other.attachment.as_mut())?.served = false;
    let between = update(&*registry, &second, other).await?;
    // The same again is not the same object: who read it the first time is behind.
    let back = update(&*registry, &between, second.object.clone()).await?;
    for late in [made, first, second, between] {
        let answer = registry.write(&Write::UpdateStaticIp(late)).await;
        fails("late write", RegistryKind::Conflict, answer)?;
    }
    same("object", &good("read", registry.static_ip(ADDRESS).await)?, &Some(back))
}
