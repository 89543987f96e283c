//! Calls: arguments meet parameters. Go converts nothing here but constants.

use super::ast::{Number, Operand, Term};
use super::eval::Eval;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::functions::{Function, Param, Run};
use crate::domain::template::named::{Holding, Named};
use crate::domain::template::value::{List, Map, MapOf, Of, Text, Value};

/// So many arguments of a call stand on the stack; most calls have no more.
const FEW: usize = 3;

impl<'a> Eval<'a> {
    /// Calls a function, or a method of `receiver`; `last` is the value of the pipeline so far.
    pub(super) fn call(
        &mut self,
        dot: &Value<'a>,
        function: &'static Function,
        receiver: Option<Value<'a>>,
        at: usize,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let given = arguments.len() + usize::from(last.is_some());
        let fixed = function.params.len() - usize::from(function.is_variadic);
        if given < fixed || (given > fixed && !function.is_variadic) {
            let at_least = if function.is_variadic { "at least " } else { "" };
            let name = function.name;
            let message =
                format!("wrong number of args for {name}: want {at_least}{fixed} got {given}");
            return self.fault(at, message);
        }
        let run = match function.run {
            Run::And => return self.first_with_truth(false, dot, arguments, last),
            Run::Or => return self.first_with_truth(true, dot, arguments, last),
            Run::Call(run) => run,
        };
        let count = given + usize::from(receiver.is_some());
        let mut few = [const { Value::Absent }; FEW];
        let mut many = Vec::new();
        let values = if let Some(few) = few.get_mut(..count) {
            few
        } else {
            many.resize(count, Value::Absent);
            many.as_mut_slice()
        };
        let mut slots = values.iter_mut();
        let mut put = |value| slots.next().map(|slot| *slot = value);
        receiver.map(&mut put);
        for (i, argument) in arguments.iter().enumerate() {
            put(self.argument(dot, function.param(i), argument)?);
        }
        self.has_literal_first = arguments.first().is_some_and(is_literal);
        self.has_literal_arguments = last.is_none() && arguments.iter().all(is_literal);
        if let Some(last) = last {
            let checked = fit(last, function.param(arguments.len()));
            put(self.placed(checked, at)?);
        }
        let counted = self.count_texts(function, values);
        self.placed(counted, at)?;
        let mark = self.meter.mark();
        let result = run(self, values).map_err(|fault| fault.within(function.name));
        self.meter.settle(&mark);
        self.placed(result, at)
    }

