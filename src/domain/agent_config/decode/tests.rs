//! Configurations as vault-k8s writes them, as people write them, and as nobody should.

use super::*;
use crate::domain::agent_config::parse_hcl;

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn json(text: &str) -> Result<AgentConfig, Vec<ConfigError>> {
    decode(&Json::parse(text.as_bytes()).unwrap(), &Environment::new())
}

fn errors(text: &str) -> Vec<String> {
    json(text).unwrap_err().iter().map(ConfigError::to_string).collect()
}

/// A configuration with the least there must be and `more` members of the top level.
fn least(more: &str) -> String {
    let auto_auth = r#""auto_auth":{"method":{"type":"kubernetes","config":{"role":"app"}},
        "sink":[{"type":"file","config":{"path":"/home/vault/.vault-token"}}]}"#;
    format!("{{{auto_auth}{}{more}}}", if more.is_empty() { "" } else { "," })
}

#[test]
fn reads_what_the_injector_writes() {
    let config = json(
        r#"{"auto_auth":{"method":{"type":"kubernetes","mount_path":"auth/kubernetes","namespace":"/team/",
        "min_backoff":"2s","exit_on_err":true,"config":{"role":"app","token_path":"/t"}},
        "sink":[{"type":"file","config":{"path":"/home/vault/.vault-token"}},
                {"type":"file","config":{"path":"/vault/secrets/token","mode":288}}]},
        "exit_after_auth":true,"pid_file":"/home/vault/.pid",
        "vault":{"address":"https://vault:8200/","tls_skip_verify":"true"},
        "template":[{"destination":"/vault/secrets/a","contents":"{{ x }}","left_delimiter":"{{",
            "right_delimiter":"}}","perms":"0400","command":"kill -HUP 1","error_on_missing_key":"true"}],
        "template_config":{"exit_on_retry_failure":true,"static_secret_render_interval":"30s",
            "lease_renewal_threshold":"0.8","max_connections_per_host":5},
        "cache":{"persist":{"type":"kubernetes","path":"/vault/agent-cache"}},
        "listener":[{"type":"tcp","address":"127.0.0.1:8200","tls_disable":true}],
        "injector":{"state_file":"/vault/agent/state","revoke_on_shutdown":true,"revoke_grace":7,
            "template":[{"destination":"/b","secret":"kv/b","format":"dotenv","perms":"640"},
                        {"destination":"/c","secret":"kv/c","engine":"tinytemplate","contents":"{x}"}]}}"#,
    )
    .unwrap();
    assert!(matches!(&config.method.kind, AuthKind::Kubernetes { role, token_path }
        if role == "app" && token_path == "/t"));
    assert_eq!(config.method.namespace.as_deref(), Some("team/"));
    assert_eq!((config.method.min_backoff.as_secs(), config.method.exit_on_err), (2, true));
    assert_eq!(config.sinks.iter().map(|s| s.mode).collect::<Vec<_>>(), [0o640, 0o440]);
    assert_eq!(
        (config.vault.address.as_str(), config.vault.tls_skip_verify),
        ("https://vault:8200", true)
    );
    let [a, b, c] = config.templates.as_slice() else { panic!() };
    assert!(matches!(&a.body, TemplateBody::Go { contents, .. } if contents == "{{ x }}"));
    assert_eq!((a.perms, a.error_on_missing_key), (Some(0o400), true));
    assert_eq!(a.command.as_ref().unwrap().words, ["kill -HUP 1"]);
    assert!(
        matches!(&b.body, TemplateBody::Format { secret, format } if secret == "kv/b" && format == "dotenv")
    );
    assert!(matches!(&c.body, TemplateBody::Tiny { contents, .. } if contents == "{x}"));
    assert_eq!((b.perms, c.perms, c.create_dest_dirs), (Some(0o640), None, true));
    assert_eq!(config.template_config.static_secret_render_interval.as_secs(), 30);
    assert!((config.template_config.lease_renewal_threshold - 0.8).abs() < 1e-9);
    assert_eq!(config.injector.revoke_on_shutdown, Some(Duration::from_secs(7)));
    assert_eq!(config.injector.state_file.as_deref(), Some("/vault/agent/state"));
    assert_eq!(config.ignored, ["template_config.max_connections_per_host", "cache", "listener"]);
}

#[test]
fn the_defaults_are_those_of_vault_agent() {
    let config = json(&least("")).unwrap();
    assert_eq!(config.vault.address, "https://127.0.0.1:8200");
    assert_eq!((config.vault.num_retries, config.vault.max_retries), (Some(12), 2));
    assert_eq!(config.method.mount_path, "auth/kubernetes");
    assert_eq!(
        (config.method.min_backoff.as_secs(), config.method.max_backoff.as_secs()),
        (1, 300)
    );
    assert_eq!(config.template_config.static_secret_render_interval.as_secs(), 300);
    assert_eq!(config.injector.revoke_on_shutdown, None);
    assert!(!config.exit_after_auth && config.ignored.is_empty());
}

