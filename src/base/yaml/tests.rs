//! What plain words mean, what is refused, and that everything written reads back.

use std::collections::BTreeMap;

use super::*;
use crate::base::dice::dice;

fn one(text: &str) -> String {
    let documents = parse(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    documents[0].to_text()
}

#[test]
fn plain_words_mean_what_kubernetes_says() {
    for (text, want) in [
        ("yes", "true"),
        ("Off", "false"),
        ("y", "true"),
        ("~", "null"),
        ("010", "8"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("1_000", "1000"),
        ("-5", "-5"),
        ("+5", "5"),
        ("0", "0"),
        ("1.50", "1.5"),
        (".5", "0.5"),
        ("1.5e+3", "1500"),
        ("64e6", "\"64e6\""),
        ("64Mi", "\"64Mi\""),
        ("08", "8"),
        ("1.2.3", "\"1.2.3\""),
        ("2001-01-01", "\"2001-01-01\""),
        ("tRuE", "\"tRuE\""),
        ("'yes'", "\"yes\""),
        ("\"1\"", "\"1\""),
        ("!!str 1", "\"1\""),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
    ] {
        let got = one(&format!("k: {text}"));
        assert_eq!(got, format!("{{\"k\":{want}}}"), "{text}");
    }
    assert_eq!(one("on: 1\n2: x"), r#"{"2":"x","true":1}"#);
}

#[test]
fn documents_anchors_and_merges() {
    let documents = parse("---\na: &x {b: 1}\nc: *x\n---\n# nothing\n---\nd: 2\n...\n").unwrap();
    let texts: Vec<String> = documents.iter().map(Json::to_text).collect();
    assert_eq!(texts, [r#"{"a":{"b":1},"c":{"b":1}}"#, r#"{"d":2}"#]);
    assert_eq!(
        one("base: &b {x: 1, z: 2}\nnext:\n  <<: *b\n  z: 3\n"),
        r#"{"base":{"x":1,"z":2},"next":{"x":1,"z":3}}"#
    );
}

#[test]
fn errors_name_line_and_column() {
    for (text, line) in [
        ("a: 1\nb: [1,\n", 3),
        ("a: 1\na: 2", 2),
        ("a: .inf", 1),
        ("a: !thing x", 1),
        ("? [a]\n: b", 1),
        ("a: *x", 1),
        ("a: &x [*x]", 1),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.column > 0);
    }
}

#[test]
fn aliases_and_depth_are_bounded() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let before = vec![format!("*a{}", i - 1); 10].join(",");
        bomb.push_str(&format!("a{i}: &a{i} [{before}]\n"));
    }
    assert!(parse(&bomb).unwrap_err().reason.contains("aliases"));
    assert!(parse(&"[".repeat(200)).unwrap_err().reason.contains("deeper"));
    assert!(parse(&"- ".repeat(200)).unwrap_err().reason.contains("deeper"));
}

/// Texts that some reader could take for something else.
#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "", " ", "a", "a b", " a", "a ", "a: b", "a #b", "a#b", "#a", "- a", "-a", "--", "---", "-",
    "?", "?a", ":", ":a", "a:", "true", "Yes", "NULL", "~", "1", "1.0", "1e3", "0x1", "0o7",
    "1_0", "1:30", ".inf", "-.INF", ".NaN", "2001-01-01", "2001-01-01T00:00:00Z", "=", "<<", "*a",
    "&a", "!a", "%a", "@a", "`a", "'a'", "\"a\"", "it's", "{{ x }}", "[a]", "a, b", "a\nb",
    "a\nb\n", "a\n\nb\n\n", "\na", " a\nb", "a\n b", "a \nb", "\t", "a\tb", "a\r\n", "\u{0}",
    "\u{85}", "\u{2028}", "\u{feff}x", "é", "😀", "null", "...", "... a", "--- a", "64Mi", "250m",
    "10.0.0.1", "/a/b", "a\\b", "key=value", "|", ">", "a: \nb", "+", "+a", "0", "007", "12e03",
    "n", "off", "{{- with secret \"a\" -}}\n{{ .Data }}\n{{- end }}", "\n", "\n\n", "#\n",
    "a\n#b",
];

#[test]
fn writes_what_reads_back_the_same() {
    for (i, text) in TEXTS.iter().enumerate() {
        let string = || Json::String((*text).to_owned());
        let inner = Json::Object(BTreeMap::from([
            ("k".into(), string()),
            (
                "l".into(),
                Json::Array(vec![
                    string(),
                    Json::Array(vec![string()]),
                    Json::Object(BTreeMap::from([
                        ("x".into(), string()),
                        ("y".into(), Json::Null),
                    ])),
                ]),
            ),
        ]));
        let mut members =
            BTreeMap::from([("top".to_owned(), inner), ("z".to_owned(), Json::Array(vec![]))]);
        members.insert(
            format!("{text}{}", if text.is_empty() { "e" } else { "" }),
            Json::Number("1".into()),
        );
        let value = Json::Object(members);
        let mut out = String::new();
        write(&value, &mut out);
        let back = parse(&out).unwrap_or_else(|e| panic!("{i} {text:?}: {e}\n{out}"));
        assert_eq!(
            back.iter().map(Json::to_text).collect::<Vec<_>>(),
            [value.to_text()],
            "{text:?}\n{out}"
        );
        let mut alone = String::new();
        write(&string(), &mut alone);
        let back = parse(&alone).unwrap();
        assert_eq!(back.first().map(Json::to_text), Some(string().to_text()), "{text:?}\n{alone}");
    }
}

#[test]
fn prints_as_kubectl_does() {
    let json = Json::parse(br#"{"kind":"Pod","spec":{"containers":[{"name":"a","args":["x: y","true","-c"]},{"name":"b"}],"v":[],"m":{}},"note":"a\nb\n"}"#).unwrap();
    let mut out = String::new();
    write(&json, &mut out);
    assert_eq!(
        out,
        "kind: Pod\nnote: |\n  a\n  b\nspec:\n  containers:\n  - args:\n    - 'x: y'\n    - \"true\"\n    - -c\n    name: a\n  - name: b\n  m: {}\n  v: []\n"
    );
}

#[test]
fn broken_texts_never_panic_and_good_ones_read_back() {
    let seed = "a: &x [1, \"two\", 'it''s', {b: ~}]\n? k\n: |-\n  text\n   more\n\n<<: {z: 1}\nl:\n- *x\n- >\n  folded\n  line\n---\n!!str 5\n...\n# end\n";
    let alphabet = b"&*!|>'\"%@`{}[],:#-?<\n \t~0x.a\\\xc3\xa9";
    let mut below = dice(0x2545_F491_4F6C_DD1D);
    let mut good = 0;
    for _ in 0..4000 {
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes[at] = alphabet[below(alphabet.len())],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, alphabet[below(alphabet.len())]),
            }
        }
        let Ok(documents) = parse(&String::from_utf8_lossy(&bytes)) else { continue };
        good += 1;
        for document in documents {
            let mut out = String::new();
            write(&document, &mut out);
            let back = parse(&out).unwrap_or_else(|e| panic!("{e}\n{out}"));
            assert_eq!(back.first().map(Json::to_text), Some(document.to_text()), "{out}");
        }
    }
    assert!(good > 100, "{good}");
}
