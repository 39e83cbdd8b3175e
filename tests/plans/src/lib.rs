//! Golden plans: every decision of the protocol as a small world and the plan that follows.
//!
//! A world is a YAML file in `worlds/`; what it leaves out is as in a quiet cluster: member
//! `demo/redis-0` of pod `new` on `node-a`, whose ENI `a` (primary) and `a2` (index 1) are in
//! `subnet-0000000a`, while `b` is node-b's ENI in the same subnet and `x` a stranger's.

mod build;
mod show;
mod world;

pub use build::Case;
pub use show::show;
