//! The engine over the sandbox: what users would notice.

mod containment;
mod every_fix;
mod gates;
mod intake;
mod record;
mod subjects;
mod unknown;
mod world;
