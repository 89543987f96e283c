//! Tests of the table and its reader.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(words: &[&str], pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    match Settings::read(&words, &env(pairs)) {
        Ok(Parsed::Settings(settings)) => Ok(*settings),
        Ok(Parsed::Help) => Err(vec!["help".into()]),
        Err(mistakes) => Err(mistakes.iter().map(Mistake::to_string).collect()),
    }
}

/// With the one required option.
fn addressed<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("AGENT_INJECT_VAULT_ADDR", "https://v:8200")];
    all.extend(pairs);
    all
}

#[test]
fn has_every_option_once_with_its_true_default() {
    let flags: Vec<&str> = TABLE.iter().map(|row| row.flag).filter(|f| !f.is_empty()).collect();
    // The 37 and 39 of vault-k8s, `agent`, and the folder of the service account.
    assert_eq!((flags.len(), TABLE.len()), (38, 41));
    for row in TABLE {
        assert_eq!(
            TABLE.iter().filter(|r| r.variable == row.variable).count(),
            1,
            "{}",
            row.variable
        );
        assert!(row.flag.is_empty() || flags.iter().filter(|f| **f == row.flag).count() == 1);
        if !row.default.is_empty() {
            let mut settings = Settings::default();
            row.field.set(&mut settings, row.default).unwrap();
            assert_eq!(settings, Settings::default(), "{}", row.variable);
        }
    }
}

#[test]
fn every_option_changes_a_setting() {
    for row in TABLE {
        let tries = ["x", "true", "false", "7", "0.5", "3s", ":1", "/m", "json", "native", "debug"];
        let more = ["https://v", "tls13", "TLS_AES_128_GCM_SHA256", "-----BEGIN CERTIFICATE-----"];
        let changes = tries.iter().chain(&more).any(|value| {
            let mut settings = Settings::default();
            row.field.set(&mut settings, value).is_ok() && settings != Settings::default()
        });
        assert!(changes, "{}", row.variable);
    }
}

#[test]
fn environment_beats_flag_and_empty_counts_as_unset() {
    let words = ["-vault-image", "a", "--vault-address=https://f", "-log-level=debug"];
    let settings =
        read(&words, &[("AGENT_INJECT_VAULT_IMAGE", "b"), ("AGENT_INJECT_LOG_LEVEL", "")]);
    let settings = settings.unwrap();
    assert_eq!(settings.inject.image, "b");
    assert_eq!(settings.inject.address, "https://f");
    assert_eq!(settings.log_level, Level::Debug);
}

#[test]
fn reads_gos_flag_syntax() {
    let words =
        ["-revoke-on-shutdown", "--set-security-context=f", "-run-as-user=", "2>&1", "-nonsense"];
    let settings = read(&words, &addressed(&[])).unwrap();
    assert!(settings.inject.revoke_on_shutdown && !settings.inject.set_security_context);
    assert_eq!(settings.inject.run_as_user, "");
    assert_eq!(read(&["-h"], &[]), Err(vec!["help".into()]));
    assert!(help().contains("AGENT_INJECT_TEMPLATE_MAX_CONNECTIONS_PER_HOST"));
    // A boolean takes no second word.
    assert!(
        read(&["-revoke-on-shutdown", "false", "-x"], &addressed(&[]))
            .unwrap()
            .inject
            .revoke_on_shutdown
    );
}

#[test]
fn reports_every_mistake_with_its_name_and_value() {
    let words = ["-nonsense", "-log-level=loud", "-tls-key-file"];
    let mistakes = read(
        &words,
        &[
            ("AGENT_INJECT_RUN_AS_SAME_USER", "maybe"),
            ("AGENT_INJECT_AUTH_MIN_BACKOFF", "5"),
            ("AGENT_INJECT_TLS_CIPHER_SUITES", "TLS_RSA_WITH_RC4_128_SHA"),
            ("AGENT_INJECT_TLS_CERT_FILE", "/c"),
            ("AGENT_INJECT_VAULT_CACERT_BYTES", "AAAA"),
            ("AGENT_INJECT_VAULT_ADDR", "vault:8200"),
            ("AGENT_INJECT_PROXY_ADDR", "http://u:hunter2@proxy:82oo"),
            ("AGENT_INJECT_CPU_LIMIT", "lots"),
            ("AGENT_INJECT_TEMPLATE_STATIC_SECRET_RENDER_INTERVAL", "often"),
        ],
    )
    .unwrap_err();
    for (start, word) in [
        ("-nonsense: ", "unknown flag"),
        ("-log-level=\"loud\": ", "unknown log level"),
        ("-tls-key-file: ", "needs a value"),
        ("AGENT_INJECT_RUN_AS_SAME_USER=\"maybe\": ", "not a boolean"),
        ("AGENT_INJECT_AUTH_MIN_BACKOFF=\"5\": ", "unit"),
        ("AGENT_INJECT_TLS_CIPHER_SUITES=", "TLS_RSA_WITH_RC4_128_SHA"),
        ("AGENT_INJECT_TLS_KEY_FILE: ", "needs its key file"),
        ("AGENT_INJECT_VAULT_CACERT_BYTES=\"AAAA\": ", "PEM"),
        ("AGENT_INJECT_VAULT_ADDR=\"vault:8200\": ", "https://HOST:PORT"),
        ("AGENT_INJECT_PROXY_ADDR: ", "the port \"82oo\" is none"),
        ("AGENT_INJECT_CPU_LIMIT=\"lots\": ", "quantity"),
        ("AGENT_INJECT_TEMPLATE_STATIC_SECRET_RENDER_INTERVAL=\"often\": ", "duration"),
    ] {
        assert!(
            mistakes.iter().any(|m| m.starts_with(start) && m.contains(word)),
            "{start} {mistakes:?}"
        );
    }
    assert_eq!(mistakes.len(), 12, "{mistakes:?}");
    assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
    let mistakes = read(&[], &[]).unwrap_err();
    assert!(mistakes[0].starts_with("AGENT_INJECT_VAULT_ADDR: no Vault address"), "{mistakes:?}");
}

