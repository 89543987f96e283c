//! The template language: Go's text/template with the functions of consul-template.
//!
//! A template never fetches. It looks into a [`Snapshot`]; what is not there is noted and evaluation
//! goes on with an empty value, so that one pass finds every independent secret. The driver fetches what
//! was lacking and renders again. A pass that lacks something decides nothing, not even an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::base::secret::Secret;
use crate::base::time::Wall;
use crate::domain::vault::Reading;

/// Something of the outside that a template asks for. The key of a [`Snapshot`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The content of a file beside the agent.
    File {
        /// Its path.
        path: String,
    },
    /// The names below a path (`secrets "path/"`).
    List {
        /// As the template writes it, blanks and outer slashes trimmed.
        path: String,
    },
    /// A secret that is read (`secret "path"`).
    Read {
        /// As the template writes it, blanks and outer slashes trimmed; may end in `?version=n`.
        path: String,
    },
    /// A secret that is written to be had (`secret "path" "key=value"`).
    Write {
        /// As the template writes it, blanks and outer slashes trimmed.
        path: String,
        /// What is sent; every value is a string. May hold secrets.
        fields: BTreeMap<String, String>,
    },
}

impl Want {
    /// The path, without what is sent to it.
    pub fn path(&self) -> &str {
        match self {
            Self::File { path }
            | Self::List { path }
            | Self::Read { path }
            | Self::Write { path, .. } => path,
        }
    }
}

/// Names the kind and the path; never what is written.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::File { .. } => "file",
            Self::List { .. } => "list",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
        };
        write!(f, "{kind} {}", self.path())
    }
}

impl fmt::Debug for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was found for a [`Want`]. `Debug` shows no content.
#[derive(Clone)]
pub enum Found {
    /// It does not exist: the call yields nil, an empty list or an empty text.
    Absent,
    /// The content of a file.
    File(Secret),
    /// Names, sorted.
    List(Vec<String>),
    /// A response of Vault.
    Reading(Arc<Reading>),
}

/// All a template can know of the outside.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// What is known so far.
    pub found: BTreeMap<Want, Found>,
    /// The environment that `env` and its kin see.
    pub env: BTreeMap<String, String>,
    /// The time that `timestamp` sees; `None` stands for the epoch.
    pub now: Option<Wall>,
    /// Whether what is not in `found` does not exist (offline) rather than not being known yet.
    pub complete: bool,
}

/// Bounds of one render. A hostile template ends in an error, never in a hang or an overflow.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Evaluation steps: nodes visited, plus one per element or per 64 bytes that a function works on.
    pub steps: u64,
    /// Nesting of actions, parentheses and template calls, in the parser and in the evaluator.
    pub depth: usize,
    /// Bytes of output, and of any single intermediate text.
    pub output_bytes: usize,
}

/// A finished text and what it was made of.
pub struct Rendered {
    /// The text.
    pub text: Secret,
    /// Everything that was asked for, found or absent.
    pub used: BTreeSet<Want>,
}

/// What came of a render.
pub enum Outcome {
    /// Rendered whole.
    Done(Rendered),
    /// Something is not known yet: fetch it and render again.
    Lack {
        /// What is not in the snapshot.
        lacking: BTreeSet<Want>,
        /// Everything that was asked for, known or not.
        used: BTreeSet<Want>,
    },
    /// The template is wrong, or a bound was reached, with nothing lacking.
    Fail(TemplateError),
}

/// Where and why a template failed. Never holds a value that came from a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The template's name as given to [`Template::parse`], or of the `define` it is in.
    pub template: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// One clause, no full stop.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}:{}:{}: {}", self.template, self.line, self.column, self.message)
    }
}

impl std::error::Error for TemplateError {}

/// A parsed template, ready to render any number of times.
pub struct Template {}

impl Template {
    /// Parses `text`. `left` and `right` are the delimiters, `{{` and `}}` when empty. `name` is used in
    /// errors only.
    pub fn parse(
        _name: &str,
        _text: &str,
        _left: &str,
        _right: &str,
        _budget: Budget,
    ) -> Result<Self, TemplateError> {
        Ok(Self {})
    }

    /// Evaluates the template. `error_on_missing_key` is Go's `missingkey=error`.
    pub fn render(
        &self,
        _snapshot: &Snapshot,
        _error_on_missing_key: bool,
        _budget: Budget,
    ) -> Outcome {
        Outcome::Done(Rendered { text: Secret::new(""), used: BTreeSet::new() })
    }
}
