//! Sources that are not UTF-8, such as those of old systems: their bytes come through as they are.
//!
//! The lexer reads characters. Each byte that belongs to none is read as a character that nobody uses, and
//! texts get their bytes back once the tree is there.

use super::ast::{Command, Node, Operand, Pipe, Term};
use super::parser::Parsed;

/// Stands for the byte 0x80, the next one for 0x81: the end of Unicode's last plane for private use.
const FIRST: u32 = 0x0010_FF80 - 0x80;

fn stand_in(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn byte_of(character: char) -> Option<u8> {
    let byte = u32::from(character).checked_sub(FIRST)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// The source with stand-ins; `None` when it holds one of those characters itself.
pub(crate) fn readable(source: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(source.len());
    for chunk in source.utf8_chunks() {
        if chunk.valid().chars().any(|c| byte_of(c).is_some()) {
            return None;
        }
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| stand_in(*byte)));
    }
    Some(text)
}

/// Gives every text of a template its bytes back.
pub(crate) fn restore(parsed: &mut Parsed) {
    nodes(&mut parsed.root.body);
    parsed.defined.values_mut().for_each(|tree| nodes(&mut tree.body));
}

fn nodes(found: &mut [Node]) {
    for node in found {
        match node {
            Node::Break | Node::Continue => {}
            Node::Action(found) => pipe(found),
            Node::If { arms, otherwise, .. } => {
                for (condition, body) in arms {
                    pipe(condition);
                    nodes(body);
                }
                nodes(otherwise);
            }
            Node::Range { pipe: over, body, otherwise } => {
                pipe(over);
                nodes(body);
                nodes(otherwise);
            }
            Node::Template { pipe: dot, .. } => dot.iter_mut().for_each(pipe),
            Node::Text { text, .. } => bytes(text),
        }
    }
}

fn pipe(found: &mut Pipe) {
    for Command { first, arguments } in &mut found.commands {
        operand(first);
        arguments.iter_mut().for_each(operand);
    }
}

fn operand(found: &mut Operand) {
    match &mut found.term {
        Term::Chain(inner, _) => operand(inner),
        Term::Pipe(inner) => pipe(inner),
        Term::Text(text) => bytes(text),
        Term::Bool(_)
        | Term::Dot
        | Term::Field(_)
        | Term::Function(_)
        | Term::Nil
        | Term::Number(_)
        | Term::Variable(..) => {}
    }
}

fn bytes(text: &mut Box<[u8]>) {
    let mut restored = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match byte_of(character) {
                Some(byte) => restored.push(byte),
                None => restored.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        restored.extend_from_slice(chunk.invalid());
    }
    *text = restored.into();
}

#[cfg(test)]
mod tests {
    use super::super::super::{Budget, Outcome, Snapshot, Template};

    const BUDGET: Budget = Budget { steps: 10_000, depth: 20, output_bytes: 10_000 };

    fn rendered(source: &[u8]) -> Vec<u8> {
        let template = Template::parse_source("t", source, "", "", BUDGET).unwrap();
        match template.render(&Snapshot::default(), false, BUDGET) {
            Outcome::Done(rendered) => rendered.text.expose().to_vec(),
            _ => panic!("{source:?}"),
        }
    }

    #[test]
    fn bytes_that_are_no_text_come_through() {
        let all: Vec<u8> = (0..=255_u8).filter(|byte| *byte != b'{').collect();
        assert_eq!(rendered(&all), all);
        for (source, want) in [
            (&b"gr\xf6\xdfe {{ \"x\" }}\xff"[..], &b"gr\xf6\xdfe x\xff"[..]),
            (b"{{ if true }}\xe4{{ else }}\xf6{{ end }}", b"\xe4"),
            (b"{{ range 2 }}\xe4{{ end }}\xf6", b"\xe4\xe4\xf6"),
            (b"{{ define \"a\" }}\xe4{{ . }}{{ end }}{{ template \"a\" `\xf6` }}", b"\xe4\xf6"),
            (b"{{ print (print `\xe4`) | printf \"%s\xf6\" }}", b"\xe4\xf6"),
            (
                "\u{e4} \u{10ff80} {{ \"\u{e4}\" }}".as_bytes(),
                "\u{e4} \u{10ff80} \u{e4}".as_bytes(),
            ),
        ] {
            assert_eq!(rendered(source), want, "{}", source.escape_ascii());
        }
    }

    #[test]
    fn what_could_be_mistaken_is_refused() {
        let source = ["\u{10ff80}".as_bytes(), b"\xff"].concat();
        let error = Template::parse_source("t", &source, "", "", BUDGET).err().unwrap();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }
}
