//! Whether the containers of a pod can read the files that agents write for them.

use super::Flavor;
use super::annotations::{Key, TOKEN};
use super::plan::Plan;
use super::problems::{LISTED_MAX, Shown};
use super::review::{Container, SecurityContext};
use super::value::parse_mode;

/// Permission bits of the token's file unless the pod says more.
const TOKEN_MODE: u32 = 0o640;

/// User and groups of one process, as far as the pod says.
struct Process {
    user: i64,
    groups: Vec<i64>,
    /// Whether the group of the image's own user is one more, which nobody here knows.
    has_unknown_group: bool,
}

/// Warns of files whose permissions keep a container with a known user from reading them.
pub(crate) fn check(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let Some((owner, group)) = plan.user else { return };
    let nobody = SecurityContext::default();
    let pod = plan.spec.security_context.as_ref().unwrap_or(&nobody);
    // The kubelet gives volumes to this group, and files made there belong to it.
    let group = pod.fs_group.unwrap_or(group);
    let notes = &plan.notes;
    let mut files: Vec<(String, &str, u32)> = plan
        .secrets
        .files
        .iter()
        .filter_map(|file| {
            let mode = parse_mode(file.perms).filter(|mode| *mode != 0)?;
            Some((Key::Perms.of(file.raw), &*file.destination, mode))
        })
        .collect();
    let token = plan.secrets.token_file(notes);
    if let Some(path) = &token {
        let given = notes.named(Key::Perms, TOKEN).and_then(parse_mode);
        let mode = given.filter(|mode| *mode != 0).unwrap_or(TOKEN_MODE);
        files.push((Key::InjectToken.to_string(), path, mode));
    }
    for container in plan.spec.containers.0.iter().filter(|c| plan.wants(&c.name)) {
        let Some(process) = process(pod, container) else { continue };
        for (place, path, mode) in &files {
            if reads(&process, *mode, owner, group) || warnings.len() > LISTED_MAX {
                continue;
            }
            warnings.push(format!(
                "{place}: mode {mode:04o} of user {owner}, group {group} keeps container {} (user {}) from {}: \
                 set {} or fsGroup",
                Shown(&container.name),
                process.user,
                Shown(path),
                Key::RunAsSameUser
            ));
        }
    }
}

/// The process of a container, when the pod says its user.
fn process(pod: &SecurityContext, container: &Container<'_>) -> Option<Process> {
    let own = container.security_context.as_ref();
    let user = own.and_then(|context| context.run_as_user).or(pod.run_as_user)?;
    let group = own.and_then(|context| context.run_as_group).or(pod.run_as_group);
    let more = pod.supplemental_groups.0.iter().copied();
    let groups = group.into_iter().chain(pod.fs_group).chain(more).collect();
    Some(Process { user, groups, has_unknown_group: group.is_none() })
}

fn reads(process: &Process, mode: u32, owner: i64, group: i64) -> bool {
    if process.user == 0 {
        return true;
    }
    if process.user == owner {
        return mode & 0o400 != 0;
    }
    // Users of images mostly have a group of their own number.
    let is_likely = process.has_unknown_group && process.user == group;
    if process.groups.contains(&group) || is_likely {
        return mode & 0o040 != 0;
    }
    mode & 0o004 != 0
}

/// Warns of what makes the agents root.
pub(crate) fn root(plan: &Plan<'_>, warnings: &mut Vec<String>) {
    let notes = &plan.notes;
    let pod = plan.spec.security_context.as_ref().and_then(|context| context.run_as_user);
    match plan.user {
        Some((0, _)) if notes.given(Key::RunAsUser).is_some() => {
            warnings.push(format!("{}: the agents run as root", Key::RunAsUser));
        }
        Some((0, _)) => {
            warnings.push("AGENT_INJECT_RUN_AS_USER: the agents run as root".to_owned())
        }
        Some((_, 0)) => {
            let (given, variable) = (notes.given(Key::RunAsGroup), "AGENT_INJECT_RUN_AS_GROUP");
            let place = given.map_or_else(|| variable.to_owned(), |_| Key::RunAsGroup.to_string());
            warnings.push(format!("{place}: the agents run in root's group"));
        }
        Some(_) => {}
        None if notes.given(Key::SetSecurityContext).is_some() || pod == Some(0) => {
            let user = match (pod, plan.flavor) {
                (Some(0), _) => "as root, the user of the pod's securityContext".to_owned(),
                (Some(user), _) => format!("as the pod's user {user}"),
                (None, Flavor::Native) => "as the image's user".to_owned(),
                (None, Flavor::Vault) => "as the image's user, which is root in Vault's".to_owned(),
            };
            warnings.push(format!(
                "{}: without a security context the agents run {user}, with capabilities and a writable root",
                Key::SetSecurityContext
            ));
        }
        None => {}
    }
}
