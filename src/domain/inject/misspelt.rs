//! Annotations whose key is nearly one of ours.

use super::annotations::{KEYS, Notes, PREFIX, is_known};
use super::problems::Shown;
use crate::base::near::near;

/// Misspelt keys of one pod that are told of.
pub(crate) const TOLD_MAX: usize = 5;
/// Characters by which a key may be longer or shorter than the one that was meant.
const SLACK: usize = 2;

/// Warns of keys under our prefix that mean nothing, and of keys whose prefix is nearly ours.
pub(crate) fn tell(notes: &Notes<'_>, warnings: &mut Vec<String>) {
    for name in notes.unknown().take(TOLD_MAX) {
        let meant = meant(name).map(|meant| format!(", did you mean {meant}?"));
        warnings.push(format!(
            "{PREFIX}{name}: no such annotation, ignored{}",
            meant.unwrap_or_default()
        ));
    }
    for key in notes.foreign().take(TOLD_MAX) {
        let name = key.split_once('/').map_or("", |(_, name)| name);
        warnings.push(format!("{}: ignored, did you mean {PREFIX}{name}?", Shown(key)));
    }
}

/// The keys that a name may have meant, quoted.
fn meant(name: &str) -> Option<String> {
    let candidates: Vec<String> = KEYS
        .iter()
        .filter_map(|row| {
            let dashes = row.name.matches('-').count();
            if !row.name.ends_with('-') {
                return Some(row.name.to_owned());
            }
            // A family, with what stands behind as many dashes.
            let (end, _) = name.match_indices('-').nth(dashes - 1)?;
            let rest = name.get(end + 1..).filter(|rest| !rest.is_empty())?;
            Some(format!("{}{rest}", row.name))
        })
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= SLACK)
        .collect();
    near(name, candidates.iter().map(String::as_str))
}

/// Keys of one pod that are compared with our prefix: more of that length have other reasons.
const COMPARED_MAX: usize = 50;

/// A dot and the longest last name of a domain: `.internal`.
const END_BYTES_MAX: usize = 9;

/// Whether a key that is not under our prefix was most likely meant to be: its domain is nearly ours, and its
/// name is one that we know. Counts the comparisons.
pub(crate) fn is_nearly_ours(key: &str, compared: &mut usize) -> bool {
    let ours = PREFIX.trim_end_matches('/');
    let Some((domain, name)) = key.split_once('/') else { return false };
    if has_another_end(domain, ours) {
        return domain != ours && is_known(name);
    }
    if domain.len().abs_diff(ours.len()) > SLACK || *compared >= COMPARED_MAX || !is_known(name) {
        return false;
    }
    *compared += 1;
    near(domain, std::iter::once(ours)).is_some()
}

/// Whether a domain is ours but for its last name: `vault.hashicorp.io`, `vault.hashicorp`.
fn has_another_end(domain: &str, ours: &str) -> bool {
    let stem = ours.rsplit_once('.').map_or(ours, |(stem, _)| stem);
    domain.split_at_checked(stem.len()).is_some_and(|(start, end)| {
        let is_end = end.is_empty() || (end.starts_with('.') && end.len() <= END_BYTES_MAX);
        is_end && start.eq_ignore_ascii_case(stem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_domains_left_alone() {
        for (name, want) in [
            ("agent-inject-secert-db", Some("\"agent-inject-secret-db\"")),
            ("agent-inject-secrets-a", Some("\"agent-inject-secret-a\"")),
            ("agent-injekt", Some("\"agent-inject\"")),
            ("agent_inject", Some("\"agent-inject\"")),
            ("rol", Some("\"role\"")),
            ("Role", Some("\"role\"")),
            ("agent-limit-mem", Some("\"agent-limits-mem\"")),
            ("something-else", None),
        ] {
            assert_eq!(meant(name).as_deref(), want, "{name}");
        }
        for (key, want) in [
            ("vault.hasicorp.com/ca-cert", true),
            ("vault.hashicorp.co/role", true),
            ("Vault.Hashicorp.com/role", true),
            ("valut.hashicorp.com/agent-inject-secret-a", true),
            ("vault.hasicorp.com/nothing-of-ours", false),
            ("vault.hashicorp/agent-inject-secret-a", true),
            ("vault.hashicorp.io/role", true),
            ("VAULT.hashicorp.internal/agent-inject", true),
            ("vault.hashicorp.io/nothing-of-ours", false),
            ("vault.hashicorps/nothing-of-ours", false),
            ("vault.hashicorp.com.example.org/role", false),
            ("consul.hashicorp.com/role", false),
            ("vault.hashicorp.com", false),
            ("role", false),
        ] {
            assert_eq!(is_nearly_ours(key, &mut 0), want, "{key}");
        }
    }
}
