//! Mounts, and how a path of a template becomes a path of the API.
//!
//! The rules are those of Vault's own clients: what follows `?` is a query, percent escapes are decoded,
//! and a path in a KV version 2 engine gets `data/` (or `metadata/`, for lists) after its mount.

use std::collections::BTreeMap;
use std::fmt;

use super::reply::Reading;

/// A secrets engine's mount, as `sys/internal/ui/mounts/PATH` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// With a trailing slash: `secret/`.
    pub path: String,
    /// KV version 2: reads go through `data/`.
    pub is_kv2: bool,
}

impl Mount {
    /// Reads the answer to [`super::Request::mount_of`] of `asked`. An engine below the client's own
    /// namespace is named with that namespace, which a path of this client never is: it is cut off.
    ///
    /// A login method is named without `auth/`. The name of what is no KV engine does not matter, as nothing
    /// is put into its paths; a KV engine that `asked` is not in is an error.
    pub fn of_reading(
        reading: &Reading,
        asked: &SecretPath,
        namespace: Option<&str>,
    ) -> Result<Self, String> {
        let data = &reading.data;
        let text = |key| data.get(key).and_then(|value| value.as_str());
        let is_kv = text("type").is_none_or(|kind| ["kv", "generic"].contains(&kind));
        let named = text("path").unwrap_or_default().trim_matches('/');
        let full = format!("{named}/");
        let prefix = namespace.map(|n| format!("{}/", n.trim_matches('/')));
        let cut = prefix.and_then(|p| full.strip_prefix(&p).map(str::to_owned));
        let cut = cut.filter(|path| !path.is_empty());
        let version = data.get("options").and_then(|options| options.get("version"));
        let is_kv2 = text("type") == Some("kv")
            && version
                .is_some_and(|v| v.as_str().map_or(v.as_u64() == Some(2), |text| text == "2"));
        let named_so = cut.into_iter().chain([full.clone()]).map(|path| Self { path, is_kv2 });
        let mut holding = named_so.filter(|mount| mount.holds(asked.path()));
        match holding.next() {
            Some(mount) => Ok(mount),
            None if !is_kv => Ok(Self::verbatim(asked)),
            None if named.is_empty() => Err("no data.path in it".to_owned()),
            None => Err(format!("it names the engine at {full}, where this path is not")),
        }
    }

    /// What stands for the mount of a path that is to be asked for as it is.
    pub fn verbatim(path: &SecretPath) -> Self {
        Self { path: format!("{}/", path.path()), is_kv2: false }
    }

    /// Whether `path` lies in it, or is it.
    fn holds(&self, path: &str) -> bool {
        self.path != "/" && format!("{path}/").starts_with(&self.path)
    }

    /// The part of `path` inside of this mount, empty for the mount itself.
    fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mount = self.path.trim_end_matches('/');
        match path.strip_prefix(mount)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// `path` with `folder` after the mount, unless it names one of the engine's own folders.
    fn rewritten(&self, path: &str, folder: &str, own_folders: &[&str]) -> String {
        let Some(rest) = self.inside(path).filter(|_| self.is_kv2) else { return path.to_owned() };
        let first = rest.split('/').next().unwrap_or_default();
        // `m/data` is the key `data`, `m/data/x` is the key `x`.
        let has_more = rest.len() > first.len() || folder == LIST_FOLDER;
        if has_more && own_folders.contains(&first) {
            return path.to_owned();
        }
        let whole = format!("{}{folder}/{rest}", self.path);
        whole.trim_end_matches('/').to_owned()
    }
}

/// The mounts known so far, by path.
#[derive(Clone, Debug)]
pub struct MountTable {
    mounts: BTreeMap<String, Mount>,
}

/// Where Vault mounts no secrets engine but its own: nobody needs to look those up.
const VAULTS_OWN: [&str; 4] = ["auth/", "cubbyhole/", "identity/", "sys/"];

impl Default for MountTable {
    fn default() -> Self {
        let own = VAULTS_OWN.map(|path| Mount { path: path.to_owned(), is_kv2: false });
        Self { mounts: own.into_iter().map(|mount| (mount.path.clone(), mount)).collect() }
    }
}

impl MountTable {
    /// Remembers a mount.
    pub fn insert(&mut self, mount: Mount) {
        self.mounts.insert(mount.path.clone(), mount);
    }

    /// Remembers the mount that was found for `path`, in place of what stood for it before. Says whether paths
    /// in it become other paths of the API than until now. A mount that `path` is not in is not remembered.
    pub fn learn(&mut self, path: &str, mount: Mount) -> Result<bool, Elsewhere> {
        if !mount.holds(bare(path)) {
            return Err(Elsewhere);
        }
        let is_kv2 = mount.is_kv2;
        let mut known = self.mounts.values().filter(|known| known.holds(bare(path)));
        let is_other = known.any(|known| known.is_kv2 != is_kv2);
        // A longer one would be taken before it: what stood for a mount that could not be looked up.
        let is_longer = |known: &Mount| known.path.len() > mount.path.len();
        self.mounts.retain(|_, known| !is_longer(known) || !known.holds(bare(path)));
        self.insert(mount);
        Ok(is_other)
    }

