//! Whether the templates of a pod are templates: they are parsed, never rendered.

use super::Flavor;
use super::annotations::{Key, Notes};
use super::problems::{LISTED_MAX, Problems};
use super::secrets::{Body, SecretFile};
use crate::domain::format::tiny;
use crate::domain::template::{Budget, Template, TemplateError};

/// What parsing may take: levels of nesting, which are those of the agents. The text is bounded by what
/// Kubernetes allows for annotations, and its parts by the parser.
pub(crate) const BUDGET: Budget = Budget { steps: 0, depth: 250, output_bytes: 0 };

/// Refuses templates that native agents could not parse.
///
/// Agents of Vault have an engine of their own, and a newer one may know more than ours: then it is only doubted.
pub(crate) fn check(
    notes: &Notes<'_>,
    files: &[SecretFile<'_>],
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    if !notes.text(Key::Configmap).is_empty() {
        return;
    }
    for file in files {
        let is_template = notes.named(Key::Template, file.raw).is_some_and(|text| !text.is_empty());
        let key = if is_template { Key::Template } else { Key::SecretPath };
        let Some(clause) = fault(notes, file, is_template) else { continue };
        if notes.flavor() == Flavor::Native {
            problems.note(key.of(file.raw), clause);
        } else if warnings.len() <= LISTED_MAX {
            warnings.push(format!("{}: Vault's agent may not start: {clause}", key.of(file.raw)));
        }
        // Telling what was meant takes longer than parsing.
        if problems.is_full() || warnings.len() > LISTED_MAX {
            return;
        }
    }
}

fn fault(notes: &Notes<'_>, file: &SecretFile<'_>, is_template: bool) -> Option<String> {
    match &file.body {
        Body::Contents(text) => {
            // What we wrote ourselves between the usual delimiters, around a usual path, is a template.
            let path = notes.named(Key::SecretPath, file.raw).unwrap_or("");
            let is_usual = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
            let delimiters = (file.left_delimiter, file.right_delimiter);
            let is_plain = delimiters == ("{{", "}}") && path.chars().all(is_usual);
            // Of unprintable characters people hear by the path itself.
            if !is_template && (is_plain || path.contains(char::is_control)) {
                return None;
            }
            let (left, right) = delimiters;
            let error = Template::parse(file.raw, text, left, right, BUDGET).err()?;
            Some(sentence(&error))
        }
        Body::Tiny { contents, .. } if !contents.is_empty() => {
            tiny::compile(contents).err().map(|error| format!("no tinytemplate: {error}"))
        }
        Body::Tiny { .. } | Body::Format { .. } | Body::Source(_) => None,
    }
}

/// The error without the name, which the annotation has.
fn sentence(error: &TemplateError) -> String {
    let mut text = format!("line {} column {}: {}", error.line, error.column, error.message);
    if let Some(note) = &error.note {
        let place = note.place.map(|(line, column)| format!(" at {line}:{column}"));
        text.push_str(&format!(" ({}{})", note.text, place.unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_that_of_the_agents() {
        assert_eq!(BUDGET.depth, crate::run::limits::RENDER.depth);
    }
}
