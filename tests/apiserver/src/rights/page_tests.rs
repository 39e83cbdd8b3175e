//! `docs/rbac.md` and `deploy/rbac` say the same.

use std::collections::BTreeSet;

use super::{Right, objects, roles};

const PAGE: &str = include_str!("../../../../docs/rbac.md");

/// The rows of the tables: role, group, resource, verbs, why.
fn rows() -> Vec<Vec<String>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `firecamp-"));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}

fn told() -> BTreeSet<(String, Right)> {
    let mut told = BTreeSet::new();
    for row in rows() {
        let [role, group, resource, verb, why] = row.as_slice() else {
            panic!("{row:?} has not five cells");
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
            assert!(told.insert((role.clone(), right)), "{row:?} is told twice");
        }
    }
    told
}

#[test]
fn the_page_tells_each_right_that_is_deployed_and_no_other() {
    let objects = objects("prod").unwrap();
    let deployed: BTreeSet<(String, Right)> = roles(&objects)
        .into_iter()
        .flat_map(|(name, role)| role.rights.into_iter().map(move |right| (name.clone(), right)))
        .collect();
    let told = told();
    let missing: Vec<_> = deployed.difference(&told).collect();
    let wrong: Vec<_> = told.difference(&deployed).collect();
    assert!(missing.is_empty(), "docs/rbac.md does not tell {missing:#?}");
    assert!(wrong.is_empty(), "docs/rbac.md tells what deploy/rbac does not grant: {wrong:#?}");
    assert!(deployed.len() >= 10, "{deployed:?}");
}

#[test]
fn no_role_has_a_wildcard_or_may_become_somebody_else() {
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
