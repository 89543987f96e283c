//! The doorway: argv and environment in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    vault_injector::cli::main()
}
