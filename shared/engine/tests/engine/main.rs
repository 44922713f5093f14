//! The engine over the sandbox: what users would notice.

#![expect(clippy::expect_used, clippy::panic, reason = "a test program; clippy knows only its test functions")]

mod containment;
mod every_fix;
mod gates;
mod intake;
mod record;
mod subjects;
mod telling;
mod unknown;
mod world;
