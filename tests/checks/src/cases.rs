//! The table of failure cases: what can go wrong when a member carries a fixed address, and which
//! test shows that it does not. `docs/proof/failure-cases.md` is generated from it; the tests of
//! this package hold it against the sources, in both directions.

mod page;
mod sources;
mod table;

pub use page::page;
pub use sources::{Sources, SourcesError, cases_of};
pub use table::{Case, Level, Owner, Point, Table, TableError, TestName};
