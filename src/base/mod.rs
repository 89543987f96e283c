//! The vocabulary every other layer speaks: no domain knowledge, no input or output.

pub mod go_duration;
pub mod json;
pub(crate) mod process;
pub mod reason;
pub mod report;
pub mod secret;
pub mod time;
pub mod yaml;
