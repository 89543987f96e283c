//! The commands that agents run after a file has changed.

use super::annotations::{Key, Notes};
use super::json_text::JsonText;
use super::plan::Plan;
use super::problems::{LISTED_MAX, Problems, Shown};
use super::review::Mount;
use super::{Flavor, secrets};
use crate::base::json::Json;

/// A command as its annotation says it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// A text: for agents of Vault, whose image has a shell, anything a shell understands.
    Text(&'a str),
    /// The words of a program and its arguments, given as a JSON list to the native agent.
    Words(Vec<String>),
}

impl<'a> Command<'a> {
    /// The command of a file, an empty text for none. A list that is none stays a text.
    pub(crate) fn read(notes: &Notes<'a>, raw: &str) -> Self {
        let text = notes.named(Key::Command, raw).unwrap_or("");
        if notes.flavor() == Flavor::Vault || !text.trim_start().starts_with('[') {
            return Self::Text(text);
        }
        let words = Json::parse(text.as_bytes()).ok().and_then(|list| {
            let words = list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect::<Option<Vec<_>>>()
        });
        words.filter(|words| !words.is_empty()).map_or(Self::Text(text), Self::Words)
    }

    /// Writes the member `command`, unless there is none.
    pub(crate) fn write(&self, out: &mut JsonText) {
        match self {
            Self::Text(text) => out.member_if("command", text),
            Self::Words(words) => out.strings("command", words.iter().map(String::as_str)),
        }
    }
}

/// The one program of the native agent's image.
const OWN_PROGRAM: &str = "/vault-injector";

/// What is wrong with a command, each with a clause.
enum Fault {
    /// The native agent's image has neither a shell nor that program.
    Impossible(String),
    /// A list that is none of words.
    Malformed(String),
    /// A single word that is no program of the image. Such pods run today, whatever becomes of their command.
    Unlikely(String),
}

/// Refuses what cannot run in native agents: they have no shell, and no program but themselves. The pod goes on
/// without such a command and says so. Whoever patches the agents' containers may have brought programs along, so
/// then it is only doubted.
pub(crate) fn check(plan: &mut Plan<'_>, problems: &mut Problems, warnings: &mut Vec<String>) {
    if plan.flavor == Flavor::Vault {
        return;
    }
    let (copied, is_patched) = (plan.copied_folders(), plan.is_patched());
    for file in &mut plan.secrets.files {
        let place = Key::Command.of(file.raw);
        let (clause, is_left_out) = match fault(&copied, &file.command) {
            Some(Fault::Malformed(clause)) => {
                problems.note(place, clause);
                continue;
            }
            Some(Fault::Impossible(clause)) => (clause, !is_patched),
            Some(Fault::Unlikely(clause)) => (clause, false),
            None => continue,
        };
        if is_left_out {
            file.command = Command::Text("");
        }
        if warnings.len() <= LISTED_MAX {
            let fate = if is_left_out { "left out: " } else { "" };
            warnings.push(format!("{place}: {fate}{clause}"));
        }
    }
}

/// `copied` are folders in which programs may lie.
fn fault(copied: &[String], command: &Command<'_>) -> Option<Fault> {
    let way =
        || format!("take it out, or set {} to \"vault\" with an image of Vault", Key::AgentFlavor);
    let (program, is_list) = match command {
        Command::Words(words) => {
            let program = words.first()?;
            if program.is_empty() || words.iter().any(|word| word.contains('\0')) {
                return Some(Fault::Malformed("no program can have that name".to_owned()));
            }
            (program.as_str(), true)
        }
        Command::Text(text) if text.trim().is_empty() => return None,
        Command::Text(text) => {
            let text = text.trim();
            if text.starts_with('[') && Json::parse(text.as_bytes()).is_ok() {
                let clause = format!(
                    "{} is no list of words: write one such as [{OWN_PROGRAM:?}, \"version\"]",
                    Shown(text)
                );
                return Some(Fault::Malformed(clause));
            }
            if text.contains(|c: char| c.is_whitespace() || "|&;<>()[]$`\\\"'*?#~={}!".contains(c))
            {
                let way = as_list(text)
                    .map_or_else(way, |list| format!("write the words as a list: {list}"));
                let clause =
                    format!("{} needs a shell, which the native agent has not: {way}", Shown(text));
                return Some(Fault::Impossible(clause));
            }
            (text, false)
        }
    };
    let is_brought = || copied.iter().any(|folder| secrets::is_below(program, folder));
    if program == OWN_PROGRAM || (program.starts_with('/') && is_brought()) {
        return None;
    }
    let clause =
        format!("the native agent has {OWN_PROGRAM} and no program {}: {}", Shown(program), way());
    Some(if is_list { Fault::Impossible(clause) } else { Fault::Unlikely(clause) })
}

/// The words of a command of our own program as a JSON list.
fn as_list(text: &str) -> Option<String> {
    let words: Vec<Json> = text.split_whitespace().map(|word| Json::String(word.into())).collect();
    let is_own = words.first().and_then(Json::as_str) == Some(OWN_PROGRAM);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == ' ' || "/-_.,:@%+".contains(c);
    (is_own && text.chars().all(is_plain)).then(|| Json::Array(words).to_text())
}

impl Plan<'_> {
    /// Whether the containers of the agents are changed by JSON patches, so that they may be anything.
    pub(crate) fn is_patched(&self) -> bool {
        let patches = [Key::InitJsonPatch, Key::JsonPatch];
        patches.iter().any(|key| self.notes.given(*key).is_some_and(|text| !text.is_empty()))
    }

    /// The folders of the mounts that agents copy from a container of the pod.
    pub(crate) fn copied_folders(&self) -> Vec<String> {
        let mounts = self.copied_mounts.iter().filter_map(|raw| serde_json::from_str(raw).ok());
        mounts.map(|mount: Mount<'_>| mount.mount_path.to_string()).collect()
    }
}
