//! The functions of the language: one table, sorted by name, split by subject.
//!
//! A row says everything about a function: its parameters as Go types, so that the evaluator can check
//! arguments as Go does, one line of documentation, and the code.

mod certificate;
mod cipher;
mod collection;
mod effect;
mod encoding;
mod examples;
mod json;
mod json_read;
mod md5;
mod moment;
mod number;
mod regex;
mod secret;
mod semver;
mod sockaddr;
mod spew;
mod sprig_list;
mod sprig_map;
mod sprig_number;
mod sprig_path;
mod sprig_text;
mod sprig_value;
mod sprig_words;
mod text;
mod toml;
mod uppercase;
mod yaml;

pub(crate) use regex::Expressions;

use super::error::Result;
use super::go::builtins;
use super::go::eval::Eval;
use super::named::{Holding, Named};
use super::value::{Map, Text, Value};

/// A Go type that a parameter can have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    /// `interface {}`
    Any,
    /// `[]interface {}`
    Anys,
    Bool,
    /// `time.Duration`
    Duration,
    /// `sprig.certificate`
    Certificate,
    /// `float64`
    Float,
    Int,
    /// `*time.Location`
    Location,
    /// `map[string]interface {}`
    Map,
    /// `reflect.Value`: anything, nil included, as Go's own functions take it.
    Reflect,
    /// `string`
    Text,
    /// `[]string`
    Texts,
    /// `time.Time`
    Time,
    Uint32,
    /// `*semver.Version`
    Version,
}

impl Param {
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Anys => "[]interface {}",
            Self::Bool => "bool",
            Self::Duration => "time.Duration",
            Self::Certificate => "sprig.certificate",
            Self::Float => "float64",
            Self::Int => "int",
            Self::Location => "*time.Location",
            Self::Map => "map[string]interface {}",
            Self::Reflect => "reflect.Value",
            Self::Text => "string",
            Self::Texts => "[]string",
            Self::Time => "time.Time",
            Self::Uint32 => "uint32",
            Self::Version => "*semver.Version",
        }
    }

    /// For people who do not know Go.
    fn word(self) -> &'static str {
        match self {
            Self::Any | Self::Reflect => "any",
            Self::Anys => "list",
            Self::Bool => "bool",
            Self::Certificate => "certificate",
            Self::Float => "float",
            Self::Int | Self::Uint32 => "int",
            Self::Map => "map",
            Self::Text => "text",
            Self::Texts => "texts",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Location => "zone",
            Self::Version => "version",
        }
    }

    /// What a constant should have been.
    pub(crate) fn constant_name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int | Self::Duration => "integer",
            Self::Uint32 => "unsigned integer",
            other => other.type_name(),
        }
    }
}

/// How a function runs.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// `and`: stops at the first empty argument.
    And,
    /// With its arguments, checked against the parameters.
    Call(Code),
    /// `or`: stops at the first argument that is not empty.
    Or,
}

pub(crate) type Code = for<'a> fn(&mut Eval<'a>, &[Value<'a>]) -> Result<Value<'a>>;

/// A row of the table.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// Whether the last parameter takes any number of arguments.
    pub(crate) is_variadic: bool,
    /// One line for the generated documentation.
    pub(crate) doc: &'static str,
    /// Whether it counts itself what it does with its texts; else they count as read through.
    pub(crate) counts_itself: bool,
    pub(crate) run: Run,
}

impl Function {
    /// The parameter that argument `i` meets.
    pub(crate) fn param(&self, i: usize) -> Param {
        let last = self.params.len().saturating_sub(1);
        self.params.get(i.min(last)).copied().unwrap_or(Param::Any)
    }

    fn shown(&self) -> FunctionDoc {
        let mut parameters: Vec<&str> = self.params.iter().map(|param| param.word()).collect();
        if self.is_variadic {
            parameters.push("…");
        }
        let examples = examples::EXAMPLES.iter().filter(|(name, ..)| *name == self.name);
        FunctionDoc {
            name: self.name,
            parameters: parameters.join(" "),
            doc: self.doc,
            examples: examples.map(|(_, template, output)| (*template, *output)).collect(),
        }
    }
}

/// What a person wants to know of a function.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionDoc {
    /// As templates call it.
    pub name: &'static str,
    /// The kinds of its arguments.
    pub parameters: String,
    /// One line.
    pub doc: &'static str,
    /// Templates and what they give.
    pub examples: Vec<(&'static str, &'static str)>,
}

/// A row with a fixed number of parameters.
pub(crate) const fn call(
    name: &'static str,
    params: &'static [Param],
    doc: &'static str,
    run: Code,
) -> Function {
    Function { name, params, is_variadic: false, doc, counts_itself: false, run: Run::Call(run) }
}

/// A row whose last parameter repeats.
pub(crate) const fn many(
    name: &'static str,
    params: &'static [Param],
    doc: &'static str,
    run: Code,
) -> Function {
    Function { name, params, is_variadic: true, doc, counts_itself: false, run: Run::Call(run) }
}

