//! Configurations as vault-k8s writes them, as people write them, and as nobody should.

use super::*;
use crate::domain::agent_config::parse_hcl;
use crate::domain::agent_config::settings::{self, SETTINGS, Treatment};
use crate::domain::vault::RateLimit;

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn json(text: &str) -> Result<AgentConfig, Vec<ConfigError>> {
    decode(&Json::parse(text.as_bytes()).unwrap(), &Environment::new())
}

fn places(ignored: &[WithoutEffect]) -> Vec<&str> {
    ignored.iter().map(|setting| setting.place.as_str()).collect()
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
    assert_eq!(config.template_config.max_connections_per_host, Some(5));
    assert_eq!(places(&config.ignored), ["cache", "listener"]);
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
    assert_eq!(
        config.sinks,
        [Sink { path: "/token".to_owned(), mode: 0o600, user: None, group: None }]
    );
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
    for member in [
        r#""function_denylist":["env"]"#,
        r#""function_blacklist":["env"]"#,
        r#""exec":{"command":"x","env":{"pristine":true}}"#,
    ] {
        let template = format!(r#""template":[{{"contents":"x","destination":"/d",{member}}}]"#);
        assert_eq!(errors(&least(&template)).len(), 1, "{member}");
    }
    for sink in [
        r#""wrap_ttl":"5m""#,
        r#""dh_type":"curve25519""#,
        r#""dh_path":"/k""#,
        r#""derive_key":true"#,
        r#""aad":"x""#,
        r#""aad_env_var":"X""#,
    ] {
        let text = least("").replace(r#""type":"file""#, &format!(r#""type":"file",{sink}"#));
        assert_eq!(errors(&text).len(), 1, "{sink}");
    }
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
    assert_eq!(places(&config.ignored), ["template for /a before the last one"]);
}

/// A document that holds every setting of the table that is followed, in a login of every method.
fn whole() -> Vec<String> {
    let rest = r#""sink":[{"type":"file","config":{"path":"/s","mode":288,"uid":1,"gid":2}}]},
        "exit_after_auth":true,"pid_file":"/p","log_level":"warn","log_format":"json",
        "disable_idle_connections":["auto-auth"],"disable_keep_alives":["templating"],
        "vault":{"address":"https://v","ca_cert":"/c","ca_path":"/d","client_cert":"/e","client_key":"/f",
            "tls_skip_verify":true,"tls_server_name":"n","namespace":"a","retry":{"num_retries":3}},
        "template":[{"destination":"/a","contents":"x","perms":"0400","command":"c","command_timeout":"1s",
            "create_dest_dirs":false,"error_on_missing_key":true,"error_fatal":false,"backup":true,
            "user":"app","group":"app","left_delimiter":"<","right_delimiter":">","sandbox_path":"/",
            "wait":{"min":"1s","max":"2s"}},
            {"destination":"/b","source":"/t","uid":1,"gid":2,
            "exec":{"command":["x"],"timeout":"1s","enabled":true}}],
        "template_config":{"exit_on_retry_failure":true,"static_secret_render_interval":"1m",
            "lease_renewal_threshold":0.5,"max_connections_per_host":3},
        "injector":{"state_file":"/st","revoke_on_shutdown":true,"revoke_grace":"1s","template":[
            {"destination":"/c","secret":"s","engine":"tinytemplate","contents":"x","perms":"0400",
             "command":"c","command_timeout":"1s","create_dest_dirs":true},
            {"destination":"/e","secret":"s","format":"env"}]}}"#;
    let methods = [
        r#""kubernetes","config":{"role":"r","token_path":"/t"}"#,
        r#""jwt","config":{"role":"r","path":"/t","remove_jwt_after_reading":true,
            "remove_jwt_follows_symlinks":true,"jwt_read_period":"1s"}"#,
        r#""approle","config":{"role_id_file_path":"/r","secret_id_file_path":"/s",
            "remove_secret_id_file_after_reading":true,"secret_id_response_wrapping_path":"w"}"#,
        r#""token_file","config":{"token_file_path":"/t"}"#,
    ];
    let methods = methods.map(|method| {
        format!(
            r#"{{"auto_auth":{{"method":{{"mount_path":"auth/m","namespace":"n","min_backoff":"1s",
            "max_backoff":"2s","exit_on_err":true,"type":{method}}},{rest}"#
        )
    });
    methods.into()
}

/// The paths of a document without numbers.
fn paths(path: &str, value: &Json, found: &mut BTreeSet<String>) {
    match value {
        Json::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.insert(path.clone());
                paths(&path, value, found);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| paths(path, item, found)),
        _ => {}
    }
}

