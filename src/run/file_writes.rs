//! What templates write beside their own file: `writeToFile`.

use std::collections::BTreeMap;
use std::path::Path;

use zeroize::Zeroizing;

use crate::adapter::files::{self, Owner};
use crate::adapter::owners;
use crate::base::report::OneLine;
use crate::domain::template::FileWrite;
use crate::run::limits::FILE_BYTES_MAX;

/// One file as it is to be.
struct Target {
    content: Zeroizing<Vec<u8>>,
    mode: u32,
    owner: Owner,
    creates_folders: bool,
}

/// Writes the files of one render, each as a whole. What can be known to fail fails before the first one is
/// written; the error names the file.
///
/// `is_repeat` says that the same was written before: then nothing is appended again, and files that are
/// as they should be are left alone.
pub(crate) fn carry_out(
    writes: &[FileWrite],
    sandbox: Option<&str>,
    is_repeat: bool,
) -> Result<(), String> {
    let mut targets: BTreeMap<&Path, Target> = BTreeMap::new();
    for write in writes {
        let path = Path::new(&write.path);
        let failed = |error: std::io::Error| format!("writeToFile: {}", OneLine(&error));
        let no_owner = |error| format!("writeToFile: {}: {}", path.display(), OneLine(&error));
        files::check_sandbox(path, sandbox).map_err(failed)?;
        files::check_no_link(path).map_err(failed)?;
        let owner = Owner {
            user: owners::user(&write.user).map_err(no_owner)?,
            group: owners::group(&write.group).map_err(no_owner)?,
        };
        let before = match targets.remove(path) {
            Some(target) if write.appends => Some(target),
            None if write.appends && is_repeat => continue,
            None if write.appends => {
                let content = files::read_if_there(path, FILE_BYTES_MAX).map_err(failed)?;
                let content = Zeroizing::new(content);
                Some(Target { content, mode: 0, owner, creates_folders: false })
            }
            _ => None,
        };
        let creates_folders = before.as_ref().is_none_or(|before| before.creates_folders);
        let mut content = before.map(|before| before.content).unwrap_or_default();
        // A vector that grows would leave its old memory behind as it is.
        let added = write.content.expose();
        let mut whole = Zeroizing::new(Vec::with_capacity(content.len() + added.len()));
        whole.append(&mut content);
        whole.extend_from_slice(added);
        targets.insert(path, Target { content: whole, mode: write.mode, owner, creates_folders });
    }
    if !is_repeat {
        // Nobody knew these names when the process started.
        files::sweep(&targets.keys().copied().collect::<Vec<_>>());
    }
    for (path, target) in targets {
        let Target { content, mode, owner, creates_folders } = target;
        files::write(path, &content, mode, owner, creates_folders)
            .map_err(|error| format!("writeToFile: {}", OneLine(&error)))?;
    }
    Ok(())
}

/// One line that says what [`carry_out`] would do.
pub(crate) fn described(write: &FileWrite) -> String {
    let FileWrite { path, user, group, mode, appends, content } = write;
    let verb = if *appends { "append" } else { "write" };
    let bytes = content.expose().len();
    let owner = match (user.as_str(), group.as_str()) {
        ("", "") => String::new(),
        (user, group) => format!(", owner {user}:{group}"),
    };
    format!("would {verb} {bytes} bytes to {path:?}, mode {mode:04o}{owner}")
}
