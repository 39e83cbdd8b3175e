//! The page of the figures.

use std::time::Duration;

use super::{Figures, MEMBERS, WINDOW, WINDOWS};

const ABOVE: &str = "\
<!-- Written by `make figures`. -->
# On a cluster

What FireCamp costs on a real Kubernetes: three nodes in a [VPC in a
box](../../development/vpcbox.md) on one machine, with the images that are shipped, imported
beforehand, and an EC2 that answers at once. `make figures` measures and writes this page.

| | Median | Least | Most | n |
| --- | ---: | ---: | ---: | ---: |
";

const BELOW: &str = "
The pods are on one node, in its network, and run the same service. FireCamp's has an init
container and a native sidecar besides, which a kubelet starts one after the other, and it ends
after its sidecar. A kubelet notices once a second that a container has ended or runs: that, and not
what the containers do, is nearly all of the difference. Ready is what the API server says.
";

/// All of it, in Markdown.
pub(super) fn text(figures: &Figures) -> String {
    let one = |took: Duration| vec![took.as_secs_f64()];
    let many = |all: &[Duration]| all.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let needs = |pick: fn(&super::Needs) -> f64| figures.needs.iter().map(pick).collect::<Vec<_>>();
    let mut rows = vec![
        row("`helm install` until every agent is ready, s", &one(figures.agents)),
        row("… until the first member answers at its address, s", &one(figures.reachable)),
        row("pod deleted until its successor is ready, s", &many(&figures.with)),
        row(
            "… with containers in the places of FireCamp's that do nothing, s",
            &many(&figures.idle),
        ),
        row("… with the service alone, s", &many(&figures.without)),
        row("memory of an agent, MiB", &needs(|it| mebibytes(it.memory))),
        row("… its share of a processor, %", &needs(|it| it.processor)),
    ];
    if let Some(size) = figures.archive {
        rows.push(row("an image's archive, MiB", &[mebibytes(size)]));
    }
    let watched = format!(
        "\nEach agent was watched {WINDOWS} times for {} s, with {MEMBERS} members that had come to \
         rest on the three nodes. {}\n",
        WINDOW.as_secs(),
        figures.place
    );
    [ABOVE, &rows.concat(), BELOW, &watched].concat()
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
    use super::super::Needs;
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
            needs: vec![Needs { memory: 3 << 20, processor: 0.25 }],
            place: "Measured at home.".to_owned(),
            archive: Some(7 << 20),
        };
        let page = text(&figures);
        for row in [
            "| `helm install` until every agent is ready, s | 2.50 | 2.50 | 2.50 | 1 |",
            "| pod deleted until its successor is ready, s | 3.00 | 1.00 | 5.00 | 3 |",
            "| … with containers in the places of FireCamp's that do nothing, s | 4.00 | 2.00 | 4.00 | 2 |",
            "| … with the service alone, s | – | – | – | 0 |",
            "| memory of an agent, MiB | 3.00 | 3.00 | 3.00 | 1 |",
            "| … its share of a processor, % | 0.25 | 0.25 | 0.25 | 1 |",
            "| an image's archive, MiB | 7.00 | 7.00 | 7.00 | 1 |",
            "on the three nodes. Measured at home.",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
    }
}
