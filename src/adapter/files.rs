//! Files: read within a bound, replaced as a whole.
//!
//! A reader of a target sees the old content or the new one, never a mixture. A crash leaves at most a
//! staging file, which does not stop the next try. Every error names the path.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek as _, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use zeroize::Zeroizing;

use self::walk::Place;

use super::entropy;

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// It had this content already and was not touched.
    Unchanged,
    /// It has this content now.
    Written,
}

/// The content of a regular file of at most `bytes_max` bytes. A link that others may have put there is followed as
/// far as it stays in the folder that they can write to.
pub(crate) fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    read(walk::open(path).map_err(|e| at(path, &e))?, path, bytes_max)
}

/// The content of whatever a person names on a command line, a pipe for one.
pub(crate) fn read_named(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    read(File::open(path).map_err(|e| at(path, &e))?, path, bytes_max)
}

fn read(file: File, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut content).map_err(|e| at(path, &e))?;
    if content.len() > bytes_max {
        let reason = format!("{}: larger than {bytes_max} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(content)
}

/// The content of a file, nothing when there is none.
pub(crate) fn read_if_there(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    match read_bounded(path, bytes_max) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Refuses a path that leads out of a folder, links followed. What does not exist yet is judged by the
/// folder that it would come into.
pub(crate) fn check_sandbox(path: &Path, sandbox: Option<&str>) -> io::Result<()> {
    let Some(sandbox) = sandbox.map(Path::new) else { return Ok(()) };
    let real = fs::canonicalize(sandbox).map_err(|e| at(sandbox, &e))?;
    let mut existing = path;
    let place = loop {
        match fs::canonicalize(existing) {
            Ok(place) => break place,
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(existing, &e)),
            Err(_) => {}
        }
        let is_plain = existing.file_name().is_some() && fs::symlink_metadata(existing).is_err();
        match existing.parent().filter(|_| is_plain) {
            Some(folder) if folder == Path::new("") => existing = Path::new("."),
            Some(folder) => existing = folder,
            None => return Err(outside(path, sandbox)),
        }
    };
    if place.starts_with(real) { Ok(()) } else { Err(outside(path, sandbox)) }
}

fn outside(path: &Path, sandbox: &Path) -> io::Error {
    let reason = format!("{}: outside of the sandbox {}", path.display(), sandbox.display());
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

/// Refuses a symbolic link as a target, and as the folder of one.
pub(crate) fn check_no_link(target: &Path) -> io::Result<()> {
    let (folder, _) = parts(target)?;
    for path in [folder, target] {
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
            let reason = format!("{}: a symbolic link, which is not followed", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
    }
    Ok(())
}

/// Whose a file is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Number of the user.
    pub(crate) user: Option<u32>,
    /// Number of the group.
    pub(crate) group: Option<u32>,
}

/// How a file is put in its place.
struct Placement {
    mode: Option<u32>,
    owner: Owner,
    /// Mode of the folders to make, before the umask; `None` makes none.
    folders: Option<u32>,
    /// Keep the file before as `NAME.bak`.
    keeps_before: bool,
}

/// How [`place`] puts a file in its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Permission bits; `None` keeps read, write and execute bits of the target, or is 0644 for a new one.
    pub(crate) mode: Option<u32>,
    /// An owner that cannot be given is an error; none at all keeps that of the file before.
    pub(crate) owner: Owner,
    /// Makes missing folders (0755).
    pub(crate) creates_folders: bool,
    /// Keeps the file before, when there is one, beside it as `NAME.bak`.
    pub(crate) keeps_before: bool,
}

/// Puts `bytes` in the place of `target`, as [`replace`] does, in a given manner.
pub(crate) fn place(target: &Path, bytes: &[u8], manner: Manner) -> io::Result<Replaced> {
    let Manner { mode, owner, creates_folders, keeps_before } = manner;
    let folders = creates_folders.then_some(0o755);
    put(target, bytes, &Placement { mode, owner, folders, keeps_before })
}

/// Like [`replace`], with an owner. Half an owner is completed by the one who writes; none at all keeps
/// that of the file before. An owner that cannot be given is an error.
pub(crate) fn write(
    target: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Owner,
    creates_folders: bool,
) -> io::Result<Replaced> {
    let folders = creates_folders.then_some(0o777);
    put(target, bytes, &Placement { mode: Some(mode), owner, folders, keeps_before: false })
}

/// Puts `bytes` in the place of `target`, which may be missing, a file or a symbolic link.
///
/// `mode` holds permission bits; `None` keeps read, write and execute bits of the target, or is 0644 for a new one. The
/// owner of the target is kept where the kernel allows it. `create_dirs` makes missing folders (0755).
pub(crate) fn replace(
    target: &Path,
    bytes: &[u8],
    mode: Option<u32>,
    create_dirs: bool,
) -> io::Result<Replaced> {
    let manner = Manner { mode, creates_folders: create_dirs, ..Manner::default() };
    place(target, bytes, manner)
}

fn put(target: &Path, bytes: &[u8], placement: &Placement) -> io::Result<Replaced> {
    let Placement { mode, owner, folders, keeps_before } = *placement;
    let place = walk::place(target, folders).map_err(|e| at(target, &e))?;
    let before = walk::open_in(&place.folder, &place.name).ok();
    let kept = before.as_ref().and_then(|file| file.metadata().ok());
    if let (Some(file), Some(kept)) = (&before, &kept)
        && holds(file, bytes).is_ok_and(|holds| holds)
        && owner.is_of(kept)
        && has_mode(file, kept, mode)
    {
        return Ok(Replaced::Unchanged);
    }
    let old = before.or_else(|| walk::open(target).ok());
    // One that cannot be read has a mode and an owner all the same, nor does the file lose them that a link
    // stands for.
    let kept = kept
        .or_else(|| look(&place).filter(fs::Metadata::is_file))
        .or_else(|| old.as_ref()?.metadata().ok());
    let mut staged = Staged::create(&place).map_err(|e| at(target, &e))?;
    // Bits that lend the rights of the owner are given when they are asked for: whoever made the file before may be
    // another than who writes it now.
    let inherited = kept.as_ref().map(|kept| kept.mode() & 0o777);
    let mode = mode.map(|mode| mode & 0o7777).or(inherited).unwrap_or(0o644);
    staged.fill(bytes, mode, owner, kept.as_ref()).map_err(|e| at(target, &e))?;
    if let (true, Some(old), Some(kept)) = (keeps_before, &old, &kept) {
        keep_before(&place, old, kept).map_err(|e| at(target, &e))?;
    }
    staged.move_to(&place.name).map_err(|e| at(target, &e))?;
    Ok(Replaced::Written)
}

/// Copies the file before to `NAME.bak`, with its mode and owner, in the place of what had that name.
fn keep_before(place: &Place, mut old: &File, kept: &fs::Metadata) -> io::Result<()> {
    let mut name = place.name.clone();
    name.push(".bak");
    let mut staged = Staged::create(place)?;
    old.rewind()?;
    io::copy(&mut old, &mut staged.file)?;
    staged.fill(&[], kept.mode() & 0o7777, Owner::default(), Some(kept))?;
    staged.move_to(&name)
}

/// What stands at a place, links not followed.
fn look(place: &Place) -> Option<fs::Metadata> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = openat(place.folder.as_fd(), place.name.as_os_str(), flags, Mode::empty()).ok()?;
    File::from(found).metadata().ok()
}

