//! Sprig: versions and constraints on them.

use std::rc::Rc;

use super::{Arguments, Function, Param, call};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::live::Counted;
use crate::domain::template::named::{Holding, Named};
use crate::domain::template::semver::{Constraint, Version};
use crate::domain::template::value::Value;

use Param::{Text as Words, Version as Other};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    call("sprig_semver", &[Words], "a version with methods such as .Major and .Compare", |e, v| {
        Ok(held(read(e, v, 0)?, Holding::Pointer))
    }),
    call(
        "sprig_semverCompare",
        &[Words, Words],
        "whether a constraint such as \">= 1.2, < 2\" holds for a version",
        compare,
    ),
];

/// Of a version and of a pointer to one. Sorted by name.
pub(super) const METHODS: &[Function] = &[
    call("IncMajor", &[], "the next major version", |e, v| changed(e, v, Version::next_major)),
    call("IncMinor", &[], "the next minor version", |e, v| changed(e, v, Version::next_minor)),
    call("IncPatch", &[], "the next patch", |e, v| changed(e, v, Version::next_patch)),
    call("Major", &[], "the first number", |_, v| number(v, |version| version.major)),
    call("Metadata", &[], "what follows a plus", |e, v| text(e, v, |version| &version.metadata)),
    call("Minor", &[], "the second number", |_, v| number(v, |version| version.minor)),
    call("Patch", &[], "the third number", |_, v| number(v, |version| version.patch)),
    call("Prerelease", &[], "what follows a dash", |e, v| {
        text(e, v, |version| &version.prerelease)
    }),
    call("SetMetadata", &[Words], "the version with this metadata", |e, v| {
        set(e, v, Version::with_metadata)
    }),
    call("SetPrerelease", &[Words], "the version with this prerelease", |e, v| {
        set(e, v, Version::with_prerelease)
    }),
    call("String", &[], "the version with all of its parts", string),
    call("Value", &[], "the version as a database gets it: as text", string),
];

/// Of a pointer to a version only. Sorted by name.
pub(super) const POINTER_METHODS: &[Function] = &[
    call("Compare", &[Other], "-1, 0 or 1: before, equal, after", |_, v| {
        let order = version(v, 0)?.order(version(v, 1)?);
        Ok(Value::Int(order as i64))
    }),
    call("Equal", &[Other], "whether they have the same precedence", |_, v| {
        Ok(Value::Bool(version(v, 0)?.order(version(v, 1)?).is_eq()))
    }),
    call("GreaterThan", &[Other], "whether it comes after", |_, v| {
        Ok(Value::Bool(version(v, 0)?.order(version(v, 1)?).is_gt()))
    }),
    call("GreaterThanEqual", &[Other], "whether it does not come before", |_, v| {
        Ok(Value::Bool(version(v, 0)?.order(version(v, 1)?).is_ge()))
    }),
    call("LessThan", &[Other], "whether it comes before", |_, v| {
        Ok(Value::Bool(version(v, 0)?.order(version(v, 1)?).is_lt()))
    }),
    call("LessThanEqual", &[Other], "whether it does not come after", |_, v| {
        Ok(Value::Bool(version(v, 0)?.order(version(v, 1)?).is_le()))
    }),
    call("Original", &[], "the version as it was written", |e, v| {
        text(e, v, |version| &version.original)
    }),
];

fn held<'a>(version: Version, holding: Holding) -> Value<'a> {
    let bytes = size_of::<Version>().saturating_add(version.original.len().saturating_mul(2));
    Value::Named(Named::Version(Rc::new(Counted::new(version, bytes)), holding))
}

fn version<'v>(values: &'v [Value<'_>], i: usize) -> Result<&'v Version> {
    match values.get(i) {
        Some(Value::Named(Named::Version(version, _))) => Ok(version),
        _ => Err(Fault::new("wants a version of sprig_semver, got nil")),
    }
}

fn string<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    eval.made(version(values, 0)?.to_string().into_bytes())
}

fn number<'a>(values: &[Value<'a>], get: fn(&Version) -> u64) -> Result<Value<'a>> {
    Ok(Value::Uint64(get(version(values, 0)?)))
}

fn text<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    get: fn(&Version) -> &String,
) -> Result<Value<'a>> {
    eval.made(get(version(values, 0)?).as_bytes().to_vec())
}

/// Before a version is made of a text of `bytes`, whose parts it holds beside the whole.
fn count(eval: &mut Eval<'_>, bytes: usize) -> Result<()> {
    eval.meter.elements(2)?;
    eval.meter.text(bytes.saturating_mul(2))
}

fn changed<'a>(
    eval: &mut Eval<'a>,
    values: &[Value<'a>],
    change: fn(&Version) -> Version,
) -> Result<Value<'a>> {
    count(eval, version(values, 0)?.original.len())?;
    Ok(held(change(version(values, 0)?), Holding::Itself))
}

type Setter = fn(&Version, &str) -> std::result::Result<Version, &'static str>;

fn set<'a>(eval: &mut Eval<'a>, values: &[Value<'a>], set: Setter) -> Result<Value<'a>> {
    count(eval, version(values, 0)?.original.len() + values.text_at(1).len())?;
    let part = str::from_utf8(values.text_at(1)).unwrap_or("\u{fffd}");
    set(version(values, 0)?, part).map(|v| held(v, Holding::Itself)).map_err(Fault::new)
}

fn read(eval: &mut Eval<'_>, values: &[Value<'_>], i: usize) -> Result<Version> {
    let text = values.text_at(i);
    count(eval, text.len())?;
    let version = Version::parse(str::from_utf8(text).unwrap_or("\u{fffd}"));
    version.map_err(|reason| Fault::new(format!("the version{}: {reason}", eval.literal(text))))
}

fn compare<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let text = values.text_at(0);
    // Ranges are looked for at every letter.
    eval.meter.read(text.len().saturating_mul(text.len()))?;
    let constraint = Constraint::parse(str::from_utf8(text).unwrap_or("\u{fffd}"));
    let constraint = constraint
        .map_err(|reason| Fault::new(format!("the constraint{}: {reason}", eval.literal(text))))?;
    Ok(Value::Bool(constraint.holds(&read(eval, values, 1)?)))
}
