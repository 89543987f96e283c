//! Values with their types, for people who look for a mistake in a template.

use super::{Function, Param, many};
use crate::domain::template::error::Result;
use crate::domain::template::go::eval::Eval;
use crate::domain::template::go::{printf, spew};
use crate::domain::template::value::Value;

use Param::{Any, Text as Words};

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    many("spew_dump", &[Any], "nothing: standard output is the log, see spew_sdump", silent),
    many(
        "spew_printf",
        &[Words, Any],
        "nothing: standard output is the log, see spew_sprintf",
        silent,
    ),
    many("spew_sdump", &[Any], "the arguments with their types, one below the other", |e, v| {
        e.printed(&[], |max| spew::sdump(v, max))
    }),
    many(
        "spew_sprintf",
        &[Words, Any],
        "the arguments by Go's format; %v, %+v, %#v show more of a value than those of printf",
        |e, v| match v.split_first() {
            Some((Value::Text(format), values)) => {
                e.printed(&[], |max| printf::spewed(format, values, max))
            }
            _ => Ok(Value::EMPTY),
        },
    ),
];

/// What would be written may be a secret, and standard output of an agent is a log.
fn silent<'a>(_: &mut Eval<'a>, _: &[Value<'a>]) -> Result<Value<'a>> {
    Ok(Value::EMPTY)
}
