//! The mistakes and doubts of one pod, as people read them.

use std::fmt;

/// A value in an error text: quoted, on one line, not too long.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(80) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A sentence of at most `max` characters, so that hostile keys cannot make it long.
fn cut(mut text: String, max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max) {
        let end =
            text.get(..end).and_then(|kept| kept.char_indices().next_back()).map_or(0, |(i, _)| i);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A clause of a problem.
pub(crate) fn bounded(text: String) -> String {
    cut(text, PROBLEM_CHARS_MAX)
}

/// A warning as API servers pass it on.
pub(crate) fn warning(text: String) -> String {
    cut(text, WARNING_CHARS_MAX)
}

/// Characters of one problem.
const PROBLEM_CHARS_MAX: usize = 400;
/// Characters of one warning: of longer ones API servers cut the rest off once there are many.
const WARNING_CHARS_MAX: usize = 256;

/// Problems and warnings that one answer names; the rest is counted.
pub(crate) const LISTED_MAX: usize = 20;

/// The mistakes of one pod.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// The first of them, one line each.
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    /// Notes a mistake: the place, then what is wrong and the way out.
    pub(crate) fn note(&mut self, place: impl fmt::Display, clause: impl fmt::Display) {
        let text = bounded(format!("{place}: {clause}").replace(['\r', '\n'], " "));
        if self.listed.contains(&text) {
            return;
        }
        if self.listed.len() < LISTED_MAX {
            self.listed.push(text);
        } else {
            self.more += 1;
        }
    }

    /// Whether a mistake of this place is listed.
    pub(crate) fn names(&self, place: &str) -> bool {
        let is_of =
            |text: &String| text.strip_prefix(place).is_some_and(|rest| rest.starts_with(": "));
        self.listed.iter().any(is_of)
    }

    /// Whether no more of them would be named.
    pub(crate) fn is_full(&self) -> bool {
        self.listed.len() >= LISTED_MAX
    }

    /// Why a pod is refused, or nothing: one mistake on the line of the sentence, several on lines of their
    /// own, since that is how people see it.
    pub(crate) fn message(&self) -> Option<String> {
        let all = self.listed.len() + self.more;
        let lines = self.listed.join("\n");
        match all {
            0 => None,
            1 => Some(format!("cannot inject: {lines}")),
            _ if self.more == 0 => Some(format!("cannot inject, {all} mistakes:\n{lines}")),
            _ => Some(format!("cannot inject, {all} mistakes:\n{lines}\nand {} more", self.more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_its_line() {
        let mut problems = Problems::default();
        assert_eq!(problems.message(), None);
        problems.note("a", "is\nwrong");
        assert_eq!(problems.message().as_deref(), Some("cannot inject: a: is wrong"));
        problems.note("a", "is\nwrong");
        problems.note("b", "too");
        let two = "cannot inject, 2 mistakes:\na: is wrong\nb: too";
        assert_eq!(problems.message().as_deref(), Some(two));
        (0..30).for_each(|i| problems.note(i, "x".repeat(1000)));
        let text = problems.message().unwrap();
        assert_eq!(text.lines().count(), 1 + LISTED_MAX + 1);
        assert!(text.ends_with("\nand 12 more"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= PROBLEM_CHARS_MAX));
    }
}
