//! The vocabulary every other layer speaks: no domain knowledge, no input or output.

pub mod address;
pub mod go_duration;
pub mod hidden;
pub mod json;
pub(crate) mod process;
pub mod report;
pub mod secret;
pub mod time;
pub mod yaml;
