//! Command line and environment of the modes `agent-init` and `agent-sidecar`.

use std::fmt::Write as _;
use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::base::json::Json;
use crate::base::secret::Secret;
use crate::domain::agent_config::{
    self, AgentConfig, AuthKind, Environment, Origins, Source, TemplateBody, TemplateConfig,
    WithoutEffect, variable,
};
use crate::domain::schedule::Ending;
use crate::run::agent::{self, Life, NotStarted};
use crate::run::config_files;
use crate::telemetry::log::{Format, Level, Log};

/// Fetch secrets from Vault or OpenBao and write them to files. Options are spelled as in Vault Agent,
/// with one dash or two. Without -config and BAO_AGENT_CONFIG_PATH the configuration is read from
/// VAULT_CONFIG, in base64.
#[derive(FromArgs, ArgsInfo)]
struct Options {
    /// a configuration in HCL or JSON, or a folder of them; may be given several times
    #[argh(option)]
    config: Vec<String>,
    /// check the configuration and its templates, print what it comes to, and end
    #[argh(switch)]
    validate: bool,
    /// end once every file is written
    #[argh(switch)]
    exit_after_auth: bool,
    /// trace, debug, info, warn or error
    #[argh(option)]
    log_level: Option<String>,
    /// standard or json
    #[argh(option)]
    log_format: Option<String>,
    /// address of Vault
    #[argh(option)]
    address: Option<String>,
    /// file of CA certificates
    #[argh(option)]
    ca_cert: Option<String>,
    /// folder of CA certificates
    #[argh(option)]
    ca_path: Option<String>,
    /// client certificate
    #[argh(option)]
    client_cert: Option<String>,
    /// key of the client certificate
    #[argh(option)]
    client_key: Option<String>,
    /// believe any server
    #[argh(switch)]
    tls_skip_verify: bool,
    /// name that the server's certificate must have
    #[argh(option)]
    tls_server_name: Option<String>,
    /// namespace of Vault
    #[argh(option)]
    namespace: Option<String>,
    /// name=value of a header for every request; may be given several times
    #[argh(option)]
    header: Vec<String>,
    /// take no answer from elsewhere than the address
    #[argh(switch)]
    disable_redirects: bool,
    /// without effect: the log goes to standard error
    #[argh(option)]
    log_file: Option<String>,
    /// without effect
    #[argh(option)]
    log_rotate_bytes: Option<String>,
    /// without effect
    #[argh(option)]
    log_rotate_duration: Option<String>,
    /// without effect
    #[argh(option)]
    log_rotate_max_files: Option<String>,
    /// of Vault's command line, without effect
    #[argh(switch)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    combine_logs: bool,
    /// of Vault's command line, without effect
    #[argh(switch)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    disable_gated_logs: bool,
    /// of Vault's command line, without effect
    #[argh(switch)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    non_interactive: bool,
    /// of Vault's command line, without effect
    #[argh(switch)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    policy_override: bool,
    /// of Vault's command line, without effect
    #[argh(option)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    agent_address: Option<String>,
    /// of Vault's command line, without effect
    #[argh(option)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    mfa: Option<String>,
    /// of Vault's command line, without effect
    #[argh(option)]
    #[expect(dead_code, reason = "taken, since scripts pass it")]
    unlock_key: Option<String>,
}

pub(crate) fn main(life: Life, words: &[String], env: &Environment) -> ExitCode {
    let mode = match life {
        Life::UntilRendered => "agent-init",
        Life::UntilSignal => "agent-sidecar",
    };
    let options: Options = match super::words::options(mode, words) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match configure(&options, env) {
        Ok((config, _log)) if options.validate => {
            super::say(&summary(&config));
            let mistakes = agent::mistakes(&config);
            for mistake in &mistakes {
                super::complain(&format!("{mode}: {mistake}\n"));
            }
            if mistakes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_USAGE) }
        }
        Ok((config, log)) => {
            let again = (options, env.clone());
            let reload = move || level_again(&again.0, &again.1);
            match agent::run(life, &config, env, log, Box::new(reload)) {
                Ok(Ending::Done) => ExitCode::SUCCESS,
                Ok(Ending::Failed) | Err(NotStarted::Surroundings(_)) => ExitCode::FAILURE,
                Err(NotStarted::Configuration(_)) => ExitCode::from(super::EXIT_USAGE),
            }
        }
        Err(mistakes) => {
            for mistake in mistakes {
                super::complain(&format!("{mode}: {mistake}\n"));
            }
            ExitCode::from(super::EXIT_USAGE)
        }
    }
}

