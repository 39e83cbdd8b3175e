//! EC2 permissions, derived from the results of the calls that the agent makes anyway.

use firecamp_core::agent::Operation;
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::machine::{Maintenance, Outcome, Release};
use firecamp_node::preflight::facts::{Fact, Permission, Right};

use super::Preflight;
use crate::node::EndedOperation;

impl Preflight {
    /// Derives the permission from a result; a transient failure says nothing.
    pub(super) fn answered<T>(&mut self, right: Right, read: &Result<T, CloudFailure>) {
        let permission = match read {
            Ok(_) => Fact::Known(Permission::Allowed),
            Err(failure) if failure.kind == CloudKind::Auth => Fact::Failed(failure.clone()),
            Err(_transient) => return,
        };
        self.facts.rights.insert(right, permission);
    }

    /// Derives EC2 permissions from the result of an operation.
    pub(in crate::node) fn operation_ended(
        &mut self,
        EndedOperation { operation, outcome, .. }: &EndedOperation,
    ) {
        let right = match operation {
            Operation::Reassert { .. } => Right::AssignPrivateIpAddresses,
            Operation::Release { .. } | Operation::Evict { .. } => {
                Right::UnassignPrivateIpAddresses
            }
            Operation::Withdraw { .. } | Operation::Restore { .. } | Operation::Collect { .. } => {
                return;
            }
        };
        match outcome {
            Some(Outcome::Failed(why)) if why.exit == Exit::CloudRefused => {
                self.tried(right, Permission::Denied(why.message.clone()));
            }
            Some(
                Outcome::Maintained { what: Maintenance::Reasserted, .. }
                | Outcome::Released { release: Release::Unassigned, .. },
            ) => self.tried(right, Permission::Allowed),
            Some(
                Outcome::Failed(_)
                | Outcome::Maintained { .. }
                | Outcome::Released { .. }
                | Outcome::Attached(_),
            )
            | None => {}
        }
    }

    /// EC2 has allowed or denied a call that needs this permission.
    pub(super) fn tried(&mut self, right: Right, permission: Permission) {
        self.facts.rights.insert(right, Fact::Known(permission));
        self.judge();
    }
}
