//! The doorway: argv and environment in, exit code out.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: vault_injector::Wiping = vault_injector::Wiping;

fn main() -> ExitCode {
    vault_injector::cli::main()
}
