//! `render` without canned data: secrets of a Vault, as the environment describes it.

use std::time::Duration;

use serde_json::json;

use crate::support::fake_vault::{FakeVault, Role};
use crate::support::program::{Finished, Program};
use crate::support::temp_dir::TempDir;

fn render(vault: &FakeVault, token: &str, template: &str) -> Finished {
    let folder = TempDir::new("render");
    let file = folder.write("template", template);
    let words = ["render", file.to_str().unwrap()];
    Program::new(env!("CARGO_BIN_EXE_vault-injector"), &words)
        .env("VAULT_ADDR", vault.address())
        .env("VAULT_TOKEN", token)
        .env("STAGE", "test")
        .run(Duration::from_secs(20))
}

#[test]
fn a_template_is_rendered_with_secrets_of_a_live_vault() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "user": "web", "next": "secret/more" }));
    vault.put("secret/more", json!({ "port": 5432 }));
    let token = vault.token(&Role::default());
    let template = "{{ with secret \"secret/db\" }}{{ .Data.data.user }} {{ env \"STAGE\" }} \
                    {{ with secret .Data.data.next }}{{ .Data.data.port }}{{ end }}{{ end }}";
    let done = render(&vault, &token, template);
    assert_eq!((done.code(), done.out.as_str()), (0, "web test 5432"), "{}", done.err);
    // One look-up of the mount, one read of each secret.
    assert_eq!(vault.requests().len(), 3, "{:?}", vault.requests());
}

#[test]
fn what_vault_denies_is_named_and_nothing_is_printed() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "user": "web" }));
    vault.deny("secret/data/db");
    let token = vault.token(&Role::default());
    let done = render(&vault, &token, "some text {{ with secret \"secret/db\" }}{{ end }}");
    assert_eq!((done.code(), done.out.as_str()), (1, ""));
    assert!(done.err.contains("lacks read on secret/data/db"), "{}", done.err);
    assert!(!done.err.contains(&token), "{}", done.err);

    let done = render(&vault, &token, "{{ with secret \"secret/none\" }}{{ end }}");
    assert_eq!(done.code(), 1);
    assert!(done.err.contains("no secret exists at secret/data/none"), "{}", done.err);
}

#[test]
fn a_token_that_vault_does_not_know_is_not_taken_for_a_lack_of_policies() {
    let vault = FakeVault::start();
    vault.put("secret/db", json!({ "user": "web" }));
    for path in ["secret/db", "secret/data/db", "none/x", "auth/token/lookup-self"] {
        let template = format!("{{{{ with secret {path:?} }}}}{{{{ end }}}}");
        let done = render(&vault, "s.not-a-token", &template);
        assert_eq!(done.code(), 1);
        let said = "the token itself is wrong, expired or revoked";
        assert!(done.err.contains(said) && !done.err.contains("mounted"), "{path}: {}", done.err);
        let token = vault.token(&Role::default());
        let done = render(&vault, &token, &template);
        assert!(!done.err.contains("the token itself"), "{path}: {}", done.err);
    }
}

#[test]
fn a_file_is_read_as_the_agent_reads_it_and_named_when_it_cannot_be() {
    let vault = FakeVault::start();
    let token = vault.token(&Role::default());
    let folder = TempDir::new("render-file");
    let there = folder.write("there", "some text");
    let done = render(&vault, &token, &format!("{{{{ file {there:?} }}}}"));
    assert_eq!((done.code(), done.out.as_str()), (0, "some text"), "{}", done.err);

    let gone = folder.join("gone");
    let done = render(&vault, &token, &format!("{{{{ file {gone:?} }}}}"));
    assert_eq!((done.code(), done.out.as_str()), (1, ""));
    assert!(done.err.contains(gone.to_str().unwrap()), "{}", done.err);

    // A folder stands for all that is no plain file, such as a pipe, which would never end.
    let done = render(&vault, &token, &format!("{{{{ file {:?} }}}}", folder.path()));
    assert_eq!(done.code(), 1);
    assert!(done.err.contains("not a regular file"), "{}", done.err);
}
