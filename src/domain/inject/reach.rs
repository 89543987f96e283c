//! Where agents reach Vault, and where they log in there.

use super::Flavor;
use super::annotations::{Key, Notes};
use super::problems::Problems;
use super::value::parse_bool;
use crate::base::address::{Address, AddressError, is_host, shown};

/// Refuses addresses that are none and login mounts that cannot be, and doubts what is not safe.
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
    login_mount(notes, problems, warnings);
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
            super::problems::Shown(&text)
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
            super::problems::Shown(&token)
        ));
    }
    let processors = notes.text(Key::GoMaxProcs);
    let is_count = processors.parse::<i32>().is_ok_and(|count| count > 0);
    if !processors.is_empty() && !is_filled_in(&processors) && !is_count {
        warnings.push(format!(
            "{}: {} is no number of processors, so Go takes all: write one from 1",
            Key::GoMaxProcs,
            super::problems::Shown(&processors)
        ));
    }
    // Recorded pods of vault-k8s have blanks in it.
    for key in [Key::DisableIdle, Key::DisableKeepAlives] {
        let list = notes.text(key);
        if let Some(other) = list.split(',').find(|part| !PARTS.contains(part)) {
            warnings.push(format!(
                "{key}: Vault's agent does not start with {}: write auto-auth, caching, proxying or templating, without \
                 blanks",
                super::problems::Shown(other)
            ));
        }
    }
}

/// Vault has its login methods below `auth/`, perhaps in a namespace that stands before it.
fn login_mount(notes: &Notes<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let path = notes.text(Key::AuthPath);
    let needs_mount = &*notes.text(Key::AuthType) != "token_file";
    if path.is_empty() || !needs_mount || !notes.text(Key::Configmap).is_empty() {
        return;
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"?#\\".contains(c);
    let auth = segments.iter().position(|segment| *segment == "auth");
    let after = auth.map_or(0, |at| segments.len() - at - 1);
    let said = super::problems::Shown(&path);
    if !path.chars().all(is_plain) || path.contains("://") || segments.contains(&"..") {
        let clause = format_args!(
            "{said} is no path: write the login method's mount such as auth/kubernetes"
        );
        notes.blame(Key::AuthPath, clause, problems);
    } else if segments.first() == Some(&"v1") {
        let clause = format_args!("{said} begins with the API's own v1/: leave that out");
        notes.blame(Key::AuthPath, clause, problems);
    } else if after == 0 {
        let last = segments.last().filter(|last| **last != "auth").copied().unwrap_or("kubernetes");
        let clause = format_args!(
            "{said} is no mount of a login method, which are below auth/: write auth/{last}"
        );
        notes.blame(Key::AuthPath, clause, problems);
    } else if after > 1 && segments.last() == Some(&"login") {
        let mount = segments.get(..segments.len() - 1).unwrap_or_default().join("/");
        warnings.push(format!(
            "{}: {said} ends in login, which agents add themselves: write {mount}, if that is the mount",
            Key::AuthPath
        ));
    }
}
