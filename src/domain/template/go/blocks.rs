//! Control flow: what is open stands in a list, not on the stack of the process, so that templates may call
//! each other as deep as there is room for.

use super::ast::{Node, Pipe, Tree};
use super::eval::{Eval, int_of};
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::value::{Text, Value};

/// What is being walked.
pub(super) struct Block<'a> {
    /// What is still to be done.
    rest: std::slice::Iter<'a, Node>,
    dot: Value<'a>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// One arm of a condition, with the number of variables before it.
    Arm(usize),
    Range(Box<Range<'a>>),
    /// A template, with what was the caller's.
    Template {
        tree: &'a Tree,
        base: usize,
        dollar: Value<'a>,
    },
}

struct Range<'a> {
    pipe: &'a Pipe,
    body: &'a [Node],
    /// The first element, until it is taken.
    first: Option<(Value<'a>, Value<'a>)>,
    /// The others.
    items: Items<'a>,
    /// Entries that were copied to be walked.
    copied: usize,
    /// Variables before it, and with its own.
    outer: usize,
    inner: usize,
}

/// With what stands beside it.
const BLOCK_BYTES: usize = size_of::<Block<'_>>() + size_of::<Range<'_>>();

/// Bytes of an entry of a map that is copied to be walked.
const ENTRY_BYTES: usize = size_of::<(Text<'_>, Value<'_>)>();

impl<'a> Eval<'a> {
    /// Walks a template from its start to its end.
    pub(super) fn tree(&mut self, tree: &'a Tree, dot: &Value<'a>) -> Result<()> {
        self.enter(self.tree, 0)?;
        let floor = self.blocks.len();
        self.open_template(tree, dot.clone(), 0)?;
        while self.blocks.len() > floor {
            self.advance()?;
        }
        self.leave();
        Ok(())
    }

    /// Does the next thing of the innermost block, or ends it.
    fn advance(&mut self) -> Result<()> {
        let Some(block) = self.blocks.last_mut() else { return Ok(()) };
        let Some(node) = block.rest.next() else { return self.end_block() };
        let dot = block.dot.clone();
        match node {
            Node::Text { at, text } => {
                let emitted = self.meter.step().and_then(|()| self.emit(text));
                self.placed(emitted, *at)
            }
            Node::Action(pipe) => {
                let value = self.pipeline(&dot, pipe)?;
                if pipe.variables.is_empty() {
                    let printed = self.print(&value);
                    self.placed(printed, pipe.at)?;
                }
                Ok(())
            }
            Node::Break => {
                self.leave_arms();
                self.close();
                Ok(())
            }
            Node::Continue => {
                self.leave_arms();
                self.end_block()
            }
            Node::If { is_with, arms, otherwise } => {
                self.conditional(dot, *is_with, arms, otherwise)
            }
            Node::Range { pipe, body, otherwise } => self.range(dot, pipe, body, otherwise),
            Node::Template { at, name, pipe } => self.template(&dot, *at, name, pipe.as_ref()),
        }
    }

    /// The innermost block has nothing left to do: a range goes on with its next element.
    fn end_block(&mut self) -> Result<()> {
        let next = match self.blocks.last_mut().map(|block| &mut block.kind) {
            Some(Kind::Range(range)) => {
                let item = range.first.take().or_else(|| range.items.next());
                item.map(|(index, item)| (index, item, range.pipe, range.body, range.inner))
            }
            _ => None,
        };
        let Some((index, item, pipe, body, inner)) = next else {
            self.close();
            return Ok(());
        };
        let stepped = self.meter.step();
        self.placed(stepped, pipe.at)?;
        self.forget_variables(inner);
        match pipe.variables.as_slice() {
            [one] if pipe.is_assignment => self.assign(*one, item.clone(), pipe.at)?,
            [key, value] if pipe.is_assignment => {
                self.assign(*key, index, pipe.at)?;
                self.assign(*value, item.clone(), pipe.at)?;
            }
            [] => {}
            [_] => self.set_from_top(1, item.clone()),
            _ => {
                self.set_from_top(1, item.clone());
                self.set_from_top(2, index);
            }
        }
        if let Some(block) = self.blocks.last_mut() {
            block.dot = item;
            block.rest = body.iter();
        }
        Ok(())
    }

    /// Leaves what lies inside of the innermost range.
    fn leave_arms(&mut self) {
        while self.blocks.last().is_some_and(|block| !matches!(block.kind, Kind::Range(_))) {
            self.close();
        }
    }