/// The checked configuration and the log it asks for, or every mistake in it.
fn configure(options: &Options, env: &Environment) -> Result<(AgentConfig, Log), Vec<String>> {
    let (document, origins) = document(options, env)?;
    let log = log(options, env, &document);
    let decoded = agent_config::decode(&document, &with_flags(options, env));
    match (decoded, log) {
        (Ok(mut config), Ok(log)) => {
            config.exit_after_auth |= options.exit_after_auth;
            config.vault.headers = headers(&options.header)?;
            config.ignored.extend(flags_without_effect(options));
            Ok((config, log))
        }
        (decoded, log) => {
            let mut mistakes = log.err().unwrap_or_default();
            let of_config = decoded.err().unwrap_or_default();
            mistakes.extend(of_config.iter().map(|mistake| origins.describe(mistake)));
            Err(mistakes)
        }
    }
}

fn document(options: &Options, env: &Environment) -> Result<(Json, Origins), Vec<String>> {
    let of_environment = || variable(env, "AGENT_CONFIG_PATH").map(str::to_owned);
    let mut paths = options.config.clone();
    // As in OpenBao: without a -config, and before VAULT_CONFIG, which is an injector's.
    paths.extend(of_environment().filter(|_| options.config.is_empty()));
    if paths.is_empty() {
        let text =
            env.get("VAULT_CONFIG").filter(|text| !text.trim().is_empty()).ok_or_else(|| {
                vec![
                    "no configuration: want -config=PATH, or VAULT_CONFIG with base64 of it"
                        .to_owned(),
                ]
            })?;
        let bytes = BASE64_STANDARD
            .decode(text.split_ascii_whitespace().collect::<String>())
            .map_err(|e| vec![format!("VAULT_CONFIG: not base64: {e}")])?;
        let source = Source::parse("VAULT_CONFIG", &bytes).map_err(|mistake| vec![mistake])?;
        return Ok(agent_config::merge(vec![source]));
    }
    let (mut sources, mut mistakes) = (Vec::new(), Vec::new());
    for path in &paths {
        match config_files::load(path) {
            Ok(found) => sources.extend(found),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(agent_config::merge(sources)) } else { Err(mistakes) }
}

/// The headers of `-header`, which may hold secrets. Vault's own are not for it, as in Vault's client.
fn headers(flags: &[String]) -> Result<Vec<(String, Secret)>, Vec<String>> {
    let header = |flag: &String| {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let name = name.trim();
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let is_value = value.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b));
        if !is_name || !is_value || !flag.contains('=') {
            return Err(
                "-header: want NAME=VALUE, a name of letters, digits and -, a value in ASCII"
                    .to_owned(),
            );
        }
        if name.to_ascii_lowercase().starts_with("x-vault-") {
            return Err(format!("-header: {name} is set by the agent itself"));
        }
        Ok((name.to_owned(), Secret::new(value.trim())))
    };
    let (read, wrong): (Vec<_>, Vec<_>) = flags.iter().map(header).partition(Result::is_ok);
    if wrong.is_empty() {
        return Ok(read.into_iter().flatten().collect());
    }
    Err(wrong.into_iter().filter_map(Result::err).collect())
}

fn flags_without_effect(options: &Options) -> impl Iterator<Item = WithoutEffect> {
    let flags = [
        ("log-file", "log_file", &options.log_file),
        ("log-rotate-bytes", "log_rotate_bytes", &options.log_rotate_bytes),
        ("log-rotate-duration", "log_rotate_duration", &options.log_rotate_duration),
        ("log-rotate-max-files", "log_rotate_max_files", &options.log_rotate_max_files),
    ];
    let given = flags.into_iter().filter(|(.., value)| value.is_some());
    given.filter_map(|(flag, setting, _)| agent_config::of_flag(flag, setting))
}

