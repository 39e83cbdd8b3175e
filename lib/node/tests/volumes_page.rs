//! docs/volumes.md matches the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the page has failed")]

use std::path::Path;

use firecamp_node::volumes::{MOUNTS_SHOWN, Reason, detect_problem, reason};

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("docs/volumes.md")).unwrap()
}

#[test]
fn the_page_lists_every_reason_in_its_order_with_its_patience_and_what_to_do() {
    let page = page();
    let table = page.split("| Reason | Reported after |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let reported: Vec<[String; 3]> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            [cells[0], cells[1], cells[3]].map(str::to_owned)
        })
        .collect();
    let known: Vec<[String; 3]> = Reason::ALL
        .iter()
        .map(|reason| {
            let patience = format!("{} s", reason.patience().as_secs());
            [reason.name().to_owned(), patience, reason.advice().to_owned()]
        })
        .collect();
    assert_eq!(reported, known);
}

#[test]
fn the_page_names_the_bounds_that_the_code_has() {
    let page = page();
    assert_eq!(reason::LEAVE.as_secs(), 60, "the page says a minute");
    for part in ["bytes", "inodes"] {
        let (full, not) = (detect_problem::FULL, detect_problem::NOT_FULL);
        let reported =
            format!("{full} % or more of its {part} are in use, until it is below {not} %");
        assert!(page.contains(&reported), "{reported}");
    }
    assert!(page.contains(&format!("At most {MOUNTS_SHOWN} mounts")));
}

#[test]
fn reasons_are_named_as_they_are_spelled() {
    for reason in Reason::ALL {
        assert_eq!(format!("{reason:?}"), reason.name());
        assert_eq!(reason.to_string(), reason.name());
        assert_eq!(reason.name().parse(), Ok(reason));
    }
    let unknown = "Haunted".parse::<Reason>().unwrap_err();
    assert!(
        unknown.to_string().contains("\"Haunted\" is not a valid problem of a volume"),
        "{unknown}"
    );
}
