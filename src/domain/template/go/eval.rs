//! Evaluates: variables, fields, commands, output. Control flow is that of `blocks`.

use super::ast::{DOLLAR, Operand, Pipe, Term, Tree, Variable};
use super::blocks::Block;
use super::parser::Parsed;
use super::print;
use crate::domain::template::any_map::Key;
use crate::domain::template::budget::{Budget, Meter};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::functions::{self, Expressions};
use crate::domain::template::value::{Entries, MapOf, Text, Value};
use crate::domain::template::{Asked, FileWrite, Snapshot};

/// A block takes some hundred bytes of the heap, which are counted; a level of the stack takes thousands.
const BLOCKS_PER_DEPTH: usize = 400;

/// One render in progress.
pub(crate) struct Eval<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) meter: Meter,
    pub(crate) asked: Asked<'a>,
    /// The store behind `scratch`.
    pub(crate) scratch: Entries<'a>,
    /// What `writeToFile` was called for so far.
    pub(crate) writes: Vec<FileWrite>,
    /// The folder that files must lie in.
    pub(crate) sandbox: Option<&'a str>,
    /// Whether the function being called got constants only, which may then appear in errors.
    pub(crate) has_literal_arguments: bool,
    /// The same for its first argument alone.
    pub(crate) has_literal_first: bool,
    /// Regular expressions compiled for this render.
    pub(crate) expressions: Expressions,
    /// The file that the text is for, empty when there is none.
    pub(crate) destination: &'a str,
    /// How often chance was asked for.
    pub(crate) draws: u64,
    parsed: &'a Parsed,
    is_strict: bool,
    depth_left: usize,
    /// `$`: the dot at the start of the current template.
    pub(super) dollar: Value<'a>,
    pub(super) variables: Vec<(Variable, Value<'a>)>,
    /// Where the variables of the current template start.
    pub(super) base: usize,
    pub(super) tree: &'a Tree,
    out: Vec<u8>,
    /// What is open, the innermost last.
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) blocks_max: usize,
}

impl<'a> Eval<'a> {
    pub(super) const VARIABLE_BYTES: usize = size_of::<(Variable, Value<'_>)>();

    pub(crate) fn new(
        parsed: &'a Parsed,
        snapshot: &'a Snapshot,
        is_strict: bool,
        budget: Budget,
    ) -> Self {
        Self {
            snapshot,
            meter: Meter::new(budget),
            asked: Asked::default(),
            scratch: Entries::new(),
            writes: Vec::new(),
            sandbox: None,
            has_literal_arguments: false,
            has_literal_first: false,
            expressions: Expressions::default(),
            destination: "",
            draws: 0,
            parsed,
            is_strict,
            depth_left: budget.depth,
            dollar: Value::Absent,
            variables: Vec::new(),
            base: 0,
            tree: &parsed.root,
            out: Vec::new(),
            blocks: Vec::new(),
            blocks_max: budget.depth.saturating_mul(BLOCKS_PER_DEPTH),
        }
    }

    /// Makes room for an output of so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Evaluates the whole template; its dot is nil.
    pub(crate) fn run(&mut self) -> Result<Vec<u8>> {
        self.tree(&self.parsed.root, &Value::Absent)?;
        Ok(std::mem::take(&mut self.out))
    }

    /// The output of a defined template; `None` when there is none of that name.
    pub(crate) fn output_of(&mut self, name: &[u8], dot: &Value<'a>) -> Result<Option<Vec<u8>>> {
        let Some(tree) = str::from_utf8(name).ok().and_then(|name| self.named(name)) else {
            return Ok(None);
        };
        let outer = std::mem::take(&mut self.out);
        let result = self.tree(tree, dot);
        let output = std::mem::replace(&mut self.out, outer);
        result?;
        self.meter.release(output.len());
        self.meter.copied(output.len())?;
        Ok(Some(output))
    }

    pub(super) fn named(&self, name: &str) -> Option<&'a Tree> {
        let root = Some(&self.parsed.root).filter(|_| name.is_empty());
        self.parsed.defined.get(name).or(root)
    }

    pub(super) fn enter(&mut self, tree: &Tree, at: usize) -> Result<()> {
        let left = self.depth_left.checked_sub(1);
        self.depth_left = left.ok_or_else(|| {
            Fault::new("nested too deeply, or a template that calls itself without end")
                .at(at, &tree.name)
        })?;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth_left += 1;
    }

    /// Gives a fault its place, unless it has one.
    pub(crate) fn placed<T>(&self, result: Result<T>, at: usize) -> Result<T> {
        result.map_err(|fault| fault.at(at, &self.tree.name))
    }

    pub(crate) fn fault<T>(&self, at: usize, message: impl Into<String>) -> Result<T> {
        Err(Fault::new(message).at(at, &self.tree.name))
    }

