//! Which service account token the agents log in with, and AWS' identity beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::annotations::{Key, Notes};
use super::problems::{Problems, Shown};
use super::review::{Container, Pod, Spec, Volume};
use super::secrets::clean_join;

/// A token's volume and where the agents mount it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// The token's file below `mount_path`.
    pub(crate) file: Cow<'a, str>,
    pub(crate) mount_path: Cow<'a, str>,
    /// Whether the volume is to be added, because the pod has none.
    pub(crate) own: bool,
    /// A volume that a container mounts, and the audience of the token in it, when only tokens for others
    /// than the API server are mounted: one of them may have been meant.
    pub(crate) passed_over: Option<(&'a str, &'a str)>,
    pub(crate) volume: Cow<'a, str>,
}

/// Volume that is added to pods without a token.
pub(crate) const OWN_VOLUME: &str = "vault-injector-token";
/// Where tokens are mounted that no container of the pod mounts.
const OWN_PATH: &str = "/var/run/secrets/vault.hashicorp.com/serviceaccount";
/// Where the API server mounts the token of every pod.
pub(crate) const USUAL_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Token<'_> {
    /// The token's file in the agents.
    pub(crate) fn path(&self) -> String {
        clean_join(&self.mount_path, &self.file)
    }
}

/// Finds the token, or decides to add one.
pub(crate) fn find<'a>(pod: &'a Pod<'a>, notes: &Notes<'a>, problems: &mut Problems) -> Token<'a> {
    let own = Token {
        file: "token".into(),
        mount_path: OWN_PATH.into(),
        own: true,
        passed_over: None,
        volume: OWN_VOLUME.into(),
    };
    let Some(spec) = &pod.spec else { return own };
    let Some(name) = notes.given(Key::TokenVolume).filter(|name| !name.is_empty()) else {
        return mounted(spec).unwrap_or_else(|| Token { passed_over: for_others(spec), ..own });
    };
    match named(spec, name) {
        Ok(token) => token,
        Err(clause) => {
            problems.note(Key::TokenVolume, format_args!("{} {clause}", Shown(name)));
            own
        }
    }
}

/// The volume that an annotation names: at the path of the first container that mounts it.
fn named<'a>(spec: &'a Spec<'a>, name: &'a str) -> Result<Token<'a>, &'static str> {
    let mount = mounts(&spec.containers.0).find(|(volume, _)| *volume == name);
    let volume = spec.volumes.0.iter().find(|volume| &*volume.name == name);
    let volume = volume.ok_or("is not a volume of the pod: name one of spec.volumes")?;
    let (file, _) = tokens(volume)
        .next()
        .ok_or("projects no service account token: name a projected volume with a serviceAccountToken source")?;
    Ok(Token {
        file: file.into(),
        mount_path: mount.map_or(OWN_PATH, |(_, path)| path).into(),
        own: false,
        passed_over: None,
        volume: name.into(),
    })
}

/// The likeliest mount of the containers, of equals the first. By itself only a token is used that Kubernetes
/// made for its own API server: one with another audience is for a cloud or a mesh, which would be told of by
/// sending it to Vault, and Vault would refuse it.
fn mounted<'a>(spec: &'a Spec<'a>) -> Option<Token<'a>> {
    let volumes: BTreeMap<&str, &Volume<'_>> =
        spec.volumes.0.iter().map(|volume| (&*volume.name, volume)).collect();
    let ranked = mounts(&spec.containers.0).filter_map(|(name, path)| {
        let volume = volumes.get(name).copied();
        let projected = volume.and_then(|v| tokens(v).find(|(_, audience)| audience.is_empty()));
        let says_so = path.contains("serviceaccount");
        let rank = match (projected, volume) {
            (Some(_), _) if says_so => 0,
            (Some(_), _) => 1,
            // Tokens of before Kubernetes 1.24 are in Secret volumes. Where one is mounted was vault-k8s' guess.
            (None, None) if says_so => 2,
            (None, Some(volume)) if says_so && holds_secrets(volume) => 2,
            (None, _) => return None,
        };
        Some((rank, name, path, projected.map_or("token", |(file, _)| file)))
    });
    let (_, volume, path, file) = ranked.min_by_key(|(rank, ..)| *rank)?;
    Some(Token {
        file: file.into(),
        mount_path: path.into(),
        own: false,
        passed_over: None,
        volume: volume.into(),
    })
}

/// The first mounted volume with a token that is not for the API server, and that token's audience.
fn for_others<'a>(spec: &'a Spec<'a>) -> Option<(&'a str, &'a str)> {
    mounts(&spec.containers.0).find_map(|(name, _)| {
        let volume = spec.volumes.0.iter().find(|volume| &*volume.name == name)?;
        Some((name, tokens(volume).next()?.1))
    })
}

/// Whether a volume may hold the token of a Secret, alone or among others.
fn holds_secrets(volume: &Volume<'_>) -> bool {
    let projected = volume.projected.as_ref();
    volume.secret.is_some() || projected.is_some_and(|_| tokens(volume).next().is_none())
}

/// File and audience of each token that a volume projects.
fn tokens<'a>(volume: &'a Volume<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let sources = volume.projected.as_ref().map_or(&[][..], |projected| &projected.sources.0);
    let tokens = sources.iter().filter_map(|source| source.service_account_token.as_ref());
    tokens.filter(|token| !token.path.is_empty()).map(|token| (&*token.path, &*token.audience))
}

/// Volume and path of every mount, container by container.
pub(crate) fn mounts<'a>(
    containers: &'a [Container<'a>],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = containers.iter().flat_map(|container| &container.volume_mounts.0);
    all.map(|mount| (&*mount.name, &*mount.mount_path))
}

/// Volume and path of the token with which a pod takes on a role of AWS (IRSA).
pub(crate) fn aws<'a>(pod: &'a Pod<'a>) -> Option<(&'a str, &'a str)> {
    let containers = &pod.spec.as_ref()?.containers.0;
    mounts(containers).find(|(_, path)| path.contains("eks.amazonaws.com"))
}
