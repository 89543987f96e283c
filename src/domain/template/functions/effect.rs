//! Functions that do more than give a value. A render only lists what is to be written: the caller writes it
//! when the render is whole.

use super::{Arguments, Function, Param, many};
use crate::base::secret::SecretBytes;
use crate::domain::template::FileWrite;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::go::eval::Eval;
use crate::domain::template::value::Value;

use Param::Text as Words;

/// Sorted by name.
pub(super) const TABLE: &[Function] = &[
    many("plugin", &[Words, Words], "refused: the agent runs no programs for a template", plugin),
    many(
        "writeToFile",
        &[Words, Words, Words, Words, Words],
        "writes the last argument to a file: path, user, group, octal mode, then \"append\", \"newline\" or both",
        write_to_file,
    ),
];

fn plugin<'a>(_: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    if values.text_at(0).is_empty() {
        return Ok(Value::EMPTY);
    }
    Err(Fault::new(
        "templates run no programs, and the agent's image holds none; let the program write a file and read it with file, or keep its output in Vault",
    ))
}

fn write_to_file<'a>(eval: &mut Eval<'a>, values: &[Value<'a>]) -> Result<Value<'a>> {
    let (flags, content) = match values.from(4) {
        [] => return Err(Fault::new("want the content as the last argument")),
        [_, _] => (String::from_utf8_lossy(values.text_at(4)), values.text_at(5)),
        rest => ("".into(), rest.text_at(rest.len() - 1)),
    };
    let text = |i: usize| String::from_utf8_lossy(values.text_at(i)).into_owned();
    let mode = text(3);
    let digits = Some(mode.as_str()).filter(|mode| mode.bytes().all(|c| c.is_ascii_digit()));
    let bits = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok()).ok_or_else(|| {
        let mode = eval.literal(mode.as_bytes());
        Fault::new(format!("the permissions{mode} are no octal number such as 0644"))
    })?;
    if text(0).is_empty() {
        return Err(Fault::new("the path is empty"));
    }
    let newline: &[u8] = if flags.contains("newline") { b"\n" } else { b"" };
    let paths = (0..3).map(|i| values.text_at(i).len()).sum::<usize>();
    eval.meter.keep(content.len().saturating_add(paths).saturating_add(size_of::<FileWrite>()))?;
    eval.writes.push(FileWrite {
        path: text(0),
        user: text(1),
        group: text(2),
        // Go keeps the bits for user, group and others only.
        mode: bits & 0o777,
        appends: flags.contains("append"),
        content: SecretBytes::new([content, newline].concat()),
    });
    Ok(Value::EMPTY)
}