#[test]
fn every_setting_that_the_table_calls_followed_is_read() {
    let mut given = BTreeSet::new();
    for text in whole() {
        let config = json(&text).unwrap();
        assert_eq!(places(&config.ignored), Vec::<&str>::new(), "{text}");
        paths("", &Json::parse(text.as_bytes()).unwrap(), &mut given);
    }
    let followed = SETTINGS.iter().filter(|(_, treatment)| *treatment == Treatment::Followed);
    let followed: BTreeSet<String> = followed.map(|(path, _)| (*path).to_owned()).collect();
    given.remove("auto_auth.method.config.token_path");
    assert_eq!(given, followed);
    let sorted: BTreeSet<&str> = SETTINGS.iter().map(|(path, _)| *path).collect();
    assert_eq!(sorted.len(), SETTINGS.len(), "a setting stands in the table twice");
}

/// A document with one setting, which lies in a block of its own or in one that must be there.
fn with_setting(path: &str) -> Json {
    fn put(value: &mut Json, path: &str, to: Json) {
        let (key, rest) =
            path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let mut place = value;
        if let Json::Array(items) = place {
            place = items.last_mut().unwrap();
        }
        let Json::Object(members) = place else { panic!("{path}") };
        match rest {
            None => drop(members.insert(key.to_owned(), to)),
            Some(rest) => {
                let inner = members.entry(key.to_owned()).or_insert(Json::Object(BTreeMap::new()));
                put(inner, rest, to);
            }
        }
    }
    let mut document = Json::parse(whole().first().unwrap().as_bytes()).unwrap();
    put(&mut document, path, Json::String("some".to_owned()));
    document
}

#[test]
fn every_other_setting_is_told_or_refused_as_the_table_says() {
    for (path, treatment) in SETTINGS {
        let document = with_setting(path);
        let decoded = decode(&document, &Environment::new());
        let told = without_effect(&document);
        let told: Vec<&WithoutEffect> =
            told.iter().filter(|setting| setting.follows == follows(*treatment)).collect();
        match treatment {
            Treatment::Followed => continue,
            Treatment::Needless => assert!(decoded.unwrap().ignored.is_empty(), "{path}"),
            Treatment::Inert(_) => assert!(decoded.is_ok() && told.len() == 1, "{path}: {told:?}"),
            Treatment::Refused(why) => {
                let errors = decoded.unwrap_err();
                assert!(errors.iter().any(|error| error.reason == *why), "{path}: {errors:?}");
            }
        }
    }
}

const fn follows(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Inert(follows) => follows,
        Treatment::Followed | Treatment::Needless | Treatment::Refused(_) => "",
    }
}

