//! The `caBundle` of a webhook configuration: which entries are ours, and what belongs into them.

use std::collections::BTreeSet;

use super::Now;
use super::ca::Authority;

/// One of our entries of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the list.
    pub place: usize,
    /// The certificates of its bundle, in order.
    pub bundle: Vec<Listed>,
}

/// A certificate in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The certificate.
    pub authority: Authority,
    /// Whether its subject is that of our CAs, which is also that of vault-k8s.
    pub is_ours: bool,
}

/// Certificates in one bundle. Each replica that keeps its CA to itself leaves one behind per start, for a week; a
/// bundle of this size has 10 KiB.
pub const CERTIFICATES_MAX: usize = 16;

/// The fingerprints of the bundle as it should be, `None` when it is right. Takes nothing from anybody but what has
/// expired, and what is too much.
pub fn merge(bundle: &[Listed], wanted: &[&Authority], now: Now) -> Option<Vec<String>> {
    let wanted: Vec<&Authority> = wanted.iter().filter(|ca| !ca.is_expired(now)).copied().collect();
    let is_same = |listed: &Listed, ca: &Authority| listed.authority.fingerprint == ca.fingerprint;
    let lacking = |ca: &&&Authority| !bundle.iter().any(|listed| is_same(listed, ca));
    let missing: Vec<&Authority> = wanted.iter().filter(lacking).copied().collect();
    if missing.is_empty() {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut kept: Vec<&Listed> = bundle
        .iter()
        .filter(|listed| !listed.authority.is_expired(now))
        .filter(|listed| seen.insert(&listed.authority.fingerprint))
        .collect();
    let mut spare: Vec<&Listed> = kept
        .iter()
        .filter(|listed| !wanted.iter().any(|ca| is_same(listed, ca)))
        .copied()
        .collect();
    // Of ours first what has been there for longest: who is still in use and was taken out comes back at the end.
    spare.sort_by_key(|listed| !listed.is_ours);
    let excess = (kept.len() + missing.len()).saturating_sub(CERTIFICATES_MAX);
    spare.truncate(excess);
    kept.retain(|listed| !spare.contains(listed));
    let kept = kept.iter().map(|listed| &listed.authority);
    Some(kept.chain(missing).map(|ca| ca.fingerprint.clone()).collect())
}

/// Whether an entry with this Service (name and namespace) is served by `hosts`. API servers ask for the name
/// `NAME.NAMESPACE.svc`; a bare `NAME` could be a Service of any namespace, so that it counts only where
/// nothing longer says which.
pub fn is_our_service(name: &str, namespace: &str, hosts: &[String]) -> bool {
    let hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let is_longer = |host: &&String| host.starts_with(&format!("{name}."));
    if hosts.iter().any(|host| is_longer(&host)) {
        let full = format!("{name}.{namespace}");
        return hosts.iter().any(|host| {
            host.strip_prefix(&full).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
    }
    hosts.iter().any(|host| host == name)
}

/// The host of a `url`, without brackets, in lower case.
pub fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    const NOW: Now = Now { mono: Mono::at(std::time::Duration::ZERO), wall: 1000 };

    /// `a`: foreign. `A`: ours. `-`: expired. The number is the start.
    fn listed(text: &str) -> Listed {
        let is_expired = text.ends_with('-');
        let name = text.trim_end_matches('-');
        let start = name.trim_start_matches(char::is_alphabetic).parse().unwrap_or(1);
        Listed {
            authority: Authority {
                fingerprint: name.to_owned(),
                not_before: start,
                not_after: if is_expired { 1000 } else { 2000 },
            },
            is_ours: name.starts_with(char::is_uppercase),
        }
    }

    fn all(text: &str) -> Vec<Listed> {
        text.split_whitespace().map(listed).collect()
    }

    #[test]
    fn appends_what_is_missing_and_takes_only_what_is_of_no_use() {
        for (bundle, wanted, want) in [
            ("", "A", Some("A")),
            ("A", "A", None),
            ("b- A b b", "A", None),
            ("b", "A", Some("b A")),
            ("b c- b A1 A1", "A2", Some("b A1 A2")),
            ("A2 b", "A1 A2", Some("A2 b A1")),
            ("b", "A-", None),
            ("b", "", None),
        ] {
            let wanted: Vec<Authority> = all(wanted).into_iter().map(|l| l.authority).collect();
            let wanted: Vec<&Authority> = wanted.iter().collect();
            let merged = merge(&all(bundle), &wanted, NOW).map(|names| names.join(" "));
            assert_eq!(merged.as_deref(), want, "{bundle} + {wanted:?}");
        }
    }

    #[test]
    fn what_is_too_much_goes_first_come_first_and_ours_before_others() {
        let bundle = "x5 A30 A10 A20 x1 x2 x3 x4 x6 x7 x8 x9 x10 x11 x12 A40";
        let merged = |bundle: &str, wanted: &str| {
            let wanted: Vec<Authority> = all(wanted).into_iter().map(|l| l.authority).collect();
            let wanted: Vec<&Authority> = wanted.iter().collect();
            merge(&all(bundle), &wanted, NOW).unwrap().join(" ")
        };
        assert_eq!(
            merged(bundle, "A40 A50 A60"),
            "x5 A20 x1 x2 x3 x4 x6 x7 x8 x9 x10 x11 x12 A40 A50 A60"
        );
        let foreign = "x5 x4 x3 x2 x1 x6 x7 x8 x9 x10 x11 x12 x13 x14 x15 x16 x17";
        assert_eq!(
            merged(foreign, "A1"),
            "x3 x2 x1 x6 x7 x8 x9 x10 x11 x12 x13 x14 x15 x16 x17 A1"
        );
    }

    #[test]
    fn our_entries_are_those_that_lead_here() {
        let list = |text: &str| text.split(',').map(String::from).collect::<Vec<_>>();
        let chart = "inj-svc,inj-svc.vault,inj-svc.vault.svc";
        for (name, namespace, hosts, want) in [
            ("inj-svc", "vault", chart, true),
            ("inj-svc", "other", chart, false),
            ("inj", "vault", chart, false),
            ("inj-svc", "vault", "inj-svc.vault.svc.cluster.local", true),
            ("inj-svc", "vault", "Inj-Svc.Vault.svc", true),
            ("inj-svc", "vault", "inj-svc.vaults", false),
            ("inj-svc", "any", "inj-svc", true),
            ("", "", "", true),
            ("inj-svc", "vault", "", false),
        ] {
            assert_eq!(is_our_service(name, namespace, &list(hosts)), want, "{name} {hosts}");
        }
        for (url, want) in [
            ("https://Host.example:8443/mutate?x", Some("host.example")),
            ("https://[::1]:8080/mutate", Some("::1")),
            ("https://u:p@10.0.0.1/", Some("10.0.0.1")),
            ("host", None),
            ("https:///x", None),
        ] {
            assert_eq!(host_of(url).as_deref(), want, "{url}");
        }
    }
}