    pub(super) fn emit(&mut self, bytes: &[u8]) -> Result<()> {
        if self.out.len() + bytes.len() > self.meter.text_bytes_max() {
            let max = self.meter.text_bytes_max();
            return Err(Fault::new(format!("the output is longer than {max} bytes")));
        }
        self.meter.keep(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn print(&mut self, value: &Value<'a>) -> Result<()> {
        if let Value::Text(text) = value {
            return self.emit(text);
        }
        let text = print::action(value, self.meter.text_bytes_max())?;
        self.emit(&text)
    }

    pub(super) fn set_from_top(&mut self, from_top: usize, value: Value<'a>) {
        let at = self.variables.len().saturating_sub(from_top);
        if let Some(slot) = self.variables.get_mut(at) {
            slot.1 = value;
        }
    }

    pub(super) fn assign(&mut self, variable: Variable, value: Value<'a>, at: usize) -> Result<()> {
        *self.slot(variable, at)? = value;
        Ok(())
    }

    pub(super) fn variable(&mut self, variable: Variable, at: usize) -> Result<Value<'a>> {
        self.slot(variable, at).cloned()
    }

    /// Where the innermost variable of this name is.
    fn slot(&mut self, variable: Variable, at: usize) -> Result<&mut Value<'a>> {
        let own = self.variables.get(self.base..).unwrap_or_default();
        let found = own.iter().rposition(|(name, _)| *name == variable);
        let searched = self.meter.read(own.len() - found.unwrap_or(0));
        self.placed(searched, at)?;
        if found.is_none() && variable != DOLLAR {
            let name = self.parsed.variables.get(variable.0).map_or("", |name| name);
            return self.fault(at, format!("undefined variable: {name}"));
        }
        let variables = self.variables.get_mut(self.base..).unwrap_or_default();
        let own = found.and_then(|found| variables.get_mut(found));
        Ok(own.map_or(&mut self.dollar, |(_, value)| value))
    }

    /// A nil at the end of a command is no value for whoever comes next.
    pub(super) fn pipeline(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Result<Value<'a>> {
        self.enter(self.tree, pipe.at)?;
        let mut last: Option<Value<'a>> = None;
        for command in &pipe.commands {
            let value = self.command(dot, &command.first, &command.arguments, last.take())?;
            last = Some(if matches!(value, Value::Nil) { Value::Absent } else { value });
        }
        let value = last.unwrap_or(Value::Absent);
        for variable in &pipe.variables {
            if pipe.is_assignment {
                self.assign(*variable, value.clone(), pipe.at)?;
            } else {
                let counted = self.meter.keep(Self::VARIABLE_BYTES);
                self.placed(counted, pipe.at)?;
                self.variables.push((*variable, value.clone()));
            }
        }
        self.leave();
        Ok(value)
    }

    /// An operand with arguments, and with the value of the command before as its last one.
    pub(super) fn command(
        &mut self,
        dot: &Value<'a>,
        first: &'a Operand,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let at = first.at;
        let stepped = self.meter.step();
        self.placed(stepped, at)?;
        match &first.term {
            Term::Function(function) => self.call(dot, function, None, at, arguments, last),
            Term::Field(fields) => self.fields(dot, dot.clone(), fields, at, arguments, last),
            Term::Variable(variable, fields) if !fields.is_empty() => {
                let value = self.variable(*variable, at)?;
                self.fields(dot, value, fields, at, arguments, last)
            }
            Term::Chain(inner, fields) => {
                let value = self.command(dot, inner, &[], None)?;
                self.fields(dot, value, fields, at, arguments, last)
            }
            _ if !arguments.is_empty() || last.is_some() => {
                self.fault(at, "can't give argument to non-function")
            }
            Term::Variable(variable, _) => self.variable(*variable, at),
            Term::Pipe(pipe) => self.pipeline(dot, pipe),
            Term::Dot => Ok(dot.clone()),
            Term::Nil => self.fault(at, "nil is not a command"),
            constant => self.constant(constant, at),
        }
    }

    /// One field after the other; only the last one can have arguments.
    fn fields(
        &mut self,
        dot: &Value<'a>,
        mut value: Value<'a>,
        fields: &'a [Box<str>],
        at: usize,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let Some((end, before)) = fields.split_last() else { return Ok(value) };
        for field in before {
            value = self.field(dot, &value, field, at, &[], None)?;
        }
        self.field(dot, &value, end, at, arguments, last)
    }

    fn field(
        &mut self,
        dot: &Value<'a>,
        receiver: &Value<'a>,
        name: &'a str,
        at: usize,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let stepped = self.meter.step().and_then(|()| self.meter.read(name.len()));
        self.placed(stepped, at)?;
        if let Some(method) = functions::find_method(receiver, name) {
            return self.call(dot, method, Some(receiver.clone()), at, arguments, last);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        match receiver {
            Value::Absent if self.is_strict => {
                self.fault(at, format!("nil data; no entry for key {name:?}"))
            }
            Value::Absent => Ok(Value::Absent),
            Value::Nil => self.fault(at, format!("nil pointer evaluating interface {{}}.{name}")),
            Value::Map(_) | Value::AnyMap(_) if has_arguments => {
                self.fault(at, format!("{name} is not a method but has arguments"))
            }
            Value::Map(map) => match map.get(name.as_bytes()) {
                Some(value) => Ok(value),
                None if self.is_strict => {
                    self.fault(at, format!("map has no entry for key {name:?}"))
                }
                None if map.of() == MapOf::Text => Ok(Value::EMPTY),
                None => Ok(Value::Nil),
            },
            Value::AnyMap(map) => match map.get(&Key::Text(Text::Borrowed(name.as_bytes()))) {
                Some(value) => Ok(value.clone()),
                None if self.is_strict => {
                    self.fault(at, format!("map has no entry for key {name:?}"))
                }
                None => Ok(Value::Nil),
            },
            Value::NilPointer(of) => self.fault(at, format!("nil pointer evaluating {of}.{name}")),
            other => match other.field(name) {
                Some(_) if has_arguments => self
                    .fault(at, format!("{name} has arguments but cannot be invoked as function")),
                Some(value) => Ok(value),
                None => {
                    let of = other.type_name();
                    self.fault(at, format!("can't evaluate field {name} in type {of}"))
                }
            },
        }
    }
}

/// A length as Go's `int`.
pub(crate) fn int_of(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