    /// The mount that `path` lies in, if it is known. Mounts never nest; what stands for one may.
    pub fn of(&self, path: &str) -> Option<&Mount> {
        let path = bare(path);
        let holding = self.mounts.values().filter(|mount| mount.holds(path));
        holding.max_by_key(|mount| mount.path.len())
    }

    /// All that were found, for the hand-over.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.values().filter(|mount| !VAULTS_OWN.contains(&mount.path.as_str()))
    }
}

/// A mount was named that the path in question does not lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere;

/// A path without its query.
fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or(path).trim_matches('/')
}

/// Why a text is no path of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Nothing but blanks and slashes.
    Empty,
    /// `%` without two hexadecimal digits, or escapes that are not UTF-8.
    Escape {
        /// The path as given.
        path: String,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty path, want one such as secret/data/app"),
            Self::Escape { path } => {
                write!(f, "path \"{path}\" has a broken percent escape, write a literal % as %25")
            }
        }
    }
}

impl std::error::Error for PathError {}

/// The folders of a KV 2 engine that are read.
const READ_FOLDERS: [&str; 3] = ["data", "metadata", "subkeys"];
/// The one that is listed.
const LIST_FOLDER: &str = "metadata";

/// A secret's path as a template means it: decoded, without outer slashes, its query apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPath {
    path: String,
    /// Sorted by key; values of one key keep their order.
    query: Vec<(String, String)>,
}

impl SecretPath {
    /// Reads `path[?query]` as a read takes it.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.trim();
        let broken = || PathError::Escape { path: text.to_owned() };
        let without_fragment = text.split('#').next().unwrap_or_default();
        let (path, query) = without_fragment.split_once('?').unwrap_or((without_fragment, ""));
        let path = clean(&percent_decoded(path, false).ok_or_else(broken)?)?;
        let mut pairs = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let key = percent_decoded(key, true).ok_or_else(broken)?;
            pairs.push((key, percent_decoded(value, true).ok_or_else(broken)?));
        }
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { path, query: pairs })
    }

    /// Takes the text as it stands, without query or escapes, as lists and writes do.
    pub fn literal(text: &str) -> Result<Self, PathError> {
        Ok(Self { path: clean(text.trim())?, query: Vec::new() })
    }

    /// The path, decoded, without outer slashes and without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it names the mount itself.
    pub fn is_mount(&self, mount: &Mount) -> bool {
        self.path == mount.path.trim_end_matches('/')
    }

    /// Whether it is to be read as it is in every kind of engine, wherever that is mounted: it says `data/`
    /// and the like itself. A read that goes astray finds nothing, and never another secret.
    pub fn reads_verbatim(&self) -> bool {
        let inner = self.path.split('/').skip(1);
        let mut folders = inner.clone().zip(inner.skip(1)).map(|(folder, _)| folder);
        folders.any(|folder| READ_FOLDERS.contains(&folder))
    }

    /// The same for lists, which say `metadata`.
    pub fn lists_verbatim(&self) -> bool {
        self.path.split('/').skip(1).any(|folder| folder == LIST_FOLDER)
    }

    /// The path to read or to write.
    pub fn in_data(&self, mount: &Mount) -> String {
        mount.rewritten(&self.path, "data", &READ_FOLDERS)
    }

    /// The path to list.
    pub fn in_metadata(&self, mount: &Mount) -> String {
        mount.rewritten(&self.path, LIST_FOLDER, &[LIST_FOLDER])
    }

    /// The path to read or to write, percent-encoded.
    pub(super) fn data_path(&self, mount: &Mount) -> String {
        encoded_path(&self.in_data(mount))
    }

    /// The path to list, percent-encoded.
    pub(super) fn list_path(&self, mount: &Mount) -> String {
        encoded_path(&self.in_metadata(mount))
    }

    /// The query, form-encoded, keys sorted.
    pub(super) fn encoded_query(&self) -> String {
        let pairs = self.query.iter().map(|(key, value)| {
            format!("{}={}", encoded(key, is_query_plain), encoded(value, is_query_plain))
        });
        pairs.collect::<Vec<_>>().join("&").replace("%20", "+")
    }
}

/// Encodes a path for the request line. Slashes stay.
pub(super) fn encoded_path(path: &str) -> String {
    encoded(path, |byte| is_query_plain(byte) || b"$&+,/:;=@".contains(&byte))
}

/// Unreserved characters (RFC 3986 §2.3).
fn is_query_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