/// The level of the log at SIGHUP. What the files say comes first now: they are what can have changed.
fn level_again(options: &Options, env: &Environment) -> Result<Level, String> {
    let (document, _) = document(options, env).map_err(|mistakes| mistakes.join("; "))?;
    let written = document.get("log_level").and_then(Json::as_str).filter(|word| !word.is_empty());
    match written {
        None => log(options, env, &document)
            .map(|log| log.level())
            .map_err(|mistakes| mistakes.join("; ")),
        Some(word) => Level::parse(word).ok_or_else(|| wrong_level(word)),
    }
}

fn wrong_level(word: &str) -> String {
    format!("log level \"{word}\": want trace, debug, info, warn or error")
}

/// Level and format: flag over environment over document.
fn log(options: &Options, env: &Environment, document: &Json) -> Result<Log, Vec<String>> {
    let pick = |flag: &Option<String>, name: &str, key: &str| {
        let of_document = || document.get(key).and_then(Json::as_str).map(str::to_owned);
        let of_environment = || variable(env, name).map(str::to_owned);
        flag.clone().or_else(of_environment).or_else(of_document).unwrap_or_default()
    };
    let mut mistakes = Vec::new();
    let level = pick(&options.log_level, "LOG_LEVEL", "log_level");
    let level = Level::parse(&level).unwrap_or_else(|| {
        mistakes.push(wrong_level(&level));
        Level::Info
    });
    let format = pick(&options.log_format, "LOG_FORMAT", "log_format");
    let format = match format.trim().to_ascii_lowercase().as_str() {
        "" | "standard" => Format::Standard,
        "json" => Format::Json,
        _ => {
            mistakes.push(format!("log format \"{format}\": want standard or json"));
            Format::Standard
        }
    };
    if mistakes.is_empty() { Ok(Log::new(level, format, "agent")) } else { Err(mistakes) }
}

/// The environment with the flags in the place of the variables that they go before.
fn with_flags(options: &Options, env: &Environment) -> Environment {
    let mut env = env.clone();
    let flags = [
        ("BAO_ADDR", &options.address),
        ("BAO_CACERT", &options.ca_cert),
        ("BAO_CAPATH", &options.ca_path),
        ("BAO_CLIENT_CERT", &options.client_cert),
        ("BAO_CLIENT_KEY", &options.client_key),
        ("BAO_NAMESPACE", &options.namespace),
        ("BAO_TLS_SERVER_NAME", &options.tls_server_name),
    ];
    for (name, value) in flags {
        env.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
    }
    if options.tls_skip_verify {
        env.insert("BAO_SKIP_VERIFY".to_owned(), "true".to_owned());
    }
    if options.disable_redirects {
        env.insert("BAO_DISABLE_REDIRECTS".to_owned(), "true".to_owned());
    }
    env
}

/// What a configuration comes to, without the texts of its templates.
fn summary(config: &AgentConfig) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{name:<9} {value}");
    };
    line("address", config.vault.address.clone());
    if let Some(namespace) = &config.method.namespace {
        line("namespace", namespace.clone());
    }
    line("login", format!("{} at {}", login(&config.method.kind), config.method.mount_path));
    for sink in &config.sinks {
        line("token", format!("{} (mode {:04o})", sink.path, sink.mode));
    }
    for template in &config.templates {
        line("file", file(template));
    }
    for setting in &config.ignored {
        line("ignored", setting.to_string());
    }
    text
}

fn login(kind: &AuthKind) -> String {
    match kind {
        AuthKind::Approle { role_id_file_path, .. } => format!("approle with {role_id_file_path}"),
        AuthKind::Jwt { role, path, .. } => format!("jwt as {role} with {path}"),
        AuthKind::Kubernetes { role, token_path } => {
            format!("kubernetes as {role} with {token_path}")
        }
        AuthKind::TokenFile { token_file_path } => format!("the token in {token_file_path}"),
    }
}

