//! What an import did, or would do.

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Imported;
use firecamp_core::ids::Member;
use serde::Serialize;

use super::plan::{AddressStep, ClaimStep, Plan, Refused, Step};
use crate::look::table::table;

/// What is imported, what was there already, and what is not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The namespace of the original's records.
    pub namespace: String,
    /// False: nothing was written, and what is said to be imported would be.
    pub applied: bool,
    /// What was imported.
    pub imported: Vec<Imports>,
    /// What was there already.
    pub present: Vec<Present>,
    /// What was refused.
    pub refused: Vec<Refuses>,
    /// So many members of the original need no address.
    pub without_address: usize,
    /// So many addresses are still to be imported: something has cut it short.
    pub not_done: usize,
    #[serde(skip)]
    end: Imported,
}

/// An address that gets its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imports {
    /// Whose; none for an address that no member names.
    pub member: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that has it.
    pub eni: String,
    /// The instance of the ENI.
    pub instance: String,
    /// The node that the instance is; none if it is no node of the cluster.
    pub node: Option<String>,
    /// What is written, in this order.
    pub writes: Vec<&'static str>,
}

/// An address that has its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Present {
    /// Whose; none for an address that no member names.
    pub member: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
}

/// A record that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refuses {
    /// The member or the ConfigMap.
    pub what: String,
    /// The address, if it can be read.
    pub address: Option<Ipv4Addr>,
    /// Why, in one stable word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
}

impl Report {
    /// A plan of which these steps were done, or are to be done.
    pub fn of(plan: &Plan, namespace: &str, applied: bool, steps: &[Step]) -> Self {
        let named = |member: &Member| (!member.is_nobody()).then(|| member.to_string());
        let imports = |step: &Step| Imports {
            member: named(&step.member),
            address: step.old.address,
            eni: step.old.eni.to_string(),
            instance: step.old.instance.to_string(),
            node: step.node.as_ref().map(ToString::to_string),
            writes: writes(step),
        };
        let present = |(member, address): &(Member, Ipv4Addr)| Present {
            member: named(member),
            address: *address,
        };
        let refuses = |one: &Refused| Refuses {
            what: one.what.clone(),
            address: one.address,
            reason: one.why.reason(),
            message: one.why.to_string(),
        };
        Self {
            namespace: namespace.to_owned(),
            applied,
            imported: steps.iter().map(imports).collect(),
            present: plan.present.iter().map(present).collect(),
            refused: plan.refused.iter().map(refuses).collect(),
            without_address: plan.without,
            not_done: plan.steps.len().saturating_sub(steps.len()),
            end: plan.end(),
        }
    }

    /// How it ends.
    pub fn end(&self) -> Imported {
        self.end
    }

    /// For people.
    pub fn people(&self) -> String {
        let nobody = || "no member".to_owned();
        let is = if self.applied { "imported" } else { "would be imported" };
        let imported = self.imported.iter().map(|one| {
            let member = one.member.clone().unwrap_or_else(nobody);
            let place = one.node.as_ref().map_or_else(
                || format!("{is}: last on {}, which is no node here", one.instance),
                |node| format!("{is}, parked on {node}"),
            );
            let what = if one.member.is_some() { place } else { place + ", unclaimed" };
            vec![member, one.address.to_string(), one.eni.clone(), what]
        });
        let present = self.present.iter().map(|one| {
            let member = one.member.clone().unwrap_or_else(nobody);
            vec![member, one.address.to_string(), String::new(), "is there already".to_owned()]
        });
        let refused = self.refused.iter().map(|one| {
            let address = one.address.map(|at| at.to_string()).unwrap_or_default();
            let why = format!("not imported: {} ({})", one.message, one.reason);
            vec![one.what.clone(), address, String::new(), why]
        });
        let rows: Vec<Vec<String>> = imported.chain(present).chain(refused).collect();
        let mut text = match (rows.is_empty(), self.not_done) {
            (true, 0) => {
                format!("Namespace {} has no addresses of the original.\n", self.namespace)
            }
            (true, _) => String::new(),
            (false, _) => table(&["MEMBER", "ADDRESS", "ENI", ""], &rows),
        };
        text.push_str(&self.last_words());
        text
    }

    fn last_words(&self) -> String {
        if self.not_done > 0 {
            return format!(
                "Cut short: {} more to import. What was written stays; run it again to go on.\n",
                self.not_done
            );
        }
        let meaning = self.end.meaning();
        match (self.applied, self.imported.is_empty()) {
            (_, true) => format!("Nothing is left to import: {meaning}.\n"),
            (true, false) => format!("Now {meaning}.\n"),
            (false, false) => {
                format!("Nothing was written: --apply does it. Afterwards {meaning}.\n")
            }
        }
    }
}

/// What a step writes, in its order.
fn writes(step: &Step) -> Vec<&'static str> {
    let claim = step.claim.as_ref().map(|claim| match claim {
        ClaimStep::Create(_) => "create StaticIPClaim",
        ClaimStep::Bind(_) => "update StaticIPClaim",
    });
    let address = step.address.as_ref().map(|address| match address {
        AddressStep { before: None, .. } => "create StaticIP",
        AddressStep { before: Some(_), .. } => "update StaticIP",
    });
    claim.into_iter().chain(address).collect()
}
