//! The domain of stanch and every decision it takes. Pure: no I/O, no clock, no async runtime; time comes in as `now`.

pub mod api;
pub mod chain;
pub mod checkpoint;
pub mod cloud;
pub mod control;
pub mod decide;
pub mod diagnostic;
pub mod digest;
pub mod expr;
pub mod finding;
pub mod fix;
pub mod guard;
pub mod json;
pub mod lenient;
pub mod normalize;
pub mod ocsf;
pub mod operation;
pub mod plan;
pub mod port;
pub mod remediation;
pub mod rule;
pub mod state;
pub mod target;
