//! The vocabulary every other layer speaks: no domain knowledge, no input or output.

pub mod address;
#[cfg(test)]
pub(crate) mod dice;
pub mod go_duration;
pub mod hidden;
pub mod json;
pub(crate) mod near;
pub(crate) mod process;
pub mod reason;
pub mod report;
pub mod rewrite;
pub mod secret;
pub mod source;
pub mod time;
pub mod yaml;
