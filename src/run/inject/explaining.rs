//! What `--explain` prints: lines for people, or one JSON document for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Telling, Totals, count};
use crate::base::json::Json;
use crate::domain::inject::Verdict;
use crate::domain::inject::explain::Explanation;
use crate::domain::inject::manifest::Found;

/// What is to be told so far.
pub(super) struct Told {
    lines: String,
    pods: Vec<Json>,
    telling: Option<Telling>,
    warnings: Vec<Json>,
}

impl Told {
    pub(super) fn new(telling: Option<Telling>) -> Self {
        Self { lines: String::new(), pods: Vec::new(), telling, warnings: Vec::new() }
    }

    pub(super) fn pod(&mut self, file: &str, found: &Found) {
        let all = match self.telling {
            None => return,
            Some(Telling::Json) => return self.pods.push(pod(file, found)),
            Some(telling) => telling == Telling::All,
        };
        let Found { explanation, outcome, .. } = found;
        let (decision, reason) = (word(outcome.verdict), outcome.reason);
        // Writing to a String cannot fail.
        let _infallible =
            writeln!(self.lines, "{found}: {decision} ({reason}): {}", outcome.message);
        for line in explanation.lines(all) {
            let _infallible = writeln!(self.lines, "  {line}");
        }
        for warning in &outcome.warnings {
            let _infallible = writeln!(self.lines, "  warns {warning}");
        }
    }

    /// Something about a document that is no matter of one pod.
    pub(super) fn warning(&mut self, file: &str, place: &str, path: &str, message: &str) {
        match self.telling {
            None => {}
            Some(Telling::Json) => self.warnings.push(object([
                ("file", text(file)),
                ("message", text(message)),
                ("object", text(place)),
                ("path", text(path)),
            ])),
            Some(Telling::All | Telling::Short) => {
                let _infallible = writeln!(self.lines, "{place}: warning: {message}");
            }
        }
    }

    pub(super) fn finish(self, totals: &Totals) -> String {
        let Totals { denied, injected, objects, skipped, warnings } = *totals;
        if self.telling == Some(Telling::Json) {
            let number = |number: usize| Json::Number(number.to_string().into());
            let document = object([
                ("pods", Json::Array(self.pods)),
                (
                    "totals",
                    object([
                        ("denied", number(denied)),
                        ("injected", number(injected)),
                        ("objects", number(objects)),
                        ("skipped", number(skipped)),
                        ("warnings", number(warnings)),
                    ]),
                ),
                ("warnings", Json::Array(self.warnings)),
            ]);
            return format!("{}\n", document.to_text());
        }
        let pods = count(denied + injected + skipped, "pod");
        let mut lines = self.lines;
        let _infallible = write!(
            lines,
            "total: {}, {pods}: {injected} injected, {skipped} skipped, {denied} denied",
            count(objects, "object")
        );
        if warnings > 0 {
            let _infallible = write!(lines, ", {}", count(warnings, "warning"));
        }
        lines.push('\n');
        lines
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Deny => "deny",
        Verdict::Inject => "inject",
        Verdict::Skip => "skip",
    }
}

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Json::Object(members.collect::<BTreeMap<_, _>>())
}

fn pod(file: &str, found: &Found) -> Json {
    let Found { explanation, kind, name, namespace, outcome, path, .. } = found;
    let Explanation { added, configuration, files, flavor, ignored, login, settings, token } =
        explanation;
    let list = |items: &[String]| Json::Array(items.iter().map(|item| text(item)).collect());
    let files = files.iter().map(|file| {
        object([
            ("content", text(&file.content)),
            ("mode", text(&file.mode)),
            ("path", text(&file.path)),
        ])
    });
    let settings = settings.iter().map(|setting| {
        object([
            ("default", Json::Bool(setting.is_default)),
            ("name", text(&setting.name)),
            ("source", text(&setting.source)),
            ("value", text(&setting.value)),
        ])
    });
    let added = added
        .iter()
        .map(|added| object([("path", text(&added.path)), ("what", text(&added.what))]));
    object([
        ("added", Json::Array(added.collect())),
        ("configuration", configuration.clone().unwrap_or(Json::Null)),
        ("decision", text(word(outcome.verdict))),
        ("file", text(file)),
        ("files", Json::Array(files.collect())),
        ("flavor", text(flavor)),
        ("ignored", list(ignored)),
        ("kind", text(kind)),
        ("login", text(login)),
        ("message", text(&outcome.message)),
        ("name", text(name)),
        ("namespace", text(namespace)),
        ("path", text(path)),
        ("reason", text(outcome.reason)),
        ("settings", Json::Array(settings.collect())),
        ("token", text(token)),
        ("warnings", list(&outcome.warnings)),
    ])
}
