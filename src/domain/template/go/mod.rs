//! Go's text/template: lexer, parser, evaluator, the built-in functions and fmt's printing.

pub(crate) mod ast;
mod blocks;
pub(crate) mod builtins;
pub(crate) mod call;
pub(crate) mod compare;
pub(crate) mod duration;
pub(crate) mod eval;
pub(crate) mod float;
pub(crate) mod foreign;
pub(crate) mod layout;
pub(crate) mod lexer;
pub(crate) mod literal;
pub(crate) mod parser;
mod parts;
pub(crate) mod print;
pub(crate) mod printf;
pub(crate) mod quote;
pub(crate) mod spew;
