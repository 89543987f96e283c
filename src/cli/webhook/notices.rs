//! What the operator should know of options that are right each, but not together, and of names that are none.

use super::{MinVersion, PREFIX, Settings, TABLE};
use crate::base::address::Address;
use crate::domain::agent_config::Environment;

/// Something the operator should know though it stops nothing.
pub(super) struct Notice {
    pub(super) option: String,
    pub(super) message: &'static str,
}

/// Options that are understood but not acted on, and variables that look like options and are none.
pub(super) fn notices(settings: &Settings, env: &Environment) -> Vec<Notice> {
    const NEEDS_AUTO: &str = "option has no effect without AGENT_INJECT_TLS_AUTO";
    const NEEDS_FILES: &str = "option has no effect without AGENT_INJECT_TLS_CERT_FILE";
    const NEEDS_CA: &str =
        "option has no effect without AGENT_INJECT_TLS_CA_CERT_FILE, beside a certificate file";
    const NO_HOSTS: &str =
        "without names the certificate is for localhost, which no API server asks for";
    const UNKNOWN_CA: &str = "without certificate files the certificate is signed by a CA of this process, \
                              which no API server trusts";
    const IN_CLEAR: &str =
        "no https address: agents send the tokens of their pods and get secrets in clear";
    const ROOT: &str = "agents run as root or in its group, unless their pods say otherwise";
    let mut notices = Vec::new();
    let mut tell = |option: &str, message| {
        notices.push(Notice { option: option.to_owned(), message });
    };
    let has_files = !settings.tls_cert_file.is_empty();
    let (has_auto, has_ca) = (!settings.tls_auto.is_empty(), !settings.tls_ca_cert_file.is_empty());
    if !has_files && !has_auto {
        tell("AGENT_INJECT_TLS_CERT_FILE", UNKNOWN_CA);
    }
    if has_auto && has_files && !has_ca {
        tell("AGENT_INJECT_TLS_AUTO", NEEDS_CA);
    }
    if has_auto && !has_files && settings.tls_auto_hosts.is_empty() {
        tell("AGENT_INJECT_TLS_AUTO_HOSTS", NO_HOSTS);
    }
    if has_ca && !(has_files && has_auto) {
        tell("AGENT_INJECT_TLS_CA_CERT_FILE", if has_files { NEEDS_AUTO } else { NEEDS_FILES });
    }
    // With files there is nothing to elect anybody for.
    if settings.use_leader_elector && !has_files && !has_auto {
        tell("AGENT_INJECT_USE_LEADER_ELECTOR", NEEDS_AUTO);
    }
    let is_plain = |address: Address| !address.is_https() && !address.is_loopback();
    if Address::parse(&settings.inject.address).is_ok_and(is_plain) {
        tell("AGENT_INJECT_VAULT_ADDR", IN_CLEAR);
    }
    for (option, id) in [
        ("AGENT_INJECT_RUN_AS_USER", &settings.inject.run_as_user),
        ("AGENT_INJECT_RUN_AS_GROUP", &settings.inject.run_as_group),
    ] {
        if id.parse() == Ok(0) {
            tell(option, ROOT);
        }
    }
    if !settings.is_log_format_known {
        tell("AGENT_INJECT_LOG_FORMAT", "neither standard nor json, writing standard");
    }
    if settings.tls_min_version == MinVersion::Older {
        tell("AGENT_INJECT_TLS_MIN_VERSION", "TLS 1.0 and 1.1 are not offered, 1.2 is the lowest");
    }
    let known = |name: &str| TABLE.iter().any(|row| row.variable() == name);
    for name in env.keys().filter(|name| name.starts_with(PREFIX) && !known(name)) {
        tell(name, "unknown variable ignored");
    }
    for row in TABLE.iter().filter(|row| row.variable.starts_with("TLS_")) {
        let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        if is_set(row.variable) && !is_set(&row.variable()) {
            tell(row.variable, "variable without the prefix AGENT_INJECT_ ignored");
        }
    }
    notices
}
