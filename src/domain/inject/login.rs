//! Whether the agents can log in with the method that a pod asks for.

use super::Flavor;
use super::annotations::{Key, Notes};
use super::problems::{Problems, Shown};
use crate::base::near::near;

/// Login methods of the native agent.
const NATIVE_METHODS: [&str; 4] = ["approle", "jwt", "kubernetes", "token_file"];
/// Login methods of Vault's agent.
const VAULT_METHODS: [&str; 13] = [
    "alicloud",
    "approle",
    "aws",
    "azure",
    "cert",
    "cf",
    "gcp",
    "jwt",
    "kerberos",
    "kubernetes",
    "ldap",
    "oci",
    "token_file",
];

/// Refuses a login method that no agent knows, and doubts one that Vault's agent alone knows. Agents of Vault may be
/// newer than what is known of them: they are never refused one. A ConfigMap brings a login of its own.
pub(crate) fn check(notes: &Notes<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let method = notes.text(Key::AuthType);
    if !notes.text(Key::Configmap).is_empty() || method.is_empty() {
        return;
    }
    let is_native = notes.flavor() == Flavor::Native;
    let lacks_role = || {
        let settings = notes.named(Key::AuthConfig, "role");
        notes.text(Key::Role).is_empty() && settings.is_none_or(str::is_empty)
    };
    if &*method == "kubernetes" && lacks_role() {
        problems.note(Key::Role, "is missing: name the role to log in with");
    }
    // Vault may have a default role for this method, but the native agent asks for one.
    if is_native && &*method == "jwt" && lacks_role() {
        warnings.push(format!("{}: the native agent knows no login by jwt without it", Key::Role));
    }
    let (shown, native) = (Shown(&method), NATIVE_METHODS.join(", "));
    if !VAULT_METHODS.contains(&&*method) {
        let meant = near(&method, VAULT_METHODS.into_iter());
        let meant = meant.map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
        let known = if is_native { native } else { VAULT_METHODS.join(", ") };
        let clause = format!("{shown} is not one of the agent's login methods, {known}{meant}");
        if is_native {
            notes.blame(Key::AuthType, clause, problems);
        } else {
            warnings.push(format!("{}: {clause}", Key::AuthType));
        }
    } else if is_native && !NATIVE_METHODS.contains(&&*method) {
        warnings.push(format!(
            "{}: the native agent knows {native}, not {shown}; set {} to \"vault\" and name an image of Vault",
            Key::AuthType,
            Key::AgentFlavor
        ));
    }
}
