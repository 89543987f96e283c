//! Where and why a template failed.

use std::fmt;

/// Where and why a template failed. Never holds a value that came from a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The template's name as given to [`Template::parse`](super::Template::parse), or of the `define`
    /// it is in.
    pub template: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// One clause, no full stop.
    pub message: String,
    /// What may help.
    pub note: Option<Note>,
}

/// What may help with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One clause, no full stop.
    pub text: String,
    /// Line and column that it speaks of.
    pub place: Option<(usize, usize)>,
}

impl TemplateError {
    /// The position of byte `at` of `text`.
    pub(crate) fn at(template: &str, text: &str, at: usize, message: String) -> Self {
        let (line, column) = place(text, at);
        Self { template: template.to_owned(), line, column, message, note: None }
    }
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}:{}:{}: {}", self.template, self.line, self.column, self.message)?;
        match &self.note {
            Some(Note { text, place: None }) => write!(f, " ({text})"),
            Some(Note { text, place: Some((line, column)) }) => {
                write!(f, " ({text} at {line}:{column})")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for TemplateError {}

/// An error on its way to the node it belongs to. Boxed, so that results stay small on deep stacks.
pub(crate) struct Fault(Box<Inner>);

struct Inner {
    message: String,
    /// The byte of the template's text, and the `define` it is in, once they are known.
    at: Option<(usize, String)>,
    /// What may help, and the byte it speaks of.
    note: Option<(String, Option<usize>)>,
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Inner { message: message.into(), at: None, note: None }))
    }

    /// Adds what may help, unless it has that already.
    pub(crate) fn noting(mut self, text: impl Into<String>, at: Option<usize>) -> Self {
        self.0.note.get_or_insert_with(|| (text.into(), at));
        self
    }

    /// The byte where it happened, as far as known.
    pub(crate) fn place(&self) -> usize {
        self.0.at.as_ref().map_or(0, |(at, _)| *at)
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The innermost node that says where it happened counts.
    pub(crate) fn at(mut self, at: usize, template: &str) -> Self {
        self.0.at.get_or_insert_with(|| (at, template.to_owned()));
        self
    }

    /// Names the template where the parser was.
    pub(crate) fn of_tree(mut self, template: &str) -> Self {
        if let Some((_, name)) = &mut self.0.at {
            template.clone_into(name);
        }
        self
    }

    pub(crate) fn within(mut self, function: &str) -> Self {
        if self.0.at.is_none() {
            self.0.message = format!("error calling {function}: {}", self.0.message);
        }
        self
    }

    pub(crate) fn into_error(self, text: &str) -> TemplateError {
        let (at, template) = self.0.at.unwrap_or_default();
        let error = TemplateError::at(&template, text, at, self.0.message);
        let note = self
            .0
            .note
            .map(|(clause, at)| Note { text: clause, place: at.map(|at| place(text, at)) });
        TemplateError { note, ..error }
    }
}
