//! What the parser makes of single tokens, and its errors.

use super::ast::{Command, Node, Number, Term};
use super::lexer::{Kind, Token};
use super::literal::{self, NotANumber};
use crate::base::near;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::functions;

pub(super) fn fault<T>(at: usize, message: impl Into<String>) -> Result<T> {
    Err(Fault::new(message).at(at, ""))
}

pub(super) fn unexpected<T>(token: Token<'_>, context: &str) -> Result<T> {
    if token.kind == Kind::Eof {
        return fault(token.at, "unexpected EOF");
    }
    // A whole text or string would drown the message.
    let shown: String = token.text.chars().take(20).collect();
    let found = fault(token.at, format!("unexpected {shown:?} in {context}"));
    if token.text != "\\" {
        return found;
    }
    let way_out = "an action may go over several lines as it is, without a backslash at their ends";
    found.map_err(|fault| fault.noting(way_out, None))
}

pub(super) fn text_node(token: Token<'_>) -> Node {
    Node::Text { at: token.at, text: token.text.as_bytes().into() }
}

pub(super) fn is_blank(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text { text, .. } => text.trim_ascii().is_empty(),
        _ => false,
    })
}

pub(super) fn unquoted(token: Token<'_>) -> Result<Vec<u8>> {
    literal::unquote(token.text).map_or_else(|| fault(token.at, "invalid escape in string"), Ok)
}

pub(super) fn number(token: Token<'_>) -> Result<Box<Number>> {
    let number = match token.kind {
        Kind::CharConstant => literal::char_constant(token.text).ok_or(NotANumber::Syntax),
        Kind::Complex => literal::complex_constant(token.text).ok_or(NotANumber::Syntax),
        _ => literal::number(token.text),
    };
    number.map(Box::new).or_else(|error| match error {
        NotANumber::Overflow => fault(token.at, format!("integer overflow: {:?}", token.text)),
        NotANumber::Syntax => fault(token.at, format!("illegal number syntax: {:?}", token.text)),
    })
}

pub(super) fn function(token: Token<'_>) -> Result<Term> {
    match functions::find(token.text) {
        Some(function) => Ok(Term::Function(function)),
        None => {
            let fault = Fault::new(format!("function {:?} not defined", token.text));
            Err(with_near(fault.at(token.at, ""), token.text, functions::names()))
        }
    }
}

/// Adds what else may have been meant.
#[expect(single_use_lifetimes, reason = "impl Trait takes no anonymous ones yet")]
pub(super) fn with_near<'n>(
    fault: Fault,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> Fault {
    match near::near(name, known) {
        Some(names) => fault.noting(format!("did you mean {names}?"), None),
        None => fault,
    }
}

pub(super) fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Complex
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::LeftParen
            | Kind::Nil
            | Kind::Number
            | Kind::RawString
            | Kind::String
            | Kind::Variable
    )
}

/// A pipeline is not empty, and only its first command may be a plain value.
pub(super) fn check_pipeline(commands: &[Command], start: Token<'_>, context: &str) -> Result<()> {
    if commands.is_empty() {
        return fault(start.at, format!("missing value for {context}"));
    }
    for (i, command) in commands.iter().enumerate().skip(1) {
        if matches!(
            command.first.term,
            Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text(_)
        ) {
            let message = format!("non executable command in pipeline stage {}", i + 1);
            return fault(command.first.at, message);
        }
    }
    Ok(())
}
