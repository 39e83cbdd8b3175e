//! The Markdown page of the results.

use std::time::Duration;

use super::{Figures, MEMBERS, WINDOW, WINDOWS};

const ABOVE: &str = "\
<!-- Written by `make figures`. -->
# On a cluster

What FireCamp costs on a real Kubernetes: three nodes in a [VPC in a
box](../../development/vpcbox.md) on one machine, with the release images, imported beforehand,
and an EC2 that answers at once. `make figures` measures and writes this page.

| | Median | Least | Most | n |
| --- | ---: | ---: | ---: | ---: |
";

const BELOW: &str = "
All pods run the same service on one node, in the host network. A pod with FireCamp also has an init
container and a native sidecar. The kubelet starts them one after the other, and stops the sidecar
last. The kubelet notices only once a second that a container has started or exited. Nearly all of
the difference is this delay, not the work of the containers. A pod counts as ready when the API
server reports it.
";

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
        row("pod deleted until its successor is ready, s", &many(&figures.with)),
        row("… with containers that do nothing instead of FireCamp's, s", &many(&figures.idle)),
        row("… with the service alone, s", &many(&figures.without)),
        row("memory of an agent, MiB", &usage(|it| mebibytes(it.memory))),
        row("CPU usage of an agent, % of one CPU", &usage(|it| it.cpu)),
    ];
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
            with: seconds(&[5, 1, 3]),
            idle: seconds(&[2, 4]),
            without: seconds(&[]),
            agents_usage: vec![AgentUsage { memory: 3 << 20, cpu: 0.25 }],
            commit: "Measured at home.".to_owned(),
            archive: Some(7 << 20),
        };
        let page = text(&figures);
        for row in [
            "| `helm install` until every agent is ready, s | 2.50 | 2.50 | 2.50 | 1 |",
            "| pod deleted until its successor is ready, s | 3.00 | 1.00 | 5.00 | 3 |",
            "| … with containers that do nothing instead of FireCamp's, s | 4.00 | 2.00 | 4.00 | 2 |",
            "| … with the service alone, s | – | – | – | 0 |",
            "| memory of an agent, MiB | 3.00 | 3.00 | 3.00 | 1 |",
            "| CPU usage of an agent, % of one CPU | 0.25 | 0.25 | 0.25 | 1 |",
            "| an image's archive, MiB | 7.00 | 7.00 | 7.00 | 1 |",
            "on the three nodes. Measured at home.",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
    }
}