/// Whether a file has exactly this content. It is read in pieces: no other copy of a secret is made.
fn holds(mut file: &File, mut rest: &[u8]) -> io::Result<bool> {
    let mut piece = Zeroizing::new([0; 4096]);
    loop {
        let count = match file.read(piece.as_mut()) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if count == 0 {
            return Ok(rest.is_empty());
        }
        let Some(after) = piece.get(..count).and_then(|piece| rest.strip_prefix(piece)) else {
            return Ok(false);
        };
        rest = after;
    }
}

impl Owner {
    fn is_of(self, file: &fs::Metadata) -> bool {
        self.user.is_none_or(|user| user == file.uid())
            && self.group.is_none_or(|group| group == file.gid())
    }
}

/// Whether a file has the mode asked for, or could be given it where it is.
fn has_mode(file: &File, before: &fs::Metadata, mode: Option<u32>) -> bool {
    let Some(mode) = mode.map(|mode| mode & 0o7777) else { return true };
    before.mode() & 0o7777 == mode || file.set_permissions(Permissions::from_mode(mode)).is_ok()
}

/// Tries whether [`replace`] could put a file there: makes a staging file and removes it.
pub(crate) fn probe(target: &Path) -> io::Result<()> {
    let place = walk::place(target, None).map_err(|e| at(target, &e))?;
    Staged::create(&place).map(drop).map_err(|e| at(target, &e))
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(path, &e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes what killed processes left beside `targets` on its way there. For the start of a process, when
/// no other writes the same files.
pub(crate) fn sweep(targets: &[&Path]) {
    let mut folders: BTreeMap<&Path, BTreeSet<&OsStr>> = BTreeMap::new();
    for (folder, name) in targets.iter().filter_map(|target| parts(target).ok()) {
        folders.entry(folder).or_default().insert(name);
    }
    for (folder, names) in folders {
        // A folder that is not there yet has nothing to remove, and one that is a link is not ours to clean.
        let Ok(place) = walk::place(&folder.join("x"), None) else { continue };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_staged(&entry.file_name(), &names)) {
            let name = entry.file_name();
            let _best_effort =
                unlinkat(place.folder.as_fd(), name.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// Whether this is the name of a staging file of one of `names`.
fn is_staged(found: &OsStr, names: &BTreeSet<&OsStr>) -> bool {
    let found = found.as_bytes();
    let Some((name, ending)) = found.len().checked_sub(17).map(|at| found.split_at(at)) else {
        return false;
    };
    let Some(digits) = ending.strip_prefix(b".").filter(|d| d.iter().all(u8::is_ascii_hexdigit))
    else {
        return false;
    };
    match name.strip_prefix(b".") {
        Some(name) => names.contains(OsStr::from_bytes(name)),
        // That of a name which leaves no room for an ending.
        None => {
            digits.len() == found.len() - 1 && names.iter().any(|name| name.len() > STAGED_NAME_MAX)
        }
    }
}

/// Folder and name of a file's path.
fn parts(target: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = target.file_name().ok_or_else(|| {
        let reason = format!("{}: not the path of a file", target.display());
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    })?;
    match target.parent() {
        Some(folder) if folder != Path::new("") => Ok((folder, name)),
        Some(_) | None => Ok((Path::new("."), name)),
    }
}

/// A file on its way to its place. Dropping it deletes whatever was not moved there.
struct Staged<'p> {
    folder: &'p OwnedFd,
    name: OsString,
    file: File,
    is_in_place: bool,
}

impl<'p> Staged<'p> {
    /// A new file beside the target: 0600, so no moment exists when others may read it, and under a name
    /// that nobody can have prepared.
    fn create(place: &'p Place) -> io::Result<Self> {
        let mut name = OsString::from(".");
        // The longest names of a file system (255 bytes) leave no room for an ending.
        if place.name.len() <= STAGED_NAME_MAX {
            name.push(&place.name);
            name.push(".");
        }
        name.push(entropy::hex()?);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let mode = Mode::from_bits_truncate(0o600);
        let folder = &place.folder;
        let file = openat(folder.as_fd(), name.as_os_str(), flags | OFlag::O_CLOEXEC, mode)?;
        Ok(Self { folder, name, file: file.into(), is_in_place: false })
    }

    fn move_to(mut self, name: &OsStr) -> io::Result<()> {
        renameat(self.folder.as_fd(), self.name.as_os_str(), self.folder.as_fd(), name)?;
        self.is_in_place = true;
        Ok(())
    }

    fn fill(
        &mut self,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
        before: Option<&fs::Metadata>,
    ) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if owner != Owner::default() {
            fchown(&self.file, owner.user, owner.group)?;
        } else if let Some(before) = before {
            let is_ours = self
                .file
                .metadata()
                .is_ok_and(|m| (m.uid(), m.gid()) == (before.uid(), before.gid()));
            if !is_ours {
                // Only root may give files away; everybody else goes on as their owner.
                let _best_effort = fchown(&self.file, Some(before.uid()), Some(before.gid()));
            }
        }
        // After the change of owner, which clears set-id bits. The umask has no say.
        self.file.set_permissions(Permissions::from_mode(mode))?;
        self.file.sync_all()
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.is_in_place {
            // Nobody is left to tell; the next try uses another name.
            let flag = UnlinkatFlags::NoRemoveDir;
            let _best_effort = unlinkat(self.folder.as_fd(), self.name.as_os_str(), flag);
        }
    }
}

/// Bytes of a name that still leave room for a dot before it and a dot and 16 digits after it.
const STAGED_NAME_MAX: usize = 255 - 18;

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A folder of its own per test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("vault-injector-files-{}", entropy::hex().unwrap());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<OsString> {
            let mut names: Vec<_> =
                fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn content(path: &Path) -> Vec<u8> {
        read_bounded(path, 1000).unwrap()
    }

    #[test]
    fn writes_whole_files_with_the_mode_asked_for() {
        let folder = Folder::new();
        let target = folder.0.join("deep/er/app");
        assert_eq!(replace(&target, b"one", None, true).unwrap(), Replaced::Written);
        assert_eq!((content(&target), mode(&target)), (b"one".to_vec(), 0o644));
        assert_eq!(replace(&target, b"two", Some(0o400), true).unwrap(), Replaced::Written);
        assert_eq!((content(&target), mode(&target)), (b"two".to_vec(), 0o400));
        replace(&target, b"three", None, true).unwrap();
        assert_eq!(mode(&target), 0o400, "the mode of the file before stays");
    }

    #[test]
    fn bits_that_lend_rights_are_not_taken_over_from_the_file_before() {
        let folder = Folder::new();
        let target = folder.0.join("app");
        for bits in [0o4755, 0o2755, 0o1755, 0o6777] {
            replace(&target, b"planted", None, false).unwrap();
            fs::set_permissions(&target, Permissions::from_mode(bits)).unwrap();
            replace(&target, b"secret", None, false).unwrap();
            assert_eq!(mode(&target), bits & 0o777);
        }
        replace(&target, b"asked", Some(0o2750), false).unwrap();
        assert_eq!(mode(&target), 0o2750, "who asks for them gets them");
    }

    #[test]
    fn leaves_equal_content_alone() {
        let folder = Folder::new();
        let target = folder.0.join("app");
        replace(&target, b"same", None, false).unwrap();
        let inode = fs::metadata(&target).unwrap().ino();
        assert_eq!(replace(&target, b"same", None, false).unwrap(), Replaced::Unchanged);
        assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
        assert_eq!(replace(&target, b"same", Some(0o400), false).unwrap(), Replaced::Unchanged);
        assert_eq!(mode(&target), 0o400, "a mode that is asked for is given all the same");
        assert_eq!(replace(&target, b"sam", None, false).unwrap(), Replaced::Written);
        assert_eq!(folder.names(), ["app"], "no staging file is left");
        let long = b"x".repeat(10_000);
        for (content, became) in [
            (long.as_slice(), Replaced::Written),
            (&long, Replaced::Unchanged),
            (&long[..8192], Replaced::Written),
            (&[&long[..8191], b"y"].concat(), Replaced::Written),
            (&long[..0], Replaced::Written),
            (&long[..0], Replaced::Unchanged),
        ] {
            assert_eq!(replace(&target, content, None, false).unwrap(), became);
        }
    }

    #[test]
    fn replaces_a_link_and_not_what_it_points_to() {
        let folder = Folder::new();
        let (real, link) = (folder.0.join("real"), folder.0.join("link"));
        replace(&real, b"old", Some(0o600), false).unwrap();
        symlink(&real, &link).unwrap();
        replace(&link, b"new", None, false).unwrap();
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((content(&link), mode(&link)), (b"new".to_vec(), 0o600));
        assert_eq!(content(&real), b"old");
    }

    #[test]
    fn a_crashed_run_does_not_stop_the_next() {
        let folder = Folder::new();
        let target = folder.0.join("app");
        fs::create_dir(folder.0.join(".app.0123456789abcdef")).unwrap();
        File::create(folder.0.join(".app.fedcba9876543210")).unwrap();
        assert_eq!(replace(&target, b"new", None, false).unwrap(), Replaced::Written);
        for other in [".app.0123", ".other.0123456789abcdef", "app.0123456789abcdef"] {
            File::create(folder.0.join(other)).unwrap();
        }
        sweep(&[&target, &folder.0.join("none/app")]);
        let left = [".app.0123", ".app.0123456789abcdef", ".other.0123456789abcdef"];
        assert_eq!(folder.names(), [&left[..], &["app", "app.0123456789abcdef"]].concat());
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_names_the_place() {
        let folder = Folder::new();
        let missing = folder.0.join("none/app");
        let error = replace(&missing, b"x", None, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("none/"), "{error}");
        // A folder cannot be replaced by a file.
        let busy = folder.0.join("busy");
        fs::create_dir(&busy).unwrap();
        let error = replace(&busy, b"x", None, false).unwrap_err();
        assert!(error.to_string().contains("busy"), "{error}");
        assert_eq!(folder.names(), ["busy"], "the staging file is gone");
    }

    #[test]
    fn takes_the_longest_names() {
        let folder = Folder::new();
        let target = folder.0.join("n".repeat(255));
        assert_eq!(replace(&target, b"x", None, false).unwrap(), Replaced::Written);
    }

    #[test]
    fn nothing_leads_out_of_a_sandbox() {
        let folder = Folder::new();
        let sandbox = folder.0.join("box");
        fs::create_dir(&sandbox).unwrap();
        fs::create_dir(folder.0.join("box2")).unwrap();
        File::create(folder.0.join("secret")).unwrap();
        File::create(sandbox.join("own")).unwrap();
        symlink(folder.0.join("secret"), sandbox.join("link")).unwrap();
        symlink("own", sandbox.join("inner")).unwrap();
        symlink(folder.0.join("none"), sandbox.join("dangling")).unwrap();
        symlink(&folder.0, sandbox.join("up")).unwrap();
        let inside = |name: &str| check_sandbox(&sandbox.join(name), sandbox.to_str()).is_ok();
        for name in ["own", "inner", "new", "new/er", "../box/own", "up/box/own"] {
            assert!(inside(name), "{name}");
        }
        for name in ["link", "dangling", "up/secret", "up/new", "../secret", "../box2", "new/../x"]
        {
            assert!(!inside(name), "{name}");
        }
        let error = check_sandbox(&sandbox.join("link"), sandbox.to_str()).unwrap_err().to_string();
        assert!(error.contains("outside of the sandbox"), "{error}");
        assert!(check_sandbox(&folder.0.join("secret"), None).is_ok());
        assert!(check_no_link(&sandbox.join("link")).is_err());
        assert!(check_no_link(&sandbox.join("up/x")).is_err());
        assert!(check_no_link(&sandbox.join("own")).is_ok());
    }

    #[test]
    fn gives_files_the_owner_asked_for_or_none() {
        let folder = Folder::new();
        let target = folder.0.join("app");
        let own = fs::metadata(&folder.0).unwrap();
        let mine = Owner { user: Some(own.uid()), group: None };
        assert_eq!(write(&target, b"x", 0o600, mine, false).unwrap(), Replaced::Written);
        assert_eq!(write(&target, b"x", 0o600, mine, false).unwrap(), Replaced::Unchanged);
        if own.uid() == 0 {
            let other = Owner { user: Some(12_345), group: Some(54_321) };
            assert_eq!(write(&target, b"x", 0o600, other, false).unwrap(), Replaced::Written);
            let after = fs::metadata(&target).unwrap();
            assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (12_345, 54_321, 0o600));
        }
        let missing = folder.0.join("a/b");
        assert!(write(&missing, b"x", 0o600, mine, false).is_err());
        assert_eq!(write(&missing, b"x", 0o600, mine, true).unwrap(), Replaced::Written);
    }

    #[test]
    fn reads_within_a_bound() {
        let folder = Folder::new();
        let path = folder.0.join("app");
        replace(&path, b"12345", None, false).unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        let error = read_bounded(&path, 4).unwrap_err().to_string();
        assert!(error.contains("app") && error.contains("4 bytes"), "{error}");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
