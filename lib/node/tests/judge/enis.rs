//! Which interfaces may be used.

use firecamp_core::choose_interface::EniRule;
use firecamp_node::preflight::facts::{Cni, CniPlugin, Fact, Facts};
use firecamp_node::preflight::{
    Kind, Manager, Reason, Severity, Status, judge, passes, summary, verdicts,
};

use crate::fixture::*;

#[test]
fn f057_the_primary_interface_is_always_the_cnis() {
    let facts = with(|facts| {
        facts.node.cni = Fact::Known(Some(Cni::vpc("/etc/cni/net.d/10-aws.conflist")));
        facts.purpose.subnets = Some(pools(&[A]));
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[0].no_manage = Some("true".to_owned());
    });
    let reported = one(&facts, Kind::EniUsable);
    assert_eq!(reported.reason, Reason::ManagedByVpcCni);
    assert!(reported.message.contains("eni-00000000 (device index 0"), "{}", reported.message);
    assert!(
        reported.message.contains("no_manage=true"),
        "it names the remedy: {}",
        reported.message
    );
    assert!(!passes(&judge(&facts)));
}

#[test]
fn f057_a_second_interface_is_ours_only_with_the_exact_tag_and_without_prefixes() {
    let reason = |tag, prefixes| reason(&with_cni(tag, prefixes), Kind::EniUsable);
    assert_eq!(reason(Some("true"), 0), Reason::Usable);
    assert_eq!(reason(None, 0), Reason::ManagedByVpcCni);
    assert_eq!(reason(Some("True"), 0), Reason::ManagedByVpcCni);
    assert_eq!(reason(Some("true"), 2), Reason::ManagedByVpcCni);
    let reported = one(&with_cni(Some("true"), 2), Kind::EniUsable).message;
    assert!(reported.contains("adopted it before it was tagged"), "{reported}");
}

#[test]
fn f057_verdicts_name_the_manager_of_each_interface() {
    let managers = |facts: &Facts| verdicts(facts).iter().map(|v| v.manager).collect::<Vec<_>>();
    assert_eq!(managers(&good()), [Manager::FireCamp; 2]);
    assert_eq!(managers(&with_cni(Some("true"), 0)), [Manager::VpcCni, Manager::FireCamp]);
    let unreported = with(|facts| {
        facts.node.cni = Fact::Known(Some(Cni::vpc("x")));
        facts.interfaces = Fact::NotChecked;
    });
    assert_eq!(managers(&unreported), [Manager::VpcCni, Manager::Unknown]);
    let unseen = with(|facts| facts.node.cni = Fact::Failed("not mounted".to_owned()));
    assert_eq!(managers(&unseen), [Manager::Unknown; 2]);
    let service = with(|facts| {
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[1].operator = Some("eks.amazonaws.com".to_owned());
    });
    assert_eq!(managers(&service), [Manager::FireCamp, Manager::Other]);
}

#[test]
fn the_primary_interface_is_not_used_beside_an_unknown_cni() {
    let facts = |rule| {
        with(|facts| {
            let plugin = CniPlugin::Unknown("cilium-cni".to_owned());
            let file = "/etc/cni/net.d/05-cilium.conflist".to_owned();
            facts.node.cni = Fact::Known(Some(Cni { plugin, file }));
            facts.purpose.subnets = Some(pools(&[A, B]));
            facts.purpose.rule = rule;
        })
    };
    let managers: Vec<Manager> =
        verdicts(&facts(EniRule::Auto)).iter().map(|one| one.manager).collect();
    assert_eq!(managers, [Manager::UnknownCni, Manager::FireCamp]);
    let reported = one(&facts(EniRule::Primary), Kind::EniUsable);
    assert_eq!(reported.reason, Reason::PrimaryBesideUnknownCni);
    assert!(reported.message.contains("cilium-cni"), "{}", reported.message);
    assert_eq!(reason(&facts(EniRule::DeviceIndex(1)), Kind::EniUsable), Reason::Usable);
}

