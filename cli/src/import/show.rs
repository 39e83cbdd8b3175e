//! The output of `firecamp import`.

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Imported;
use firecamp_core::ids::Member;
use serde::Serialize;

use super::plan::{AddressStep, ClaimStep, Plan, Refused, Step};
use crate::common::table::table;

/// What was imported, what existed already, and what was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The namespace of the original's records.
    pub namespace: String,
    /// If false, nothing was written: `imported` lists what would be imported.
    pub applied: bool,
    /// What was imported.
    pub imported: Vec<ImportedAddress>,
    /// What existed already.
    pub present: Vec<Present>,
    /// What was refused.
    pub refused: Vec<RefusedRecord>,
    /// The number of members of the original that need no address.
    pub without_address: usize,
    /// The number of addresses that were not imported because the import was interrupted.
    pub not_done: usize,
    #[serde(skip)]
    end: Imported,
}

/// An imported address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportedAddress {
    /// Its member; `None` if no member names it.
    pub member: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that has it.
    pub eni: String,
    /// The instance of the ENI.
    pub instance: String,
    /// The node of the instance; `None` if it is not in the cluster.
    pub node: Option<String>,
    /// The writes, in order.
    pub writes: Vec<&'static str>,
}

/// An address whose objects exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Present {
    /// Its member; `None` if no member names it.
    pub member: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
}

/// A refused record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRecord {
    /// The member or the ConfigMap.
    pub what: String,
    /// The address, if it can be parsed.
    pub address: Option<Ipv4Addr>,
    /// Why; stable.
    pub reason: &'static str,
    /// Why, as text.
    pub message: String,
}

impl Report {
    /// The report of a plan of which these steps were or would be executed.
    pub fn of(plan: &Plan, namespace: &str, applied: bool, steps: &[Step]) -> Self {
        let named = |member: &Member| (!member.is_orphaned()).then(|| member.to_string());
        let imports = |step: &Step| ImportedAddress {
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
        let refuses = |one: &Refused| RefusedRecord {
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

    /// The exit of the command.
    pub fn end(&self) -> Imported {
        self.end
    }

    /// The report as text.
    pub fn people(&self) -> String {
        let nobody = || "no member".to_owned();
        let is = if self.applied { "imported" } else { "would be imported" };
        let imported = self.imported.iter().map(|one| {
            let member = one.member.clone().unwrap_or_else(nobody);
            let place = one.node.as_ref().map_or_else(
                || format!("{is}: last on {}, which is not a node of this cluster", one.instance),
                |node| format!("{is}, parked on {node}"),
            );
            let what = if one.member.is_some() { place } else { place + ", orphaned" };
            vec![member, one.address.to_string(), one.eni.clone(), what]
        });
        let present = self.present.iter().map(|one| {
            let member = one.member.clone().unwrap_or_else(nobody);
            vec![member, one.address.to_string(), String::new(), "exists already".to_owned()]
        });
        let refused = self.refused.iter().map(|one| {
            let address = one.address.map(|at| at.to_string()).unwrap_or_default();
            let why = format!("refused: {} ({})", one.message, one.reason);
            vec![one.what.clone(), address, String::new(), why]
        });
        let rows: Vec<Vec<String>> = imported.chain(present).chain(refused).collect();
        let mut text = match (rows.is_empty(), self.not_done) {
            (true, 0) => {
                format!("Namespace {} has no addresses of the original.\n", self.namespace)
            }
            (true, _) => String::new(),
            (false, _) => table(&["MEMBER", "ADDRESS", "ENI", "RESULT"], &rows),
        };
        text.push_str(&self.conclusion());
        text
    }

    fn conclusion(&self) -> String {
        if self.not_done > 0 {
            return format!(
                "Interrupted: {} addresses are not imported yet. Run the command again.\n",
                self.not_done
            );
        }
        let meaning = self.end.meaning();
        match (self.applied, self.imported.is_empty()) {
            (_, true) => format!("Nothing to import: {meaning}.\n"),
            (true, false) => format!("Result: {meaning}.\n"),
            (false, false) => {
                format!("Nothing was written. Result with --apply: {meaning}.\n")
            }
        }
    }
}

/// The writes of a step, in order.
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
