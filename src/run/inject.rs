//! The mode `inject`: the webhook's decision about manifests in files.

use std::fmt::Write as _;

use crate::adapter::manifest::{self, Form};
use crate::base::json::Json;
use crate::domain::inject::manifest::{Found, inject};
use crate::domain::inject::{InjectConfig, Verdict};
use crate::run::limits::FILE_BYTES_MAX;

/// What to do.
pub(crate) struct Options {
    /// The webhook's settings.
    pub(crate) config: InjectConfig,
    /// Print what was decided and why instead of manifests.
    pub(crate) explain: bool,
    /// `-` is standard input.
    pub(crate) files: Vec<String>,
    /// For manifests that name none.
    pub(crate) namespace: String,
}

/// What to print, and whether everything went well. After a denial or a file that cannot be read there is
/// no output: half of a manifest must not reach a cluster.
pub(crate) struct Report {
    pub(crate) complaints: String,
    pub(crate) good: bool,
    pub(crate) output: String,
}

/// Reads the files and injects into what they hold.
pub(crate) fn run(options: &Options) -> Report {
    let mut report = Report { complaints: String::new(), good: true, output: String::new() };
    let mut form = Form::Json;
    let mut documents = Vec::new();
    for file in &options.files {
        let read = manifest::read(file, FILE_BYTES_MAX)
            .and_then(|text| manifest::parse(&text).map_err(|clause| format!("{file}: {clause}")));
        match read {
            Ok((own, found)) => {
                // YAML holds JSON, not the other way round.
                form = if own == Form::Yaml || options.files.len() > 1 { Form::Yaml } else { own };
                documents.extend(found);
            }
            Err(clause) => report.complain(&clause),
        }
    }
    for document in &mut documents {
        for found in inject(document, &options.namespace, &options.config) {
            report.tell(&found, options.explain);
        }
    }
    if !options.explain {
        report.print(form, &documents);
    }
    report
}

impl Report {
    fn complain(&mut self, line: &str) {
        self.good = false;
        self.complaints.push_str(line);
        self.complaints.push('\n');
    }

    fn print(&mut self, form: Form, documents: &[Json]) {
        if self.good {
            self.output = manifest::write(form, documents);
        }
    }

    fn tell(&mut self, found: &Found, explain: bool) {
        let Found { explanation, name, outcome } = found;
        if outcome.verdict == Verdict::Deny && !explain {
            self.complain(&format!("{name}: {}", outcome.message));
        } else if outcome.verdict == Verdict::Deny {
            self.good = false;
        }
        let mut text = String::new();
        let decision = match outcome.verdict {
            Verdict::Deny => "deny",
            Verdict::Inject => "inject",
            Verdict::Skip => "skip",
        };
        let reason = outcome.reason;
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{name}: {decision} ({reason}): {}", outcome.message);
        for line in explanation {
            let _infallible = writeln!(text, "  {line}");
        }
        for warning in &outcome.warnings {
            let _infallible = writeln!(text, "  warns {warning}");
            if !explain {
                let _infallible = writeln!(self.complaints, "{name}: warning: {warning}");
            }
        }
        if explain {
            self.output.push_str(&text);
        }
    }
}
