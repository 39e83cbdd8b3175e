//! The table of failure cases: what can go wrong when a member carries a fixed address, and which
//! test shows that it does not. `docs/proof/failure-cases.md` is generated from it. The tests of
//! this package check that each test in the table exists, and that each such test is in the table.

mod page;
mod sources;
mod table;

pub use page::page;
pub use sources::{Sources, SourcesError, cases_of};
pub use table::{Case, Level, Point, Table, TableError, TestName};
