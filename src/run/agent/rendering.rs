//! Templates to files: what is dirty is rendered, what is new is written, what was written is followed by
//! its command.

use std::collections::BTreeSet;
use std::path::Path;

use crate::adapter::clock::Clock;
use crate::adapter::files::{self, Manner, Owner, Replaced};
use crate::adapter::owners;
use crate::base::json::Json;
use crate::base::report::OneLine;
use crate::base::secret::SecretBytes;
use crate::base::time::Mono;
use crate::domain::agent_config::{Command, TemplateBody, TemplateConfig};
use crate::domain::format::{self, Format, tiny};
use crate::domain::schedule::{Pass, QuietTimer};
use crate::domain::template::{FileWrite, Found, Outcome, Snapshot, Template, Want};
use crate::run::file_writes;
use crate::run::limits::{FILE_BYTES_MAX, RENDER, RENDER_PASSES_MAX};
use crate::telemetry::log::Log;

/// What makes a file, ready for use.
enum Body {
    /// It never will be; why.
    Broken(String),
    Format(Want, Format),
    Go(Template),
    Tiny(Want, String),
}

/// One file to keep.
struct File {
    destination: String,
    /// For the log: `(dynamic)`, or the path of the template.
    source: String,
    body: Body,
    command: Option<Command>,
    manner: Manner,
    error_on_missing_key: bool,
    error_fatal: bool,
    sandbox: Option<String>,
    /// Once all files are there, it is written when changes have ceased.
    quiet: Option<QuietTimer>,
    /// What it wrote beside its own file when it was last whole.
    written: Vec<FileWrite>,
    /// Everything it asked for when it was last rendered.
    used: BTreeSet<Want>,
    is_dirty: bool,
    is_on_disk: bool,
    /// Passes since it was whole that found a secret which those before could not see.
    passes: usize,
    error: Option<String>,
    /// It was rendered; what failed was to write it.
    is_rendered: bool,
}

/// All files.
pub(super) struct Files {
    files: Vec<File>,
    /// A pass is wanted, though there may be no file at all.
    is_dirty: bool,
    clock: Clock,
    log: Log,
}

/// What a file still lacks, for the last words of a process that failed.
pub(super) struct Unwritten<'a> {
    pub(super) destination: &'a str,
    pub(super) error: Option<&'a str>,
    pub(super) used: &'a BTreeSet<Want>,
}

impl Files {
    /// Parses every template, once. One that cannot be parsed is a file that fails; the others go on. One
    /// that cannot be read is an error, before a login: only a new container can find it.
    pub(super) fn open(
        templates: &[TemplateConfig],
        clock: Clock,
        log: Log,
    ) -> Result<Self, String> {
        let files = templates.iter().map(File::open).collect::<Result<_, _>>()?;
        Ok(Self { files, is_dirty: true, clock, log })
    }

    /// Whether the interfaces of the machine can make a difference.
    pub(super) fn may_see_interfaces(&self) -> bool {
        self.files.iter().any(|file| match &file.body {
            Body::Go(template) => template.may_see_interfaces(),
            Body::Broken(_) | Body::Format(..) | Body::Tiny(..) => false,
        })
    }

    /// Has every file rendered again.
    pub(super) fn all_changed(&mut self) {
        self.is_dirty = true;
        let now = self.clock.now();
        for file in &mut self.files {
            file.changed(now);
        }
    }

    /// Has the files rendered again that use `want`; there is a pass though none does.
    pub(super) fn changed(&mut self, want: &Want) {
        let now = self.clock.now();
        self.is_dirty = true;
        for file in self.files.iter_mut().filter(|file| file.used.contains(want)) {
            file.changed(now);
        }
    }

    /// Whether there is something to render now.
    pub(super) fn is_dirty(&self) -> bool {
        let wakes_at = self.wakes_at();
        self.is_dirty && wakes_at.is_none_or(|at| at <= self.clock.now())
    }

