//! The mode `inject`: the webhook's decision about manifests in files.

mod explaining;

use crate::adapter::manifest::{self, Form};
use crate::base::rewrite::{self, Edit, Kept};
use crate::base::source::Document;
use crate::domain::inject::manifest::{Findings, Found, Injector, Listed};
use crate::domain::inject::{InjectConfig, Verdict};
use crate::run::limits::MANIFEST_BYTES_MAX;

/// What to do.
pub(crate) struct Options {
    /// The webhook's settings.
    pub(crate) config: InjectConfig,
    /// Tell what was decided and why instead of printing manifests.
    pub(crate) explain: Option<Telling>,
    /// Files and folders; `-` is standard input.
    pub(crate) files: Vec<String>,
    /// For manifests that name none.
    pub(crate) namespace: String,
    /// Whether a warning is a failure.
    pub(crate) strict: bool,
}

/// How decisions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Every setting and everything that is added, line by line.
    All,
    /// One JSON document.
    Json,
    /// What differs from the defaults, and what comes of it.
    Short,
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
    let mut session = Session::new(options);
    for name in &options.files {
        match manifest::list(name) {
            Ok(files) => files.iter().for_each(|file| session.file(file)),
            Err(clause) => session.complain(&clause),
        }
    }
    session.finish()
}

/// How many there were of what.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    denied: usize,
    injected: usize,
    objects: usize,
    skipped: usize,
    warnings: usize,
}

/// A text that was read, and what is to be changed in it.
struct Read {
    edits: Vec<Edit>,
    form: Form,
    text: String,
}

struct Session<'o> {
    options: &'o Options,
    has_manifests: bool,
    read: Vec<Read>,
    report: Report,
    told: explaining::Told,
    totals: Totals,
}

impl<'o> Session<'o> {
    fn new(options: &'o Options) -> Self {
        let report = Report { complaints: String::new(), good: true, output: String::new() };
        Self {
            options,
            has_manifests: false,
            read: Vec::new(),
            report,
            told: explaining::Told::new(options.explain),
            totals: Totals::default(),
        }
    }

    fn file(&mut self, file: &str) {
        let text = match manifest::read(file, MANIFEST_BYTES_MAX) {
            Ok(text) => text,
            Err(clause) => return self.complain(&clause),
        };
        let (form, documents) = manifest::documents(&text);
        let mut edits = Vec::new();
        let mut lines = Lines { at: 0, line: 1 };
        for document in documents {
            match document {
                Ok(document) => {
                    let line = lines.of(&text, document.root.start());
                    self.document(&format!("{file}:{line}"), file, &text, &document, &mut edits);
                }
                Err(clause) => self.complain(&format!("{file}: {clause}")),
            }
        }
        self.read.push(Read { edits, form, text });
    }

    /// `place` is for people.
    fn document(
        &mut self,
        place: &str,
        file: &str,
        text: &str,
        document: &Document,
        edits: &mut Vec<Edit>,
    ) {
        let options = self.options;
        let injector = Injector {
            config: &options.config,
            explains: options.explain.is_some(),
            namespace: &options.namespace,
        };
        let mut findings = Findings::default();
        let (mut json, mut own, mut kept) = (None, Vec::new(), Some(Kept::All));
        let is_wanted = |found: &Found| found.outcome.verdict == Verdict::Inject;
        if let Some(list) = Listed::of(&document.root) {
            // Item by item: a cluster's pods take several times the memory at once.
            findings.append(injector.inject(&mut list.frame.clone()));
            for item in list.items {
                let mut changed = item.to_json();
                let of_item = injector.inject_item(&mut changed, &list);
                if options.explain.is_none() && of_item.pods.iter().any(is_wanted) {
                    kept = kept.and_then(|kept| {
                        let of_part =
                            rewrite::rewrite_part(text, document, item, &changed, &mut own)?;
                        Some(if kept == Kept::All { of_part } else { kept })
                    });
                }
                self.tell(file, &of_item);
                findings.append(Findings { pods: Vec::new(), strays: Vec::new(), ..of_item });
            }
        } else {
            let mut changed = document.root.to_json();
            findings = injector.inject(&mut changed);
            if options.explain.is_none() && findings.pods.iter().any(is_wanted) {
                (json, kept) = (Some(changed), None);
            }
        }
        if !findings.is_manifest {
            self.warn(file, place, "", "no object of Kubernetes, which has a kind: left as it is");
        }
        self.has_manifests |= findings.is_manifest;
        self.totals.objects += findings.objects;
        self.tell(file, &findings);
        if let Some(kept) = kept {
            edits.append(&mut own);
            return self.note_lost(place, kept);
        }
        // What an item alone cannot say: the decisions are the same, and told already.
        let json = json.unwrap_or_else(|| {
            let mut json = document.root.to_json();
            injector.inject(&mut json);
            json
        });
        let kept = rewrite::rewrite(text, document, &json, edits);
        self.note_lost(place, kept);
    }

