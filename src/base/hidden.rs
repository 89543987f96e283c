//! Foreign words without our credentials in them.
//!
//! Servers, proxies and firewalls repeat requests in their errors: as they came, or as JSON, a URL, HTML, base64 or
//! hex, whole or cut off. Whatever of a text reads like a part of a credential in one of these is left out.

use std::collections::BTreeSet;
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::secret::Secret;

/// What stands in the place of a credential.
const INSTEAD: &str = "[hidden]";

/// Bytes that a text and a credential have in common by no accident. Of a longer credential any such part is hidden,
/// so that what is cut off or broken into lines is found, too.
const PART_BYTES: usize = 12;

/// A credential shorter than that is hidden where it stands alone: `app` is a part of many words.
const ALONE_BYTES_MAX: usize = 6;

/// Layers of one kind of escape in another: JSON in a URL. Of all kinds at once one more is taken off: JSON in JSON
/// in JSON.
const LAYERS_MAX: usize = 2;

/// Bytes of a credential in which parts are looked for; tokens have at most some thousand.
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;

/// `text` without the parts of it that are parts of `credentials`.
pub fn hide(text: &str, credentials: &[Secret]) -> String {
    let credentials: Vec<_> =
        credentials.iter().filter(|credential| !credential.expose().trim().is_empty()).collect();
    if credentials.is_empty() {
        return text.to_owned();
    }
    let needles = Needles::of(&credentials);
    let mut hidden = vec![false; text.len()];
    look(&View::of(text), &needles, LAYERS_MAX, &mut hidden);
    // A character may look like another kind of escape than the text has, so that each is tried by itself.
    let mut view = Some(View::of(text));
    for _ in 0..=LAYERS_MAX {
        view = view.and_then(|view| view.unescaped(ALL_KINDS));
        view.iter().for_each(|view| view.mark(&needles, &mut hidden));
    }
    without(text, &hidden)
}

/// Marks what is found in a text and in what is below its escapes.
fn look(view: &View, needles: &Needles, layers: usize, hidden: &mut [bool]) {
    view.mark(needles, hidden);
    if layers > 0 {
        for kind in [Kind::Json, Kind::Markup, Kind::Url, Kind::Lines] {
            if let Some(below) = view.unescaped(&[kind]) {
                look(&below, needles, layers - 1, hidden);
            }
        }
    }
}

/// How a text is written inside of another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    /// Broken into lines.
    Lines,
    /// HTML
    Markup,
    Url,
}

const ALL_KINDS: &[Kind] = &[Kind::Json, Kind::Markup, Kind::Url];

fn without(text: &str, hidden: &[bool]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_hiding = false;
    for (at, c) in text.char_indices() {
        let is_hidden =
            hidden.get(at..at + c.len_utf8()).is_some_and(|marks| marks.contains(&true));
        if is_hidden && !is_hiding {
            out.push_str(INSTEAD);
        } else if !is_hidden {
            out.push(c);
        }
        is_hiding = is_hidden;
    }
    out
}

/// A text with some layers of escapes taken off. Wiped, as it may hold what is to be hidden.
struct View {
    /// As [`normal`] makes them.
    bytes: Zeroizing<Vec<u8>>,
    /// Which bytes of the text each of them comes from.
    places: Vec<Range<usize>>,
    /// As they came.
    plain: Zeroizing<Vec<u8>>,
}

impl View {
    fn of(text: &str) -> Self {
        let places = (0..text.len()).map(|at| at..at + 1).collect();
        Self::new(text.as_bytes().to_vec(), places)
    }

    fn new(plain: Vec<u8>, places: Vec<Range<usize>>) -> Self {
        let bytes = Zeroizing::new(plain.iter().map(|&byte| normal(byte)).collect());
        Self { bytes, places, plain: Zeroizing::new(plain) }
    }

    fn mark(&self, needles: &Needles, hidden: &mut [bool]) {
        for found in needles.found_in(&self.bytes) {
            for place in self.places.get(found).unwrap_or_default() {
                hidden.get_mut(place.clone()).unwrap_or_default().fill(true);
            }
        }
    }

    /// With one layer of escapes taken off, if there is one.
    fn unescaped(&self, kinds: &[Kind]) -> Option<Self> {
        let (mut plain, mut places) = (Vec::with_capacity(self.plain.len()), Vec::new());
        let mut at = 0;
        let mut is_changed = false;
        while let Some(rest) = self.plain.get(at..).filter(|rest| !rest.is_empty()) {
            let (meant, taken) = meant(rest, kinds);
            let first = self.places.get(at).map_or(0, |place| place.start);
            let last = self.places.get(at + taken - 1).map_or(first, |place| place.end);
            for &byte in &meant {
                plain.push(byte);
                places.push(first..last);
            }
            is_changed |= taken > 1 || meant.is_empty();
            at += taken;
        }
        is_changed.then(|| Self::new(plain, places))
    }
}

