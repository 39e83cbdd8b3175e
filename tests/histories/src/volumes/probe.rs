//! What a run of histories has met. A fault that never fired has proven nothing.

use firecamp_node::volumes::Reason;

use crate::volumes::scenario::{Deed, Fault, Side};

const DEEDS: [&str; 5] = ["start", "stop", "break", "mend", "restart"];

/// Counters of one history or of many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probes {
    /// Looks at the node.
    pub looks: u64,
    /// Looks at EC2's volumes.
    pub clouds: u64,
    /// Looks at Kubernetes.
    pub clusters: u64,
    /// Writes that went well.
    pub writes: u64,
    /// Devices that came with another name than their volume's first one.
    pub renamed: u64,
    /// Histories on Xen.
    pub xen: u64,
    /// Looks that saw devices and no mounts, and the other way round.
    pub halves: [u64; 2],
    faults: [u64; Fault::ALL.len()],
    away: [u64; Side::ALL.len()],
    deeds: [u64; DEEDS.len()],
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

impl Probes {
    /// A fault has fired.
    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// A deed was done.
    pub fn deed(&mut self, deed: Deed) {
        let at = match deed {
            Deed::Start(_) => 0,
            Deed::Stop(_) => 1,
            Deed::Break(_, trouble) => {
                self.waited += u64::from(trouble.elsewhere);
                2
            }
            Deed::Mend(_) => 3,
            Deed::Restart => 4,
            Deed::Away(side) => return self.away[side as usize] += 1,
            Deed::Back(_) => return,
        };
        self.deeds[at] += 1;
    }

    /// A problem was told, or is told no more.
    pub fn told(&mut self, reason: Reason, began: bool) {
        let all = if began { &mut self.began } else { &mut self.ended };
        all[reason as usize] += 1;
    }

    /// A problem still was so, and told, once all had settled.
    pub fn lasts(&mut self, reason: Reason) {
        self.lasting[reason as usize] += 1;
    }

    /// Adds those of another history.
    pub fn merge(&mut self, other: &Self) {
        self.looks += other.looks;
        self.clouds += other.clouds;
        self.clusters += other.clusters;
        self.writes += other.writes;
        self.renamed += other.renamed;
        self.xen += other.xen;
        self.waited += other.waited;
        add(&mut self.halves, &other.halves);
        add(&mut self.faults, &other.faults);
        add(&mut self.away, &other.away);
        add(&mut self.deeds, &other.deeds);
        add(&mut self.began, &other.began);
        add(&mut self.ended, &other.ended);
        add(&mut self.lasting, &other.lasting);
    }

    /// All that a run has to meet.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let [only_devices, only_mounts] = self.halves;
        let mut all = vec![
            ("looks".to_owned(), self.looks),
            ("EC2 asked".to_owned(), self.clouds),
            ("Kubernetes asked".to_owned(), self.clusters),
            ("writes".to_owned(), self.writes),
            ("devices renamed".to_owned(), self.renamed),
            ("histories on Xen".to_owned(), self.xen),
            ("another instance has it".to_owned(), self.waited),
            ("devices without mounts".to_owned(), only_devices),
            ("mounts without devices".to_owned(), only_mounts),
        ];
        all.extend(Fault::ALL.iter().map(|f| (format!("{f:?}"), self.faults[*f as usize])));
        all.extend(Side::ALL.iter().map(|s| (format!("away {s:?}"), self.away[*s as usize])));
        all.extend(DEEDS.iter().zip(self.deeds).map(|(name, n)| (format!("deed {name}"), n)));
        for reason in Reason::ALL {
            all.push((format!("told {reason}"), self.began[reason as usize]));
            // A row that is gone takes its problems along: that of these two always is.
            if !matches!(reason, Reason::SerialUnreadable | Reason::NotInKubernetes) {
                all.push((format!("ended {reason}"), self.ended[reason as usize]));
            }
            all.push((format!("lasting {reason}"), self.lasting[reason as usize]));
        }
        all
    }
}