#[test]
fn reads_hcl_with_labels_and_blocks() {
    let text = r#"
        auto_auth {
          method "AppRole" {
            config = { role_id_file_path = "/r", remove_secret_id_file_after_reading = false }
          }
          sink "file" { config = { path = "/token", mode = 0600 } }
        }
        vault { address = "http://127.0.0.1:8200" retry { num_retries = -1 } }
        template { source = "/t.ctmpl" destination = "/out" perms = 0644
          exec { command = ["app", "reload"] timeout = "5s" } }
    "#;
    let config = decode(&parse_hcl(text).unwrap(), &Environment::new()).unwrap();
    assert!(
        matches!(&config.method.kind, AuthKind::Approle { role_id_file_path, secret_id_file_path: None,
        remove_secret_id_file_after_reading: false, .. } if role_id_file_path == "/r")
    );
    assert_eq!(config.method.mount_path, "auth/approle");
    assert_eq!(config.sinks, [Sink { path: "/token".to_owned(), mode: 0o600 }]);
    assert_eq!(config.vault.num_retries, None);
    let template = config.templates.first().unwrap();
    assert!(matches!(&template.body, TemplateBody::GoFile { source, .. } if source == "/t.ctmpl"));
    let command = template.command.as_ref().unwrap();
    assert_eq!((command.words.join(" ").as_str(), command.timeout.as_secs()), ("app reload", 5));
    assert_eq!(template.perms, Some(0o644));
}

#[test]
fn the_environment_beats_the_document() {
    let document =
        least(r#""vault":{"address":"http://file","ca_cert":"/file","namespace":"file"}"#);
    let document = Json::parse(document.as_bytes()).unwrap();
    let of = |pairs: &[(&str, &str)]| decode(&document, &env(pairs));
    let config = of(&[
        ("VAULT_ADDR", "https://env"),
        ("BAO_ADDR", "https://bao"),
        ("VAULT_CACERT", ""),
        ("VAULT_CACERT_BYTES", "pem"),
        ("VAULT_NAMESPACE", "env/child"),
        ("VAULT_SKIP_VERIFY", "1"),
        ("VAULT_CLIENT_TIMEOUT", "90"),
        ("VAULT_MAX_RETRIES", "5"),
        ("https_proxy", "http://p:1"),
        ("HTTP_PROXY", "http://other:1"),
        ("NO_PROXY", ".svc"),
    ])
    .unwrap();
    assert_eq!(config.vault.address, "https://bao");
    assert_eq!(config.vault.ca_cert.as_deref(), Some("/file"), "an empty variable says nothing");
    assert_eq!(config.vault.ca_cert_bytes.as_deref(), Some("pem"));
    assert_eq!(config.method.namespace.as_deref(), Some("env/child/"));
    assert!(config.vault.tls_skip_verify);
    assert_eq!(config.vault.timeout, Some(Duration::from_secs(90)));
    assert_eq!(config.vault.max_retries, 5);
    assert_eq!(config.vault.proxy.as_ref().unwrap().expose(), "http://p:1");
    let plain = of(&[("HTTPS_PROXY", "http://p:1")]).unwrap();
    assert!(plain.vault.proxy.is_none(), "HTTPS_PROXY is for https addresses");
    assert_eq!(plain.method.namespace.as_deref(), Some("file/"));
    let wrong = of(&[("VAULT_SKIP_VERIFY", "yes"), ("VAULT_CLIENT_TIMEOUT", "soon")]).unwrap_err();
    assert_eq!(
        wrong.iter().map(|e| e.place.as_str()).collect::<Vec<_>>(),
        ["VAULT_CLIENT_TIMEOUT", "VAULT_SKIP_VERIFY"]
    );
}

#[test]
fn reports_every_mistake_with_its_place_and_value() {
    let found = errors(
        r#"{"auto_auth":{"method":{"type":"kubernetes","min_backoff":"1h","config":{}},
            "sink":[{"type":"http"},{"type":"file","config":{"mode":"rw"}},
                    {"type":"file","dh_type":"curve25519","config":{"path":"/x"}}]},
        "exec":{"command":["x"]},
        "template":[{"contents":"x","source":"y","destination":"/d"},
            {"contents":"x","perms":"0899","create_dest_dir":true,"command_timeout":"5 s"}],
        "template_config":{"lease_renewal_threshold":1.5},
        "injector":{"revoke":true,"template":[{"destination":"/d","secret":"s","engine":"jinja"}]}}"#,
    );
    for want in [
        "auto_auth.method.config.role: missing",
        "auto_auth.method.min_backoff: 3600s is longer",
        "auto_auth.sink[0].type: \"http\" is not supported, want file",
        "auto_auth.sink[1].config.mode: \"rw\"",
        "auto_auth.sink[1].config.path: missing",
        "auto_auth.sink[2].dh_type: ",
        "exec: ",
        "injector.revoke: unknown setting",
        "injector.template[0].engine: \"jinja\" is unknown, want tinytemplate",
        "template[0].source: both",
        "template[1].command_timeout: \"5 s\"",
        "template[1].create_dest_dir: unknown setting",
        "template[1].destination: missing",
        "template[1].perms: \"0899\"",
        "template_config.lease_renewal_threshold: \"1.5\"",
    ] {
        assert!(found.iter().any(|e| e.starts_with(want)), "{want} is not in {found:#?}");
    }
    assert_eq!(found.len(), 15, "{found:#?}");
}

