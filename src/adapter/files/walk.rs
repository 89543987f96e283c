//! From a path to a folder, one name after the other, so that nobody can send us elsewhere on the way.
//!
//! Volumes are shared with containers that may be hostile. A link that one of them puts where we expect a folder
//! would have us write a secret to, or read one from, wherever the link leads. So below a folder that others can
//! write to a link is followed as far as it stays there: Kubernetes' own `..data` does. Each step is taken from an open
//! folder, and what was looked at is what is used.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, mkdirat};

/// Links on one way: what the kernel allows, too.
const LINKS_MAX: usize = 40;

/// The folder of a file, and the file's name in it.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
}

/// A way through folders.
struct Walk {
    /// From the root, or where the way began, to where we are.
    folders: Vec<OwnedFd>,
    /// The first of them that others can write to.
    shared: Option<usize>,
    links: usize,
    is_from_root: bool,
}

/// Finds the folder of a file. Missing folders are made with this mode, before the umask.
pub(super) fn place(path: &Path, creates: Option<u32>) -> io::Result<Place> {
    let (mut walk, mut names) = Walk::start(path)?;
    let name = match path.file_name() {
        Some(name) if path.as_os_str().as_bytes().last() != Some(&b'/') => name.to_owned(),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file")),
    };
    names.pop_back();
    walk.go(names, creates)?;
    let folder = walk.folders.pop().ok_or(Errno::ENOENT)?;
    Ok(Place { folder, name })
}

/// Opens a file for reading. What is no regular file is refused, and a FIFO does not hold anybody up.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let (mut walk, mut names) = Walk::start(path)?;
    let Some(mut name) = names.pop_back() else { return Err(Errno::EISDIR.into()) };
    loop {
        walk.go(names, None)?;
        let folder = walk.folders.last().ok_or(Errno::ENOENT)?;
        if name.as_bytes() == b".." || name.as_bytes() == b"." {
            return Err(Errno::EISDIR.into());
        }
        match open_in(folder, &name) {
            Err(e) if e.raw_os_error() == Some(Errno::ELOOP as i32) => {
                names = walk.link(&name)?;
                name = names.pop_back().ok_or(Errno::EISDIR)?;
            }
            settled => return settled,
        }
    }
}

/// Opens the file of that name in a folder, if it is a regular one and no link.
pub(super) fn open_in(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(openat(folder.as_fd(), name, flags | OFlag::O_CLOEXEC, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

fn names_of(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::Prefix(_) | Component::RootDir => None,
    });
    names.collect()
}

impl Walk {
    fn start(path: &Path) -> io::Result<(Self, VecDeque<OsString>)> {
        let start = if path.is_absolute() { Path::new("/") } else { Path::new(".") };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = nix::fcntl::open(start, flags, Mode::empty())?;
        let is_from_root = path.is_absolute();
        let walk = Self { folders: vec![root], shared: None, links: 0, is_from_root };
        Ok((walk, names_of(path)))
    }

    fn go(&mut self, mut names: VecDeque<OsString>, creates: Option<u32>) -> io::Result<()> {
        while let Some(name) = names.pop_front() {
            if name == ".." {
                self.up()?;
                continue;
            }
            match self.down(&name, creates) {
                Err(e) if e.raw_os_error() == Some(Errno::ELOOP as i32) => {
                    let mut way = self.link(&name)?;
                    way.append(&mut names);
                    names = way;
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    /// One folder further; `ELOOP` where a link stands.
    fn down(&mut self, name: &OsStr, creates: Option<u32>) -> io::Result<()> {
        let here = self.folders.last().ok_or(Errno::ENOENT)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let look = || openat(here.as_fd(), name, flags, Mode::empty());
        let found = match (look(), creates) {
            (Err(Errno::ENOENT), Some(mode)) => {
                match mkdirat(here.as_fd(), name, Mode::from_bits_truncate(mode)) {
                    Ok(()) | Err(Errno::EEXIST) => look()?,
                    Err(error) => return Err(error.into()),
                }
            }
            (found, _) => found?,
        };
        let next = File::from(found);
        let (folder, entry) = (File::from(here.try_clone()?).metadata()?, next.metadata()?);
        if self.shared.is_none() && is_shared(&folder, &entry) {
            self.shared = Some(self.folders.len() - 1);
        }
        if entry.is_symlink() {
            return Err(Errno::ELOOP.into());
        }
        if !entry.is_dir() {
            return Err(Errno::ENOTDIR.into());
        }
        self.folders.push(next.into());
        Ok(())
    }

    fn up(&mut self) -> io::Result<()> {
        let here = self.folders.len() - 1;
        if self.shared == Some(here) && here > 0 {
            return Err(leads_out());
        }
        if here > 0 {
            self.folders.pop();
        } else if !self.is_from_root {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let folder = self.folders.last().ok_or(Errno::ENOENT)?;
            let above = openat(folder.as_fd(), "..", flags, Mode::empty())?;
            self.folders = vec![above];
        }
        Ok(())
    }

    /// The names that a link stands for.
    fn link(&mut self, name: &OsStr) -> io::Result<VecDeque<OsString>> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::ELOOP.into());
        }
        let here = self.folders.last().ok_or(Errno::ENOENT)?;
        // The last folder is judged by its entry when one goes down; here it is a file's.
        let folder = File::from(here.try_clone()?).metadata()?;
        if self.shared.is_none() && is_open(&folder) {
            self.shared = Some(self.folders.len() - 1);
        }
        let target = readlinkat(here.as_fd(), name)?;
        let target = Path::new(&target);
        if target.is_absolute() {
            if self.shared.is_some_and(|shared| shared > 0) {
                return Err(leads_out());
            }
            let (fresh, names) = Self::start(target)?;
            let links = self.links;
            *self = Self { links, ..fresh };
            return Ok(names);
        }
        Ok(names_of(target))
    }
}

fn leads_out() -> io::Error {
    let reason = "a symbolic link in a folder that others can write to, and it leads out of there: not followed";
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

fn is_own(entry: &std::fs::Metadata) -> bool {
    entry.uid() == 0 || entry.uid() == nix::unistd::geteuid().as_raw()
}

/// Whether somebody else may have put something into a folder.
fn is_open(folder: &std::fs::Metadata) -> bool {
    !is_own(folder) || folder.mode() & 0o022 != 0
}

/// The same of one entry of it. What is ours in a folder with the sticky bit stays where it is.
fn is_shared(folder: &std::fs::Metadata, entry: &std::fs::Metadata) -> bool {
    let is_sticky = folder.mode() & 0o1000 != 0 && is_own(folder);
    is_open(folder) && !(is_sticky && is_own(entry) && entry.is_dir())
}

#[cfg(test)]
mod tests;
