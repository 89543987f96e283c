//! Commands of templates: run, waited for, killed when they take too long.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::clock::Clock;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// No words.
    Empty,
    /// It ended, but not with 0.
    Ended {
        /// Exit code or signal.
        status: ExitStatus,
    },
    /// It could not be started or waited for.
    NotStarted {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It was killed after this time.
    TimedOut {
        /// As configured.
        limit: Duration,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty command"),
            Self::Ended { status } => write!(f, "{status}"),
            Self::NotStarted { program, source } if source.kind() == io::ErrorKind::NotFound => {
                write!(f, "{program} is not in this image")?;
                let hint = "; write the command as a list of words, which needs no shell";
                f.write_str(if program == SHELL { hint } else { "" })
            }
            Self::NotStarted { program, .. } => write!(f, "{program} cannot be run"),
            Self::TimedOut { limit } => write!(f, "killed, it ran longer than {limit:?}"),
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::NotStarted { source, .. } = self { Some(source) } else { None }
    }
}

const SHELL: &str = "sh";

/// The first and the longest pause between two looks at a running command.
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(50);

/// Runs a command to its end, with exactly this environment and no standard input. One text of several
/// words goes through `sh -c`, else the words are the argv.
pub(crate) fn run(
    words: &[String],
    env: &BTreeMap<String, String>,
    limit: Duration,
    clock: Clock,
) -> Result<(), CommandError> {
    let (program, arguments) = match words {
        [] => return Err(CommandError::Empty),
        [text] if text.split_whitespace().nth(1).is_some() => (SHELL, vec!["-c", text.as_str()]),
        [program, arguments @ ..] => {
            (program.trim(), arguments.iter().map(String::as_str).collect())
        }
    };
    if program.is_empty() {
        return Err(CommandError::Empty);
    }
    let not_started = |source| CommandError::NotStarted { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(env).stdin(Stdio::null());
    let mut child = command.spawn().map_err(not_started)?;
    match wait(&mut child, limit, clock).map_err(not_started)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(CommandError::Ended { status }),
        None => Err(CommandError::TimedOut { limit }),
    }
}

/// The status of a child, or nothing if it had to be killed.
fn wait(child: &mut Child, limit: Duration, clock: Clock) -> io::Result<Option<ExitStatus>> {
    let end = clock.now() + limit;
    let mut pause = LOOK_MIN;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if clock.now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::park_timeout(pause);
        pause = (pause * 2).min(LOOK_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str]) -> Result<(), CommandError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let env = BTreeMap::from([("WORD".to_owned(), "yes".to_owned())]);
        run(&words, &env, Duration::from_millis(300), Clock::start())
    }

    #[test]
    fn several_words_in_one_text_go_through_the_shell() {
        check(&["test \"$WORD\" = yes && test -z \"$HOME\""]).unwrap();
        check(&["true"]).unwrap();
        check(&["sh", "-c", "test \"$0\" = 'a b'", "a b"]).unwrap();
    }

    #[test]
    fn says_what_went_wrong() {
        let error = check(&["exit 3"]).unwrap_err().to_string();
        assert_eq!(error, "exit status: 3");
        assert!(matches!(check(&[]), Err(CommandError::Empty)));
        assert!(matches!(check(&["  "]), Err(CommandError::Empty)));
        let error = check(&["no-such-program-here"]).unwrap_err().to_string();
        assert_eq!(error, "no-such-program-here is not in this image");
        assert!(matches!(check(&["sleep", "30"]), Err(CommandError::TimedOut { .. })));
    }
}