#[test]
fn says_which_methods_there_are() {
    let text = least("").replace("\"kubernetes\"", "\"aws\"");
    assert_eq!(
        errors(&text),
        [
            "auto_auth.method.type: \"aws\" is not supported, want approle, jwt, kubernetes or token_file"
        ]
    );
    assert_eq!(errors("{}"), ["auto_auth: missing: say how to log in"]);
    assert!(errors("[]").first().unwrap().contains("want an object"));
    let two = r#"{"auto_auth":{"method":[{"type":"jwt"},{"type":"jwt"}],"sink":{"type":"file","config":{"path":"/x"}}}}"#;
    assert_eq!(errors(two), ["auto_auth.method: 2 methods, want one"]);
}

#[test]
fn no_restriction_is_dropped_in_silence() {
    for member in [r#""function_denylist":["env"]"#, r#""user":"app""#] {
        let template = format!(r#""template":[{{"contents":"x","destination":"/d",{member}}}]"#);
        assert_eq!(errors(&least(&template)).len(), 1, "{member}");
    }
    let inert =
        r#""template":{"contents":"x","destination":"/d","wait":{"min":"2s"},"backup":true}"#;
    assert_eq!(json(&least(inert)).unwrap().ignored, ["template.backup", "template.wait"]);
}

#[test]
fn later_documents_replace_blocks_and_add_templates() {
    let documents = [
        r#"{"a":1,"vault":{"address":"x"},"template":{"n":1}}"#,
        r#"{"a":2,"template":[{"n":2}]}"#,
    ];
    let merged =
        merge(documents.iter().map(|text| Json::parse(text.as_bytes()).unwrap()).collect());
    assert_eq!(merged.to_text(), r#"{"a":2,"template":[{"n":1},{"n":2}],"vault":{"address":"x"}}"#);
}

#[test]
fn debug_does_not_show_the_proxys_password() {
    let document = Json::parse(least("").as_bytes()).unwrap();
    let config = decode(&document, &env(&[("HTTPS_PROXY", "http://u:hunter2@p:1")])).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_jwt_login_falls_back_to_the_pods_own_token() {
    let of = |config: &str| {
        let text = least("").replace(r#""type":"kubernetes","config":{"role":"app"}"#, config);
        json(&text).map(|config| config.method.kind)
    };
    let own = of(r#""type":"jwt","config":{"role":"app","path":"/p","token_path":"/t"}"#).unwrap();
    assert!(
        matches!(own, AuthKind::Jwt { path, remove_jwt_after_reading: true, .. } if path == "/p")
    );
    let pod = of(r#""type":"jwt","config":{"role":"app","token_path":"/t"}"#).unwrap();
    assert!(
        matches!(pod, AuthKind::Jwt { path, remove_jwt_after_reading: false, .. } if path == "/t")
    );
    let none = of(r#""type":"jwt","config":{"role":"app"}"#).unwrap_err();
    assert!(none.first().unwrap().to_string().contains("config.path: missing"), "{none:?}");
}

#[test]
fn of_several_templates_for_one_file_the_last_one_counts() {
    let config = json(&least(
        r#""template":[{"destination":"/a","contents":"1"},{"destination":"/b","contents":"2"}],
        "injector":{"template":[{"destination":"/a","secret":"kv/a","format":"env"}]}"#,
    ))
    .unwrap();
    let files: Vec<&str> = config.templates.iter().map(|t| t.destination.as_str()).collect();
    assert_eq!(files, ["/b", "/a"]);
    assert_eq!(config.ignored, ["template for /a before the last one"]);
}

#[test]
fn an_address_that_is_none_is_a_mistake_and_not_another_address() {
    for port in ["82000", "65536", "82oo", "+8200", "0", "", "8200:1", " 8200"] {
        let address = format!("http://127.0.0.1:{port}");
        let found = errors(&least(&format!(r#""vault":{{"address":"{address}"}}"#)));
        assert!(found.len() == 1 && found[0].starts_with("vault.address: "), "{found:?}");
        let document = Json::parse(least("").as_bytes()).unwrap();
        for (name, place) in [
            ("VAULT_ADDR", "VAULT_ADDR"),
            ("BAO_ADDR", "VAULT_ADDR"),
            ("VAULT_PROXY_ADDR", "VAULT_PROXY_ADDR"),
            ("HTTPS_PROXY", "HTTPS_PROXY"),
            ("https_proxy", "HTTPS_PROXY"),
        ] {
            let found = decode(&document, &env(&[(name, &address)])).unwrap_err();
            assert_eq!((found.len(), found[0].place.as_str()), (1, place), "{found:?}");
            let secret = format!("http://u:hunter2@proxy:{port}");
            let found = decode(&document, &env(&[(name, &secret)])).unwrap_err();
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        }
    }
    let config = json(&least(r#""vault":{"address":" HTTP://Vault:8200/x/ "}"#)).unwrap();
    assert_eq!(config.vault.address, "http://vault:8200/x");
}