/// Letters of both cases alike, and both alphabets of base64.
const fn normal(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        _ => byte.to_ascii_lowercase(),
    }
}

/// What the start of a text means, and how many bytes of it: an escape of one of these kinds, or one byte.
fn meant(rest: &[u8], kinds: &[Kind]) -> (Vec<u8>, usize) {
    let found = match rest {
        [b'%', ..] if kinds.contains(&Kind::Url) => byte(rest, 1..3).map(|byte| (vec![byte], 3)),
        [b'\\', ..] if kinds.contains(&Kind::Json) => of_json(rest),
        [b'&', ..] if kinds.contains(&Kind::Markup) => of_markup(rest),
        [b'\r' | b'\n', ..] if kinds.contains(&Kind::Lines) => {
            Some((Vec::new(), rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()))
        }
        _ => None,
    };
    found.unwrap_or_else(|| (rest.first().into_iter().copied().collect(), 1))
}

fn number(rest: &[u8], range: Range<usize>) -> Option<u32> {
    let digits = rest.get(range).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

fn byte(rest: &[u8], range: Range<usize>) -> Option<u8> {
    number(rest, range).and_then(|code| u8::try_from(code).ok())
}

fn character(code: u32) -> Option<Vec<u8>> {
    char::from_u32(code).map(|c| c.to_string().into_bytes())
}

fn of_json(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    match rest.get(1)? {
        b'u' => number(rest, 2..6).and_then(character).map(|meant| (meant, 6)),
        b'x' => byte(rest, 2..4).map(|byte| (vec![byte], 4)),
        b'n' | b'r' | b't' => Some((Vec::new(), 2)),
        escaped => Some((vec![*escaped], 2)),
    }
}

fn of_markup(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    /// `&#x1f600;`
    const NAME_BYTES_MAX: usize = 10;
    let end = rest.iter().take(NAME_BYTES_MAX).position(|&byte| byte == b';')?;
    let meant = match rest.get(1..end)? {
        b"amp" => vec![b'&'],
        b"lt" => vec![b'<'],
        b"gt" => vec![b'>'],
        b"quot" => vec![b'"'],
        b"apos" => vec![b'\''],
        [b'#', b'x' | b'X', ..] => number(rest, 3..end).and_then(character)?,
        [b'#', digits @ ..] => character(str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    };
    Some((meant, end + 1))
}

/// What is looked for.
struct Needles {
    /// Parts of what is long enough, all of [`PART_BYTES`].
    parts: BTreeSet<[u8; PART_BYTES]>,
    /// What is shorter, and whether it has to stand alone.
    whole: Vec<(Zeroizing<Vec<u8>>, bool)>,
}

impl Needles {
    fn of(credentials: &[&Secret]) -> Self {
        let mut needles = Self { parts: BTreeSet::new(), whole: Vec::new() };
        for credential in credentials {
            let bytes = credential.expose().trim().as_bytes();
            let bytes = bytes.get(..CREDENTIAL_BYTES_MAX).unwrap_or(bytes);
            needles.add(bytes, bytes.len() < ALONE_BYTES_MAX);
            if bytes.len() < ALONE_BYTES_MAX {
                continue;
            }
            needles.add(hexadecimal(bytes).as_bytes(), false);
            // Where something stands before it, base64 looks different, by the number of bytes modulo three.
            for before in 0..3 {
                let text = [vec![0; before].as_slice(), bytes].concat();
                let text =
                    Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(Zeroizing::new(text).as_slice()));
                // The characters at both ends belong to what stands beside, too.
                let first = (before * 8).div_ceil(6);
                let last = (before + bytes.len()) * 8 / 6;
                needles.add(text.as_bytes().get(first..last).unwrap_or_default(), false);
            }
        }
        needles
    }

    fn add(&mut self, bytes: &[u8], stands_alone: bool) {
        let bytes = Zeroizing::new(bytes.iter().map(|&byte| normal(byte)).collect::<Vec<_>>());
        if bytes.len() < PART_BYTES {
            self.whole.push((bytes, stands_alone));
            return;
        }
        self.parts
            .extend(bytes.windows(PART_BYTES).filter_map(|part| part.first_chunk::<PART_BYTES>()));
    }

    fn found_in<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = Range<usize>> + 't {
        let key = |part: &[u8]| part.first_chunk().is_some_and(|part| self.parts.contains(part));
        let parts = text.windows(PART_BYTES).enumerate();
        let parts = parts.filter(move |(_, part)| key(part)).map(|(at, _)| at..at + PART_BYTES);
        let whole = self.whole.iter().filter(|(needle, _)| !needle.is_empty());
        let whole = whole.flat_map(move |(needle, stands_alone)| {
            let found = text.windows(needle.len()).enumerate();
            let found = found.filter(move |(_, part)| *part == needle.as_slice());
            let ranges = found.map(move |(at, part)| at..at + part.len());
            ranges.filter(move |range| !stands_alone || is_alone(text, range))
        });
        parts.chain(whole)
    }
}

