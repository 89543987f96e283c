//! Regular expressions: RE2 as far as the crate `regex-lite` has it. Classes by Unicode property (`\pL`) are
//! refused, and `(?i)` folds ASCII only.

use regex_lite::{Regex, RegexBuilder};

use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::{List, Of, Text, Value};

use Param::{Int, Text as Words};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("regexMatch", &[Words, Words], "whether the expression is found in the text", is_match),
    call(
        "regexReplaceAll",
        &[Words, Words, Words],
        "the last text with every match replaced; $1 and ${name} stand for groups",
        |e, v| replace(e, v, 2, 1, false),
    ),
    call(
        "sprig_mustRegexFind",
        &[Words, Words],
        "the first match of the expression, or an empty text",
        find,
    ),
    call(
        "sprig_mustRegexFindAll",
        &[Words, Words, Int],
        "the matches of the expression, at most so many unless negative",
        find_all,
    ),
    call(
        "sprig_mustRegexMatch",
        &[Words, Words],
        "whether the expression is found in the text",
        is_match,
    ),
    call(
        "sprig_mustRegexReplaceAll",
        &[Words, Words, Words],
        "the second text with every match replaced; $1 and ${name} stand for groups",
        |e, v| replace(e, v, 1, 2, false),
    ),
    call(
        "sprig_mustRegexReplaceAllLiteral",
        &[Words, Words, Words],
        "the second text with every match replaced by the last as it stands",
        |e, v| replace(e, v, 1, 2, true),
    ),
    call(
        "sprig_mustRegexSplit",
        &[Words, Words, Int],
        "the pieces between matches, at most so many unless negative",
        split,
    ),
    call(
        "sprig_regexFind",
        &[Words, Words],
        "the first match of the expression, or an empty text",
        find,
    ),
    call(
        "sprig_regexFindAll",
        &[Words, Words, Int],
        "the matches of the expression, at most so many unless negative",
        find_all,
    ),
    call(
        "sprig_regexMatch",
        &[Words, Words],
        "whether the expression is found in the text; false when it is none",
        |e, v| match compiled(e, v.text_at(0)) {
            Ok(_) => is_match(e, v),
            Err(_) => Ok(Value::Bool(false)),
        },
    ),
    call("sprig_regexQuoteMeta", &[Words], "the text as an expression that matches it", quote_meta),
    call(
        "sprig_regexReplaceAll",
        &[Words, Words, Words],
        "the second text with every match replaced; $1 and ${name} stand for groups",
        |e, v| replace(e, v, 1, 2, false),
    ),
    call(
        "sprig_regexReplaceAllLiteral",
        &[Words, Words, Words],
        "the second text with every match replaced by the last as it stands",
        |e, v| replace(e, v, 1, 2, true),
    ),
    call(
        "sprig_regexSplit",
        &[Words, Words, Int],
        "the pieces between matches, at most so many unless negative",
        split,
    ),
];

/// In bytes. Real ones have tens.
const PATTERN_MAX: usize = 1024;
/// Of a compiled expression, in bytes: what repetitions by number may unfold to.
const COMPILED_MAX: usize = 128 * 1024;
/// Bytes of a text that a search with one instruction reads per step.
const BYTES_PER_STEP: usize = 16;
/// The same for every search after the first: most end soon after where they start.
const BYTES_PER_LATER_STEP: usize = 32;

/// An expression and what one byte of text costs it, in instructions.
struct Machine {
    regex: Regex,
    cost: usize,
}

impl Machine {
    /// Before a search through `bytes`. The machine may hold every instruction at every byte.
    fn charge(&self, eval: &mut Eval<'_>, bytes: usize, is_first: bool) -> Result<()> {
        let per_step = if is_first { BYTES_PER_STEP } else { BYTES_PER_LATER_STEP };
        eval.meter.steps(bytes.saturating_mul(self.cost) / per_step + 1)
    }
}

