//! The engine over the sandbox: what users would notice.

#![expect(clippy::expect_used, clippy::panic, reason = "a test program; clippy knows only its test functions")]

mod between;
mod checkpoints;
mod containment;
mod every_fix;
mod gates;
mod intake;
mod operations;
mod record;
mod subjects;
mod unknown;
mod world;