#[test]
fn resources_stay_unsaid_until_said() {
    let settings =
        read(&["-cpu-limit="], &addressed(&[("AGENT_INJECT_MEM_LIMIT", "64Mi")])).unwrap();
    let resources = settings.inject.resources;
    assert_eq!(resources.limits_cpu.as_deref(), Some(""));
    assert_eq!(resources.limits_mem.as_deref(), Some("64Mi"));
    assert_eq!(resources.requests_cpu, None);
}

#[test]
fn ca_certificates_may_come_as_base64() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let coded = base64::engine::general_purpose::STANDARD.encode(pem);
    for value in [pem, &coded] {
        let pairs = addressed(&[("AGENT_INJECT_VAULT_CACERT_BYTES", value)]);
        assert_eq!(read(&[], &pairs).unwrap().inject.ca_cert_bytes, pem);
    }
}

#[test]
fn tells_what_it_does_not_act_on() {
    let pairs = addressed(&[
        ("AGENT_INJECT_TLS_CA_CERT_FILE", "/ca"),
        ("AGENT_INJECT_USE_LEADER_ELECTOR", "true"),
        ("AGENT_INJECT_TLS_MIN_VERSION", "tls10"),
        ("AGENT_INJECT_AGENT_INJECT_RUN_AS_USER", "7"),
        ("TLS_CERT_FILE", "/c"),
    ]);
    let settings = read(&[], &pairs).unwrap();
    assert_eq!(settings.inject.run_as_user, "100");
    let told: Vec<String> =
        notices(&settings, &env(&pairs)).into_iter().map(|n| n.option).collect();
    let want = [
        "AGENT_INJECT_TLS_CERT_FILE",
        "AGENT_INJECT_TLS_CA_CERT_FILE",
        "AGENT_INJECT_USE_LEADER_ELECTOR",
        "AGENT_INJECT_TLS_MIN_VERSION",
        "AGENT_INJECT_AGENT_INJECT_RUN_AS_USER",
        "TLS_CERT_FILE",
    ];
    assert_eq!(told, want);
}

#[test]
fn the_api_server_is_asked_only_where_there_is_something_to_keep() {
    let auto = ("AGENT_INJECT_TLS_AUTO", "cfg");
    let hosts = ("AGENT_INJECT_TLS_AUTO_HOSTS", "svc, svc.ns");
    let elector = ("AGENT_INJECT_USE_LEADER_ELECTOR", "true");
    let file = ("AGENT_INJECT_TLS_CERT_FILE", "/c");
    let key = ("AGENT_INJECT_TLS_KEY_FILE", "/k");
    let ca = ("AGENT_INJECT_TLS_CA_CERT_FILE", "/ca");
    for (pairs, keeps, told) in [
        (&[][..], None, 1),
        (&[auto, hosts, elector][..], Some((None, true)), 0),
        (&[auto][..], Some((None, false)), 1),
        (&[file, key][..], None, 0),
        (&[file, key, auto][..], None, 1),
        (&[file, key, ca][..], None, 1),
        (&[file, key, ca, auto, elector][..], Some((Some("/ca"), false)), 0),
    ] {
        let env = env(&addressed(pairs));
        let settings = read(&[], &addressed(pairs)).unwrap();
        assert_eq!(notices(&settings, &env).len(), told, "{pairs:?}");
        let automation = settings.automation(&env);
        let seen = automation.as_ref().map(|a| (a.ca_file.as_deref(), a.elects));
        assert_eq!(seen, keeps, "{pairs:?}");
    }
    let mut pairs = addressed(&[auto, hosts, ("HOSTNAME", "machine")]);
    let pod = |pairs: &[(&str, &str)]| {
        let config = read(&[], pairs).unwrap().into_config(&env(pairs));
        config.automation.unwrap().pod
    };
    assert_eq!(pod(&pairs), "machine");
    pairs.push(("POD_NAME", "pod"));
    assert_eq!(pod(&pairs), "pod");
}

