//! What every mode takes on its command line.

use std::time::Duration;

use crate::support::program::{Finished, Program};

const LIMIT: Duration = Duration::from_secs(20);

fn run(words: &[&str]) -> Finished {
    Program::new(env!("CARGO_BIN_EXE_vault-injector"), words).run(LIMIT)
}

const MODES: [&str; 6] = ["agent-init", "agent-sidecar", "inject", "render", "version", "webhook"];

#[test]
fn every_mode_explains_itself_in_every_way_on_80_columns() {
    for mode in MODES {
        let help = run(&[mode, "--help"]);
        assert_eq!((help.code(), help.err.as_str()), (0, ""), "{mode}");
        assert!(help.out.starts_with(&format!("usage: vault-injector {mode} ")), "{}", help.out);
        let wide = help.out.lines().find(|line| {
            line.chars().count() > 80 && line.contains(' ') && !line.trim().starts_with("AGENT_")
        });
        assert_eq!(wide, None, "{mode}");
        for other in [
            &["help", mode][..],
            &["--help", mode],
            &[mode, "-h"],
            &[mode, "-help"],
            &["-help", mode],
            &[mode, "-log-level=info", "-h"],
        ] {
            // The last is not known to all; help is found all the same.
            let told = run(other);
            assert_eq!((told.code(), &told.out), (0, &help.out), "{other:?}");
        }
    }
    let usage = run(&["help"]);
    assert!(MODES.iter().all(|mode| usage.out.contains(&format!("  {mode} "))), "{}", usage.out);
    assert!(usage.out.lines().all(|line| line.len() <= 80));
}

#[test]
fn misspelt_modes_and_flags_are_told_with_what_was_meant() {
    for (words, told) in [
        (&["webhok"][..], "did you mean \"webhook\"?"),
        (&["help", "injct"], "did you mean \"inject\"?"),
        (&["--versoin"], "did you mean \"version\"?"),
        (&["webhook", "-tls-key-fil=x"], "did you mean -tls-key-file?"),
        (&["agent-init", "-confg=x"], "did you mean -config?"),
        (&["inject", "--vault-adress=x"], "did you mean --vault-address?"),
        (&["render", "--sercet", "x"], "did you mean --secret?"),
        (
            &["render", "--secret=x", "--data=/dev/null", "--format=dotnev"],
            "did you mean \"dotenv\"?",
        ),
        (&["render", "--engine=tinytemplat", "x", "--data=x"], "did you mean \"tinytemplate\"?"),
        (&["agent-init", "stray"], "\"stray\": only options are taken here"),
        (&["version", "-lng"], "\"-lng\": nothing is taken here"),
        (&["agent-init", "-validate=perhaps"], "want true or false"),
    ] {
        let done = run(words);
        assert_eq!((done.code(), done.out.as_str()), (2, ""), "{words:?}: {}", done.err);
        assert!(done.err.contains(told), "{words:?}: {}", done.err);
    }
}

#[test]
fn the_version_never_has_an_empty_commit() {
    for words in [["version"], ["--version"], ["-v"]] {
        let done = run(&words);
        assert_eq!(done.code(), 0);
        assert!(!done.out.contains("(,") && done.out.contains(" ("), "{}", done.out);
    }
}

#[test]
fn an_option_that_counts_once_is_not_given_twice() {
    for (words, told) in [
        (
            &["inject", "--vault-address", "https://a", "--vault-address="][..],
            "--vault-address: given twice, leave one out\n",
        ),
        (&["inject", "-n", "a", "--namespace=b"], "--namespace: given twice, leave one out\n"),
        (&["inject", "-n", "A_b"], "--namespace=\"A_b\": want at most 63 lower-case letters"),
        (&["inject", "-n", ""], "--namespace=\"\": want at most 63 lower-case letters"),
    ] {
        let refused = run(words);
        assert_eq!((refused.code(), refused.out.as_str()), (2, ""), "{words:?}");
        assert!(refused.err.starts_with(told), "{}", refused.err);
    }
    let repeated = run(&["inject", "-f", "/nowhere/a", "--file=/nowhere/b"]);
    assert!(repeated.err.contains("/nowhere/a") && repeated.err.contains("/nowhere/b"));
    assert_eq!(run(&["-help"]).out, run(&["help"]).out);
}
