//! The engine over the sandbox: what users would notice.

#![expect(clippy::expect_used, clippy::panic, reason = "a test program; clippy knows only its test functions")]

mod answers;
mod backlog;
mod between;
mod checkpoints;
mod commands;
mod containment;
mod doctored;
mod due;
mod errors;
mod every_fix;
mod faulty;
mod gates;
mod identity;
mod intake;
mod lag;
mod log;
mod looks;
mod named;
mod notices;
mod operations;
mod outage;
mod outbox;
mod parked;
mod proof;
mod reconcile;
mod record;
mod rollback;
mod scores;
mod second;
mod snapshots;
mod subjects;
mod sweep;
mod telling;
mod throttling;
mod unknown;
mod work;
mod world;
mod writing;
