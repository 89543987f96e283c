//! A line of a template with a caret under one column.

use std::fmt::Write as _;

/// Columns of the terminal that are shown of a line.
const WIDTH: usize = 96;
/// Columns before the caret that are kept of a long line.
const BEFORE: usize = 64;

/// The line, numbered, and a line with the caret; each ends with a line feed. `line` and `column` count
/// from 1, columns in characters. Control characters become U+FFFD, so that no terminal obeys them; tabs
/// stay, also before the caret.
pub(crate) fn excerpt(text: &str, line: usize, column: usize) -> String {
    let shown = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let chars: Vec<char> = shown.trim_end_matches('\r').chars().map(harmless).collect();
    let at = column.saturating_sub(1).min(chars.len());
    let (before, after) = chars.split_at(at);
    let total: usize = chars.iter().map(|c| width(*c)).sum();
    let mut left: Vec<char> = before.to_vec();
    let mut right: Vec<char> = after.to_vec();
    if total > WIDTH {
        let room = |chars: &mut dyn Iterator<Item = &char>, most: usize| {
            let mut used = 0;
            chars
                .take_while(|c| {
                    used += width(**c);
                    used <= most
                })
                .count()
        };
        let kept = room(&mut before.iter().rev(), BEFORE);
        if kept < before.len() {
            left = before.get(before.len() - kept..).unwrap_or_default().to_vec();
            left.insert(0, '…');
        }
        let used: usize = left.iter().map(|c| width(*c)).sum();
        let kept = room(&mut after.iter(), WIDTH.saturating_sub(used));
        if kept < after.len() {
            right.truncate(kept);
            right.push('…');
        }
    }
    let number = line.to_string();
    let mut out = String::new();
    let shown: String = left.iter().chain(&right).collect();
    // Writing to a String cannot fail.
    let _infallible = writeln!(out, "  {number} | {shown}");
    let pad: String = left
        .iter()
        .map(|c| if *c == '\t' { "\t".to_owned() } else { " ".repeat(width(*c)) })
        .collect();
    let _infallible = writeln!(out, "  {:1$} | {pad}^", "", number.len());
    out
}

fn harmless(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

/// Columns of a terminal that a character takes: two for East Asian wide ones and emoji, none for marks
/// and joiners.
fn width(c: char) -> usize {
    const NONE: &[(u32, u32)] =
        &[(0x300, 0x36f), (0x200b, 0x200f), (0x20d0, 0x20ff), (0xfe00, 0xfe0f), (0xfe20, 0xfe2f)];
    const TWO: &[(u32, u32)] = &[
        (0x1100, 0x115f),
        (0x2e80, 0x303e),
        (0x3041, 0xa4cf),
        (0xac00, 0xd7a3),
        (0xf900, 0xfaff),
        (0xfe30, 0xfe6f),
        (0xff00, 0xff60),
        (0xffe0, 0xffe6),
        (0x1f300, 0x1f64f),
        (0x1f680, 0x1f6ff),
        (0x1f900, 0x1faff),
        (0x20000, 0x3fffd),
    ];
    let is_in =
        |ranges: &[(u32, u32)]| ranges.iter().any(|(a, b)| (*a..=*b).contains(&u32::from(c)));
    if is_in(NONE) {
        0
    } else if is_in(TWO) {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_column() {
        assert_eq!(excerpt("a\nb {{ x }}\n", 2, 6), "  2 | b {{ x }}\n    |      ^\n");
        assert_eq!(excerpt("\t日本é {{ x }}", 1, 9), "  1 | \t日本é {{ x }}\n    | \t         ^\n");
        assert_eq!(excerpt("e\u{301}x\r\n", 1, 3), "  1 | e\u{301}x\n    |  ^\n");
        assert_eq!(excerpt("a\n", 2, 1), "  2 | \n    | ^\n");
        assert_eq!(excerpt("\u{1b}[31m", 1, 2), "  1 | \u{fffd}[31m\n    |  ^\n");
        assert_eq!(excerpt("", 7, 9), "  7 | \n    | ^\n");
    }

    #[test]
    fn long_lines_are_cut_around_it() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let told = excerpt(&text, 1, 501);
        let mut lines = told.lines();
        let (shown, caret) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(shown.chars().count() < 110, "{shown}");
        let at = caret.chars().position(|c| c == '^').unwrap();
        assert_eq!(shown.chars().nth(at), Some('X'), "{told}");
        assert!(shown.contains('…') && shown.ends_with('…'), "{shown}");
    }
}
