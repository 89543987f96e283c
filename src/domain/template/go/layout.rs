//! Times as text by Go's reference layouts (`2006-01-02T15:04:05Z07:00`), both ways.

use std::rc::Rc;

use crate::domain::template::moment::{self, Moment, Zone};

/// RFC 3339 with whole seconds.
pub(crate) const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// RFC 3339 with as many digits of the second as it needs.
pub(crate) const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// What printing a time writes.
const STRING: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// A piece of the reference time.
#[derive(Clone, Copy)]
enum Piece {
    /// Width and what fills it.
    Day(usize, char),
    DayOfYear(char),
    /// Digits, and whether zeros at the end are dropped.
    Fraction(usize, bool),
    Hour,
    Hour12(usize),
    HalfLower,
    HalfUpper,
    LongMonth,
    LongWeekday,
    LongYear,
    Minute(usize),
    Month(usize),
    /// Whether `Z` stands for UTC, how many of hours, minutes and seconds, and what is between them.
    Offset(bool, usize, &'static str),
    Second(usize),
    ShortMonth,
    ShortWeekday,
    ShortYear,
    Zone,
}

/// Longer pieces before those they start with.
const PIECES: &[(&str, Piece)] = &[
    ("January", Piece::LongMonth),
    ("Jan", Piece::ShortMonth),
    ("Monday", Piece::LongWeekday),
    ("Mon", Piece::ShortWeekday),
    ("MST", Piece::Zone),
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
    ("_2", Piece::Day(2, ' ')),
    ("2", Piece::Day(1, ' ')),
    ("3", Piece::Hour12(1)),
    ("4", Piece::Minute(1)),
    ("5", Piece::Second(1)),
    ("PM", Piece::HalfUpper),
    ("pm", Piece::HalfLower),
    ("-070000", Piece::Offset(false, 3, "")),
    ("-07:00:00", Piece::Offset(false, 3, ":")),
    ("-0700", Piece::Offset(false, 2, "")),
    ("-07:00", Piece::Offset(false, 2, ":")),
    ("-07", Piece::Offset(false, 1, "")),
    ("Z070000", Piece::Offset(true, 3, "")),
    ("Z07:00:00", Piece::Offset(true, 3, ":")),
    ("Z0700", Piece::Offset(true, 2, "")),
    ("Z07:00", Piece::Offset(true, 2, ":")),
    ("Z07", Piece::Offset(true, 1, "")),
];

/// The first piece of a layout, what stands before it, and what comes after it.
fn next(layout: &str) -> (&str, Option<(&str, Piece)>, &str) {
    for (at, c) in layout.char_indices() {
        let (before, rest) = layout.split_at(at);
        if !c.is_ascii() {
            continue;
        }
        if let Some((name, digits, is_short)) = fraction(rest) {
            let after = rest.get(name.len()..).unwrap_or_default();
            return (before, Some((name, Piece::Fraction(digits, is_short))), after);
        }
        // `_2006` is the year after an underscore, no day.
        if rest.starts_with("_2006") {
            continue;
        }
        let piece = PIECES.iter().find(|(name, piece)| {
            rest.strip_prefix(name).is_some_and(|after| {
                let is_short = matches!(piece, Piece::ShortMonth | Piece::ShortWeekday);
                !(is_short && after.starts_with(|c: char| c.is_ascii_lowercase()))
            })
        });
        if let Some((name, piece)) = piece {
            return (before, Some((name, *piece)), rest.get(name.len()..).unwrap_or_default());
        }
    }
    (layout, None, "")
}

/// `.000` or `,999`, its digits, and whether they are nines.
fn fraction(layout: &str) -> Option<(&str, usize, bool)> {
    let after = layout.strip_prefix(['.', ','])?;
    let digit = after.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = after.chars().take_while(|c| *c == digit).count();
    if after.get(count..)?.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some((layout.get(..=count)?, count, digit == '9'))
}

/// `Time.Format`
pub(crate) fn format(time: &Moment, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    loop {
        let (before, piece, after) = next(rest);
        out.push_str(before);
        let Some((name, piece)) = piece else { return out };
        out.push_str(&written(time, name, piece));
        rest = after;
    }
}

/// `Time.String`
pub(crate) fn string(time: &Moment) -> String {
    format(time, STRING)
}

/// `Time.GoString`: an expression of Go that makes it.
pub(crate) fn go_syntax(time: &Moment) -> String {
    let now = time.civil();
    let month = moment::month_name(now.month.into()).unwrap_or_default();
    let zone = match &time.zone {
        Zone::Utc => "time.UTC".to_owned(),
        Zone::Local => "time.Local".to_owned(),
        Zone::Fixed(name, _) => format!("time.Location({name:?})"),
    };
    let (clock, nanos) = (format!("{}, {}, {}", now.hour, now.minute, now.second), time.nanos);
    format!("time.Date({}, time.{month}, {}, {clock}, {nanos}, {zone})", now.year, now.day)
}

fn written(time: &Moment, name: &str, piece: Piece) -> String {
    let now = time.civil();
    let month = || moment::month_name(now.month.into()).unwrap_or_default();
    let weekday = || moment::weekday_name(time.weekday()).unwrap_or_default();
    let hour12 = (now.hour + 11) % 12 + 1;
    let padded = |n: u8, width: usize| format!("{n:0width$}");
    match piece {
        Piece::Day(width, ' ') => format!("{:width$}", now.day),
        Piece::Day(width, _) => padded(now.day, width),
        Piece::DayOfYear(' ') => format!("{:3}", time.day_of_year()),
        Piece::DayOfYear(_) => format!("{:03}", time.day_of_year()),
        Piece::Fraction(digits, is_short) => {
            let all = format!("{:09}", time.nanos);
            let mut text = all.get(..digits.min(9)).unwrap_or(&all);
            if is_short {
                text = text.trim_end_matches('0');
            }
            let point = name.get(..1).filter(|_| !is_short || !text.is_empty());
            format!("{}{text}", point.unwrap_or_default())
        }
        Piece::Hour => padded(now.hour, 2),
        Piece::Hour12(width) => padded(hour12, width),
        Piece::HalfLower => if now.hour < 12 { "am" } else { "pm" }.to_owned(),
        Piece::HalfUpper => if now.hour < 12 { "AM" } else { "PM" }.to_owned(),
        Piece::LongMonth => month().to_owned(),
        Piece::LongWeekday => weekday().to_owned(),
        Piece::LongYear if now.year < 0 => format!("-{:04}", now.year.unsigned_abs()),
        Piece::LongYear => format!("{:04}", now.year),
        Piece::Minute(width) => padded(now.minute, width),
        Piece::Month(width) => padded(now.month, width),
        Piece::Offset(true, ..) if time.zone.offset() == 0 => "Z".to_owned(),
        Piece::Offset(_, parts, between) => offset(time.zone.offset(), parts, between),
        Piece::Second(width) => padded(now.second, width),
        Piece::ShortMonth => month().chars().take(3).collect(),
        Piece::ShortWeekday => weekday().chars().take(3).collect(),
        Piece::ShortYear => format!("{:02}", now.year.max(0) % 100),
        // A zone without a name.
        Piece::Zone if time.zone.abbreviation().is_empty() => offset(time.zone.offset(), 2, ""),
        Piece::Zone => time.zone.abbreviation().to_owned(),
    }
}

/// `+02:00`
fn offset(seconds: i32, parts: usize, between: &str) -> String {
    // Go drops the seconds before it looks at the sign.
    let sign = if seconds / 60 < 0 { '-' } else { '+' };
    let all = seconds.unsigned_abs();
    let parts: Vec<String> = [all / 3600, all / 60 % 60, all % 60]
        .iter()
        .take(parts)
        .map(|n| format!("{n:02}"))
        .collect();
    format!("{sign}{}", parts.join(between))
}

/// What has been read so far.
struct Reader {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    clock: [i64; 3],
    nanos: i64,
    half: Option<Half>,
    is_utc: bool,
    offset: Option<i32>,
    zone: Option<Rc<str>>,
}

#[derive(PartialEq, Eq)]
enum Half {
    Am,
    Pm,
}

/// `time.ParseInLocation` with the local zone. The error names the piece of the layout that does not fit,
/// never the text.
pub(crate) fn parse(layout: &str, text: &[u8]) -> Result<Moment, String> {
    let mut reader = Reader {
        year: 0,
        month: None,
        day: None,
        day_of_year: None,
        clock: [0; 3],
        nanos: 0,
        half: None,
        is_utc: false,
        offset: None,
        zone: None,
    };
    let mut layout_left = layout;
    let mut left = text;
    loop {
        let (before, piece, after) = next(layout_left);
        left = skip(left, before).ok_or_else(|| misfit(before))?;
        let Some((name, piece)) = piece else {
            return if left.is_empty() {
                reader.finish()
            } else {
                Err("more text than the layout has pieces".to_owned())
            };
        };
        layout_left = after;
        left = reader.piece(piece, left, after).ok_or_else(|| misfit(name))?;
    }
}

fn misfit(piece: &str) -> String {
    format!("the text does not fit {piece:?} of the layout")
}

/// Takes the letters of a layout that are no piece off a text; blanks stand for any number of blanks.
fn skip<'t>(mut text: &'t [u8], letters: &str) -> Option<&'t [u8]> {
    let mut letters = letters.as_bytes();
    while let Some((letter, rest)) = letters.split_first() {
        if *letter == b' ' {
            if text.first().is_some_and(|c| *c != b' ') {
                return None;
            }
            letters = unpadded(letters);
            text = unpadded(text);
        } else {
            text = text.strip_prefix(&[*letter])?;
            letters = rest;
        }
    }
    Some(text)
}