    /// When the first file is due whose changes have not ceased yet, if only such files are left to render.
    pub(super) fn wakes_at(&self) -> Option<Mono> {
        if !self.is_dirty || !self.are_all_there() {
            return None;
        }
        let dirty = self.files.iter().filter(|file| file.is_dirty);
        let due: Option<Vec<Mono>> = dirty.map(|file| file.quiet.as_ref()?.due()).collect();
        due?.into_iter().min()
    }

    /// Before that no file waits for anything but its secrets.
    fn are_all_there(&self) -> bool {
        self.files.iter().all(|file| file.is_on_disk && file.error.is_none())
    }

    /// The destinations that use one of `wants`.
    pub(super) fn destinations(&self, wants: &BTreeSet<Want>) -> Vec<String> {
        let using = self.files.iter().filter(|file| !file.used.is_disjoint(wants));
        using.map(|file| file.destination.clone()).collect()
    }

    /// The files that are not on disk as they should be.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = Unwritten<'_>> {
        let unwritten = self.files.iter().filter(|file| !file.is_on_disk || file.error.is_some());
        unwritten.map(|file| Unwritten {
            destination: &file.destination,
            error: file.error.as_deref(),
            used: &file.used,
        })
    }

    fn failed(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.error.is_some())
    }

    /// Everything that files ask for which could not be rendered.
    pub(super) fn suspects(&self) -> BTreeSet<&Want> {
        self.failed().flat_map(File::suspects).collect()
    }

    /// Renders what is dirty and writes what is whole, unless `may_write` is false: then it only finds
    /// out what is wanted. Returns the commands to run, too.
    pub(super) fn render(&mut self, snapshot: &Snapshot, may_write: bool) -> (Pass, Vec<Command>) {
        let mut commands: Vec<Command> = Vec::new();
        let (now, may_wait) = (self.clock.now(), self.are_all_there());
        let is_due = |file: &File| !(may_wait && file.waits(now));
        for file in self.files.iter_mut().filter(|file| file.is_dirty && is_due(file)) {
            file.is_dirty = false;
            file.quiet.iter_mut().for_each(QuietTimer::done);
            match file.render(snapshot, may_write) {
                Ok(None) => {}
                Ok(Some(Replaced::Unchanged)) => {
                    self.log.debug("(runner) unchanged", &[("destination", &file.destination)]);
                }
                Ok(Some(Replaced::Written)) => {
                    let (source, destination) = (&file.source, &file.destination);
                    let fields: [(&str, &dyn std::fmt::Display); 2] =
                        [("source", source), ("destination", destination)];
                    // The words that people wait for.
                    let line = format!("(runner) rendered \"{source}\" => \"{destination}\"");
                    self.log.info(&line, &fields);
                    // Identical commands run once.
                    commands.extend(file.command.clone().filter(|c| !commands.contains(c)));
                }
                // Before the login the same error would come again after it.
                Err(_) if !may_write => {}
                Err(error) => {
                    self.log.error(
                        "(runner) could not render",
                        &[("destination", &file.destination), ("error", &error)],
                    );
                    file.error = Some(error);
                }
            }
        }
        self.is_dirty = self.files.iter().any(|file| file.is_dirty);
        let pass = Pass {
            wanted: self.files.iter().flat_map(|file| file.used.iter().cloned()).collect(),
            is_complete: self.are_all_there() && !self.is_dirty,
            is_tolerated: self.failed().all(|file| !file.error_fatal),
            failed: self.failed().map(|file| file.suspects().cloned().collect()).collect(),
            has_started_commands: !commands.is_empty(),
        };
        (pass, commands)
    }
}

