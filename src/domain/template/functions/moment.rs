//! The time, by Go's reference layouts. All times are UTC.

use time::OffsetDateTime;

use super::{Arguments, Function, Param, many};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::Value;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[many(
    "timestamp",
    &[Param::Text],
    "the time in UTC as RFC 3339, by a Go layout, or as seconds with \"unix\"",
    timestamp,
)];

fn timestamp<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let milliseconds = eval.snapshot.now.map_or(0, |now| now.0);
    let layout = match values {
        [] => "2006-01-02T15:04:05Z07:00".into(),
        [_] => String::from_utf8_lossy(values.text_at(0)),
        _ => return Err(Fault::new("wrong number of arguments, want at most a layout")),
    };
    if layout == "unix" {
        return eval.made(milliseconds.div_euclid(1000).to_string().into_bytes());
    }
    let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    let now = now.map_err(|e| Fault::new(format!("the clock shows no time of this era: {e}")))?;
    // Every piece of the reference time is looked for at every place.
    eval.meter.read(layout.len().saturating_mul(PIECES.len()))?;
    eval.meter.text(layout.len().saturating_mul(4))?;
    eval.made(formatted(now, &layout).into_bytes())
}

/// How a piece of the reference time is written.
#[derive(Clone, Copy)]
enum Piece {
    Day(usize, char),
    DayOfYear(char),
    Fixed(&'static str),
    Hour,
    Hour12(usize),
    HalfLower,
    HalfUpper,
    LongMonth,
    LongWeekday,
    LongYear,
    Minute(usize),
    Month(usize),
    Second(usize),
    ShortMonth,
    ShortWeekday,
    ShortYear,
}

/// Longer pieces before those they start with.
const PIECES: &[(&str, Piece)] = &[
    ("January", Piece::LongMonth),
    ("Jan", Piece::ShortMonth),
    ("Monday", Piece::LongWeekday),
    ("Mon", Piece::ShortWeekday),
    ("MST", Piece::Fixed("UTC")),
    ("2006", Piece::LongYear),
    ("002", Piece::DayOfYear('0')),
    ("01", Piece::Month(2)),
    ("02", Piece::Day(2, '0')),
    ("03", Piece::Hour12(2)),
    ("04", Piece::Minute(2)),
    ("05", Piece::Second(2)),
    ("06", Piece::ShortYear),
    ("15", Piece::Hour),
    ("1", Piece::Month(1)),
    ("__2", Piece::DayOfYear(' ')),
    ("_2006", Piece::LongYear),
    ("_2", Piece::Day(2, ' ')),
    ("2", Piece::Day(1, ' ')),
    ("3", Piece::Hour12(1)),
    ("4", Piece::Minute(1)),
    ("5", Piece::Second(1)),
    ("PM", Piece::HalfUpper),
    ("pm", Piece::HalfLower),
    ("-07:00:00", Piece::Fixed("+00:00:00")),
    ("-070000", Piece::Fixed("+000000")),
    ("-07:00", Piece::Fixed("+00:00")),
    ("-0700", Piece::Fixed("+0000")),
    ("-07", Piece::Fixed("+00")),
    ("Z07:00:00", Piece::Fixed("Z")),
    ("Z070000", Piece::Fixed("Z")),
    ("Z07:00", Piece::Fixed("Z")),
    ("Z0700", Piece::Fixed("Z")),
    ("Z07", Piece::Fixed("Z")),
];

fn formatted(time: OffsetDateTime, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        if let Some((length, digits)) = fraction(time, rest) {
            out.push_str(&digits);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        let piece = PIECES.iter().find(|(name, piece)| {
            rest.strip_prefix(name).is_some_and(|after| {
                let is_short = matches!(piece, Piece::ShortMonth | Piece::ShortWeekday);
                !(is_short && after.starts_with(|c: char| c.is_ascii_lowercase()))
            })
        });
        if let Some((name, piece)) = piece {
            if name.starts_with("_2006") {
                out.push('_');
            }
            out.push_str(&written(time, *piece));
            rest = rest.get(name.len()..).unwrap_or_default();
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

fn written(time: OffsetDateTime, piece: Piece) -> String {
    let month = || time.month().to_string();
    let weekday = || time.weekday().to_string();
    let hour12 = (time.hour() + 11) % 12 + 1;
    let is_morning = time.hour() < 12;
    let padded = |n: u8, width: usize| format!("{n:0width$}");
    match piece {
        Piece::Day(width, ' ') => format!("{:width$}", time.day()),
        Piece::Day(width, _) => padded(time.day(), width),
        Piece::DayOfYear(' ') => format!("{:3}", time.ordinal()),
        Piece::DayOfYear(_) => format!("{:03}", time.ordinal()),
        Piece::Fixed(text) => text.to_owned(),
        Piece::Hour => padded(time.hour(), 2),
        Piece::Hour12(width) => padded(hour12, width),
        Piece::HalfLower => if is_morning { "am" } else { "pm" }.to_owned(),
        Piece::HalfUpper => if is_morning { "AM" } else { "PM" }.to_owned(),
        Piece::LongMonth => month(),
        Piece::LongWeekday => weekday(),
        Piece::LongYear => format!("{:04}", time.year()),
        Piece::Minute(width) => padded(time.minute(), width),
        Piece::Month(width) => padded(time.month().into(), width),
        Piece::Second(width) => padded(time.second(), width),
        Piece::ShortMonth => month().chars().take(3).collect(),
        Piece::ShortWeekday => weekday().chars().take(3).collect(),
        Piece::ShortYear => format!("{:02}", time.year().rem_euclid(100)),
    }
}

/// `.000` or `,999`: how long it is, and the fraction of the second; nines drop zeros at the end.
fn fraction(time: OffsetDateTime, layout: &str) -> Option<(usize, String)> {
    let point = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let after = layout.get(1..)?;
    let digit = after.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = after.chars().take_while(|c| *c == digit).count();
    if after.get(count..)?.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let all = format!("{:09}", time.nanosecond());
    let mut digits: String = all.chars().chain(std::iter::repeat('0')).take(count.min(9)).collect();
    if digit == '9' {
        digits.truncate(digits.trim_end_matches('0').len());
    }
    let text = if digits.is_empty() { digits } else { format!("{point}{digits}") };
    Some((count + 1, text))
}
