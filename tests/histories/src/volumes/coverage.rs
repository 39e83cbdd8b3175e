//! Coverage counters of a run. A fault that never fired has proven nothing.

use firecamp_node::volumes::Reason;

use crate::volumes::scenario::{Disruption, Fault, Source};

const DISRUPTIONS: [&str; 5] = ["start", "stop", "break", "mend", "restart"];

/// The coverage counters of one history or of many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Observations of the node.
    pub passes: u64,
    /// Queries of EC2's volumes.
    pub clouds: u64,
    /// Queries of Kubernetes.
    pub clusters: u64,
    /// Successful writes.
    pub writes: u64,
    /// Devices that appeared under another name than their volume's first one.
    pub renamed: u64,
    /// Histories on Xen.
    pub xen: u64,
    /// Observations with devices but no mounts, and the other way round.
    pub halves: [u64; 2],
    faults: [u64; Fault::ALL.len()],
    away: [u64; Source::ALL.len()],
    disruptions: [u64; DISRUPTIONS.len()],
    began: [u64; Reason::ALL.len()],
    ended: [u64; Reason::ALL.len()],
    lasting: [u64; Reason::ALL.len()],
    waited: u64,
}

fn add(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

impl Coverage {
    /// A fault has fired.
    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// A disruption was applied.
    pub fn disruption(&mut self, disruption: Disruption) {
        let at = match disruption {
            Disruption::Start(_) => 0,
            Disruption::Stop(_) => 1,
            Disruption::Break(_, problem) => {
                self.waited += u64::from(problem.elsewhere);
                2
            }
            Disruption::Mend(_) => 3,
            Disruption::Restart => 4,
            Disruption::Away(side) => return self.away[side as usize] += 1,
            Disruption::Back(_) => return,
        };
        self.disruptions[at] += 1;
    }

    /// A problem is reported, or was cleared.
    pub fn reported(&mut self, reason: Reason, began: bool) {
        let all = if began { &mut self.began } else { &mut self.ended };
        all[reason as usize] += 1;
    }

    /// A problem was still true and reported after everything had settled.
    pub fn lasts(&mut self, reason: Reason) {
        self.lasting[reason as usize] += 1;
    }

    /// Adds the counters of another history.
    pub fn merge(&mut self, other: &Self) {
        self.passes += other.passes;
        self.clouds += other.clouds;
        self.clusters += other.clusters;
        self.writes += other.writes;
        self.renamed += other.renamed;
        self.xen += other.xen;
        self.waited += other.waited;
        add(&mut self.halves, &other.halves);
        add(&mut self.faults, &other.faults);
        add(&mut self.away, &other.away);
        add(&mut self.disruptions, &other.disruptions);
        add(&mut self.began, &other.began);
        add(&mut self.ended, &other.ended);
        add(&mut self.lasting, &other.lasting);
    }

    /// All counters that a run must reach.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let [only_devices, only_mounts] = self.halves;
        let mut all = vec![
            ("observations".to_owned(), self.passes),
            ("EC2 queried".to_owned(), self.clouds),
            ("Kubernetes queried".to_owned(), self.clusters),
            ("writes".to_owned(), self.writes),
            ("devices renamed".to_owned(), self.renamed),
            ("histories on Xen".to_owned(), self.xen),
            ("another instance has it".to_owned(), self.waited),
            ("devices without mounts".to_owned(), only_devices),
            ("mounts without devices".to_owned(), only_mounts),
        ];
        all.extend(Fault::ALL.iter().map(|f| (format!("{f:?}"), self.faults[*f as usize])));
        all.extend(
            Source::ALL.iter().map(|s| (format!("unavailable {s:?}"), self.away[*s as usize])),
        );
        all.extend(
            DISRUPTIONS
                .iter()
                .zip(self.disruptions)
                .map(|(name, n)| (format!("disruption {name}"), n)),
        );
        for reason in Reason::ALL {
            all.push((format!("reported {reason}"), self.began[reason as usize]));
            // The problems of a row end with the row: these two always end that way.
            if !matches!(reason, Reason::SerialUnreadable | Reason::NotInKubernetes) {
                all.push((format!("cleared {reason}"), self.ended[reason as usize]));
            }
            all.push((format!("lasting {reason}"), self.lasting[reason as usize]));
        }
        all
    }
}
