//! Whether the agents can log in with the method that a pod asks for, and where.

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
    let shown = Shown(&method);
    if !VAULT_METHODS.contains(&&*method) {
        let meant = near(&method, VAULT_METHODS.into_iter());
        let meant = meant.map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
        let known = if is_native { &NATIVE_METHODS[..] } else { &VAULT_METHODS }.join(", ");
        let clause = format!("{shown} is not one of the agent's login methods, {known}{meant}");
        if is_native {
            notes.blame(Key::AuthType, clause, problems);
        } else {
            warnings.push(format!("{}: {clause}", Key::AuthType));
        }
    } else if is_native && !NATIVE_METHODS.contains(&&*method) {
        warnings.push(format!(
            "{}: the native agent knows {}, not {shown}; set {} to \"vault\" and name an image of Vault",
            Key::AuthType,
            NATIVE_METHODS.join(", "),
            Key::AgentFlavor
        ));
    }
}

/// Vault has its login methods below `auth/`, perhaps in a namespace that stands before it.
pub(crate) fn mount(notes: &Notes<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    let path = notes.text(Key::AuthPath);
    let needs_mount = &*notes.text(Key::AuthType) != "token_file";
    if path.is_empty() || !needs_mount || !notes.text(Key::Configmap).is_empty() {
        return;
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"?#\\".contains(c);
    let auth = segments.iter().position(|segment| *segment == "auth");
    let after = auth.map_or(0, |at| segments.len() - at - 1);
    let said = Shown(&path);
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
