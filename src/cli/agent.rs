//! Command line and environment of the modes `agent-init` and `agent-sidecar`.

use std::process::ExitCode;

use crate::domain::agent_config::Environment;
use crate::run::agent::Life;

pub(crate) fn main(_life: Life, _words: &[String], _env: &Environment) -> ExitCode {
    ExitCode::from(super::EXIT_USAGE)
}
