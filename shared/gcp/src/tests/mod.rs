//! What the whole connector does, from outside.

mod list;
mod loopback;
mod normalize;
mod samples;
mod shapes;
mod sign;
mod source;