fn is_alone(text: &[u8], range: &Range<usize>) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    !is_word(before) && !is_word(text.get(range.end))
}

fn hexadecimal(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    const TOKENS: &[&str] = &[
        "hvs.CAESIJTOKENCANARYx9_-w1",
        "6f1c2f2a-1b7d-4a0e-9d1f-0b6f0f2f3a4b",
        "p@ss/w\"rd\\ <&>'x",
        "hunter2",
        "pässwörd-ß",
    ];

    fn percent(text: &str, all: bool) -> String {
        let is_plain = |b: u8| !all && (b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        text.bytes()
            .map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    }

    fn html(text: &str) -> String {
        text.chars()
            .map(|c| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '"' => "&#34;".to_owned(),
                '\'' => "&#x27;".to_owned(),
                c => c.to_string(),
            })
            .collect()
    }

    fn json(text: &str) -> String {
        serde_json::Value::from(text).to_string()
    }

    #[test]
    fn a_credential_is_found_in_every_form() {
        for token in TOKENS {
            let secrets = [Secret::new(*token)];
            let unicode: String =
                token.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let forms = [
                (*token).to_owned(),
                token.to_ascii_uppercase(),
                json(token),
                json(&json(token)),
                json(&json(&json(token))),
                percent(token, false),
                percent(token, true),
                percent(&percent(token, false), false),
                percent(&json(token), false),
                json(&percent(token, true)),
                html(token),
                html(&json(token)),
                unicode,
                hexadecimal(token.as_bytes()).to_string(),
            ];
            for form in forms {
                let shown = hide(&format!("bad request: <{form}> was refused"), &secrets);
                assert!(shown.contains(INSTEAD), "{form}: {shown}");
                assert!(
                    shown.starts_with("bad request: ") && shown.ends_with(" was refused"),
                    "{shown}"
                );
                let rest =
                    shown.trim_start_matches("bad request: <").trim_end_matches("> was refused");
                let rest = rest.replace(INSTEAD, "");
                // Quotes around it, perhaps escaped.
                let rest = rest.chars().filter(char::is_ascii_alphanumeric).count();
                assert!(rest <= 8, "{form}: {shown}");
            }
            for (before, after) in [("", ""), ("u:", ""), ("user:", "\n"), ("x", "yz"), ("ab", "c")]
            {
                let text = format!("{before}{token}{after}");
                for form in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)] {
                    let shown = hide(&format!("Authorization: Basic {form} refused"), &secrets);
                    assert!(shown.contains(INSTEAD), "{text} {form}: {shown}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_broken_is_hidden_as_well() {
        let token = "hvs.CAESIJTOKENCANARYx9w1qqqqqqqq";
        let secrets = [Secret::new(token)];
        for cut in [12, 16, 20, 30] {
            assert_eq!(
                hide(&format!("X-Vault-Token: {}…", token.get(..cut).unwrap()), &secrets),
                "X-Vault-Token: [hidden]…"
            );
            assert_eq!(
                hide(&format!("…{}", token.get(token.len() - cut..).unwrap()), &secrets),
                "…[hidden]"
            );
        }
        assert_eq!(hide(&format!("<{token}{token}>"), &secrets), "<[hidden]>");
        let lines = format!("{}\r\n   {}", token.get(..10).unwrap(), token.get(10..).unwrap());
        assert!(hide(&lines, &secrets).starts_with("[hidden]"), "{}", hide(&lines, &secrets));
    }

    #[test]
    fn other_words_stay() {
        let secrets = [Secret::new("app"), Secret::new("r"), Secret::new(""), Secret::new(" ")];
        assert_eq!(
            hide("invalid role name of application \"app\"", &secrets),
            "invalid role name of application \"[hidden]\""
        );
        assert_eq!(
            hide("permission denied", &[Secret::new("hvs.CAESIJTOKENCANARY")]),
            "permission denied"
        );
        assert_eq!(hide("permission denied", &[]), "permission denied");
        assert_eq!(hide("", &secrets), "");
        assert_eq!(
            hide("100% \\ & \\u12 %zz &; &#; &#x; \u{1f600}\\", &secrets),
            "100% \\ & \\u12 %zz &; &#; &#x; \u{1f600}\\"
        );
    }
}
