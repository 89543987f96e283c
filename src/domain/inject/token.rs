//! Which service account token the agents log in with, and AWS' identity beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::annotations::{Key, Notes, Problems, Shown};
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
        volume: OWN_VOLUME.into(),
    };
    let Some(spec) = &pod.spec else { return own };
    let Some(name) = notes.given(Key::TokenVolume).filter(|name| !name.is_empty()) else {
        return mounted(spec).unwrap_or(own);
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
    let (file, _) = projection(volume)
        .ok_or("projects no service account token: name a projected volume with a serviceAccountToken source")?;
    Ok(Token {
        file: file.into(),
        mount_path: mount.map_or(OWN_PATH, |(_, path)| path).into(),
        own: false,
        volume: name.into(),
    })
}

/// The likeliest mount of the containers: a volume that projects a token for the API server, then one
/// whose path says so, as the original guessed. Of equals, the first.
fn mounted<'a>(spec: &'a Spec<'a>) -> Option<Token<'a>> {
    let volumes: BTreeMap<&str, &Volume<'_>> =
        spec.volumes.0.iter().map(|volume| (&*volume.name, volume)).collect();
    let ranked = mounts(&spec.containers.0).filter_map(|(name, path)| {
        let volume = volumes.get(name).copied();
        let projected = volume.and_then(projection);
        let says_so = path.contains("serviceaccount");
        let rank = match (projected, says_so) {
            (Some((_, "")), true) => 0,
            (Some((_, "")), false) => 1,
            (Some(_), true) => 2,
            // Tokens of before Kubernetes 1.24 are in Secret volumes.
            (None, true) if volume.is_none_or(|v| v.secret.is_some()) => 3,
            (Some(_), false) => 4,
            (None, true) => 5,
            (None, false) => return None,
        };
        Some((rank, name, path, projected.map_or("token", |(file, _)| file)))
    });
    let (_, volume, path, file) = ranked.min_by_key(|(rank, ..)| *rank)?;
    Some(Token { file: file.into(), mount_path: path.into(), own: false, volume: volume.into() })
}

/// File and audience of the first token that a volume projects.
fn projection<'a>(volume: &'a Volume<'a>) -> Option<(&'a str, &'a str)> {
    let sources = &volume.projected.as_ref()?.sources.0;
    let tokens = sources.iter().filter_map(|source| source.service_account_token.as_ref());
    let token = tokens.into_iter().find(|token| !token.path.is_empty())?;
    Some((&token.path, &token.audience))
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