fn encoded(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Decodes percent escapes; in a query `+` is a blank.
pub(super) fn percent_decoded(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_blank => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// Without empty and `.` parts; `..` takes the part before it along, and stops at the root.
fn clean(path: &str) -> Result<String, PathError> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() { Err(PathError::Empty) } else { Ok(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vault::Request;

    fn mount(path: &str, is_kv2: bool) -> Mount {
        Mount { path: path.to_owned(), is_kv2 }
    }

    #[test]
    fn what_is_found_for_a_path_takes_the_place_of_all_that_stood_for_it() {
        let mut table = MountTable::default();
        assert_eq!(table.learn("kv/data/a?version=2", mount("kv/", true)), Ok(false));
        assert_eq!(table.learn("kv/data/a", mount("kv/data/a/", false)), Ok(true));
        assert_eq!(table.of("kv/data/a"), Some(&mount("kv/data/a/", false)));
        // The engine is there again, and of another version than before.
        assert_eq!(table.learn("kv/data/a", mount("kv/", false)), Ok(true));
        assert_eq!(table.of("kv/data/a?version=1"), Some(&mount("kv/", false)));
        assert_eq!(table.learn("kv/data/a", mount("kv/", false)), Ok(false));
        assert_eq!(table.learn("kv/data/a", mount("kva/", true)), Err(Elsewhere));
        assert_eq!(table.of("kva/b"), None, "an answer about another mount is none");
    }

    #[test]
    fn a_read_goes_where_vaults_client_sends_it() {
        for (text, kv2, want) in [
            ("secret/app", true, "secret/data/app"),
            (" /secret/app/ ", true, "secret/data/app"),
            ("secret/app", false, "secret/app"),
            ("secret", true, "secret/data"),
            ("secret/", true, "secret/data"),
            ("secret/data/app", true, "secret/data/app"),
            ("secret/data", true, "secret/data/data"),
            ("secret/data/data/app", true, "secret/data/data/app"),
            ("secret/metadata/app", true, "secret/metadata/app"),
            ("secret/subkeys/app", true, "secret/subkeys/app"),
            ("secret/database/app", true, "secret/data/database/app"),
            ("secret/a b/c%2Fd/\u{e9}", true, "secret/data/a%20b/c/d/%C3%A9"),
            ("secret/a@b:c+d", true, "secret/data/a@b:c+d"),
            ("other/app", true, "other/app"),
            ("secretive/app", true, "secretive/app"),
            ("secret//a/./b/../c", true, "secret/data/a/c"),
        ] {
            let path = SecretPath::parse(text).unwrap();
            assert_eq!(path.data_path(&mount("secret/", kv2)), want, "{text}");
        }
    }

    #[test]
    fn the_query_is_kept_sorted_and_encoded_again() {
        let path = SecretPath::parse("secret/app?version=3&b=x+y&a=%26").unwrap();
        let request = Request::read(&path, &mount("secret/", true));
        assert_eq!(
            (request.path.as_str(), request.query.as_str()),
            ("secret/data/app", "a=%26&b=x+y&version=3")
        );
    }

    #[test]
    fn a_list_goes_through_metadata() {
        for (text, kv2, want) in [
            ("secret/app/", true, "secret/metadata/app"),
            ("secret", true, "secret/metadata"),
            ("secret/metadata", true, "secret/metadata"),
            ("secret/metadata/app", true, "secret/metadata/app"),
            ("secret/app", false, "secret/app"),
            ("secret/100%", false, "secret/100%25"),
        ] {
            let path = SecretPath::literal(text).unwrap();
            let request = Request::list(&path, &mount("secret/", kv2));
            assert_eq!((request.path.as_str(), request.query.as_str()), (want, "list=true"));
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_path() {
        assert_eq!(SecretPath::parse(" / "), Err(PathError::Empty));
        let error = SecretPath::parse("secret/100%").unwrap_err().to_string();
        assert!(error.contains("secret/100%") && error.contains("%25"), "{error}");
    }

    #[test]
    fn a_path_is_in_a_mount_only_at_a_slash() {
        let mut table = MountTable::default();
        table.insert(mount("kv/", true));
        table.insert(mount("kv-old/", false));
        assert_eq!(table.of("kv/app?version=1").map(|m| m.is_kv2), Some(true));
        assert_eq!(table.of("/kv-old/app").map(|m| m.is_kv2), Some(false));
        assert!(table.of("kvx/app").is_none());
    }

    #[test]
    fn where_no_engine_of_secrets_can_be_nothing_is_looked_up() {
        let table = MountTable::default();
        for path in ["auth/token/lookup-self", "/sys/health", "identity/entity/id", "cubbyhole/a"] {
            assert_eq!(table.of(path).map(|mount| mount.is_kv2), Some(false), "{path}");
        }
        for path in ["authentic/x", "system/x", "secret/sys/x", "team/auth/token/lookup-self"] {
            assert!(table.of(path).is_none(), "{path}");
        }
        assert_eq!(table.iter().count(), 0, "and none of it is handed over");
    }

    #[test]
    fn what_names_its_folder_needs_no_mount() {
        for (path, reads, lists) in [
            ("secret/data/app", true, false),
            ("team/kv/data/app/x?version=2", true, false),
            ("secret/subkeys/app", true, false),
            ("secret/metadata/app", true, true),
            ("secret/metadata", false, true),
            ("secret/data", false, false),
            ("data/app", false, false),
            ("metadata/app", false, false),
            ("secret/app", false, false),
            ("secret/database/app", false, false),
        ] {
            let path = SecretPath::parse(path).unwrap();
            assert_eq!((path.reads_verbatim(), path.lists_verbatim()), (reads, lists), "{path:?}");
        }
    }
}
