//! Commands of templates: run, waited for, killed with all that they started when they take too long.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

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
    /// The process ends, and its commands with it.
    Stopped,
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
                write!(f, "{program} is not in this image: ")?;
                f.write_str(if program == SHELL {
                    "write the command as a list of words, such as [\"/bin/app\", \"reload\"], which needs no \
                     shell, or use an image with one"
                } else {
                    "use an image that holds it, or mount it and give its whole path"
                })
            }
            Self::Stopped => f.write_str("ended with the agent"),
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

/// The commands that run. Each leads a process group, so that what it started ends with it.
#[derive(Default)]
pub(crate) struct Commands {
    /// Numbers of the groups.
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    groups: BTreeSet<u32>,
    is_over: bool,
}

impl Commands {
    /// Kills all that runs, and lets nothing start any more.
    pub(crate) fn end(&self) {
        let mut running = self.running();
        running.is_over = true;
        for group in &running.groups {
            kill(*group);
        }
    }

    /// Starts a command, unless all is over.
    fn start(&self, command: &mut Command) -> io::Result<Option<Child>> {
        let mut running = self.running();
        if running.is_over {
            return Ok(None);
        }
        let child = command.process_group(0).spawn()?;
        running.groups.insert(child.id());
        Ok(Some(child))
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, child: &Child) {
        self.running().groups.remove(&child.id());
    }
}

/// Kills a process and all that it started, but for what left its group.
fn kill(group: u32) {
    // One that is gone already needs no killing.
    let _gone = i32::try_from(group).map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
}

/// Runs a command to its end, with exactly this environment and no standard input. One text of several
/// words goes through `sh -c`, else the words are the argv.
pub(crate) fn run(
    commands: &Commands,
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
    let Some(mut child) = commands.start(&mut command).map_err(not_started)? else {
        return Err(CommandError::Stopped);
    };
    let ended = wait(&mut child, limit, clock);
    commands.ended(&child);
    match ended.map_err(not_started)? {
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
            kill(child.id());
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
        run(&Commands::default(), &words, &env, Duration::from_millis(300), Clock::start())
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
        assert!(error.starts_with("no-such-program-here is not in this image: use"), "{error}");
        assert!(matches!(check(&["sleep", "30"]), Err(CommandError::TimedOut { .. })));
    }

    #[test]
    fn an_image_without_a_shell_is_told_with_a_way_out_that_needs_none() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let error = CommandError::NotStarted { program: SHELL.to_owned(), source }.to_string();
        let advice = error.split_once("such as ").unwrap().1;
        let list: Vec<String> = serde_json::from_str(
            advice.split_once(',').map_or("", |_| advice.split_inclusive(']').next().unwrap()),
        )
        .unwrap();
        assert_eq!(list, ["/bin/app", "reload"], "the example is what a command takes");
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut command = Command::new(SHELL);
        command.args(["-c", "(sleep 30; echo late) & sleep 30"]).stdout(writer);
        let commands = Commands::default();
        let mut child = commands.start(&mut command).unwrap().unwrap();
        drop(command);
        assert!(wait(&mut child, Duration::from_millis(100), Clock::start()).unwrap().is_none());
        // The pipe ends when nobody is left who could write.
        let mut said = String::new();
        io::Read::read_to_string(&mut reader, &mut said).unwrap();
        assert_eq!(said, "");
    }

    #[test]
    fn at_the_end_all_commands_end_and_none_starts() {
        let (commands, clock) = (Commands::default(), Clock::start());
        let (begun, ended) = (io::pipe().unwrap(), Duration::from_secs(30));
        let (mut reader, writer) = begun;
        let mut command = Command::new(SHELL);
        command.args(["-c", "echo; sleep 30 & sleep 30"]).stdout(writer);
        let mut child = commands.start(&mut command).unwrap().unwrap();
        drop(command);
        let mut said = [0];
        io::Read::read_exact(&mut reader, &mut said).unwrap();
        commands.end();
        assert!(!wait(&mut child, ended, clock).unwrap().unwrap().success());
        assert_eq!(io::Read::read(&mut reader, &mut said).unwrap(), 0, "somebody is left");
        let words = ["true".to_owned()];
        let refused = run(&commands, &words, &BTreeMap::new(), ended, clock);
        assert!(matches!(refused, Err(CommandError::Stopped)));
    }
}