fn file(template: &TemplateConfig) -> String {
    let body = match &template.body {
        TemplateBody::Format { secret, format } => format!("{format} of {secret}"),
        TemplateBody::Go { contents, .. } => format!("template of {} bytes", contents.len()),
        TemplateBody::GoFile { source, .. } => format!("template {source}"),
        TemplateBody::Tiny { secret, .. } => format!("tinytemplate of {secret}"),
    };
    let mode = template.perms.map(|mode| format!(", mode {mode:04o}")).unwrap_or_default();
    let command = if template.command.is_some() { ", with command" } else { "" };
    format!("{} ({body}{mode}{command})", template.destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        super::super::words::options("agent-init", &words).unwrap()
    }

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    const DOCUMENT: &str = r#"{"auto_auth":{"method":{"type":"kubernetes","config":{"role":"app"}},
        "sink":{"type":"file","config":{"path":"/t"}}},"vault":{"address":"http://file"},
        "template":{"contents":"hunter2","destination":"/out","perms":"0400"}}"#;

    #[test]
    fn options_are_written_as_in_vault_agent() {
        let parsed = options(&[
            "-config=/a.hcl",
            "--config",
            "/b",
            "-exit-after-auth",
            "-tls-skip-verify=false",
            "-address=http://x?a=b",
        ]);
        assert_eq!(parsed.config, ["/a.hcl", "/b"]);
        assert!(parsed.exit_after_auth && !parsed.tls_skip_verify);
        assert_eq!(parsed.address.as_deref(), Some("http://x?a=b"));
    }

    #[test]
    fn flags_that_mean_nothing_here_are_no_mistakes() {
        let parsed = options(&[
            "-non-interactive",
            "-combine-logs=true",
            "-agent-address=http://x",
            "-mfa",
            "id:code",
            "-unlock-key=k",
            "-disable-redirects=true",
            "-log-file=/x",
            "-log-rotate-bytes",
            "5",
            "-config=/a",
        ]);
        assert!(parsed.disable_redirects && parsed.config == ["/a"]);
        let told: Vec<_> = flags_without_effect(&parsed).map(|setting| setting.place).collect();
        assert_eq!(told, ["-log-file", "-log-rotate-bytes"]);
    }

    #[test]
    fn a_header_is_taken_unless_it_is_one_of_vaults() {
        let of = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            headers(&flags)
        };
        let taken = of(&["X-Tenant=a=b", "cf-id = x "]).unwrap();
        let taken: Vec<_> =
            taken.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(taken, [("X-Tenant", "a=b"), ("cf-id", "x")]);
        for wrong in ["x", "=v", "a b=c", "a=\n", "X-Vault-Token=s", "x-vault-namespace=n"] {
            let errors = of(&[wrong, "ok=1"]).unwrap_err();
            assert!(errors.len() == 1 && !errors.concat().contains("\n"), "{wrong}: {errors:?}");
        }
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_document() {
        let vars = env(&[
            ("VAULT_CONFIG", &BASE64_STANDARD.encode(DOCUMENT)),
            ("VAULT_ADDR", "http://env"),
        ]);
        let (config, _) = configure(&options(&["-address=http://flag"]), &vars).unwrap();
        assert_eq!(config.vault.address, "http://flag");
        let (config, _) = configure(&options(&[]), &vars).unwrap();
        assert_eq!(config.vault.address, "http://env");
    }

    #[test]
    fn mistakes_come_together() {
        let wrong = DOCUMENT.replace("0400", "rwx").replace("/out", "");
        let vars =
            env(&[("VAULT_CONFIG", &BASE64_STANDARD.encode(wrong)), ("VAULT_LOG_LEVEL", "loud")]);
        let mistakes = configure(&options(&["-log-format=xml"]), &vars).err().unwrap();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        let none = configure(&options(&[]), &Environment::new()).err().unwrap();
        assert!(none.first().unwrap().contains("VAULT_CONFIG"), "{none:?}");
        let garbage = configure(&options(&[]), &env(&[("VAULT_CONFIG", "?")])).err().unwrap();
        assert!(garbage.first().unwrap().contains("base64"), "{garbage:?}");
    }

    #[test]
    fn the_summary_shows_no_template() {
        let vars = env(&[("VAULT_CONFIG", &BASE64_STANDARD.encode(DOCUMENT))]);
        let (config, _) = configure(&options(&[]), &vars).unwrap();
        let text = summary(&config);
        assert!(text.contains("/out (template of 7 bytes, mode 0400)"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
