//! What a hostile container can put into a volume, and what Kubernetes does.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::super::{read_bounded, replace, sweep};
use super::*;
use crate::adapter::entropy;

/// A folder with a volume that others can write to, and a place that they must not reach.
struct Pod(PathBuf);

impl Pod {
    fn new() -> Self {
        let name = format!("vault-injector-walk-{}", entropy::hex().unwrap());
        let path = std::env::temp_dir().join(name);
        for folder in ["volume", "private", "volume/own"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        fs::set_permissions(path.join("volume"), Permissions::from_mode(0o777)).unwrap();
        let pod = Self(path);
        pod.put("private/token", b"secret");
        pod
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        replace(&self.at(name), content, None, false).unwrap();
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let read = read_bounded(&self.at(name), 1000).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(read).unwrap())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_link_in_a_shared_folder_does_not_lead_out_of_it() {
    let pod = Pod::new();
    let absolute = pod.at("private");
    let absolute = absolute.to_str().unwrap();
    let proc = format!("/proc/{}/cwd", std::process::id());
    for (number, target) in
        [absolute, "../private", "own/../../private", "/", "..", proc.as_str(), "own/loop"]
            .iter()
            .enumerate()
    {
        let link = format!("volume/link{number}");
        symlink(target, pod.at(&link)).unwrap();
        symlink("loop", pod.at("volume/own/loop")).unwrap_or_default();
        for folders in [true, false] {
            for below in ["a", "token", "deep/er/a"] {
                let target = pod.at(&format!("{link}/{below}"));
                assert!(replace(&target, b"x", None, folders).is_err(), "{target:?}");
            }
        }
        assert!(pod.read(&format!("{link}/token")).is_err(), "{target}");
        // One further down, in a folder of ours: whoever shares the volume may have moved it there.
        symlink(target, pod.at(&format!("volume/own/{number}"))).unwrap();
        let target = pod.at(&format!("volume/own/{number}/a"));
        assert!(
            replace(&target, b"x", None, true).is_err() || target.starts_with(pod.at("volume")),
            "{target:?}"
        );
    }
    for (name, target) in [("f", format!("{absolute}/token")), ("g", "../private/token".to_owned())]
    {
        symlink(target, pod.at(&format!("volume/{name}"))).unwrap();
        let error = pod.read(&format!("volume/{name}")).unwrap_err();
        assert!(error.contains("leads out of there") && error.contains(name), "{error}");
    }
    let names: Vec<_> =
        fs::read_dir(pod.at("private")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["token"]);
    assert_eq!(pod.read("private/token").unwrap(), "secret");
}

#[test]
fn links_of_kubernetes_and_of_whom_we_trust_are_followed() {
    let pod = Pod::new();
    fs::create_dir(pod.at("volume/..2026_01")).unwrap();
    pod.put("volume/..2026_01/ca.crt", b"ca");
    symlink("..2026_01", pod.at("volume/..data")).unwrap();
    symlink("..data/ca.crt", pod.at("volume/ca.crt")).unwrap();
    symlink("../ca.crt", pod.at("volume/own/inside")).unwrap();
    assert_eq!(pod.read("volume/ca.crt").unwrap(), "ca");
    assert_eq!(pod.read("volume/own/inside").unwrap(), "ca");
    // In a folder that nobody else can write to any link is ours.
    symlink(pod.at("volume"), pod.at("private/absolute")).unwrap();
    symlink("../volume/own", pod.at("private/relative")).unwrap();
    assert_eq!(pod.read("private/absolute/ca.crt").unwrap(), "ca");
    replace(&pod.at("private/relative/new/a"), b"x", None, true).unwrap();
    assert_eq!(pod.read("volume/own/new/a").unwrap(), "x");
    assert_eq!(pod.read("private/../volume/./own/new/a").unwrap(), "x");
    symlink("round", pod.at("private/round")).unwrap();
    assert!(pod.read("private/round").is_err() && pod.read("private/round/x").is_err());
}

#[test]
fn what_is_no_file_is_refused_and_holds_nobody_up() {
    let pod = Pod::new();
    nix::unistd::mkfifo(&pod.at("volume/fifo"), Mode::from_bits_truncate(0o666)).unwrap();
    symlink("fifo", pod.at("volume/link")).unwrap();
    for name in
        ["volume/fifo", "volume/link", "volume/own", "volume/own/", "volume", "volume/fifo/x", ""]
    {
        assert!(pod.read(name).is_err(), "{name}");
    }
    assert!(read_bounded(Path::new("/dev/zero"), 10).is_err());
    assert!(read_bounded(Path::new("/"), 10).is_err());
    // As a target it is replaced.
    replace(&pod.at("volume/fifo"), b"x", None, false).unwrap();
    assert_eq!(pod.read("volume/fifo").unwrap(), "x");
}

#[test]
fn what_killed_processes_left_is_taken_away() {
    let pod = Pod::new();
    let long = "n".repeat(250);
    for name in [
        ".a.0123456789abcdef",
        ".0123456789abcdef",
        ".b.0123456789abcdef",
        ".a.0123456789abcdeX",
        ".keep",
    ] {
        pod.put(&format!("volume/own/{name}"), b"x");
    }
    let names = || {
        let names = fs::read_dir(pod.at("volume/own")).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    sweep(&[&pod.at("volume/own/a")]);
    assert_eq!(
        names(),
        [".0123456789abcdef", ".a.0123456789abcdeX", ".b.0123456789abcdef", ".keep"]
    );
    sweep(&[&pod.at("volume/own").join(&long)]);
    assert_eq!(names(), [".a.0123456789abcdeX", ".b.0123456789abcdef", ".keep"]);
    // Not through a link.
    symlink(pod.at("private"), pod.at("volume/link")).unwrap();
    pod.put("private/.a.0123456789abcdef", b"x");
    sweep(&[&pod.at("volume/link/a")]);
    assert!(pod.read("private/.a.0123456789abcdef").is_ok());
}
