//! The harness that runs the real executable: output, exit codes, signals, limits.

use std::time::Duration;

use crate::support::program::Program;
use crate::support::temp_dir::TempDir;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn runs_the_executable_with_chosen_words_and_environment() {
    let version = Program::new(env!("CARGO_BIN_EXE_vault-injector"), &["version"]).run(SOON);
    assert_eq!(version.code(), 0, "{version:?}");
    assert!(version.out.starts_with("vault-injector "), "{}", version.out);
    let folder = TempDir::new("program");
    folder.write("a/b", "content");
    let shown = Program::new("/bin/sh", &["-c", "env; pwd; cat a/b >&2; exit 3"])
        .env("ONLY", "this")
        .folder(folder.path())
        .run(SOON);
    assert_eq!((shown.code(), shown.err.as_str()), (3, "content"));
    assert!(shown.out.contains("ONLY=this") && !shown.out.contains("CARGO"), "{}", shown.out);
    let path = folder.path().to_owned();
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn waits_for_a_line_and_ends_what_runs() {
    let running = Program::new("/bin/sh", &["-c", "echo ready >&2; exec sleep 60"]).start();
    assert!(running.wait_for_err("ready", SOON));
    let ended = running.terminate(SOON);
    assert_eq!(ended.code(), -1, "{ended:?}");
    let over = Program::new("/bin/sh", &["-c", "exit 0"]).start();
    assert!(!over.wait_for_err("ready", SOON));
    assert!(over.finish(SOON).took < SOON);
}
