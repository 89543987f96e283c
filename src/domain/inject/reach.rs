//! Where agents reach Vault.

use super::Flavor;
use super::annotations::{Key, Notes};
use super::problems::{Problems, Shown};
use super::value::parse_bool;
use crate::base::address::{Address, AddressError, is_host, shown};

/// Refuses addresses that are none, and doubts what is not safe.
pub(crate) fn check(
    notes: &Notes<'_>,
    has_ca_bytes: bool,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    service(notes, has_ca_bytes, problems, warnings);
    proxy(notes, problems);
    server_name(notes, problems);
    connections(notes, warnings);
}

/// Whether a value is one that the kubelet fills in: variables of a container may name others.
fn is_filled_in(text: &str) -> bool {
    text.contains("$(")
}

fn service(
    notes: &Notes<'_>,
    has_ca_bytes: bool,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    let text = notes.text(Key::Service);
    let is_generated = notes.text(Key::Configmap).is_empty();
    if text.is_empty() || (!is_generated && is_filled_in(&text)) {
        return;
    }
    let native = notes.flavor() == Flavor::Native;
    // Our agent leaves out what stands around an address.
    let address = match Address::parse(if native { text.trim() } else { &text }) {
        Ok(address) => address,
        Err(error) if !native && is_fine_for_vault(&error) => return,
        Err(error) => {
            let clause = format_args!("{:?} is no address of Vault: {error}", shown(&text));
            return notes.blame(Key::Service, clause, problems);
        }
    };
    let skips = notes.flag(Key::TlsSkipVerify);
    if !address.is_https() {
        // Who set the webhook's own address hears of it when the webhook starts.
        if notes.given(Key::Service).is_some() && !address.is_loopback() {
            let what = "sends the pod's token and its secrets in clear, as it is no https address";
            warnings.push(format!("{}: {what}", Key::Service));
        }
    } else if native && is_generated && !skips && !has_ca_bytes && !address.is_public() {
        // Of other addresses a public authority may have signed the certificate.
        let named = [Key::CaCert, Key::CaPath].iter().any(|key| !notes.text(*key).is_empty());
        if !named {
            warnings.push(format!(
                "{}: no CA of Vault is named, so only public ones are trusted: name it by {} or by the webhook's \
                 AGENT_INJECT_VAULT_CACERT_BYTES",
                Key::Service,
                Key::CaCert
            ));
        }
    }
}

/// What Go's own reader of addresses takes and ours does not.
const fn is_fine_for_vault(error: &AddressError) -> bool {
    matches!(
        error,
        AddressError::Path | AddressError::Query | AddressError::Socket | AddressError::User
    )
}

fn proxy(notes: &Notes<'_>, problems: &mut Problems) {
    let text = notes.text(Key::ProxyAddress);
    let is_socks = ["socks5://", "socks5h://"].iter().any(|scheme| text.starts_with(scheme));
    let is_vaults = is_socks && notes.flavor() == Flavor::Vault;
    if text.is_empty() || is_filled_in(&text) || is_vaults {
        return;
    }
    if let Err(error) = Address::parse_proxy(&text) {
        let clause = format_args!("{:?} is no address of a proxy: {error}", shown(&text));
        notes.blame(Key::ProxyAddress, clause, problems);
    }
}

/// The name in Vault's certificate. Vault's own agent starts with any, and then no certificate is for it.
fn server_name(notes: &Notes<'_>, problems: &mut Problems) {
    let text = notes.text(Key::TlsServerName);
    let is_fine = text.is_empty() || is_filled_in(&text) || is_host(&text);
    if notes.flavor() == Flavor::Native && !is_fine {
        let clause = format_args!(
            "{} is no name of a certificate: write a DNS name or an IP address such as vault.example, without port",
            Shown(&text)
        );
        problems.note(Key::TlsServerName, clause);
    }
}

/// The parts of Vault's agent whose connections can be set apart; it does not start with others.
const PARTS: [&str; 5] = ["auto-auth", "caching", "proxying", "templating", ""];

fn connections(notes: &Notes<'_>, warnings: &mut Vec<String>) {
    if notes.flavor() == Flavor::Native {
        return;
    }
    let token = notes.text(Key::CacheUseToken);
    let is_word = &*token == "force" || parse_bool(&token).is_some();
    if notes.flag(Key::CacheEnable) && !is_word {
        warnings.push(format!(
            "{}: Vault's agent does not start with {}: write true, false or force",
            Key::CacheUseToken,
            Shown(&token)
        ));
    }
    let processors = notes.text(Key::GoMaxProcs);
    let is_count = processors.parse::<i32>().is_ok_and(|count| count > 0);
    if !processors.is_empty() && !is_filled_in(&processors) && !is_count {
        warnings.push(format!(
            "{}: {} is no number of processors, so Go takes all: write one from 1",
            Key::GoMaxProcs,
            Shown(&processors)
        ));
    }
    // Recorded pods of vault-k8s have blanks in it.
    for key in [Key::DisableIdle, Key::DisableKeepAlives] {
        let list = notes.text(key);
        if let Some(other) = list.split(',').find(|part| !PARTS.contains(part)) {
            warnings.push(format!(
                "{key}: Vault's agent does not start with {}: write auto-auth, caching, proxying or templating, without \
                 blanks",
                Shown(other)
            ));
        }
    }
}
