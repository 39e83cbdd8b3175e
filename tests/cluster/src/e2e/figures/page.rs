//! The Markdown page of the results.

use std::time::Duration;

use super::{Figures, MEMBERS, Returns, VARIANTS, Variant, WINDOW, WINDOWS};

const ABOVE: &str = "\
<!-- Written by `make figures`. -->
# On a cluster

What FireCamp costs on a real Kubernetes: three nodes in a [VPC in a
box](../../development/vpcbox.md) on one machine, with the release images, imported beforehand,
and an EC2 that takes the times of a model. `make figures` measures and writes this
page.

| | Median | Least | Most | n |
| --- | ---: | ---: | ---: | ---: |
";

const BELOW: &str = "
A pod counts as returned when the API server reports its successor as ready. In direct mode a pod
also has an init container and a native sidecar, with the label the injected init container. The
kubelet starts them one after the other, stops the sidecar last, and notices only once a second that
a container has started or exited. On the same node nearly all of the difference is this delay, not
the work of the containers. On another node EC2 moves the address. In the model its data path
switches after 1.2 s at the median, and its metadata service, from which the node learns that,
lists the address after at most 1 s in half of all moves, and after 1 to 10 s in the others. So the
moves of all kinds differ, and their medians of twelve by seconds from run to run. The rows without
EC2's own time subtract it: from the arrival of the Assign until data path and metadata service show
its result. A node whose metadata service still lists the address from before relies on EC2's
description instead, 3 s after the answer to the Assign; if the new listing comes later than that,
the rows show less, down to 0. The goal for another node leaves EC2 1.3 s, if the containers take as
long as on the same node. [PERFORMANCE.md](../PERFORMANCE.md) has what FireCamp itself adds. A pod
with a network of its own also gets a sandbox from the network plugin.
";

/// The times of one kind.
type Pick = fn(&Returns) -> &[Duration];

/// What is measured, its times, and the pods that have them.
type Kind = (&'static str, Pick, fn(&Variant) -> bool);

/// The whole page.
pub(super) fn text(figures: &Figures) -> String {
    let one = |took: Duration| vec![took.as_secs_f64()];
    let many = |all: &[Duration]| all.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let usage = |pick: fn(&super::AgentUsage) -> f64| {
        figures.agents_usage.iter().map(pick).collect::<Vec<_>>()
    };
    let mut rows = vec![
        row("`helm install` until every agent is ready, s", &one(figures.agents)),
        row("… until the first member answers at its address, s", &one(figures.reachable)),
    ];
    let kinds: [Kind; 3] = [
        ("the same node", |it| &it.same, |_all| true),
        ("another node", |it| &it.other, |_all| true),
        ("another node without EC2's own time", |it| &it.beyond, |it| it.firecamp.attaches()),
    ];
    for (node, pick, has) in kinds {
        let all = VARIANTS.iter().zip(&figures.returns).filter(|(variant, _)| has(variant));
        for (variant, returns) in all {
            let what =
                format!("pod deleted until its successor is ready on {node}, s: {}", variant.what);
            rows.push(row(&what, &many(pick(returns))));
        }
    }
    rows.extend(differences(figures));
    rows.push(row("memory of an agent, MiB", &usage(|it| mebibytes(it.memory))));
    rows.push(row("CPU usage of an agent, % of one CPU", &usage(|it| it.cpu)));
    if let Some(size) = figures.archive {
        rows.push(row("an image's archive, MiB", &[mebibytes(size)]));
    }
    let footer = format!(
        "\nEach agent was measured {WINDOWS} times for {} s, with {MEMBERS} idle members on the \
         three nodes. {}\n",
        WINDOW.as_secs(),
        figures.commit
    );
    [ABOVE, &rows.concat(), BELOW, &footer].concat()
}

/// By how much the medians of pods with FireCamp exceed those of the same pods without it. The
/// label has goals.
fn differences(figures: &Figures) -> Vec<String> {
    let nodes: [(&str, f64, Pick); 2] =
        [("the same node", 1.1, |it| &it.same), ("another node", 2.4, |it| &it.other)];
    let mut rows = Vec::new();
    for (node, goal, pick) in nodes {
        let took = |number: usize| median(pick(figures.returns.get(number)?));
        for (number, variant) in VARIANTS.iter().enumerate() {
            let Some(more) = variant
                .alone
                .and_then(|alone| Some(took(number)?.as_secs_f64() - took(alone)?.as_secs_f64()))
            else {
                continue;
            };
            let goal = match variant.firecamp.is_injected() {
                true if more <= goal => format!(" (goal: {goal:.1}, met)"),
                true => format!(" (goal: {goal:.1}, missed)"),
                false => String::new(),
            };
            let what = format!("median beyond that of the service alone, {node}, s{goal}");
            rows.push(format!("| {what}: {} | {more:.2} | – | – | – |\n", variant.what));
        }
    }
    rows
}

fn median(all: &[Duration]) -> Option<Duration> {
    let mut sorted = all.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied()
}

fn mebibytes(bytes: u64) -> f64 {
    u32::try_from(bytes >> 10).map_or(f64::INFINITY, f64::from) / 1024.0
}

fn row(what: &str, all: &[f64]) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return format!("| {what} | – | – | – | 0 |\n");
    };
    let median = sorted.get(sorted.len() / 2).unwrap_or(most);
    format!("| {what} | {median:.2} | {least:.2} | {most:.2} | {} |\n", sorted.len())
}

#[cfg(test)]
mod tests {
    use super::super::AgentUsage;
    use super::*;

    #[test]
    fn the_page_has_a_row_for_each_figure() {
        let seconds = |all: &[u64]| all.iter().map(|one| Duration::from_secs(*one)).collect();
        let figures = Figures {
            agents: Duration::from_millis(2_500),
            reachable: Duration::from_secs(9),
            returns: vec![
                Returns { same: seconds(&[5, 1, 3]), other: seconds(&[7]), beyond: seconds(&[4]) },
                Returns { same: seconds(&[2, 4]), ..Returns::default() },
                Returns { same: seconds(&[2]), other: seconds(&[4]), ..Returns::default() },
                Returns::default(),
                Returns { same: seconds(&[1]), other: seconds(&[1]), ..Returns::default() },
            ],
            agents_usage: vec![AgentUsage { memory: 3 << 20, cpu: 0.25 }],
            commit: "Measured at home.".to_owned(),
            archive: Some(7 << 20),
        };
        let page = text(&figures);
        for row in [
            "| `helm install` until every agent is ready, s | 2.50 | 2.50 | 2.50 | 1 |",
            "ready on the same node, s: direct mode | 3.00 | 1.00 | 5.00 | 3 |",
            "ready on the same node, s: containers that do nothing instead of FireCamp's | 4.00 |",
            "ready on another node, s: direct mode | 7.00 | 7.00 | 7.00 | 1 |",
            "another node without EC2's own time, s: direct mode | 4.00 | 4.00 | 4.00 | 1 |",
            "FireCamp's | – | – | – | 0 |",
            "service alone, the same node, s: direct mode | 2.00 | – | – | – |",
            "the same node, s (goal: 1.1, met): the label, with hostNetwork | 1.00 | – | – | – |",
            "another node, s (goal: 2.4, missed): the label, with hostNetwork | 3.00 | – |",
            "| memory of an agent, MiB | 3.00 | 3.00 | 3.00 | 1 |",
            "| CPU usage of an agent, % of one CPU | 0.25 | 0.25 | 0.25 | 1 |",
            "| an image's archive, MiB | 7.00 | 7.00 | 7.00 | 1 |",
            "on the three nodes. Measured at home.",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
    }
}
