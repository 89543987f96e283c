//! Help texts, wrapped for terminals of 80 columns.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

/// Columns of a line.
const COLUMNS: usize = 80;
/// Where the text of an option starts when its name leaves room.
const TEXT_COLUMN: usize = 26;

/// The help of a mode that `argh` reads.
pub(crate) fn of_mode(mode: &str, info: &CommandInfoWithArgs) -> String {
    let command = format!("vault-injector {mode}");
    let mut out = format!("usage: {command} [OPTION...]");
    for positional in info.positionals {
        let PositionalInfo { name, optionality, .. } = positional;
        let dots = if matches!(optionality, Optionality::Repeating) { "..." } else { "" };
        out.push_str(&format!(" [{}{dots}]", name.to_uppercase()));
    }
    out.push_str("\n\n");
    for paragraph in info.description.split("\n\n") {
        wrap(&joined(paragraph), 0, &mut out);
        out.push('\n');
    }
    for PositionalInfo { name, description, .. } in info.positionals {
        entry(&name.to_uppercase(), &unescaped(description), &mut out);
    }
    if !info.positionals.is_empty() {
        out.push('\n');
    }
    for flag in info.flags {
        let FlagInfo { kind, long, short, description, hidden, .. } = flag;
        if *hidden || long.ends_with("help") {
            continue;
        }
        let long = long.trim_start_matches('-');
        let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let value = match kind {
            FlagInfoKind::Switch => String::new(),
            FlagInfoKind::Option { .. } => " VALUE".to_owned(),
        };
        entry(&format!("{short}--{long}{value}"), &unescaped(description), &mut out);
    }
    entry("-h, --help", "this text", &mut out);
    section("Examples", info.examples, &command, &mut out);
    section("Notes", info.notes, &command, &mut out);
    if !info.error_codes.is_empty() {
        out.push_str("\nExit codes:\n");
        for code in info.error_codes {
            entry(&code.code.to_string(), code.description, &mut out);
        }
    }
    out
}

/// An option or a word of a list with its text.
pub(crate) fn entry(name: &str, text: &str, out: &mut String) {
    out.push_str("  ");
    out.push_str(name);
    let used = 2 + name.chars().count();
    if used + 2 > TEXT_COLUMN {
        out.push('\n');
    } else {
        out.extend(std::iter::repeat_n(' ', TEXT_COLUMN - used));
    }
    let mut lines = String::new();
    wrap(text, TEXT_COLUMN, &mut lines);
    let is_beside = used + 2 <= TEXT_COLUMN;
    out.push_str(if is_beside { lines.trim_start_matches(' ') } else { &lines });
}

/// Texts of several lines, of which the second and later ones explain the first.
fn section(title: &str, texts: &[&str], command: &str, out: &mut String) {
    for (i, text) in texts.iter().enumerate() {
        if i == 0 {
            out.push_str(&format!("\n{title}:\n"));
        }
        let text = unescaped(&text.replace("{command_name}", command));
        for (i, line) in text.lines().enumerate() {
            wrap(line.trim(), if i == 0 { 2 } else { 6 }, out);
        }
    }
}

/// `argh` has its texts as templates of `format!`.
fn unescaped(text: &str) -> String {
    text.replace("{{", "{").replace("}}", "}")
}

/// A paragraph's lines as one.
fn joined(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes a text as lines that start at a column.
pub(crate) fn wrap(text: &str, indent: usize, out: &mut String) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}