    /// Says what a document lost beside its changes.
    fn note_lost(&mut self, place: &str, kept: Kept) {
        let lost = match kept {
            Kept::All => return,
            Kept::Most => {
                "comments and order of a part of this document are not kept: it is written in a way that takes no other line"
            }
            Kept::ValuesOnly => {
                "comments and order of this document are not kept: others refer to what changes in it, or it is written in a \
                 way that takes no other line"
            }
        };
        self.report.complaints.push_str(&format!("{place}: note: {lost}\n"));
    }

    fn tell(&mut self, file: &str, findings: &Findings) {
        for found in &findings.pods {
            self.pod(file, found);
        }
        for stray in &findings.strays {
            self.warn(file, &stray.object, &stray.path, &stray.message);
        }
    }

    fn pod(&mut self, file: &str, found: &Found) {
        match found.outcome.verdict {
            Verdict::Deny => self.totals.denied += 1,
            Verdict::Inject => self.totals.injected += 1,
            Verdict::Skip => self.totals.skipped += 1,
        }
        let is_explained = self.options.explain.is_some();
        if found.outcome.verdict == Verdict::Deny {
            self.report.good = false;
            if !is_explained {
                self.complain(&format!("{found}: {}", found.outcome.message));
            }
        }
        self.told.pod(file, found);
        for warning in &found.outcome.warnings {
            self.totals.warnings += 1;
            if !is_explained {
                self.report.complaints.push_str(&format!("{found}: warning: {warning}\n"));
            }
        }
    }

    fn warn(&mut self, file: &str, place: &str, path: &str, message: &str) {
        self.totals.warnings += 1;
        self.told.warning(file, place, path, message);
        if self.options.explain.is_none() {
            self.report.complaints.push_str(&format!("{place}: warning: {message}\n"));
        }
    }

    fn complain(&mut self, line: &str) {
        self.report.good = false;
        self.report.complaints.push_str(line);
        self.report.complaints.push('\n');
    }

    fn finish(mut self) -> Report {
        if self.report.good && !self.has_manifests {
            self.complain(&format!("no objects found in {}", self.options.files.join(", ")));
        }
        if self.options.strict && self.totals.warnings > 0 {
            self.complain(&format!("--strict: {}", count(self.totals.warnings, "warning")));
        }
        if self.options.explain.is_some() {
            self.report.output = self.told.finish(&self.totals);
        } else if self.report.good {
            self.report.output = joined(&self.read);
        }
        self.report
    }
}

/// `1 pod`, `2 pods`
fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// One stream of all texts. JSON texts follow each other; where some are YAML, all are documents of it, since
/// YAML holds JSON.
fn joined(read: &[Read]) -> String {
    let is_yaml = read.iter().any(|read| read.form == Form::Yaml);
    let mut out = String::new();
    for (i, Read { edits, text, .. }) in read.iter().enumerate() {
        let mut part = rewrite::apply(text, edits);
        if read.len() > 1 {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            part = part.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(part);
            let is_marked = part.starts_with("---") || part.starts_with('%');
            // Readers guess by the first bytes what a stream is.
            let is_first_json =
                i == 0 && read.first().is_some_and(|first| first.form == Form::Json);
            if is_yaml && !is_marked && (i > 0 || is_first_json) {
                out.push_str("---\n");
            }
        }
        if out.is_empty() { out = part } else { out.push_str(&part) }
    }
    out
}

/// Counts lines, from the start to later and later places.
struct Lines {
    at: usize,
    line: usize,
}

impl Lines {
    fn of(&mut self, text: &str, at: usize) -> usize {
        let passed = text.get(self.at..at).unwrap_or_default();
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.at = at.max(self.at);
        self.line
    }
}