fn compiled(eval: &mut Eval<'_>, pattern: &[u8]) -> Result<Machine> {
    if pattern.len() > PATTERN_MAX {
        return Err(Fault::new(format!("an expression of more than {PATTERN_MAX} bytes")));
    }
    // Compiling takes time that a template could spend over and over.
    let pattern = utf8(pattern)?;
    let cost = unfolded(pattern);
    eval.meter.steps(cost)?;
    let pattern = translated(pattern)?;
    let regex = RegexBuilder::new(&pattern).size_limit(COMPILED_MAX).build();
    let regex = regex.map_err(|error| Fault::new(format!("no regular expression: {error}")))?;
    Ok(Machine { regex, cost })
}

/// About how many instructions an expression becomes: `{n}` repeats what may repeat itself.
fn unfolded(pattern: &str) -> usize {
    let counts = pattern.split('{').skip(1).filter_map(|part| part.split('}').next());
    let most = |count: &str| count.split(',').filter_map(|n| n.parse::<usize>().ok()).max();
    let size =
        counts.filter_map(most).fold(pattern.len() + 1, |size, n| size.saturating_mul(n.max(1)));
    size.min(COMPILED_MAX / 16)
}

/// Go's limit for `{n}`.
const REPEAT_MAX: u32 = 1000;

/// RE2's syntax in that of the crate: what one takes literally and the other does not is escaped.
fn translated(pattern: &str) -> Result<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class_start = None;
    let mut after_repeat = false;
    while let Some(c) = rest.chars().next() {
        let (_, after) = rest.split_at(c.len_utf8());
        let mut repeats = false;
        let start = out.len();
        let mut token = rest.strip_suffix(after).unwrap_or_default();
        match c {
            '\\' => (token, _) = rest.split_at(escape(rest, class_start.is_some(), &mut out)),
            '[' if class_start.is_none() => {
                let negated = if after.starts_with('^') { 2 } else { 1 };
                (token, _) = rest.split_at(negated);
                out.push_str(token);
                class_start = Some(out.len());
            }
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = rest.find(":]").map_or(1, |end| end + 2);
                (token, _) = rest.split_at(end);
                out.push_str(token);
            }
            '[' | '&' | '~' if class_start.is_some() => out.extend(['\\', c]),
            ']' if class_start.is_some_and(|class_start| class_start < start) => {
                class_start = None;
                out.push(c);
            }
            '*' | '+' | '?' if class_start.is_none() => {
                repeats = !out.ends_with('(');
                out.push(c);
            }
            '{' if class_start.is_none() => match counted(rest) {
                Some(length) => {
                    (token, _) = rest.split_at(length);
                    repeats = true;
                    out.push_str(token);
                }
                None => out.push_str("\\{"),
            },
            _ => out.push(c),
        }
        rest = rest.strip_prefix(token).unwrap_or_default();
        if repeats {
            if after_repeat || !within_limit(token) {
                return Err(Fault::new("no regular expression: a repetition of a repetition"));
            }
            if let Some(lazy) = rest.strip_prefix('?') {
                out.push('?');
                rest = lazy;
            }
        }
        after_repeat = repeats;
    }
    Ok(out)
}

/// Writes an escape and tells its length.
fn escape(rest: &str, in_class: bool, out: &mut String) -> usize {
    let after = rest.strip_prefix('\\').unwrap_or_default();
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return 1;
    };
    let body = after.strip_prefix(c).unwrap_or_default();
    match c {
        'Q' if !in_class => {
            let (literal, end) = match body.split_once("\\E") {
                Some((literal, _)) => (literal, 2),
                None => (body, 0),
            };
            out.push_str(&regex_lite::escape(literal));
            2 + literal.len() + end
        }
        'x' | 'p' | 'P' if body.starts_with('{') => {
            let length = 2 + body.find('}').map_or(0, |end| end + 1);
            out.push_str(rest.get(..length).unwrap_or_default());
            length
        }
        '<' | '>' => {
            out.push(c);
            2
        }
        _ => {
            out.extend(['\\', c]);
            1 + c.len_utf8()
        }
    }
}