#[test]
fn the_offline_seam_needs_no_address() {
    let config = inject_config(&env(&[("AGENT_INJECT_AGENT", "vault")])).unwrap();
    assert_eq!(config.agent, AgentChoice::Vault);
    assert_eq!(inject_config(&env(&[("AGENT_INJECT_AGENT", "x")])).unwrap_err().len(), 1);
}

#[test]
fn the_api_server_is_where_kubernetes_says() {
    let settings = read(&[], &addressed(&[])).unwrap();
    assert_eq!(settings.cluster(&env(&[])), None);
    let host = ("KUBERNETES_SERVICE_HOST", "fd00::1");
    let cluster = settings.cluster(&env(&[host])).unwrap();
    assert_eq!((&*cluster.host, &*cluster.port), ("fd00::1", "443"));
    assert_eq!(cluster.service_account_dir, "/var/run/secrets/kubernetes.io/serviceaccount");
    let moved = read(&[], &addressed(&[("AGENT_INJECT_SERVICE_ACCOUNT_DIR", "/x")])).unwrap();
    let cluster = moved.cluster(&env(&[host, ("KUBERNETES_SERVICE_PORT", "6443")])).unwrap();
    assert_eq!((&*cluster.port, &*cluster.service_account_dir), ("6443", "/x"));
}

#[test]
fn an_address_that_is_none_does_not_come_as_far_as_a_pod() {
    for port in ["82000", "65536", "82oo", "+8200", "0", ""] {
        let address = format!("https://vault:{port}");
        let mistakes = read(&[], &[("AGENT_INJECT_VAULT_ADDR", &address)]).unwrap_err();
        assert!(mistakes[0].contains("AGENT_INJECT_VAULT_ADDR"), "{mistakes:?}");
        let cluster = [
            ("AGENT_INJECT_VAULT_ADDR", "https://vault:8200"),
            ("AGENT_INJECT_TLS_AUTO", "name"),
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", port),
        ];
        assert_eq!(read(&[], &cluster).is_err(), !port.is_empty(), "{port}: empty is unset");
        let listen = format!("-listen=127.0.0.1:{port}");
        assert_eq!(read(&[&listen], &cluster[..2]).is_err(), port != "0", "{listen}");
    }
    for (address, secret) in
        [("https://u:hunter2@vault", "hunter2"), ("u:hunter2@vault:1", "hunter2")]
    {
        let mistakes = read(&[], &[("AGENT_INJECT_VAULT_ADDR", address)]).unwrap_err();
        assert!(!mistakes.concat().contains(secret), "{mistakes:?}");
    }
    for fine in ["https://vault", "http://[::1]:8200/vault/", "unix:///run/vault.sock"] {
        read(&[], &[("AGENT_INJECT_VAULT_ADDR", fine)]).unwrap();
    }
}

#[test]
fn requests_stay_below_limits_and_the_metrics_beside_other_paths() {
    let lines = |pairs: &[(&str, &str)]| read(&[], &addressed(pairs)).err().unwrap_or_default();
    for name in ["CPU", "MEM", "EPHEMERAL"] {
        let (request, limit) =
            (format!("AGENT_INJECT_{name}_REQUEST"), format!("AGENT_INJECT_{name}_LIMIT"));
        let told = lines(&[(&request, "2Gi"), (&limit, "1Gi")]);
        assert!(told.len() == 1 && told.concat().contains(&limit), "{told:?}");
        assert_eq!(lines(&[(&request, "1Gi"), (&limit, "1024Mi")]), [""; 0]);
        assert_eq!(lines(&[(&request, "1Gi")]), [""; 0]);
        assert_eq!(lines(&[(&request, "1Gi"), (&limit, "")]), [""; 0]);
    }
    for path in ["/mutate", "/health/live", "/health/ready"] {
        assert_eq!(lines(&[("AGENT_INJECT_TELEMETRY_PATH", path)]).len(), 1, "{path}");
    }
}

#[test]
fn the_operator_hears_what_makes_all_pods_less_safe() {
    let told = |pairs: &[(&str, &str)]| -> Vec<String> {
        let settings = read(&[], pairs).unwrap();
        let all = notices(&settings, &env(pairs)).into_iter().map(|n| n.option);
        all.filter(|option| option != "AGENT_INJECT_TLS_CERT_FILE").collect()
    };
    for (name, value) in [
        ("AGENT_INJECT_VAULT_ADDR", "http://vault:8200"),
        ("AGENT_INJECT_VAULT_ADDR", "HTTP://10.0.0.1"),
        ("AGENT_INJECT_RUN_AS_USER", "0"),
        ("AGENT_INJECT_RUN_AS_USER", "000"),
        ("AGENT_INJECT_RUN_AS_GROUP", "0"),
    ] {
        let mut pairs = addressed(&[]);
        pairs.retain(|(option, _)| *option != name);
        pairs.push((name, value));
        assert_eq!(told(&pairs), [name], "{value}");
    }
    for address in ["https://vault", "http://127.0.0.1:8200", "http://localhost", "unix:///v"] {
        assert_eq!(told(&[("AGENT_INJECT_VAULT_ADDR", address)]), [""; 0], "{address}");
    }
}
