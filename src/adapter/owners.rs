//! Users and groups by name, from the files of the container.

use std::io;

use super::files;

/// Bytes of `/etc/passwd` or `/etc/group`.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The number of a user given by name or number; nothing for an empty name.
pub(crate) fn user(name: &str) -> io::Result<Option<u32>> {
    find(name, "user", "/etc/passwd")
}

/// The number of a group given by name or number; nothing for an empty name.
pub(crate) fn group(name: &str) -> io::Result<Option<u32>> {
    find(name, "group", "/etc/group")
}

fn find(name: &str, kind: &str, file: &str) -> io::Result<Option<u32>> {
    if name.is_empty() {
        return Ok(None);
    }
    let lines = files::read_if_there(std::path::Path::new(file), BYTES_MAX)?;
    let number = number_of(&String::from_utf8_lossy(&lines), name).or_else(|| name.parse().ok());
    number.map(Some).ok_or_else(|| {
        let reason = format!("the {kind} does not stand in {file}, use a number");
        io::Error::new(io::ErrorKind::NotFound, reason)
    })
}

/// The third column of the line that starts with a name.
fn number_of(lines: &str, name: &str) -> Option<u32> {
    lines.lines().find_map(|line| {
        let mut columns = line.split(':');
        (columns.next() == Some(name)).then(|| columns.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_before_numbers() {
        let lines = "root:x:0:0::/:/bin/sh\napp:x:1000:1000:::\nbad:x\n7:x:70:70:::\n";
        assert_eq!(number_of(lines, "app"), Some(1000));
        assert_eq!(number_of(lines, "7"), Some(70));
        assert_eq!(number_of(lines, "bad"), None);
        assert_eq!((user("").unwrap(), user("4711").unwrap()), (None, Some(4711)));
        let error = group("no such group").unwrap_err().to_string();
        assert_eq!(error, "the group does not stand in /etc/group, use a number");
    }
}
