//! The modes `agent-init` and `agent-sidecar`.

use std::process::ExitCode;

use crate::domain::agent_config::{AgentConfig, Environment};
use crate::telemetry::log::Log;

/// Which of the two agents this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// `agent-init`
    UntilRendered,
    /// `agent-sidecar`
    UntilSignal,
}

/// Runs an agent to its end.
pub(crate) fn run(
    _life: Life,
    _config: &AgentConfig,
    _environment: &Environment,
    _log: Log,
) -> ExitCode {
    ExitCode::FAILURE
}
