//! The webhook configuration: our entries of it, and the certificates in their bundles.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::asking::{Kube, Quiet};
use super::{Automation, Shared};
use crate::adapter::authority::{Der, authority, fingerprint, read_bundle, to_pem};
use crate::adapter::files::read_bounded;
use crate::adapter::kube::KubeClient;
use crate::domain::serving::Trouble;
use crate::domain::serving::bundle::{Entry, host_of, is_our_service};
use crate::domain::serving::ca::Authority;
use crate::domain::serving::objects::{Stored, WebhookConfiguration, WebhookEntry};
use crate::run::limits;

/// What was last seen.
pub(super) struct Bundles {
    /// Certificates of our entries, by fingerprint.
    certificates: BTreeMap<String, Der>,
    configuration: Option<Stored<WebhookConfiguration>>,
    hosts: Vec<String>,
    name: String,
    /// Certificates of the file.
    of_file: Vec<Der>,
    file: Vec<u8>,
    is_told_none: bool,
    is_told_junk: bool,
}

impl Bundles {
    pub(super) fn new(config: &Automation) -> Self {
        Self {
            certificates: BTreeMap::new(),
            configuration: None,
            hosts: config.hosts.clone(),
            name: config.configuration.clone(),
            of_file: Vec::new(),
            file: Vec::new(),
            is_told_none: false,
            is_told_junk: false,
        }
    }

    /// All certificates in the bundles of our entries.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Der> {
        self.certificates.values()
    }

    /// The CAs of the file, when they are others than last time.
    pub(super) fn read_file(&mut self, path: &Path) -> io::Result<Option<Vec<Authority>>> {
        let pem = read_bounded(path, limits::FILE_BYTES_MAX)?;
        if pem == self.file {
            return Ok(None);
        }
        let (listed, _other) = read_bundle(&pem);
        if listed.is_empty() {
            let why = format!("no PEM certificate in {}", path.display());
            return Err(io::Error::other(why));
        }
        self.file = pem;
        self.of_file = listed.into_iter().map(|(_, der)| der).collect();
        Ok(Some(self.of_file.iter().map(authority).collect()))
    }

    pub(super) fn read(&mut self, kube: &mut Kube, shared: &Shared) -> Result<Vec<Entry>, Trouble> {
        let get = |client: &KubeClient, _: &str| client.get("", &self.name);
        let stored = kube.ask("webhook configuration", Quiet::NEVER, get)?;
        Ok(self.take(stored, shared))
    }

    /// Writes these certificates into these places. `ours` are those that may not be in any bundle yet.
    pub(super) fn patch(
        &mut self,
        kube: &mut Kube,
        shared: &Shared,
        ours: impl Iterator<Item = Der>,
        fixes: &[(usize, Vec<String>)],
    ) -> Result<Vec<Entry>, Trouble> {
        let mut known = self.certificates.clone();
        known.extend(ours.map(|der| (fingerprint(&der), der)));
        known.extend(self.of_file.iter().map(|der| (fingerprint(der), der.clone())));
        let pem = |names: &Vec<String>| to_pem(names.iter().filter_map(|name| known.get(name)));
        let bundles: Vec<_> =
            fixes.iter().map(|(place, names)| (*place, pem(names).into_bytes())).collect();
        let Some(configuration) = &self.configuration else { return Err(Trouble::Conflict) };
        let patch = configuration.object.ca_patch(&bundles);
        let write = |client: &KubeClient, _: &str| client.patch("", &self.name, &patch);
        let stored = kube.ask("caBundle", Quiet::NEVER, write)?;
        shared.metrics.patched();
        let counts: Vec<String> = fixes.iter().map(|(_, names)| names.len().to_string()).collect();
        shared.log.info(
            "caBundle patched",
            &[("configuration", &self.name), ("certificates", &counts.join(","))],
        );
        Ok(self.take(stored, shared))
    }

    fn take(&mut self, stored: Stored<WebhookConfiguration>, shared: &Shared) -> Vec<Entry> {
        self.certificates.clear();
        let mut has_junk = false;
        let mut entries = Vec::new();
        let webhooks = &stored.object.webhooks;
        // Where no names were given, a configuration with one entry leaves no doubt.
        let is_only_one = self.hosts.is_empty() && webhooks.len() == 1;
        for (place, entry) in webhooks.iter().enumerate() {
            if !is_only_one && !is_ours(entry, &self.hosts) {
                continue;
            }
            let (listed, other) = read_bundle(&entry.client_config.ca_bundle);
            has_junk |= other;
            let named = listed
                .iter()
                .map(|(facts, der)| (facts.authority.fingerprint.clone(), der.clone()));
            self.certificates.extend(named);
            let bundle = listed.into_iter().map(|(facts, _)| facts).collect();
            entries.push(Entry { place, bundle });
        }
        if has_junk && !self.is_told_junk {
            shared.log.warn(
                "caBundle has something that is no certificate, dropped with the next patch",
                &[("configuration", &self.name)],
            );
        }
        self.is_told_junk = has_junk;
        if entries.is_empty() && !self.is_told_none {
            let theirs: Vec<String> = webhooks.iter().map(host_text).collect();
            shared.log.error(
                "no entry of the webhook configuration leads here, no caBundle is kept",
                &[
                    ("configuration", &self.name),
                    ("entries", &theirs.join(", ")),
                    ("hosts", &self.hosts.join(", ")),
                ],
            );
        }
        self.is_told_none = entries.is_empty();
        self.configuration = Some(stored);
        entries
    }
}

fn is_ours(entry: &WebhookEntry, hosts: &[String]) -> bool {
    if let Some(service) = &entry.client_config.service {
        return is_our_service(&service.name, &service.namespace, hosts);
    }
    let host = entry.client_config.url.as_deref().and_then(host_of);
    host.is_some_and(|host| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(&host)))
}

/// Where an entry leads, for people.
fn host_text(entry: &WebhookEntry) -> String {
    match (&entry.client_config.service, &entry.client_config.url) {
        (Some(service), _) => format!("{}.{}.svc", service.name, service.namespace),
        (None, Some(url)) => host_of(url).unwrap_or_default(),
        (None, None) => String::new(),
    }
}
