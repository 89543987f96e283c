//! What a template is once it is parsed. Positions are bytes of the template's text.

use crate::domain::template::functions::Function;

/// One template: the whole text, or a `define` or `block` in it.
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) body: Vec<Node>,
}

pub(crate) enum Node {
    Action(Pipe),
    Break,
    Continue,
    /// `if` or `with`, with every `else if` or `else with` as an arm of its own.
    If {
        is_with: bool,
        arms: Vec<(Pipe, Vec<Self>)>,
        otherwise: Vec<Self>,
    },
    Range {
        pipe: Pipe,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Template {
        at: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Text {
        at: usize,
        text: Box<[u8]>,
    },
}

pub(crate) struct Pipe {
    pub(crate) at: usize,
    /// `=` rather than `:=`.
    pub(crate) is_assignment: bool,
    pub(crate) variables: Vec<Variable>,
    pub(crate) commands: Vec<Command>,
}

/// A variable's name, as its place in the list of all names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variable(pub(crate) usize);

/// `$`: the dot at the start of the template.
pub(crate) const DOLLAR: Variable = Variable(0);

/// An operand with its arguments; never empty.
pub(crate) struct Command {
    pub(crate) first: Operand,
    pub(crate) arguments: Vec<Operand>,
}

pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
}

pub(crate) type Fields = Vec<Box<str>>;

pub(crate) enum Term {
    Bool(bool),
    /// Fields of something that is no field or variable itself: `(f x).Name`.
    Chain(Box<Operand>, Fields),
    Dot,
    Field(Fields),
    Function(&'static Function),
    Nil,
    Number(Box<Number>),
    Pipe(Box<Pipe>),
    Text(Box<[u8]>),
    Variable(Variable, Fields),
}

/// A constant can be several types at once, until it meets a parameter.
pub(crate) struct Number {
    pub(crate) text: Box<str>,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
    pub(crate) is_char: bool,
}