/// The table. Each part is sorted by name.
const TABLES: &[&[Function]] = &[
    builtins::TABLE,
    certificate::TABLE,
    cipher::TABLE,
    collection::TABLE,
    effect::TABLE,
    encoding::TABLE,
    json::TABLE,
    moment::TABLE,
    number::TABLE,
    regex::TABLE,
    secret::TABLE,
    semver::TABLE,
    sockaddr::TABLE,
    sprig_list::TABLE,
    sprig_map::TABLE,
    sprig_number::TABLE,
    sprig_path::TABLE,
    sprig_text::TABLE,
    sprig_value::TABLE,
    text::TABLE,
    toml::TABLE,
    spew::TABLE,
    yaml::TABLE,
];

/// Looks a function up.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    TABLES.iter().find_map(|table| row(table, name))
}

/// The names of all functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().copied().flatten().map(|row| row.name)
}

/// Every function with its parameters, its line of documentation and examples, sorted by name.
pub fn list() -> Vec<FunctionDoc> {
    let mut all: Vec<FunctionDoc> = TABLES.iter().copied().flatten().map(Function::shown).collect();
    all.sort();
    all
}

/// Looks a method of a value up; the value comes first among the arguments.
pub(crate) fn find_method(receiver: &Value<'_>, name: &str) -> Option<&'static Function> {
    match receiver {
        Value::Number(_) => row(number::METHODS, name),
        Value::Scratch => row(collection::SCRATCH_METHODS, name),
        Value::Named(named) => {
            let mut tables = methods_of(named).iter();
            tables.find_map(|table| row(table, name))
        }
        Value::Record(record) if record.type_name == secret::CERTIFICATE => {
            row(secret::CERTIFICATE_METHODS, name)
        }
        _ => None,
    }
}

/// The methods of a value that prints itself.
fn methods_of(named: &Named) -> &'static [&'static [Function]] {
    match named {
        Named::Duration(_) => &[moment::DURATION_METHODS],
        Named::Location(_) | Named::Month(_) | Named::Weekday(_) => &[moment::NAME_METHODS],
        Named::Time(_) => &[moment::TIME_METHODS],
        Named::Version(_, Holding::Itself) => &[semver::METHODS],
        Named::Version(_, Holding::Pointer) => &[semver::METHODS, semver::POINTER_METHODS],
    }
}

fn row(table: &'static [Function], name: &str) -> Option<&'static Function> {
    let at = table.binary_search_by(|row| row.name.cmp(name)).ok()?;
    table.get(at)
}

/// Arguments by position. The evaluator has checked their types; what cannot be there reads as empty.
pub(crate) trait Arguments<'a> {
    fn value_at(&self, i: usize) -> Value<'a>;
    fn text_at(&self, i: usize) -> &[u8];
    fn words_at(&self, i: usize) -> Text<'a>;
    fn int_at(&self, i: usize) -> i64;
    fn map_at(&self, i: usize) -> Map<'a>;
    fn list_at(&self, i: usize) -> &[Value<'a>];
    fn from(&self, i: usize) -> &[Value<'a>];
}

impl<'a> Arguments<'a> for [Value<'a>] {
    fn value_at(&self, i: usize) -> Value<'a> {
        self.get(i).cloned().unwrap_or(Value::Absent)
    }

    fn text_at(&self, i: usize) -> &[u8] {
        match self.get(i) {
            Some(Value::Text(text) | Value::Number(text)) => text,
            _ => b"",
        }
    }

    fn words_at(&self, i: usize) -> Text<'a> {
        match self.get(i) {
            Some(Value::Text(text) | Value::Number(text)) => text.clone(),
            _ => Text::Borrowed(b""),
        }
    }

    fn int_at(&self, i: usize) -> i64 {
        if let Some(Value::Int(n)) = self.get(i) { *n } else { 0 }
    }

    fn map_at(&self, i: usize) -> Map<'a> {
        match self.get(i) {
            Some(Value::Map(map)) => map.clone(),
            _ => Map::new(super::value::MapOf::Any, super::value::Entries::new()),
        }
    }

    fn list_at(&self, i: usize) -> &[Value<'a>] {
        if let Some(Value::List(list)) = self.get(i) { list } else { &[] }
    }

    fn from(&self, i: usize) -> &[Value<'a>] {
        self.get(i..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_sorted_and_no_name_stands_twice() {
        let mut all = Vec::new();
        let methods = [
            number::METHODS,
            collection::SCRATCH_METHODS,
            moment::DURATION_METHODS,
            moment::NAME_METHODS,
            moment::TIME_METHODS,
            semver::METHODS,
            semver::POINTER_METHODS,
            secret::CERTIFICATE_METHODS,
        ];
        for table in TABLES.iter().chain(&methods) {
            assert!(table.windows(2).all(|w| w[0].name < w[1].name), "{}", table[0].name);
            assert!(table.iter().all(|row| !row.doc.is_empty() && !row.doc.contains('\n')));
        }
        TABLES.iter().for_each(|table| all.extend(table.iter().map(|row| row.name)));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
