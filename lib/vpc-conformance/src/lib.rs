//! The simulator's conformance suite: every row of what EC2 and the metadata service do is a case
//! that the real AWS SDK runs, in process and under a virtual clock. See `tests/`, and the table
//! that they write, `docs/vpcbox-conformance.md`.