    fn open(&mut self, nodes: &'a [Node], dot: Value<'a>, kind: Kind<'a>, at: usize) -> Result<()> {
        if self.blocks.len() >= self.blocks_max {
            let message = "nested too deeply, or a template that calls itself without end";
            return self.fault(at, message);
        }
        let counted = self.meter.keep(BLOCK_BYTES);
        self.placed(counted, at)?;
        self.blocks.push(Block { rest: nodes.iter(), dot, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(block) = self.blocks.pop() else { return };
        self.meter.release(BLOCK_BYTES);
        match block.kind {
            Kind::Arm(mark) => self.forget_variables(mark),
            Kind::Range(range) => {
                self.meter.release(range.copied.saturating_mul(ENTRY_BYTES));
                self.forget_variables(range.outer);
            }
            Kind::Template { tree, base, dollar } => {
                self.forget_variables(self.base);
                self.base = base;
                self.dollar = dollar;
                self.tree = tree;
            }
        }
    }

    fn open_template(&mut self, tree: &'a Tree, dot: Value<'a>, at: usize) -> Result<()> {
        let kind = Kind::Template { tree: self.tree, base: self.base, dollar: self.dollar.clone() };
        self.open(&tree.body, dot.clone(), kind, at)?;
        self.tree = tree;
        self.base = self.variables.len();
        self.dollar = dot;
        Ok(())
    }

    fn template(
        &mut self,
        dot: &Value<'a>,
        at: usize,
        name: &'a str,
        pipe: Option<&'a Pipe>,
    ) -> Result<()> {
        let stepped = self.meter.step();
        self.placed(stepped, at)?;
        let Some(tree) = self.named(name) else {
            return self.fault(at, format!("template {name:?} not defined"));
        };
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Absent,
        };
        self.open_template(tree, dot, at)
    }

    fn conditional(
        &mut self,
        dot: Value<'a>,
        is_with: bool,
        arms: &'a [(Pipe, Vec<Node>)],
        otherwise: &'a [Node],
    ) -> Result<()> {
        let mark = self.variables.len();
        for (pipe, body) in arms {
            let value = self.pipeline(&dot, pipe)?;
            if value.truth() {
                let dot = if is_with { value } else { dot };
                return self.open(body, dot, Kind::Arm(mark), pipe.at);
            }
        }
        let at = arms.first().map_or(0, |(pipe, _)| pipe.at);
        self.open(otherwise, dot, Kind::Arm(mark), at)
    }

    fn range(
        &mut self,
        dot: Value<'a>,
        pipe: &'a Pipe,
        body: &'a [Node],
        otherwise: &'a [Node],
    ) -> Result<()> {
        let outer = self.variables.len();
        let value = self.pipeline(&dot, pipe)?;
        let inner = self.variables.len();
        let mut copied = 0;
        if let Value::Map(map) = &value {
            copied = map.len();
            let counted = self.meter.keep(copied.saturating_mul(ENTRY_BYTES));
            self.placed(counted, pipe.at)?;
        }
        let items = items(value, pipe.variables.len());
        let mut items = self.placed(items, pipe.at)?;
        let first = items.next();
        if first.is_none() {
            self.meter.release(copied.saturating_mul(ENTRY_BYTES));
            return self.open(otherwise, dot, Kind::Arm(outer), pipe.at);
        }
        let range = Range { pipe, body, first, items, copied, outer, inner };
        self.open(&[], Value::Absent, Kind::Range(Box::new(range)), pipe.at)
    }

    pub(super) fn forget_variables(&mut self, mark: usize) {
        let gone = self.variables.len().saturating_sub(mark);
        self.meter.release(gone.saturating_mul(Self::VARIABLE_BYTES));
        self.variables.truncate(mark);
    }
}

type Items<'a> = Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + 'a>;

/// What a range goes over, with an index or key before each.
fn items<'a>(value: Value<'a>, variables: usize) -> Result<Items<'a>> {
    let number = |count: Box<dyn Iterator<Item = Value<'a>>>| -> Result<Items<'a>> {
        if variables > 1 {
            let message = "can't use an integer to iterate over more than one variable";
            return Err(Fault::new(message));
        }
        Ok(Box::new(count.map(|item| (Value::Absent, item))))
    };
    match value {
        Value::List(list) => Ok(Box::new((0..list.len()).map_while(move |i| {
            let item = list.get(i)?.clone();
            Some((Value::Int(int_of(i)), item))
        }))),
        Value::Map(map) => {
            Ok(Box::new(map.entries().into_iter().map(|(k, v)| (Value::Text(k), v))))
        }
        Value::AnyMap(map) => Ok(Box::new((0..map.len()).map_while(move |i| {
            let (key, item) = map.at(i)?;
            Some((key.value(), item.clone()))
        }))),
        Value::Channel(channel) => {
            let items = std::iter::from_fn(move || {
                let next = channel.next.get();
                channel.next.set(next.saturating_add(1));
                (next < channel.end).then_some(Value::Int64(next))
            });
            Ok(Box::new((0..).map(Value::Int).zip(items)))
        }
        Value::Int(end) => number(Box::new((0..end).map(Value::Int))),
        Value::Int64(end) => number(Box::new((0..end).map(Value::Int64))),
        Value::Byte(end) => number(Box::new((0..end).map(Value::Byte))),
        Value::Uint64(end) => number(Box::new((0..end).map(Value::Uint64))),
        Value::Named(named) if named.number().is_some() => {
            let end = named.number().unwrap_or(0);
            number(Box::new((0..end).map(move |n| Value::Named(named.with_number(n)))))
        }
        Value::Absent | Value::Nil => Ok(Box::new(std::iter::empty())),
        other => Err(Fault::new(format!("range can't iterate over a {}", other.type_name()))),
    }
}
