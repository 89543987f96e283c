//! Tokens into trees. Functions are resolved here, so an unknown one is a parse error.

use std::collections::{BTreeMap, VecDeque};

use super::ast::{Command, DOLLAR, Fields, Node, Operand, Pipe, Term, Tree, Variable};
use super::lexer::{Kind, Lexer, Token};
use super::parts::{
    check_pipeline, fault, function, is_blank, number, starts_operand, text_node, unexpected,
    unquoted, with_near,
};
use crate::domain::template::error::{Fault, Result};

/// A template's trees: its own, and those it defines.
pub(crate) struct Parsed {
    pub(crate) root: Tree,
    pub(crate) defined: BTreeMap<String, Tree>,
    /// The names of all variables; [`Variable`] is an index into it.
    pub(crate) variables: Vec<Box<str>>,
}

/// Parses `text`; nothing nests deeper than `depth`.
pub(crate) fn parse(
    name: &str,
    text: &str,
    left: &str,
    right: &str,
    depth: usize,
) -> Result<Parsed> {
    let mut parser = Parser {
        lexer: Lexer::new(text, left, right),
        ahead: VecDeque::new(),
        tree: name.to_owned(),
        defined: BTreeMap::new(),
        names: BTreeMap::from([("$", DOLLAR)]),
        in_scope: vec![DOLLAR],
        scope_counts: vec![1],
        range_depth: 0,
        depth_left: depth,
        tokens_left: TOKENS_MAX,
        open: Vec::new(),
    };
    let body = parser.top_level().map_err(|fault| {
        let fault = fault.at(0, name).of_tree(&parser.tree);
        match parser.open.last() {
            Some((at, word)) if fault.message() == "unexpected EOF" => {
                fault.noting(format!("no {left}end{right} for the {word}"), Some(*at))
            }
            // What was text to its author may stand in an action that is not closed.
            _ => match parser.lexer.action_of_lines(fault.place()) {
                Some(at) => fault.noting("the action opens", Some(at)),
                None => fault,
            },
        }
    })?;
    let mut variables: Vec<Box<str>> = vec!["".into(); parser.names.len()];
    for (name, variable) in parser.names {
        if let Some(slot) = variables.get_mut(variable.0) {
            *slot = name.into();
        }
    }
    let root = Tree { name: name.to_owned(), body };
    Ok(Parsed { root, defined: parser.defined, variables })
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    ahead: VecDeque<Token<'t>>,
    /// The name of the template being parsed, for errors.
    tree: String,
    defined: BTreeMap<String, Tree>,
    names: BTreeMap<&'t str, Variable>,
    in_scope: Vec<Variable>,
    /// How often each variable is in scope, so that a look-up need not search.
    scope_counts: Vec<usize>,
    range_depth: usize,
    depth_left: usize,
    tokens_left: usize,
    /// The actions that wait for their end, and where they are.
    open: Vec<(usize, &'t str)>,
}

/// Tokens of one template. Real ones have hundreds; one becomes at most some 250 bytes of tree.
const TOKENS_MAX: usize = 100_000;

/// What ended a list of nodes.
enum Ending {
    Else,
    End,
    Eof,
}

impl<'t> Parser<'t> {
    // Tokens.

    fn next(&mut self) -> Result<Token<'t>> {
        if let Some(token) = self.ahead.pop_front() {
            return Ok(token);
        }
        let token = self.lexer.next()?;
        let left = self.tokens_left.checked_sub(1);
        let too_long = || {
            Fault::new(format!("the template has more than {TOKENS_MAX} tokens")).at(token.at, "")
        };
        self.tokens_left = left.ok_or_else(too_long)?;
        Ok(token)
    }

    fn back(&mut self, token: Token<'t>) {
        self.ahead.push_front(token);
    }

    fn peek(&mut self) -> Result<Token<'t>> {
        let token = self.next()?;
        self.back(token);
        Ok(token)
    }

    fn next_word(&mut self) -> Result<Token<'t>> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_word(&mut self) -> Result<Token<'t>> {
        let token = self.next_word()?;
        self.back(token);
        Ok(token)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token<'t>> {
        let token = self.next_word()?;
        if token.kind == kind { Ok(token) } else { unexpected(token, context) }
    }

    /// One level further down; [`Parser::leave`] comes back up.
    fn enter(&mut self, at: usize) -> Result<()> {
        let left = self.depth_left.checked_sub(1);
        self.depth_left = left.ok_or_else(|| Fault::new("nested too deeply").at(at, ""))?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth_left += 1;
    }

    // Variables.

    fn declare(&mut self, name: &'t str) -> Variable {
        let new = Variable(self.names.len());
        let variable = *self.names.entry(name).or_insert(new);
        self.in_scope.push(variable);
        if let Some(count) = self.scope_counts.get_mut(variable.0) {
            *count += 1;
        } else {
            self.scope_counts.push(1);
        }
        variable
    }

    fn leave_scope(&mut self, size: usize) {
        while self.in_scope.len() > size {
            let variable = self.in_scope.pop();
            let count = variable.and_then(|v| self.scope_counts.get_mut(v.0));
            if let Some(count) = count {
                *count -= 1;
            }
        }
    }

    fn visible(&self, name: &str) -> Option<Variable> {
        let variable = *self.names.get(name)?;
        self.scope_counts.get(variable.0).is_some_and(|count| *count > 0).then_some(variable)
    }

    fn undefined(&self, token: Token<'_>) -> Fault {
        let fault = Fault::new(format!("undefined variable \"{}\"", token.text)).at(token.at, "");
        let visible = self.names.keys().copied().filter(|name| self.visible(name).is_some());
        with_near(fault, token.text, visible.filter(|name| *name != "$"))
    }

    // Nodes.

    fn top_level(&mut self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::Eof => return Ok(nodes),
                Kind::Text => nodes.push(text_node(token)),
                _ => {
                    let word = self.next_word()?;
                    if word.kind == Kind::Define {
                        self.open.push((word.at, word.text));
                        self.definition()?;
                        self.open.pop();
                        continue;
                    }
                    self.back(word);
                    match self.action()? {
                        Item::Node(node) => nodes.push(node),
                        Item::End(at, Ending::Else) => return fault(at, "unexpected {{else}}"),
                        Item::End(at, _) => return fault(at, "unexpected {{end}}"),
                    }
                }
            }
        }
    }

    fn definition(&mut self) -> Result<()> {
        let (at, name) = self.template_name("define clause")?;
        self.expect(Kind::RightDelimiter, "define clause")?;
        let body = self.separate_body(&name, "define clause")?;
        self.add(at, name, body)
    }

    /// The body of a `define` or `block`: its own template, with its own variables.
    fn separate_body(&mut self, name: &str, context: &str) -> Result<Vec<Node>> {
        let outer = std::mem::replace(&mut self.tree, name.to_owned());
        let outer_scope = std::mem::replace(&mut self.in_scope, vec![DOLLAR]);
        let mut counts = vec![0; self.scope_counts.len()];
        if let Some(dollar) = counts.first_mut() {
            *dollar = 1;
        }
        let outer_counts = std::mem::replace(&mut self.scope_counts, counts);
        let outer_ranges = std::mem::take(&mut self.range_depth);
        let (body, at, ending) = self.list()?;
        match ending {
            Ending::End => {}
            Ending::Else => return fault(at, format!("unexpected {{{{else}}}} in {context}")),
            Ending::Eof => return fault(at, "unexpected EOF"),
        }
        self.range_depth = outer_ranges;
        let known = self.scope_counts.len();
        self.scope_counts = outer_counts;
        self.scope_counts.resize(known, 0);
        self.in_scope = outer_scope;
        self.tree = outer;
        Ok(body)
    }

    fn add(&mut self, at: usize, name: String, body: Vec<Node>) -> Result<()> {
        let is_empty = is_blank(&body);
        match self.defined.get(&name) {
            Some(old) if !is_blank(&old.body) => {
                if is_empty {
                    return Ok(());
                }
                return fault(at, format!("multiple definition of template {name:?}"));
            }
            _ => {}
        }
        self.defined.insert(name.clone(), Tree { name, body });
        Ok(())
    }

    fn template_name(&mut self, context: &str) -> Result<(usize, String)> {
        let token = self.next_word()?;
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return unexpected(token, context);
        }
        let bytes = unquoted(token)?;
        Ok((token.at, String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn list(&mut self) -> Result<(Vec<Node>, usize, Ending)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::Eof => return Ok((nodes, token.at, Ending::Eof)),
                Kind::Text => nodes.push(text_node(token)),
                _ => match self.action()? {
                    Item::Node(node) => nodes.push(node),
                    Item::End(at, ending) => return Ok((nodes, at, ending)),
                },
            }
        }
    }

    /// What follows a left delimiter.
    fn action(&mut self) -> Result<Item> {
        let token = self.next_word()?;
        let outer = self.open.len();
        if matches!(token.kind, Kind::Block | Kind::If | Kind::Range | Kind::With) {
            self.open.push((token.at, token.text));
        }
        let node = match token.kind {
            Kind::Block => self.block(token.at)?,
            Kind::Break => self.jump(token, Node::Break)?,
            Kind::Continue => self.jump(token, Node::Continue)?,
            Kind::Else => return Ok(Item::End(token.at, Ending::Else)),
            Kind::End => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::End(token.at, Ending::End));
            }
            Kind::If => self.conditional(token.at, false)?,
            Kind::Range => self.range(token.at)?,
            Kind::Template => self.template(token.at)?,
            Kind::With => self.conditional(token.at, true)?,
            _ => {
                self.back(token);
                Node::Action(self.pipeline("command", Kind::RightDelimiter)?)
            }
        };
        self.open.truncate(outer);
        Ok(Item::Node(node))
    }

    fn jump(&mut self, token: Token<'t>, node: Node) -> Result<Node> {
        self.expect(Kind::RightDelimiter, token.text)?;
        if self.range_depth == 0 {
            return fault(token.at, format!("{{{{{}}}}} outside {{{{range}}}}", token.text));
        }
        Ok(node)
    }

    fn conditional(&mut self, at: usize, is_with: bool) -> Result<Node> {
        self.enter(at)?;
        let (context, repeats) = if is_with { ("with", Kind::With) } else { ("if", Kind::If) };
        let scope = self.in_scope.len();
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let pipe = self.pipeline(context, Kind::RightDelimiter)?;
            let (body, at, ending) = self.list()?;
            arms.push((pipe, body));
            match ending {
                Ending::End => break,
                Ending::Eof => return fault(at, "unexpected EOF"),
                Ending::Else if self.peek_word()?.kind == repeats => {
                    self.next_word()?;
                }
                Ending::Else => {
                    otherwise = self.otherwise()?;
                    break;
                }
            }
        }
        self.leave_scope(scope);
        self.leave();
        Ok(Node::If { is_with, arms, otherwise })
    }

    fn otherwise(&mut self) -> Result<Vec<Node>> {
        self.expect(Kind::RightDelimiter, "else")?;
        let (nodes, at, ending) = self.list()?;
        match ending {
            Ending::End => Ok(nodes),
            Ending::Else => fault(at, "expected end; found {{else}}"),
            Ending::Eof => fault(at, "unexpected EOF"),
        }
    }

    fn range(&mut self, at: usize) -> Result<Node> {
        self.enter(at)?;
        let scope = self.in_scope.len();
        let pipe = self.pipeline("range", Kind::RightDelimiter)?;
        self.range_depth += 1;
        let (body, at, ending) = self.list()?;
        self.range_depth -= 1;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else => self.otherwise()?,
            Ending::Eof => return fault(at, "unexpected EOF"),
        };
        self.leave_scope(scope);
        self.leave();
        Ok(Node::Range { pipe, body, otherwise })
    }

    fn template(&mut self, at: usize) -> Result<Node> {
        let (_, name) = self.template_name("template clause")?;
        let token = self.next_word()?;
        if token.kind == Kind::RightDelimiter {
            return Ok(Node::Template { at, name, pipe: None });
        }
        self.back(token);
        let pipe = self.pipeline("template clause", Kind::RightDelimiter)?;
        Ok(Node::Template { at, name, pipe: Some(pipe) })
    }

    fn block(&mut self, at: usize) -> Result<Node> {
        self.enter(at)?;
        let (_, name) = self.template_name("block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelimiter)?;
        let body = self.separate_body(&name, "block clause")?;
        self.add(at, name.clone(), body)?;
        self.leave();
        Ok(Node::Template { at, name, pipe: Some(pipe) })
    }

    // Pipelines.

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let start = self.peek_word()?;
        self.enter(start.at)?;
        let (variables, is_assignment) = self.declarations(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.next_word()?;
            if token.kind == end {
                break;
            }
            if !starts_operand(token.kind) {
                return unexpected(token, context);
            }
            self.back(token);
            commands.push(self.command()?);
        }
        self.leave();
        check_pipeline(&commands, start, context)?;
        Ok(Pipe { at: start.at, is_assignment, variables, commands })
    }

    /// `$x :=`, `$x =`, or in a range `$k, $v :=`; the flag tells an assignment.
    fn declarations(&mut self, context: &str) -> Result<(Vec<Variable>, bool)> {
        let mut variables = Vec::new();
        loop {
            let name = self.peek_word()?;
            if name.kind != Kind::Variable {
                return Ok((variables, false));
            }
            self.next_word()?;
            let after = self.next()?;
            let sign = if after.kind == Kind::Space { self.next_word()? } else { after };
            match sign.kind {
                Kind::Assign | Kind::Declare => {
                    variables.push(self.declare(name.text));
                    return Ok((variables, sign.kind == Kind::Assign));
                }
                Kind::Char if sign.text == "," => {
                    variables.push(self.declare(name.text));
                    if context != "range" || variables.len() > 1 {
                        let message = format!("too many declarations in {context}");
                        return fault(name.at, message);
                    }
                    let next = self.peek_word()?;
                    if !matches!(
                        next.kind,
                        Kind::Variable | Kind::RightDelimiter | Kind::RightParen
                    ) {
                        return fault(next.at, "range can only initialize variables");
                    }
                }
                _ => {
                    self.back(sign);
                    if after.kind == Kind::Space {
                        self.back(after);
                    }
                    self.back(name);
                    return Ok((variables, false));
                }
            }
        }
    }

    fn command(&mut self) -> Result<Command> {
        let start = self.peek_word()?;
        let mut operands = VecDeque::new();
        loop {
            self.peek_word()?;
            operands.extend(self.operand()?);
            let token = self.next()?;
            match token.kind {
                Kind::Space => {}
                Kind::RightDelimiter | Kind::RightParen => {
                    self.back(token);
                    break;
                }
                Kind::Pipe => break,
                _ => return unexpected(token, "operand"),
            }
        }
        match operands.pop_front() {
            Some(first) => Ok(Command { first, arguments: operands.into() }),
            None => fault(start.at, "empty command"),
        }
    }

    /// A term with the fields behind it.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        if self.peek()?.kind != Kind::Field {
            return Ok(Some(operand));
        }
        let mut fields = Fields::new();
        while self.peek()?.kind == Kind::Field {
            let token = self.next()?;
            fields.push(token.text.trim_start_matches('.').into());
        }
        match &mut operand.term {
            Term::Field(before) | Term::Variable(_, before) => before.append(&mut fields),
            Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text(_) => {
                return fault(operand.at, "unexpected . after a constant, nil or dot");
            }
            Term::Chain(..) | Term::Function(_) | Term::Pipe(_) => {
                let at = operand.at;
                operand = Operand { at, term: Term::Chain(Box::new(operand), fields) };
            }
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let token = self.next_word()?;
        let term = match token.kind {
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => Term::Number(number(token)?),
            Kind::Dot => Term::Dot,
            Kind::Field => Term::Field(vec![token.text.trim_start_matches('.').into()]),
            Kind::Identifier => function(token)?,
            Kind::LeftParen => {
                Term::Pipe(Box::new(self.pipeline("parenthesized pipeline", Kind::RightParen)?))
            }
            Kind::Nil => Term::Nil,
            Kind::RawString | Kind::String => Term::Text(unquoted(token)?.into()),
            Kind::Variable => match self.visible(token.text) {
                Some(variable) => Term::Variable(variable, Fields::new()),
                None => return Err(self.undefined(token)),
            },
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, term }))
    }
}

/// What an action turned out to be.
enum Item {
    End(usize, Ending),
    Node(Node),
}
