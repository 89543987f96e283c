//! Finds the executable that lies beside this example, after letting cargo build it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;

/// The path of `vault-injector`, of the same profile and target as this example.
///
/// Cargo builds an example without the package's executables, so this does: only when it was cargo that
/// started the example.
pub(crate) fn build() -> Outcome<PathBuf> {
    let example = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    // target/[TARGET/]PROFILE/examples/quickstart
    let folder = example.parent().and_then(Path::parent).ok_or("not in a target folder")?;
    let binary = folder.join("vault-injector");
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "--bin", "vault-injector"]);
        command.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
        let profile = folder.file_name().unwrap_or_default();
        match profile.to_str() {
            Some("debug") | None => {}
            Some("release") => drop(command.arg("--release")),
            Some(other) => drop(command.args(["--profile", other])),
        }
        let above = folder.parent().ok_or("not in a target folder")?;
        let triple = above.file_name().and_then(|name| name.to_str());
        if let Some(triple) = triple.filter(|name| name.matches('-').count() >= 2) {
            command.args(["--target", triple]).arg("--target-dir").arg(above.with_file_name(""));
        } else {
            command.arg("--target-dir").arg(above);
        }
        let status = command.status().map_err(|e| format!("cargo cannot be started: {e}"))?;
        if !status.success() {
            return Err("vault-injector cannot be built".to_owned());
        }
    }
    if binary.is_file() {
        return Ok(binary);
    }
    Err(format!(
        "{} is not there: build it with cargo build --bin vault-injector",
        binary.display()
    ))
}