#[test]
fn what_is_misspelt_or_of_no_use_is_told() {
    let config = json(&least(
        r#""templates":[],"vault":{"adress":"x"},"template_config":{"interval":"1m"}"#,
    ));
    assert_eq!(
        places(&config.unwrap().ignored),
        ["vault.adress", "template_config.interval", "templates"]
    );
    let text = least("").replace(r#""role":"app""#, r#""role":"app","role_id_file_path":"/x""#);
    let ignored = json(&text).unwrap().ignored;
    assert_eq!(places(&ignored), ["auto_auth.method.config.role_id_file_path"]);
    assert_eq!(ignored.first().unwrap().follows, settings::UNUSED);
    let labelled = r#"listener "tcp" { address = "a" agent_api { enable_quit = true } }"#;
    let told = without_effect(&parse_hcl(labelled).unwrap());
    assert_eq!(places(&told), ["listener", "listener.tcp.agent_api.enable_quit"]);
    let two = r#"{"listener":[{},{"agent_api":{"enable_quit":"true"}},{"agent_api":{"enable_quit":false}}]}"#;
    let told = without_effect(&Json::parse(two.as_bytes()).unwrap());
    assert_eq!(places(&told), ["listener", "listener[1].agent_api.enable_quit"]);
}

#[test]
fn waits_are_read_as_consul_template_reads_them() {
    let of = |wait: &str| {
        let template = format!(r#""template":{{"contents":"x","destination":"/d","wait":{wait}}}"#);
        json(&least(&template)).map(|config| config.templates.first().unwrap().wait)
    };
    let quiet =
        |min, max| Some(Quiet { min: Duration::from_secs(min), max: Duration::from_secs(max) });
    for (text, meant) in [
        (r#""3s:9s""#, quiet(3, 9)),
        (r#"" 3s : 9s ""#, quiet(3, 9)),
        (r#""2s""#, quiet(2, 8)),
        (r#"{"min":"2s"}"#, quiet(2, 8)),
        (r#"{"min":"2s","max":"2s"}"#, quiet(2, 2)),
        (r#"[{"min":"9s","max":"99s"},{"min":"1s","max":"5s"}]"#, quiet(1, 5)),
        (r#"{"min":"5s","max":"1s"}"#, quiet(5, 5)),
        (r#"{"min":"1s","max":"0s"}"#, quiet(1, 1)),
        (r#""0s""#, None),
        (r#"{"max":"5s"}"#, None),
        ("null", None),
    ] {
        assert_eq!(of(text).unwrap(), meant, "{text}");
    }
    for text in [
        r#""x:y""#,
        r#""5s:1s""#,
        r#""1s:2s:3s""#,
        r#""5""#,
        r#""-1s""#,
        r#"":""#,
        r#"{"min":"1s","maximum":"2s"}"#,
    ] {
        assert_eq!(of(text).unwrap_err().len(), 1, "{text}");
    }
}

#[test]
fn a_text_that_is_a_list_in_json_is_the_words_of_a_command() {
    let of = |command: &str| {
        let template = Json::Object(BTreeMap::from([
            ("contents".to_owned(), Json::String("x".to_owned())),
            ("destination".to_owned(), Json::String("/d".to_owned())),
            ("command".to_owned(), Json::String(command.to_owned())),
        ]));
        let config = json(&least(&format!(r#""template":{}"#, template.to_text())));
        config.map(|config| {
            config.templates.first().unwrap().command.as_ref().map(|c| c.words.join("|"))
        })
    };
    for (text, words) in [
        (r#"["app", "re load"]"#, "app|re load"),
        (r#" ["app"] "#, "app"),
        ("[ -f /x ] && y", "[ -f /x ] && y"),
        ("[[ a ]]", "[[ a ]]"),
        ("kill -HUP 1", "kill -HUP 1"),
    ] {
        assert_eq!(of(text).unwrap().as_deref(), Some(words), "{text}");
    }
    assert_eq!(of("[]").unwrap(), None);
    for text in [r#"["app", reload]"#, r#"[ "app""#, r#"["a", {}]"#, r#"["a", ["b"]]"#] {
        assert_eq!(of(text).unwrap_err().len(), 1, "{text}");
    }
}

#[test]
fn the_owner_of_a_sink_is_a_number() {
    let of = |member: &str| {
        let text = least("").replace(r#""path":"/home"#, &format!(r#"{member},"path":"/home"#));
        json(&text).map(|config| config.sinks.first().map(|sink| (sink.user, sink.group)).unwrap())
    };
    assert_eq!(of(r#""uid":1000,"gid":"0""#).unwrap(), (Some(1000), Some(0)));
    assert_eq!(of(r#""uid":-1"#).unwrap(), (None, None));
    assert_eq!(of(r#""uid":"app","gid":-2"#).unwrap_err().len(), 2);
}

#[test]
fn rates_redirects_and_wrong_words_of_the_environment() {
    let document = Json::parse(least("").as_bytes()).unwrap();
    let of = |pairs: &[(&str, &str)]| decode(&document, &env(pairs));
    let config = of(&[("VAULT_RATE_LIMIT", "3:1"), ("VAULT_DISABLE_REDIRECTS", "1")]).unwrap();
    assert_eq!(config.vault.rate_limit, RateLimit::parse("3:1"));
    assert!(config.vault.refuses_redirects);
    let told = of(&[("BAO_SRV_LOOKUP", "true")]).unwrap().ignored;
    assert_eq!(places(&told), ["VAULT_SRV_LOOKUP"]);
    let wrong = of(&[("BAO_RATE_LIMIT", "fast"), ("VAULT_DISABLE_REDIRECTS", "yes")]).unwrap_err();
    let wrong: Vec<&str> = wrong.iter().map(|error| error.place.as_str()).collect();
    assert_eq!(wrong, ["VAULT_DISABLE_REDIRECTS", "VAULT_RATE_LIMIT"]);
    let idle = |words: &str| {
        let config = json(&least(&format!(r#""disable_idle_connections":{words}"#))).unwrap();
        config.ignored.into_iter().map(|setting| setting.place).collect::<Vec<_>>()
    };
    let told = [r#"disable_idle_connections: "nothing""#];
    assert_eq!(idle(r#"["auto-auth"," proxying","","nothing"]"#), told);
    assert_eq!(idle(r#""caching, nothing""#), told);
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

#[test]
fn a_setting_without_a_name_has_a_place() {
    let document = Json::parse(br#"{"":1,"vault":{"":2},"template":[{"":3}]}"#).unwrap();
    let mut places: Vec<String> =
        without_effect(&document).into_iter().map(|setting| setting.place).collect();
    let errors = decode(&document, &env(&[])).unwrap_err();
    places.extend(errors.into_iter().map(|error| error.place));
    for place in ["\"\"", "vault.\"\"", "template[0].\"\""] {
        assert!(places.iter().any(|told| told == place), "{place}: {places:?}");
    }
    assert!(places.iter().all(|place| !place.is_empty() && !place.ends_with('.')), "{places:?}");
}