/// The length of `{n}`, `{n,}` or `{n,m}`.
fn counted(text: &str) -> Option<usize> {
    let (body, _) = text.strip_prefix('{')?.split_once('}')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_counted = match body.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(body),
    };
    is_counted.then_some(body.len() + 2)
}

fn within_limit(token: &str) -> bool {
    let numbers = token.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    numbers.into_iter().all(|digits| digits.parse().is_ok_and(|n: u32| n <= REPEAT_MAX))
}

fn utf8(text: &[u8]) -> Result<&str> {
    str::from_utf8(text).ok().ok_or_else(|| Fault::new("expressions work on UTF-8 only"))
}

fn is_match<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let machine = compiled(eval, values.text_at(0))?;
    let text = utf8(values.text_at(1))?;
    machine.charge(eval, text.len(), true)?;
    Ok(Value::Bool(machine.regex.is_match(text)))
}

fn find<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let machine = compiled(eval, values.text_at(0))?;
    let text = utf8(values.text_at(1))?;
    machine.charge(eval, text.len(), true)?;
    eval.made(machine.regex.find(text).map_or("", |found| found.as_str()).into())
}

/// Where the first `count` matches are; all for a negative count.
fn matches(
    eval: &mut Eval<'_>,
    machine: &Machine,
    text: &str,
    count: i64,
) -> Result<Vec<(usize, usize)>> {
    let mut places = Vec::new();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut found = machine.regex.find_iter(text);
    let mut rest = text.len();
    while places.len() < count {
        machine.charge(eval, rest, places.is_empty())?;
        let Some(place) = found.next() else { break };
        rest = text.len() - place.end();
        places.push((place.start(), place.end()));
    }
    eval.meter.elements(places.len())?;
    Ok(places)
}

/// Go has a nil list where nothing is found.
fn texts<'a>(eval: &mut Eval<'a>, pieces: &[&str], is_nil: bool) -> Result<Value<'a>> {
    eval.meter.text(pieces.iter().map(|piece| piece.len()).sum())?;
    let items = pieces.iter().map(|piece| Value::Text(Text::from(piece.as_bytes().to_vec())));
    let mut list = List::new(Of::Text, items.collect());
    list.is_nil = is_nil;
    Ok(Value::List(list))
}

fn find_all<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let machine = compiled(eval, values.text_at(0))?;
    let text = utf8(values.text_at(1))?;
    let places = matches(eval, &machine, text, values.int_at(2))?;
    let pieces: Vec<&str> =
        places.into_iter().filter_map(|(start, end)| text.get(start..end)).collect();
    texts(eval, &pieces, pieces.is_empty())
}

fn split<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let machine = compiled(eval, values.text_at(0))?;
    let text = utf8(values.text_at(1))?;
    let count = values.int_at(2);
    if count == 0 {
        return texts(eval, &[], true);
    }
    if text.is_empty() && !values.text_at(0).is_empty() {
        return texts(eval, &[""], false);
    }
    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (match_start, match_end) in matches(eval, &machine, text, count)? {
        if count > 0 && usize::try_from(count - 1).is_ok_and(|last| pieces.len() == last) {
            break;
        }
        end = match_start;
        if match_end != 0 {
            pieces.extend(text.get(start..end));
        }
        start = match_end;
    }
    if end != text.len() {
        pieces.extend(text.get(start..));
    }
    texts(eval, &pieces, false)
}

fn replace<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    text_at: usize,
    with_at: usize,
    is_literal: bool,
) -> Result<Value<'a>> {
    let machine = compiled(eval, values.text_at(0))?;
    let (text, with) = (utf8(values.text_at(text_at))?, utf8(values.text_at(with_at))?);
    let mut found = machine.regex.captures_iter(text);
    let mut out = String::new();
    let mut end = 0;
    loop {
        machine.charge(eval, text.len() - end, end == 0)?;
        let Some(captures) = found.next() else { break };
        let Some(whole) = captures.get(0) else { break };
        out.push_str(text.get(end..whole.start()).unwrap_or_default());
        end = whole.end();
        if is_literal {
            out.push_str(with);
        } else {
            eval.meter.read(with.len())?;
            captures.expand(with, &mut out);
        }
        if out.len() > eval.meter.text_bytes_max() {
            break;
        }
    }
    out.push_str(text.get(end..).unwrap_or_default());
    eval.made(out.into_bytes())
}

