//! The words of a command line, as every mode takes them: one or two dashes, a value behind `=` or in the
//! next word, short options with their value attached, `--` before what looks like an option and is none.
//!
//! What comes out is what `argh` takes, or, for the mode with options by the dozen, flags by number.

use std::collections::BTreeSet;
use std::process::ExitCode;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfoKind, FromArgs, Optionality};

use super::help;
use crate::base::near::near;

/// An option, as far as reading words goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag<'f> {
    /// Without dashes.
    pub(crate) long: &'f str,
    pub(crate) short: Option<char>,
    /// Takes no value but true or false behind `=`.
    pub(crate) is_switch: bool,
}

/// One word, or two that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// An option by its place among the flags; a switch has a value only when one was written.
    Flag { index: usize, value: Option<String> },
    /// Anything else.
    Free(String),
}

/// What a command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whether help is asked for, wherever.
    pub(crate) help: bool,
    /// Options with what is wrong with them.
    pub(crate) mistakes: Vec<(String, String)>,
    pub(crate) words: Vec<Word>,
}

/// Reads words. `stops` says that the first word that is no option ends the line, as in Go.
pub(crate) fn read(words: &[String], flags: &[Flag<'_>], stops: bool) -> Line {
    let mut line = Line::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let dashed = word.strip_prefix('-').filter(|rest| !rest.is_empty());
        let Some(dashed) = dashed else {
            if stops {
                break;
            }
            line.words.push(Word::Free(word.clone()));
            continue;
        };
        if dashed == "-" {
            if !stops {
                line.words.extend(words.map(|word| Word::Free(word.clone())));
            }
            break;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let long = name.trim_start_matches('-');
        let is_long = |flag: &Flag<'_>| flag.long == long;
        let (index, value) = match flags.iter().position(is_long) {
            Some(index) => (index, value),
            None if matches!(name, "-h" | "-help" | "--help") => {
                line.help = true;
                continue;
            }
            None => match short(word, flags) {
                Some(found) => found,
                None => {
                    line.mistakes.push((name.to_owned(), unknown(name, flags)));
                    continue;
                }
            },
        };
        let is_switch = flags.get(index).is_some_and(|flag| flag.is_switch);
        let value = match value {
            None if !is_switch => match words.next() {
                Some(next) if matches!(next.as_str(), "-h" | "--help") => {
                    line.help = true;
                    continue;
                }
                Some(next) => Some(next.clone()),
                None => {
                    line.mistakes.push((name.to_owned(), "needs a value".to_owned()));
                    continue;
                }
            },
            value => value,
        };
        line.words.push(Word::Flag { index, value });
    }
    line
}

/// `-f`, `-fVALUE`, `-f=VALUE`
fn short(word: &str, flags: &[Flag<'_>]) -> Option<(usize, Option<String>)> {
    let mut rest = word.strip_prefix('-')?.chars();
    let letter = rest.next()?;
    let index = flags.iter().position(|flag| flag.short == Some(letter))?;
    let rest = rest.as_str();
    let flag = flags.get(index)?;
    match rest.strip_prefix('=') {
        Some(value) => Some((index, Some(value.to_owned()))),
        None if rest.is_empty() => Some((index, None)),
        None if flag.is_switch => None,
        None => Some((index, Some(rest.to_owned()))),
    }
}

fn unknown(name: &str, flags: &[Flag<'_>]) -> String {
    let dashes = if name.starts_with("--") { "--" } else { "-" };
    let names = flags.iter().map(|flag| flag.long).filter(|long| !long.is_empty());
    let names: Vec<String> = names.map(|long| format!("{dashes}{long}")).collect();
    match near(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("unknown flag, did you mean {}?", meant.replace('"', "")),
        None => "unknown flag".to_owned(),
    }
}

/// The options of a mode, or the exit code of a mode that is not to run; then everything is said.
pub(crate) fn options<T: FromArgs + ArgsInfo>(mode: &str, words: &[String]) -> Result<T, ExitCode> {
    options_besides(mode, words, &[])
}

/// The same for a mode that also takes options which mean nothing to it, with their values.
pub(crate) fn options_besides<T: FromArgs + ArgsInfo>(
    mode: &str,
    words: &[String],
    needless: &[Flag<'static>],
) -> Result<T, ExitCode> {
    let info = T::get_args_info();
    let mut known = flags(&info);
    known.extend_from_slice(needless);
    let line = read(words, &known, false);
    if line.help {
        super::say(&help::of_mode(mode, &info));
        return Err(ExitCode::SUCCESS);
    }
    let words = for_argh(line, &info).map_err(|mistakes| refuse(mode, &mistakes))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    T::from_args(&["vault-injector", mode], &words)
        .map_err(|early| refuse(mode, &[early.output.trim_end().to_owned()]))
}

/// Says what is wrong with a command line.
pub(crate) fn refuse(mode: &str, mistakes: &[String]) -> ExitCode {
    for mistake in mistakes {
        super::complain(&format!("{mistake}\n"));
    }
    super::complain(&format!("see vault-injector {mode} --help\n"));
    ExitCode::from(super::EXIT_USAGE)
}

fn flags(info: &CommandInfoWithArgs) -> Vec<Flag<'static>> {
    let flags = info.flags.iter().map(|flag| Flag {
        long: flag.long.trim_start_matches('-'),
        short: flag.short,
        is_switch: matches!(flag.kind, FlagInfoKind::Switch),
    });
    flags.filter(|flag| flag.long != "help").collect()
}

/// Options in long form, then everything else behind `--`.
fn for_argh(line: Line, info: &CommandInfoWithArgs) -> Result<Vec<String>, Vec<String>> {
    let Line { mistakes, words, .. } = line;
    let flags = flags(info);
    let mut mistakes: Vec<String> =
        mistakes.into_iter().map(|(option, message)| format!("{option}: {message}")).collect();
    let (mut options, mut free) = (Vec::new(), Vec::new());
    let mut once = BTreeSet::new();
    let repeats = |long: &str| {
        let mut flags = info.flags.iter().filter(|flag| flag.long.trim_start_matches('-') == long);
        flags.any(|flag| matches!(flag.optionality, Optionality::Repeating))
    };
    for word in words {
        let (index, value) = match word {
            Word::Free(word) => {
                free.push(word);
                continue;
            }
            Word::Flag { index, value } => (index, value),
        };
        let Some(flag) = flags.get(index) else { continue };
        let name = format!("--{}", flag.long);
        match (flag.is_switch, value.as_deref()) {
            (true, None | Some("1" | "t" | "true")) => options.push(name),
            (true, Some("0" | "f" | "false")) => {}
            (true, Some(value)) => {
                mistakes.push(format!("{name}={value:?}: not a boolean, want true or false"));
            }
            (false, _) if !repeats(flag.long) && !once.insert(flag.long) => {
                mistakes.push(format!("{name}: given twice, leave one out"));
            }
            (false, _) => options.extend([name, value.unwrap_or_default()]),
        }
    }
    if let (Some(word), true) = (free.first(), info.positionals.is_empty()) {
        mistakes.push(format!("{word:?}: only options are taken here"));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    if !free.is_empty() {
        options.push("--".to_owned());
        options.append(&mut free);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag<'_>] = &[
        Flag { long: "file", short: Some('f'), is_switch: false },
        Flag { long: "explain", short: None, is_switch: true },
        Flag { long: "verbose", short: Some('v'), is_switch: true },
    ];

    fn line(words: &[&str], stops: bool) -> Line {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        read(&words, FLAGS, stops)
    }

    fn file(value: &str) -> Word {
        Word::Flag { index: 0, value: Some(value.to_owned()) }
    }

    #[test]
    fn a_value_may_stand_in_any_way() {
        for words in [
            &["--file", "a=b"][..],
            &["--file=a=b"],
            &["-file", "a=b"],
            &["-file=a=b"],
            &["-f", "a=b"],
            &["-f=a=b"],
            &["-fa=b"],
        ] {
            assert_eq!(line(words, false).words, [file("a=b")], "{words:?}");
        }
        assert_eq!(line(&["-f", "-"], false).words, [file("-")]);
        assert_eq!(line(&["-f-"], false).words, [file("-")]);
        assert_eq!(line(&["--file="], false).words, [file("")]);
        let free = |word: &str| Word::Free(word.to_owned());
        assert_eq!(
            line(&["a", "-", "--", "-f", "-h"], false).words,
            ["a", "-", "-f", "-h"].map(free)
        );
        assert_eq!(line(&["-v", "2>&1", "-f"], true).words, [Word::Flag { index: 2, value: None }]);
    }

    #[test]
    fn help_is_found_in_every_place() {
        for words in
            [&["-h"][..], &["--help"], &["-help"], &["a", "-h"], &["-f", "-h"], &["--x", "--help"]]
        {
            assert!(line(words, false).help, "{words:?}");
        }
        assert!(!line(&["--", "-h"], false).help);
    }

    #[test]
    fn what_is_unknown_is_told_with_what_was_meant() {
        for (word, want) in [
            ("--explane", "unknown flag, did you mean --explain?"),
            ("-explane", "unknown flag, did you mean -explain?"),
            ("--flie=x", "unknown flag, did you mean --file?"),
            ("--zzz", "unknown flag"),
            ("-x", "unknown flag"),
            ("-vx", "unknown flag"),
        ] {
            let mistakes = line(&[word], false).mistakes;
            assert_eq!(mistakes.first().map(|(_, message)| message.as_str()), Some(want), "{word}");
        }
        assert_eq!(line(&["-f"], false).mistakes, [("-f".to_owned(), "needs a value".to_owned())]);
    }
}
