//! The template language: Go's text/template with the functions of consul-template.
//!
//! A template never fetches. It looks into a [`Snapshot`]; what is not there is noted and evaluation
//! goes on with an empty value, so that one pass finds every independent secret. The driver fetches what
//! was lacking and renders again. A pass that lacks something decides nothing, not even an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::base::secret::SecretBytes;
use crate::base::time::Wall;
use crate::domain::vault::Reading;
use crate::domain::x509::Bundle;

mod any_map;
mod asked;
mod budget;
mod chance;
mod decimal;
mod entries;
mod error;
pub(crate) mod excerpt;
mod fields;
mod functions;
mod go;
mod live;
mod moment;
mod named;
mod network;
mod semver;
mod value;

pub use asked::Asked;
pub use budget::Budget;
pub use chance::Seed;
use error::Fault;
pub use error::{Note, TemplateError};
pub use functions::{FunctionDoc, list as list_functions};
use go::eval::Eval;
use go::foreign;
use go::parser::{self, Parsed};
pub use network::{Flags, Interface};

/// Something of the outside that a template asks for. The key of a [`Snapshot`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// A certificate (`pkiCert "path" "key=value"`), the same one for all files that ask for it so. One
    /// that stands in them already is used as long as it is good.
    Certificate {
        /// As the template writes it, blanks and outer slashes trimmed.
        path: String,
        /// What is sent; every value is a string.
        fields: BTreeMap<String, String>,
    },
    /// The content of a file beside the agent.
    File {
        /// Its path.
        path: String,
        /// The folder it must lie in, when links are followed; any when there is none.
        sandbox: Option<String>,
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
            Self::Certificate { path, .. }
            | Self::File { path, .. }
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
            Self::Certificate { .. } => "certificate",
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
    /// A certificate with its key.
    Certificate(Arc<Bundle>),
    /// The content of a file.
    File(SecretBytes),
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
    /// The network interfaces that `sockaddr` sees, in the order of the machine.
    pub interfaces: Vec<Interface>,
    /// What random bytes are made from; without it the functions that draw some fail.
    pub seed: Option<Seed>,
    /// Whether what is not in `found` does not exist (offline) rather than not being known yet.
    pub complete: bool,
}

/// A file that a template writes beside its own (`writeToFile`). `Debug` shows no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileWrite {
    /// Where to.
    pub path: String,
    /// Name or number; empty for the one who writes, or the owner of the file that is there.
    pub user: String,
    /// Name or number; empty as for the user.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether what is there stays before the content.
    pub appends: bool,
    /// What is written.
    pub content: SecretBytes,
}

/// A finished text and what it was made of.
pub struct Rendered<'s> {
    /// The text; bytes of any kind, since templates decode base64.
    pub text: SecretBytes,
    /// Everything that was asked for, found or absent.
    pub used: Asked<'s>,
    /// What else is to be written, in this order.
    pub writes: Vec<FileWrite>,
}

/// What came of a render.
pub enum Outcome<'s> {
    /// Rendered whole.
    Done(Rendered<'s>),
    /// Something is not known yet: fetch it and render again.
    Lack {
        /// What is not in the snapshot.
        lacking: BTreeSet<Want>,
        /// Everything that was asked for, known or not.
        used: BTreeSet<Want>,
    },
    /// The template is wrong, or a bound was reached, with nothing lacking; and all that was asked for.
    Fail(TemplateError, BTreeSet<Want>),
}

/// A parsed template, ready to render any number of times.
pub struct Template {
    parsed: Parsed,
    text: Box<str>,
    destination: String,
    sandbox: Option<Box<str>>,
}

impl Template {
    /// Parses `text`. `left` and `right` are the delimiters, `{{` and `}}` when empty. `name` is used in
    /// errors only.
    pub fn parse(
        name: &str,
        text: &str,
        left: &str,
        right: &str,
        budget: Budget,
    ) -> Result<Self, TemplateError> {
        let or = |given: &'_ str, usual: &'static str| {
            if given.is_empty() { usual.to_owned() } else { given.to_owned() }
        };
        let (left, right) = (or(left, "{{"), or(right, "}}"));
        match parser::parse(name, text, &left, &right, budget.depth) {
            Ok(parsed) => {
                Ok(Self { parsed, text: text.into(), destination: String::new(), sandbox: None })
            }
            Err(fault) => Err(fault.into_error(text)),
        }
    }

    /// Parses the content of a file, which need not be UTF-8: other bytes come through as they are.
    pub fn parse_source(
        name: &str,
        source: &[u8],
        left: &str,
        right: &str,
        budget: Budget,
    ) -> Result<Self, TemplateError> {
        if let Ok(text) = std::str::from_utf8(source) {
            return Self::parse(name, text, left, right, budget);
        }
        let Some(text) = foreign::readable(source) else {
            let fault = Fault::new("neither UTF-8 nor free of U+10FF80 to U+10FFFF".to_owned());
            return Err(fault.at(0, name).into_error(""));
        };
        let mut template = Self::parse(name, &text, left, right, budget)?;
        foreign::restore(&mut template.parsed);
        Ok(template)
    }

    /// The template with a folder that every file it reads must lie in.
    #[must_use]
    pub fn in_sandbox(self, folder: Option<&str>) -> Self {
        Self { sandbox: folder.map(Into::into), ..self }
    }

    /// Whether the interfaces of the machine can make a difference: whether the text names the function
    /// that sees them.
    pub fn may_see_interfaces(&self) -> bool {
        self.text.contains("sockaddr")
    }

    /// The same template for a file: what is drawn is drawn for it.
    #[must_use]
    pub fn for_file(self, destination: &str) -> Self {
        Self { destination: destination.to_owned(), ..self }
    }

    /// Evaluates the template. `error_on_missing_key` is Go's `missingkey=error`.
    pub fn render<'s>(
        &'s self,
        snapshot: &'s Snapshot,
        error_on_missing_key: bool,
        budget: Budget,
    ) -> Outcome<'s> {
        let mut eval = Eval::new(&self.parsed, snapshot, error_on_missing_key, budget);
        eval.sandbox = self.sandbox.as_deref();
        // Most outputs are no longer than their templates.
        eval.reserve(self.text.len());
        eval.destination = &self.destination;
        let output = eval.run();
        let used = std::mem::take(&mut eval.asked);
        let lacking = if snapshot.complete { BTreeSet::new() } else { used.unknown() };
        if !lacking.is_empty() {
            return Outcome::Lack { lacking, used: used.iter().cloned().collect() };
        }
        match output {
            Ok(text) => {
                let writes = std::mem::take(&mut eval.writes);
                Outcome::Done(Rendered { text: SecretBytes::new(text), used, writes })
            }
            Err(fault) => {
                let used = used.iter().cloned().collect();
                Outcome::Fail(fault.into_error(&self.text), used)
            }
        }
    }
}