    /// Texts that a function takes are read through; the language's own functions count for themselves.
    fn count_texts(&mut self, function: &Function, values: &[Value<'a>]) -> Result<()> {
        if function.counts_itself || function.params.contains(&Param::Reflect) {
            return Ok(());
        }
        for value in values {
            if let Value::Text(text) | Value::Number(text) = value {
                self.meter.read(text.len())?;
            }
        }
        Ok(())
    }

    /// `and`, `or`: the first argument that decides, or the last one.
    fn first_with_truth(
        &mut self,
        wanted: bool,
        dot: &Value<'a>,
        arguments: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>> {
        let mut value = Value::Absent;
        for argument in arguments {
            value = self.argument(dot, Param::Reflect, argument)?;
            if value.truth() == wanted {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// Evaluates an argument for a parameter. Constants adapt to it, nothing else does.
    fn argument(
        &mut self,
        dot: &Value<'a>,
        param: Param,
        operand: &'a Operand,
    ) -> Result<Value<'a>> {
        let at = operand.at;
        let value = match &operand.term {
            Term::Nil if param.can_be_nil() => Ok(param.zero()),
            Term::Nil => Err(Fault::new(format!("cannot assign nil to {}", param.type_name()))),
            Term::Bool(_) | Term::Number(_) | Term::Text(_) => {
                self.meter.step().and_then(|()| self.adapted(&operand.term, param, at))
            }
            Term::Dot => fit(dot.clone(), param),
            _ => {
                let value = self.command(dot, operand, &[], None)?;
                fit(value, param)
            }
        };
        self.placed(value, at)
    }

    fn adapted(&self, term: &'a Term, param: Param, at: usize) -> Result<Value<'a>> {
        let number = if let Term::Number(number) = term { Some(number.as_ref()) } else { None };
        let found = match param {
            Param::Any | Param::Reflect => return self.constant(term, at),
            Param::Bool if matches!(term, Term::Bool(_)) => return self.constant(term, at),
            Param::Text if matches!(term, Term::Text(_)) => return self.constant(term, at),
            Param::Float => number.and_then(|n| n.float).map(Value::Float),
            Param::Int => number.and_then(|n| n.int).map(Value::Int),
            Param::Duration => number.and_then(|n| n.int).map(Named::Duration).map(Value::Named),
            Param::Uint32 => {
                let uint = number.and_then(|n| n.uint);
                // Go cuts what does not fit.
                uint.map(|n| Value::Uint64(n & u64::from(u32::MAX)))
            }
            Param::Anys
            | Param::Bool
            | Param::Certificate
            | Param::Location
            | Param::Map
            | Param::Text
            | Param::Texts
            | Param::Time
            | Param::Version => None,
        };
        found.ok_or_else(|| Fault::new(format!("expected {}", param.constant_name())))
    }

    /// A constant that meets no parameter.
    pub(super) fn constant(&self, term: &'a Term, at: usize) -> Result<Value<'a>> {
        match term {
            Term::Bool(truth) => Ok(Value::Bool(*truth)),
            Term::Text(text) => Ok(Value::Text(Text::Borrowed(text))),
            Term::Number(number) => self.placed(ideal(number), at),
            _ => Ok(Value::Absent),
        }
    }
}

fn is_literal(operand: &Operand) -> bool {
    matches!(operand.term, Term::Bool(_) | Term::Number(_) | Term::Text(_))
}

/// The type that a number has by itself.
fn ideal<'a>(number: &Number) -> Result<Value<'a>> {
    if let Some((re, im)) = number.complex {
        return Ok(Value::Complex(re, im));
    }
    let is_hex = number.text.contains(['x', 'X']) && !number.text.contains(['p', 'P']);
    let looks_float = number.text.contains(['.', 'e', 'E', 'p', 'P']);
    if let Some(float) = number.float.filter(|_| looks_float && !is_hex && !number.is_char) {
        return Ok(Value::Float(float));
    }
    let int = number.int.map(Value::Int);
    int.ok_or_else(|| Fault::new(format!("{} overflows int", number.text)))
}

/// Checks a value against a parameter.
fn fit<'a>(value: Value<'a>, param: Param) -> Result<Value<'a>> {
    let fits = match (param, &value) {
        (Param::Any | Param::Reflect, _)
        | (Param::Bool, Value::Bool(_))
        | (Param::Float, Value::Float(_))
        | (Param::Int, Value::Int(_))
        | (Param::Text, Value::Text(_))
        | (Param::Duration, Value::Named(Named::Duration(_)))
        | (Param::Location, Value::Named(Named::Location(_)))
        | (Param::Time, Value::Named(Named::Time(_)))
        | (Param::Version, Value::Named(Named::Version(_, Holding::Pointer))) => true,
        (Param::Map, Value::Map(map)) => map.of() == MapOf::Any,
        (Param::Certificate, Value::Record(record)) => record.type_name == param.type_name(),
        (Param::Anys, Value::List(list)) => list.of == Of::Any,
        (Param::Texts, Value::List(list)) => list.of == Of::Text,
        (_, Value::Absent) if param.can_be_nil() => return Ok(param.zero()),
        (_, Value::Absent) => {
            return Err(Fault::new(format!("invalid value; expected {}", param.type_name())));
        }
        _ => false,
    };
    match value {
        Value::Absent if param == Param::Any => Ok(Value::Nil),
        value if fits => Ok(value),
        value => {
            let found = if value.is_nil() { "interface {}" } else { value.type_name() };
            let wanted = param.type_name();
            Err(Fault::new(format!("wrong type for value; expected {wanted}; got {found}")))
        }
    }
}

impl Param {
    fn can_be_nil(self) -> bool {
        matches!(
            self,
            Self::Any
                | Self::Anys
                | Self::Location
                | Self::Map
                | Self::Reflect
                | Self::Texts
                | Self::Version
        )
    }

    fn zero<'a>(self) -> Value<'a> {
        match self {
            Self::Any => Value::Nil,
            Self::Map => Value::Map(Map::nil(MapOf::Any)),
            Self::Anys => List::nil(Of::Any),
            Self::Texts => List::nil(Of::Text),
            Self::Location | Self::Version => Value::NilPointer(self.type_name()),
            _ => Value::Absent,
        }
    }
}