impl File {
    fn open(config: &TemplateConfig) -> Result<Self, String> {
        let (source, body) = open_body(config)?;
        let unknown = |error| format!("{}: {}", config.destination, OneLine(&error));
        let owner = Owner {
            user: owners::user(&config.user).map_err(unknown)?,
            group: owners::group(&config.group).map_err(unknown)?,
        };
        Ok(Self {
            destination: config.destination.clone(),
            source,
            body,
            command: config.command.clone(),
            manner: Manner {
                mode: config.perms,
                owner,
                creates_folders: config.create_dest_dirs,
                keeps_before: config.backup,
            },
            error_on_missing_key: config.error_on_missing_key,
            error_fatal: config.error_fatal,
            sandbox: config.sandbox_path.clone(),
            quiet: config.wait.map(|quiet| QuietTimer::new(quiet.min, quiet.max)),
            written: Vec::new(),
            used: BTreeSet::new(),
            is_dirty: true,
            is_on_disk: false,
            passes: 0,
            error: None,
            is_rendered: false,
        })
    }

    fn changed(&mut self, now: Mono) {
        self.is_dirty = true;
        self.quiet.iter_mut().for_each(|quiet| quiet.changed(now));
    }

    fn waits(&self, now: Mono) -> bool {
        self.quiet.as_ref().and_then(QuietTimer::due).is_some_and(|due| due > now)
    }

    /// What became of the file; nothing when something is lacking.
    fn render(&mut self, snapshot: &Snapshot, may_write: bool) -> Result<Option<Replaced>, String> {
        self.error = None;
        self.is_rendered = false;
        let mut writes = Vec::new();
        let text = match &self.body {
            Body::Broken(why) => return Err(why.clone()),
            Body::Format(want, format) => {
                let rendered = self_with(&mut self.used, want, snapshot)
                    .map(|data| format::render(format, data).map_err(|e| OneLine(&e).to_string()));
                let Some(text) = rendered.transpose()? else { return Ok(None) };
                SecretBytes::from(&text)
            }
            Body::Tiny(want, text) => {
                let rendered = self_with(&mut self.used, want, snapshot)
                    .map(|data| tiny::render(text, data).map_err(|e| OneLine(&e).to_string()));
                let Some(text) = rendered.transpose()? else { return Ok(None) };
                SecretBytes::from(&text)
            }
            Body::Go(template) => {
                match template.render(snapshot, self.error_on_missing_key, RENDER) {
                    Outcome::Done(rendered) => {
                        rendered.used.copy_to(&mut self.used);
                        writes = rendered.writes;
                        rendered.text
                    }
                    Outcome::Lack { lacking: _, used } => {
                        // Answers come one by one; only what was not asked for before is a new round.
                        self.passes += usize::from(!used.is_subset(&self.used));
                        self.used = used;
                        if self.passes > RENDER_PASSES_MAX {
                            return Err(format!(
                                "asks for more secrets at each of {RENDER_PASSES_MAX} passes"
                            ));
                        }
                        return Ok(None);
                    }
                    Outcome::Fail(error, used) => {
                        // What stands behind the place where it failed is wanted still.
                        self.used.extend(used);
                        return Err(error.to_string());
                    }
                }
            }
        };
        self.is_rendered = true;
        if !may_write {
            return Ok(None);
        }
        let is_repeat = writes == self.written;
        file_writes::carry_out(&writes, self.sandbox.as_deref(), is_repeat)?;
        self.written = writes;
        self.write(&text).map(Some)
    }

    /// What may be the cause of a failure: nothing that was read is, when a file cannot be written.
    fn suspects(&self) -> impl Iterator<Item = &Want> {
        self.used.iter().filter(|_| !self.is_rendered)
    }

    fn write(&mut self, text: &SecretBytes) -> Result<Replaced, String> {
        let (target, bytes) = (Path::new(&self.destination), text.expose());
        let written = files::place(target, bytes, self.manner);
        let replaced = written.map_err(|error| OneLine(&error).to_string())?;
        self.passes = 0;
        self.is_on_disk = true;
        Ok(replaced)
    }
}

