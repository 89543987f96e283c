//! Command line of the mode `render`.

use std::process::ExitCode;

use crate::domain::agent_config::Environment;

pub(crate) fn main(_words: &[String], _env: &Environment) -> ExitCode {
    ExitCode::from(super::EXIT_USAGE)
}