#[test]
fn f057_another_interface_of_the_same_subnet_is_used_or_suggested() {
    let facts = |rule| {
        with(|facts| {
            let Fact::Known(identity) = &mut facts.identity else { unreachable!() };
            identity.enis.push(eni(2, A));
            let mut own = interface(&identity.enis[2]);
            own.no_manage = Some("true".to_owned());
            let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
            all.push(own);
            facts.node.cni = Fact::Known(Some(Cni::vpc("x")));
            facts.purpose.subnets = Some(pools(&[A]));
            facts.purpose.rule = rule;
        })
    };
    let chosen = one(&facts(EniRule::Auto), Kind::EniUsable);
    assert_eq!(chosen.message, "Members get eni-00000002");
    let reported = one(&facts(EniRule::Primary), Kind::EniUsable);
    assert_eq!(reported.reason, Reason::ManagedByVpcCni);
    assert!(
        reported.message.contains("members can use eni-00000002 (device index 2) instead"),
        "{}",
        reported.message
    );
    assert_eq!(reason(&facts(EniRule::DeviceIndex(2)), Kind::EniUsable), Reason::Usable);
}

#[test]
fn a_node_without_an_interface_in_a_pool_subnet_is_reported() {
    let facts = with(|f| f.purpose.subnets = Some(pools(&["subnet-0000000c"])));
    let reported = one(&facts, Kind::EniUsable);
    assert_eq!(reported.reason, Reason::NoEniInSubnet);
    assert!(
        reported.message.contains("i-0000000a has interfaces in subnet-0000000a, subnet-0000000b")
    );
}

#[test]
fn without_a_pool_no_interface_is_missing() {
    let facts = with(|f| f.purpose.subnets = Some(pools(&[])));
    let reported = one(&facts, Kind::EniUsable);
    assert_eq!((reported.reason, reported.reason.status()), (Reason::NoPool, Status::Unknown));
}

#[test]
fn an_interface_without_the_clusters_tag_is_a_warning() {
    let facts = with(|facts| {
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[1].cluster = Some("test".to_owned());
    });
    let reported = one(&facts, Kind::EniTagged);
    assert_eq!((reported.reason, reported.severity()), (Reason::NotTagged, Severity::Warning));
    assert!(
        reported.message.contains("eni-00000001 has the value \"test\""),
        "{}",
        reported.message
    );
    assert_eq!(summary(&judge(&facts)).reason, Reason::PassedWithWarnings);
}

#[test]
fn f068_a_link_that_is_down_or_missing_is_named() {
    let down = with(|facts| {
        let Fact::Known(links) = &mut facts.node.links else { unreachable!() };
        links[1].up = false;
    });
    let reported = one(&down, Kind::EniLinked);
    assert_eq!(reported.reason, Reason::LinkDown);
    assert!(
        reported.message.contains("The link ens1 of eni-00000001 is down"),
        "{}",
        reported.message
    );
    let missing = with(|facts| {
        let Fact::Known(links) = &mut facts.node.links else { unreachable!() };
        links.remove(0);
    });
    assert_eq!(reason(&missing, Kind::EniLinked), Reason::LinkMissing);
}

#[test]
fn f058_other_security_groups_in_the_same_subnet_are_named() {
    let facts = with(|facts| {
        let Fact::Known(peers) = &mut facts.peers else { unreachable!() };
        let mut far = peers[1].clone();
        far.id = parsed("eni-0000000f");
        far.groups = ["sg-1".to_owned(), "sg-2".to_owned()].into();
        peers.push(far);
    });
    let reported = one(&facts, Kind::SecurityGroupsAgree);
    assert_eq!(reported.reason, Reason::GroupsDiffer);
    let wanted = "In subnet-0000000b: eni-00000001 has sg-1, and eni-0000000f has sg-1 sg-2";
    assert!(reported.message.contains(wanted), "{}", reported.message);
}

#[test]
fn f058_security_groups_are_compared_per_subnet() {
    let facts = with(|facts| {
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[0].groups = ["sg-9".to_owned()].into();
        facts.peers = Fact::Known(vec![]);
    });
    assert_eq!(reason(&facts, Kind::SecurityGroupsAgree), Reason::GroupsAgree);
}

#[test]
fn f055_delete_on_termination_is_a_warning() {
    let facts = with(|facts| {
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[1].delete_on_termination = true;
    });
    let reported = one(&facts, Kind::EniSurvivesTermination);
    assert_eq!(
        (reported.reason, reported.severity()),
        (Reason::DeletedOnTermination, Severity::Warning)
    );
    assert!(
        reported.message.starts_with("eni-00000001: DeleteOnTermination"),
        "{}",
        reported.message
    );
    let elsewhere = with(|facts| {
        facts.purpose.subnets = Some(pools(&[A]));
        let Fact::Known(all) = &mut facts.interfaces else { unreachable!() };
        all[1].delete_on_termination = true;
    });
    assert_eq!(
        reason(&elsewhere, Kind::EniSurvivesTermination),
        Reason::Survives,
        "no member gets it"
    );
}
