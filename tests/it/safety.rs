//! What every mode does before and besides its work, seen from outside of the process.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::program::{Finished, Program};

const SOON: Duration = Duration::from_secs(20);
const BINARY: &str = env!("CARGO_BIN_EXE_vault-injector");

fn agent(words: &[&str], address: &str) -> Finished {
    let document = format!(
        r#"{{"vault":{{"address":"{address}"}},"auto_auth":{{"method":{{"type":"kubernetes",
        "config":{{"role":"app","token_path":"/no/such/token"}}}}}},
        "template":{{"contents":"x","destination":"/no/such/folder/x"}}}}"#
    );
    let program = Program::new(BINARY, words);
    program.env("VAULT_CONFIG", BASE64_STANDARD.encode(document)).run(SOON)
}

#[test]
fn an_address_that_is_none_ends_every_mode_as_a_wrong_configuration() {
    for address in
        ["http://127.0.0.1:82000", "http://127.0.0.1:", "http://[::1]:+8200", "unix:///x"]
    {
        for words in [&["agent-init"] as &[_], &["agent-sidecar"], &["agent-init", "-validate"]] {
            let ended = agent(words, address);
            assert_eq!(ended.code(), 2, "{words:?} {address}: {ended:?}");
            assert!(ended.err.contains("vault.address: "), "{ended:?}");
        }
    }
    for words in [
        &["webhook", "-vault-address=https://vault:82oo"] as &[_],
        &["webhook", "-vault-address=https://vault", "-proxy-address=http://proxy:"],
        &["inject", "-f", "/dev/null", "--vault-address", "vault:8200"],
    ] {
        let ended = Program::new(BINARY, words).run(SOON);
        assert_eq!(ended.code(), 2, "{words:?}: {ended:?}");
    }
    let fine = agent(&["agent-init", "-validate"], "http://127.0.0.1:8200");
    assert_eq!(fine.code(), 0, "{fine:?}");
}
