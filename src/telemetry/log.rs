//! One line per event on standard error: a fixed message and named values, as text or JSON.
//!
//! The text form is the one of Vault's programs, so that what greps their lines greps ours:
//! `2026-04-19T08:13:33.115Z [INFO]  agent.auth: token renewed: ttl=1h0m0s`. Values are `Display`;
//! `Secret` has none, so a secret in a log line does not compile.

use std::fmt::{self, Display, Write as _};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

use super::standard_error::{self, Outlet};

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Someone must act.
    Error,
    /// We degraded and will recover by ourselves.
    Warn,
    /// A state changed.
    Info,
    /// What was received, unchanged or late.
    Debug,
    /// Accepted for compatibility; writes nothing that debug does not.
    Trace,
}

const LEVELS: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

impl Level {
    /// Vault's words: trace, debug, info (also notice and nothing), warn or warning, err or error; any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "trace" => Some(Self::Trace),
            "debug" => Some(Self::Debug),
            "" | "info" | "notice" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warn),
            "err" | "error" => Some(Self::Error),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// Padded as Vault pads it.
    const fn bracket(self) -> &'static str {
        match self {
            Self::Error => "[ERROR]",
            Self::Warn => "[WARN] ",
            Self::Info => "[INFO] ",
            Self::Debug => "[DEBUG]",
            Self::Trace => "[TRACE]",
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object per line, with `@level`, `@message`, `@module`, `@timestamp`.
    Json,
    /// Text.
    Standard,
}

/// Named values of a line.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

/// Of all logs of this process.
static OUTLET: Mutex<Outlet> = Mutex::new(Outlet::new());

/// The level that the whole process was set to since its start: its place in [`LEVELS`], else there is none.
static LEVEL_SINCE: AtomicU8 = AtomicU8::new(u8::MAX);

/// From now on every log of this process writes at this level: copies of a log are everywhere.
pub(crate) fn set_level(level: Level) {
    let place = LEVELS.iter().position(|known| *known == level);
    let place = place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX);
    LEVEL_SINCE.store(place, Ordering::Relaxed);
}

/// Writes lines under one module name. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    level: Level,
    format: Format,
    module: &'static str,
}

impl Log {
    /// A log for `module`, for example `agent.auth`.
    pub(crate) const fn new(level: Level, format: Format, module: &'static str) -> Self {
        Self { level, format, module }
    }

    /// The level that it was made with.
    pub(crate) const fn level(self) -> Level {
        self.level
    }

    /// The same log under another module name.
    pub(crate) const fn named(self, module: &'static str) -> Self {
        Self { module, ..self }
    }

    /// Someone must act.
    pub(crate) fn error(&self, message: &str, fields: Fields<'_>) {
        self.write(Level::Error, message, fields);
    }

    /// We degraded and will recover by ourselves.
    pub(crate) fn warn(&self, message: &str, fields: Fields<'_>) {
        self.write(Level::Warn, message, fields);
    }

    /// A state changed.
    pub(crate) fn info(&self, message: &str, fields: Fields<'_>) {
        self.write(Level::Info, message, fields);
    }

    /// Detail of one request.
    pub(crate) fn debug(&self, message: &str, fields: Fields<'_>) {
        self.write(Level::Debug, message, fields);
    }

    fn write(&self, level: Level, message: &str, fields: Fields<'_>) {
        let since = LEVELS.get(usize::from(LEVEL_SINCE.load(Ordering::Relaxed)));
        if level > since.copied().unwrap_or(self.level) {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the time stamp of a log line")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = OffsetDateTime::from_unix_timestamp_nanos(
            i128::try_from(now.as_nanos()).unwrap_or_default(),
        );
        let now = now.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let line = |level, message: &str, fields: Fields<'_>| match self.format {
            Format::Json => json_line(now, level, self.module, message, fields),
            Format::Standard => text_line(now, level, self.module, message, fields),
        };
        let said = "lines of the log lost, as nobody read standard error";
        let confess = |lost| line(Level::Warn, said, &[("count", &lost)]);
        let text = line(level, message, fields);
        let mut outlet = OUTLET.lock().unwrap_or_else(PoisonError::into_inner);
        outlet.put(standard_error::locked(), text.as_bytes(), confess);
    }
}

fn text_line(
    now: OffsetDateTime,
    level: Level,
    module: &str,
    message: &str,
    fields: Fields<'_>,
) -> String {
    let stamp = now
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .unwrap_or_default();
    let mut line = format!("{stamp} {} {module}: {}", level.bracket(), OnOneLine(message));
    for (i, (name, value)) in fields.iter().enumerate() {
        let text = value.to_string();
        let needs_quotes = text.is_empty()
            || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=');
        let colon = if i == 0 { ":" } else { "" };
        let written = if needs_quotes {
            write!(line, "{colon} {name}={}", serde_json::Value::from(text))
        } else {
            write!(line, "{colon} {name}={text}")
        };
        // Writing to a String cannot fail.
        let _infallible = written;
    }
    line.push('\n');
    line
}

fn json_line(
    now: OffsetDateTime,
    level: Level,
    module: &str,
    message: &str,
    fields: Fields<'_>,
) -> String {
    let stamp = now
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        ))
        .unwrap_or_default();
    let mut line = serde_json::Map::new();
    line.insert("@level".into(), level.word().into());
    line.insert("@message".into(), message.into());
    line.insert("@module".into(), module.into());
    line.insert("@timestamp".into(), stamp.into());
    for (name, value) in fields {
        line.insert((*name).to_owned(), value.to_string().into());
    }
    format!("{}\n", serde_json::Value::Object(line))
}

/// A text with its line breaks escaped, so that nobody can forge a second log line.
struct OnOneLine<'a>(&'a str);

impl Display for OnOneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_vaults_text_form() {
        let line = text_line(
            OffsetDateTime::UNIX_EPOCH,
            Level::Warn,
            "agent.auth",
            "login failed",
            &[("backoff", &"1s"), ("error", &"GET /v1/x: HTTP 403")],
        );
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000Z [WARN]  agent.auth: login failed: backoff=1s error=\"GET /v1/x: HTTP 403\"\n"
        );
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        let line = text_line(
            OffsetDateTime::UNIX_EPOCH,
            Level::Info,
            "m",
            "a\nb",
            &[("k", &"x\n1970 [ERROR] forged")],
        );
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn writes_json_with_vaults_keys() {
        let line = json_line(OffsetDateTime::UNIX_EPOCH, Level::Info, "agent", "m", &[("k", &1)]);
        assert_eq!(
            line,
            "{\"@level\":\"info\",\"@message\":\"m\",\"@module\":\"agent\",\"@timestamp\":\"1970-01-01T00:00:00.000000Z\",\"k\":\"1\"}\n"
        );
    }
}