/// Without the blanks at the start.
fn unpadded(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|c| **c == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

/// One or two digits, two when `is_fixed`.
fn number(text: &[u8], is_fixed: bool) -> Option<(i64, &[u8])> {
    let count = text.iter().take(2).take_while(|c| c.is_ascii_digit()).count();
    if count == 0 || (is_fixed && count < 2) {
        return None;
    }
    digits(text, count)
}

fn digits(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(count)?;
    Some((str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// A month or weekday at the start, in any case; from 1.
fn named<'t>(
    text: &'t [u8],
    length: Option<usize>,
    names: impl Iterator<Item = &'static str>,
) -> Option<(i64, &'t [u8])> {
    let names = names.map(|name| name.get(..length.unwrap_or(name.len())).unwrap_or(name));
    (1..).zip(names).find_map(|(n, name)| {
        let (found, rest) = text.split_at_checked(name.len())?;
        found.eq_ignore_ascii_case(name.as_bytes()).then_some((n, rest))
    })
}

fn months() -> impl Iterator<Item = &'static str> {
    (1..=12).filter_map(moment::month_name)
}

fn weekdays() -> impl Iterator<Item = &'static str> {
    (0..7).filter_map(moment::weekday_name)
}

impl Reader {
    /// Reads one piece; `layout` is what follows it.
    fn piece<'t>(&mut self, piece: Piece, text: &'t [u8], layout: &str) -> Option<&'t [u8]> {
        let within = |(n, rest): (i64, &'t [u8]), end: i64| (n < end).then_some((n, rest));
        Some(match piece {
            Piece::ShortYear => {
                let (year, rest) = digits(text, 2)?;
                self.year = year + if year >= 69 { 1900 } else { 2000 };
                rest
            }
            Piece::LongYear => {
                text.first().filter(|c| c.is_ascii_digit())?;
                let (year, rest) = digits(text, 4)?;
                self.year = year;
                rest
            }
            Piece::ShortMonth | Piece::LongMonth => {
                let length = Some(3).filter(|_| matches!(piece, Piece::ShortMonth));
                let (month, rest) = named(text, length, months())?;
                self.month = Some(month);
                rest
            }
            Piece::Month(width) => {
                let (month, rest) = within(number(text, width == 2)?, 13)?;
                self.month = Some(month).filter(|month| *month > 0);
                self.month.is_some().then_some(rest)?
            }
            Piece::ShortWeekday => named(text, Some(3), weekdays())?.1,
            Piece::LongWeekday => named(text, None, weekdays())?.1,
            Piece::Day(width, fill) => {
                let is_padded = fill == ' ' && width == 2;
                let text = text.strip_prefix(b" ").filter(|_| is_padded).unwrap_or(text);
                let (day, rest) = number(text, fill == '0')?;
                self.day = Some(day);
                rest
            }
            Piece::DayOfYear(fill) => {
                let blanks = text.iter().take(2).take_while(|c| **c == b' ').count();
                let text = text.get(if fill == ' ' { blanks } else { 0 }..)?;
                let count = text.iter().take(3).take_while(|c| c.is_ascii_digit()).count();
                let (day, rest) = digits(text, count).filter(|_| fill == ' ' || count == 3)?;
                self.day_of_year = Some(day);
                rest
            }
            Piece::Hour => self.set_clock(0, within(number(text, false)?, 24)?),
            Piece::Hour12(width) => self.set_clock(0, within(number(text, width == 2)?, 13)?),
            Piece::Minute(width) => self.set_clock(1, within(number(text, width == 2)?, 60)?),
            Piece::Second(width) => {
                let rest = self.set_clock(2, within(number(text, width == 2)?, 60)?);
                self.fraction_of_text(rest, layout)?
            }
            Piece::HalfUpper | Piece::HalfLower => {
                let (half, rest) = text.split_at_checked(2)?;
                let is_upper = matches!(piece, Piece::HalfUpper);
                self.half = Some(match (half, is_upper) {
                    (b"AM", true) | (b"am", false) => Half::Am,
                    (b"PM", true) | (b"pm", false) => Half::Pm,
                    _ => return None,
                });
                rest
            }
            Piece::Offset(takes_z, parts, between) => {
                self.offset_of_text(text, takes_z, parts, between)?
            }
            Piece::Zone => self.zone_of_text(text)?,
            Piece::Fraction(count, false) => self.fraction(text, count)?,
            Piece::Fraction(_, true) => match fraction_digits(text) {
                0 => text,
                count => self.fraction(text, count)?,
            },
        })
    }

    fn set_clock<'t>(&mut self, hand: usize, (n, rest): (i64, &'t [u8])) -> &'t [u8] {
        if let Some(slot) = self.clock.get_mut(hand) {
            *slot = n;
        }
        rest
    }

    /// After a second: a fraction that the layout does not mention.
    fn fraction_of_text<'t>(&mut self, text: &'t [u8], layout: &str) -> Option<&'t [u8]> {
        let count = fraction_digits(text);
        if count == 0 || matches!(next(layout).1, Some((_, Piece::Fraction(..)))) {
            return Some(text);
        }
        self.fraction(text, count)
    }

    /// A point and `count` digits, of which nine matter.
    fn fraction<'t>(&mut self, text: &'t [u8], count: usize) -> Option<&'t [u8]> {
        let (number, rest) = text.split_at_checked(count + 1)?;
        let number = number.strip_prefix(b".").or_else(|| number.strip_prefix(b","))?;
        let number = number.get(..count.min(9))?;
        let (nanos, _) = digits(number, number.len())?;
        let missing = u32::try_from(9 - number.len()).unwrap_or(0);
        self.nanos = nanos * 10_i64.pow(missing);
        Some(rest)
    }

    fn offset_of_text<'t>(
        &mut self,
        text: &'t [u8],
        takes_z: bool,
        parts: usize,
        between: &str,
    ) -> Option<&'t [u8]> {
        if let Some(rest) = text.strip_prefix(b"Z").filter(|_| takes_z) {
            self.is_utc = true;
            return Some(rest);
        }
        let (sign, mut rest) = text.split_first()?;
        let sign = match sign {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let mut seconds = 0;
        for (i, (scale, max)) in [(3600, 24), (60, 60), (1, 60)].into_iter().take(parts).enumerate()
        {
            if i > 0 {
                rest = rest.strip_prefix(between.as_bytes())?;
            }
            let (n, after) = number(rest, true).filter(|(n, _)| *n <= max)?;
            seconds += n * scale;
            rest = after;
        }
        self.offset = i32::try_from(seconds * sign).ok();
        Some(rest)
    }

    /// An abbreviation of a zone.
    fn zone_of_text<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        if let Some(rest) = text.strip_prefix(b"UTC") {
            self.is_utc = true;
            return Some(rest);
        }
        let (name, rest) = text.split_at_checked(zone_length(text)?)?;
        self.zone = Some(str::from_utf8(name).ok()?.into());
        Some(rest)
    }

    fn finish(mut self) -> Result<Moment, String> {
        let [hour, _, _] = &mut self.clock;
        match self.half {
            Some(Half::Pm) if *hour < 12 => *hour += 12,
            Some(Half::Am) if *hour == 12 => *hour = 0,
            _ => {}
        }
        let (month, day) = match self.day_of_year {
            Some(n) => self.date_of_day(n)?,
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        if day < 1 || day > moment::days_in(month, self.year) {
            return Err("the day is out of range".to_owned());
        }
        let local = |zone| Moment::of_civil([self.year, month, day], self.clock, self.nanos, zone);
        if self.is_utc {
            return Ok(local(Zone::Utc));
        }
        Ok(match (self.offset, self.zone) {
            (Some(0), None) => local(Zone::Local),
            (Some(0), Some(name)) if *name == *"UTC" => local(Zone::Local),
            (Some(offset), name) => local(Zone::Fixed(name.unwrap_or_else(|| "".into()), offset)),
            (None, Some(name)) => {
                // Other abbreviations stand for different offsets in different places.
                let hours = name.strip_prefix("GMT").and_then(|hours| hours.parse::<i32>().ok());
                // Go takes the clock for that of UTC, even where the abbreviation says more.
                local(Zone::Utc).at(Zone::Fixed(name, hours.unwrap_or(0) * 3600))
            }
            (None, None) => local(Zone::Local),
        })
    }

    /// Month and day of a day of the year.
    fn date_of_day(&self, n: i64) -> Result<(i64, i64), String> {
        let length = if moment::is_leap(self.year) { 366 } else { 365 };
        if !(1..=length).contains(&n) {
            return Err("the day of the year is out of range".to_owned());
        }
        let mut day = n;
        let mut month = 1;
        while day > moment::days_in(month, self.year) {
            day -= moment::days_in(month, self.year);
            month += 1;
        }
        if self.month.is_some_and(|given| given != month)
            || self.day.is_some_and(|given| given != day)
        {
            return Err("the day of the year is another day than the month and day".to_owned());
        }
        Ok((month, day))
    }
}

/// How many digits follow a point at the start.
fn fraction_digits(text: &[u8]) -> usize {
    match text.split_first() {
        Some((b'.' | b',', rest)) => rest.iter().take_while(|c| c.is_ascii_digit()).count(),
        _ => 0,
    }
}

/// How long an abbreviation is: three to five capitals, with the exceptions of Go.
fn zone_length(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_hours(rest));
    }
    if text.len() >= 3 && matches!(text.first(), Some(b'+' | b'-')) {
        return Some(signed_hours(text)).filter(|length| *length > 0);
    }
    let capitals = text.iter().take(6).take_while(|c| c.is_ascii_uppercase()).count();
    match capitals {
        3 => Some(3),
        4 if text.get(3) == Some(&b'T') || text.starts_with(b"WITA") => Some(4),
        5 if text.get(4) == Some(&b'T') => Some(5),
        _ => None,
    }
}

/// How long `+03` at the start is: a sign and hours up to 23.
fn signed_hours(text: &[u8]) -> usize {
    let Some((b'+' | b'-', rest)) = text.split_first() else { return 0 };
    let count = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    let hours = digits(rest, count).filter(|(hours, _)| *hours <= 23);
    if hours.is_some() { count + 1 } else { 0 }
}
