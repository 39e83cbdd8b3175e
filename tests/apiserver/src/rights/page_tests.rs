//! Compares `docs/privileges.md` with `deploy/rbac`.

use std::collections::BTreeSet;

use super::{Right, objects, roles};

const PAGE: &str = include_str!("../../../../docs/privileges.md");

/// The rows of the tables: role, group, resource, verbs, why.
fn rows() -> Vec<Vec<String>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `firecamp-"));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}

fn reported() -> BTreeSet<(String, Right)> {
    let mut reported = BTreeSet::new();
    for row in rows() {
        let [role, group, resource, verb, why] = row.as_slice() else {
            panic!("{row:?} does not have five cells");
        };
        assert!(why.len() > 10, "{row:?}: why?");
        let (resource, name) = match resource.split_once(' ') {
            Some((resource, name)) => (resource, Some(name.to_owned())),
            None => (resource.as_str(), None),
        };
        let group = if group == "core" { "" } else { group };
        for verb in verb.split(", ") {
            let right = Right {
                group: group.to_owned(),
                resource: resource.to_owned(),
                verb: verb.to_owned(),
                name: name.clone(),
            };
            assert!(reported.insert((role.clone(), right)), "{row:?} is a duplicate");
        }
    }
    reported
}

#[test]
fn the_page_lists_exactly_the_deployed_permissions() {
    let objects = objects("prod").unwrap();
    let deployed: BTreeSet<(String, Right)> = roles(&objects)
        .into_iter()
        .flat_map(|(name, role)| role.rights.into_iter().map(move |right| (name.clone(), right)))
        .collect();
    let reported = reported();
    let missing: Vec<_> = deployed.difference(&reported).collect();
    let wrong: Vec<_> = reported.difference(&deployed).collect();
    assert!(missing.is_empty(), "docs/privileges.md does not list {missing:#?}");
    assert!(
        wrong.is_empty(),
        "docs/privileges.md lists permissions that deploy/rbac does not grant: {wrong:#?}"
    );
    assert!(deployed.len() >= 10, "{deployed:?}");
}

#[test]
fn no_role_has_a_wildcard_or_may_impersonate() {
    for (name, role) in roles(&objects("prod").unwrap()) {
        for right in &role.rights {
            let parts = [&right.group, &right.resource, &right.verb];
            assert!(parts.iter().all(|part| !part.contains('*')), "{name}: {right:?}");
            assert!(
                !matches!(right.verb.as_str(), "impersonate" | "bind" | "escalate"),
                "{name}: {right:?}"
            );
            assert!(right.resource != "secrets", "{name}: {right:?}");
        }
    }
}