/// The data of the one secret of a file that needs no template.
fn self_with<'s>(
    used: &mut BTreeSet<Want>,
    want: &Want,
    snapshot: &'s Snapshot,
) -> Option<&'s Json> {
    used.insert(want.clone());
    match snapshot.found.get(want)? {
        Found::Reading(reading) => Some(&reading.data),
        _ => Some(&Json::Null),
    }
}

fn open_body(config: &TemplateConfig) -> Result<(String, Body), String> {
    let dynamic = "(dynamic)".to_owned();
    let read = |secret: &str| {
        let path = secret.trim().trim_matches('/').to_owned();
        Want::Read { path }
    };
    Ok(match &config.body {
        TemplateBody::Format { secret, format } => {
            let body = match Format::parse(format) {
                Ok(format) => Body::Format(read(secret), format),
                Err(error) => Body::Broken(OneLine(&error).to_string()),
            };
            (dynamic, body)
        }
        TemplateBody::Go { contents, left_delimiter, right_delimiter } => {
            let delimiters = (left_delimiter.as_str(), right_delimiter.as_str());
            (dynamic, parse(&config.destination, contents.as_bytes(), delimiters, config))
        }
        TemplateBody::GoFile { source, left_delimiter, right_delimiter } => {
            let text = files::read_bounded(Path::new(source), FILE_BYTES_MAX)
                .map_err(|error| format!("template source: {error}"))?;
            let delimiters = (left_delimiter.as_str(), right_delimiter.as_str());
            (source.clone(), parse(source, &text, delimiters, config))
        }
        TemplateBody::Tiny { secret, contents } => {
            (dynamic, Body::Tiny(read(secret), contents.clone()))
        }
    })
}

/// Templates that cannot be read or are none, with the file that they would have made: one line each.
pub(super) fn mistakes(templates: &[TemplateConfig]) -> impl Iterator<Item = String> {
    templates.iter().filter_map(|config| {
        let why = match open_body(config) {
            Err(why) | Ok((_, Body::Broken(why))) => why,
            Ok((_, Body::Tiny(_, text))) => OneLine(&tiny::compile(&text).err()?).to_string(),
            Ok((_, Body::Format(..) | Body::Go(_))) => return None,
        };
        Some(format!("{}: {why}", config.destination))
    })
}

fn parse(name: &str, text: &[u8], (left, right): (&str, &str), config: &TemplateConfig) -> Body {
    match Template::parse_source(name, text, left, right, RENDER) {
        Ok(template) => {
            let sandbox = config.sandbox_path.as_deref();
            Body::Go(template.for_file(&config.destination).in_sandbox(sandbox))
        }
        Err(error) => Body::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::{Format as LogFormat, Level};

    #[test]
    fn answers_that_come_one_by_one_are_no_new_rounds() {
        let count = RENDER_PASSES_MAX + 50;
        let contents: String = (0..count).map(|i| format!("{{{{ secret \"kv/{i}\" }}}}")).collect();
        let body = TemplateBody::Go {
            contents,
            left_delimiter: "{{".to_owned(),
            right_delimiter: "}}".to_owned(),
        };
        let config = TemplateConfig {
            destination: "/nowhere".to_owned(),
            body,
            command: None,
            perms: None,
            error_on_missing_key: false,
            create_dest_dirs: false,
            sandbox_path: None,
            error_fatal: true,
            backup: false,
            user: String::new(),
            group: String::new(),
            wait: None,
        };
        let log = Log::new(Level::Error, LogFormat::Standard, "test");
        let mut files = Files::open(&[config], Clock::start(), log).unwrap();
        let mut snapshot = Snapshot::default();
        for i in 0..count {
            let (pass, _) = files.render(&snapshot, true);
            assert!(
                pass.failed.is_empty() && !pass.is_complete && pass.wanted.len() == count,
                "{i}"
            );
            let want = Want::Read { path: format!("kv/{i}") };
            files.changed(&want);
            snapshot.found.insert(want, Found::Absent);
        }
    }
}