fn quote_meta<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    eval.meter.text(text.len().saturating_mul(2))?;
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    eval.made(out)
}

#[cfg(test)]
mod tests {
    use crate::domain::template::{Budget, Outcome, Snapshot, Template};

    fn render(pipe: &str) -> Option<String> {
        let budget = Budget { steps: 10_000_000, depth: 100, output_bytes: 1 << 20 };
        let template = Template::parse("t", &format!("{{{{ {pipe} }}}}"), "", "", budget).unwrap();
        match template.render(&Snapshot::default(), false, budget) {
            Outcome::Done(done) => Some(String::from_utf8(done.text.expose().to_vec()).unwrap()),
            _ => None,
        }
    }

    /// Recorded from Go.
    #[test]
    fn expressions_are_those_of_re2() {
        for (expression, replaced) in [
            ("a{", "aaab\nb {<> ☺"),
            ("{", "aaab\nb <>a<> ☺"),
            ("[a[b]", "<><><><>\n<> {<>{ ☺"),
            ("[a&&b]", "<><><><>\n<> {<>{ ☺"),
            (r"\Qa{\E", "aaab\nb {<> ☺"),
            (r"\x{263a}", "aaab\nb {a{ <>"),
            (r"\<", "aaab\nb {a{ ☺"),
            ("a+?", "<><><>b\nb {<>{ ☺"),
            ("x|", "<>a<>a<>a<>b<>\n<>b<> <>{<>a<>{<> <>☺<>"),
            ("(?m)b$", "aaa<>\nb {a{ ☺"),
            ("[[:^alpha:]]+", "aaab<>b<>a<>"),
        ] {
            let pipe = format!("`aaab\nb {{a{{ ☺` | regexReplaceAll `{expression}` `<>`");
            assert_eq!(render(&pipe).as_deref(), Some(replaced), "{expression}");
        }
        for wrong in
            ["(", "a**", "a++", "a{1001}", "(a{1000}){1000}", r"\8", "(?=a)", "[z-a]", r"\"]
        {
            assert_eq!(render(&format!("regexMatch `{wrong}` `a`")), None, "{wrong}");
            let lenient = render(&format!("sprig_regexMatch `{wrong}` `a`"));
            assert_eq!(lenient.as_deref(), Some("false"), "{wrong}");
        }
    }

    #[test]
    fn matches_and_pieces() {
        for (pipe, output) in [
            ("regexReplaceAll `(a)(b)?` `$1-${2}_$$$x` `abac`", "a-b_$a-_$c"),
            ("sprig_regexReplaceAllLiteral `a` `aba` `$1`", "$1b$1"),
            ("sprig_regexReplaceAll `(a)` `aba` `${1}_`", "a_ba_"),
            ("sprig_regexFindAll `a` `aaa` 2", "[a a]"),
            ("sprig_regexFindAll `x` `aaa` -1 | toJSON", "null"),
            ("sprig_regexSplit `a` `bab` 1 | toJSON", "[\"bab\"]"),
            ("sprig_regexSplit `` `ab` -1 | toJSON", "[\"a\",\"b\"]"),
            ("sprig_regexQuoteMeta `a.b\\`", r"a\.b\\"),
        ] {
            assert_eq!(render(pipe).as_deref(), Some(output), "{pipe}");
        }
    }

    #[test]
    fn slow_expressions_run_out_of_steps() {
        let long = "sprig_repeat 200000 `a`";
        assert_eq!(render(&format!("{long} | regexReplaceAll `a|.*b` ``")), None);
        assert_eq!(render(&format!("{long} | regexMatch `(a{{1,900}})+b`")), None);
    }
}
