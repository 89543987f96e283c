//! Command line and environment of the modes `agent-init` and `agent-sidecar`.

use std::process::ExitCode;

use crate::domain::agent_config::Environment;

/// Which of the two agents this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// `agent-init`
    UntilRendered,
    /// `agent-sidecar`
    UntilSignal,
}

pub(crate) fn main(_life: Life, _words: &[String], _env: &Environment) -> ExitCode {
    ExitCode::from(super::EXIT_USAGE)
}
