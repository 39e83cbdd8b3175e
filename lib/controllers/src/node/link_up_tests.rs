use super::*;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn eni(device_index: u32) -> Eni {
    Eni {
        id: parsed(&format!("eni-0000000{device_index}")),
        mac: parsed(&format!("06:00:00:00:00:0{device_index}")),
        device_index,
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        primary_address: [10, 0, 1, 10].into(),
        listed: BTreeSet::new(),
        prefixes: 0,
    }
}

fn link(device_index: u32, index: u32, up: bool) -> ObservedLink {
    let (mac, name) = (eni(device_index).mac, format!("eth{device_index}"));
    ObservedLink { name, index, mac, up, bare: true }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

/// The device indexes of the ENIs whose links are set up; all ENIs are usable.
fn due(raiser: &mut LinkRaiser, links: &[ObservedLink], now: Moment) -> Vec<EniId> {
    let enis = [eni(0), eni(1), eni(2)];
    raiser.due(links, &enis, |_| true, now).into_iter().map(|eni| eni.id).collect()
}

#[test]
fn f068_link_of_a_new_eni_is_set_up_once() {
    let mut raiser = LinkRaiser::default();
    assert_eq!(due(&mut raiser, &[link(0, 2, true)], at(0)), []);
    let both = [link(0, 2, true), link(1, 3, false)];
    assert_eq!(due(&mut raiser, &both, at(5)), [eni(1).id]);
    assert_eq!(due(&mut raiser, &both, at(6)), [], "an attempt is under way");
    assert_eq!(due(&mut raiser, &both, at(35)), [eni(1).id], "the attempt came to nothing");
}

#[test]
fn f132_link_that_is_up_without_an_address_of_its_own_gets_one() {
    let mut raiser = LinkRaiser::default();
    let up = link(1, 3, true);
    let up = std::slice::from_ref(&up);
    assert_eq!(due(&mut raiser, up, at(0)), [], "DHCP may be about to configure it");
    assert_eq!(due(&mut raiser, up, at(30)), [eni(1).id]);
    assert_eq!(due(&mut raiser, up, at(31)), [], "an attempt is under way");
    let configured = ObservedLink { bare: false, ..link(1, 3, true) };
    assert_eq!(due(&mut raiser, &[configured], at(80)), []);
    assert_eq!(due(&mut raiser, up, at(90)), [], "for a moment");
}

#[test]
fn f068_link_set_down_later_stays_down_until_it_reappears() {
    let mut raiser = LinkRaiser::default();
    let up = ObservedLink { bare: false, ..link(1, 3, true) };
    assert_eq!(due(&mut raiser, &[up], at(0)), []);
    assert_eq!(due(&mut raiser, &[link(1, 3, false)], at(60)), [], "somebody took it down");
    assert_eq!(due(&mut raiser, &[], at(120)), []);
    assert_eq!(due(&mut raiser, &[link(1, 4, false)], at(180)), [eni(1).id]);
}

#[test]
fn primary_interface_and_links_with_an_address_are_never_set_up() {
    let mut raiser = LinkRaiser::default();
    assert_eq!(due(&mut raiser, &[link(0, 2, false)], at(0)), []);
    let configured = ObservedLink { bare: false, ..link(1, 3, false) };
    assert_eq!(due(&mut raiser, &[configured], at(0)), []);
    assert_eq!(due(&mut raiser, &[link(1, 3, false)], at(0)), [eni(1).id]);
}

#[test]
fn f057_link_of_an_eni_that_firecamp_may_not_use_is_left_unchanged() {
    let (mut raiser, own) = (LinkRaiser::default(), eni(2).id);
    let links = [link(1, 3, false), link(2, 4, false)];
    let enis = [eni(1), eni(2)];
    let due = raiser.due(&links, &enis, |id| *id == own, at(0));
    assert_eq!(due, [eni(2)]);
}
