//! How to reach Vault: the environment over the block `vault`.

use super::decode::normal_namespace;
use super::section::{ConfigError, Notes, Section, parse_duration, parse_truth};
use super::{Connection, Environment};
use crate::base::address::{Address, AddressError, shown};
use crate::base::secret::Secret;
use crate::domain::vault::RateLimit;

/// Where Vault's own client looks when nothing is configured.
const ADDRESS: &str = "https://127.0.0.1:8200";
/// `vault.retry.num_retries` of Vault Agent.
const NUM_RETRIES: u32 = 12;
/// `VAULT_MAX_RETRIES` of Vault's client.
const MAX_RETRIES: u32 = 2;

/// The variable `BAO_X`, else `VAULT_X`; an empty one counts as absent.
pub fn variable<'e>(env: &'e Environment, name: &str) -> Option<&'e str> {
    let of = |prefix: &str| env.get(&format!("{prefix}_{name}")).map(String::as_str);
    of("BAO").filter(|v| !v.is_empty()).or_else(|| of("VAULT").filter(|v| !v.is_empty()))
}

/// What the environment alone says, as to Vault's command line: the connection, the namespace in normal
/// form and the token (`VAULT_ADDR`, `VAULT_NAMESPACE`, `VAULT_TOKEN` and their kin).
pub fn of_environment(env: &Environment) -> Result<Client, Vec<ConfigError>> {
    let notes = Notes::default();
    let connection = decode(None, env, &notes);
    let namespace = variable(env, "NAMESPACE").and_then(normal_namespace);
    let token = variable(env, "TOKEN").map(Secret::new);
    let (errors, _no_settings) = notes.into_parts();
    if errors.is_empty() { Ok(Client { connection, namespace, token }) } else { Err(errors) }
}

/// A client of Vault as the environment describes it.
pub struct Client {
    /// How to reach Vault.
    pub connection: Connection,
    /// Of all requests.
    pub namespace: Option<String>,
    /// Whose policies count.
    pub token: Option<Secret>,
}

/// Decodes `vault` and lays the environment over it.
pub(super) fn decode(vault: Option<&Section<'_>>, env: &Environment, notes: &Notes) -> Connection {
    let pick = |name: &str, key: &'static str| {
        let configured = vault.and_then(|vault| vault.text(key));
        variable(env, name).map(str::to_owned).or(configured)
    };
    let address = pick("ADDR", "address").unwrap_or_else(|| ADDRESS.to_owned());
    let address = Address::parse(address.trim()).map_err(|error| {
        let place = if variable(env, "ADDR").is_some() { "VAULT_ADDR" } else { "vault.address" };
        notes.error(place, format!("\"{}\": {error}", shown(address.trim())));
    });
    let skip = vault.is_some_and(|vault| vault.truth("tls_skip_verify", false));
    let rate_limit = variable(env, "RATE_LIMIT").and_then(|text| {
        let rate = RateLimit::parse(text);
        if rate.is_none() {
            let reason = format!(
                "\"{text}\": want requests per second above 0, or with a burst such as 10:20"
            );
            notes.error("VAULT_RATE_LIMIT", reason);
        }
        rate
    });
    if truth(env, "SRV_LOOKUP", notes) == Some(true) {
        let follows =
            "SRV records are not asked for: write host and port of the server as the address";
        notes.ignore("VAULT_SRV_LOOKUP".to_owned(), follows);
    }
    let timeout = variable(env, "CLIENT_TIMEOUT").and_then(|text| {
        parse_duration(text).map_err(|reason| notes.error("VAULT_CLIENT_TIMEOUT", reason)).ok()
    });
    let max_retries = variable(env, "MAX_RETRIES").map(|text| {
        text.trim().parse().unwrap_or_else(|_e| {
            notes.error("VAULT_MAX_RETRIES", format!("\"{text}\" is not a whole number"));
            MAX_RETRIES
        })
    });
    Connection {
        ca_cert: pick("CACERT", "ca_cert"),
        ca_cert_bytes: variable(env, "CACERT_BYTES").map(str::to_owned),
        ca_path: pick("CAPATH", "ca_path"),
        system_ca_file: env.get("SSL_CERT_FILE").filter(|path| !path.is_empty()).cloned(),
        client_cert: pick("CLIENT_CERT", "client_cert"),
        client_key: pick("CLIENT_KEY", "client_key"),
        tls_skip_verify: truth(env, "SKIP_VERIFY", notes).unwrap_or(skip),
        tls_server_name: pick("TLS_SERVER_NAME", "tls_server_name"),
        timeout,
        proxy: proxy(address.as_ref().is_ok_and(Address::is_https), env, notes).map(Secret::new),
        no_proxy: either(env, "NO_PROXY").map(str::to_owned),
        num_retries: num_retries(vault),
        max_retries: max_retries.unwrap_or(MAX_RETRIES),
        headers: Vec::new(),
        rate_limit,
        refuses_redirects: truth(env, "DISABLE_REDIRECTS", notes).unwrap_or(false),
        address: address.map(|address| address.to_string()).unwrap_or_default(),
    }
}

/// A variable that is true or false.
fn truth(env: &Environment, name: &str, notes: &Notes) -> Option<bool> {
    let text = variable(env, name)?;
    let truth = parse_truth(text);
    if truth.is_none() {
        let reason = format!("\"{text}\" is not a boolean, want true or false");
        notes.error(format!("VAULT_{name}"), reason);
    }
    truth
}

/// Absent and 0 are the default, −1 is no retry.
fn num_retries(vault: Option<&Section<'_>>) -> Option<u32> {
    let Some(retry) = vault.and_then(|vault| vault.block("retry")) else {
        return Some(NUM_RETRIES);
    };
    let count = retry.integer("num_retries").unwrap_or(0);
    retry.finish();
    match count {
        0 => Some(NUM_RETRIES),
        -1 => None,
        count => u32::try_from(count).map_or_else(
            |_e| {
                retry.error(
                    "num_retries",
                    format!("{count}, want -1 (no retry), 0 (default) or more"),
                );
                None
            },
            Some,
        ),
    }
}

/// The proxy for Vault, the value of the first of these variables that is set. What it is, is not shown: it may
/// hold a password.
fn proxy<'e>(is_https: bool, env: &'e Environment, notes: &Notes) -> Option<&'e str> {
    let general = if is_https { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let of_vault = ["PROXY_ADDR", "HTTP_PROXY"]
        .iter()
        .find_map(|name| variable(env, name).map(|value| (format!("VAULT_{name}"), value)));
    let (name, value) =
        of_vault.or_else(|| either(env, general).map(|value| (general.to_owned(), value)))?;
    let value = value.trim();
    if let Err(error) = Address::parse_proxy(value) {
        let reason = match error {
            AddressError::Empty | AddressError::Scheme => {
                "not a proxy address, want http://[user:password@]host:port".to_owned()
            }
            error => error.to_string(),
        };
        notes.error(name, reason);
    }
    Some(value)
}

/// A variable in upper case, else in lower case.
fn either<'e>(env: &'e Environment, name: &str) -> Option<&'e str> {
    let value = env.get(name).filter(|value| !value.is_empty());
    value
        .or_else(|| env.get(&name.to_ascii_lowercase()))
        .map(String::as_str)
        .filter(|v| !v.is_empty())
}
