//! Every format is read back by something that is not ours, or by a reader of the format's own rules.

use std::collections::BTreeMap;
use std::process::Command;

use super::tiny::TinyError;
use super::*;

/// What nobody quotes right by accident.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "plain",
    "it's",
    "\"double\"",
    "a&b<\"c>'",
    "$(id) `id` $HOME ${HOME} \\$x",
    "back\\slash\\n",
    "ends in backslash\\",
    "\\\\server\\share\\",
    "both ' and \"",
    "\\\\ # no comment",
    "\\\\ $HOME",
    " \\\\ ",
    "two\nlines\n",
    "\r\n\ttab",
    "-----BEGIN KEY-----\nMIIB=\n-----END KEY-----\n",
    "# no comment",
    "a # b",
    "key: value",
    "ünïcödé \u{1f600} \u{85}\u{2028}\u{feff}",
    "{\"a\": [1, 'x']}",
    "!tag &anchor *alias %dir @at",
    "- item",
    "? key",
    "---",
    "...",
    "'",
    "\u{1b}[31m\u{7f}",
];

/// What some YAML reads as something else than a string.
const MISREAD: &[&str] = &[
    "1,000",
    "-1,000.5",
    ":x",
    ":a b",
    "null",
    "Null",
    "~",
    "true",
    "True",
    "yes",
    "NO",
    "on",
    "y",
    "n",
    "123",
    "-1",
    "+12",
    "0777",
    "0o17",
    "0x1F",
    "0b101",
    "1_000",
    "1.10",
    ".5",
    "5.",
    "1e3",
    "1E-3",
    "-.inf",
    ".NaN",
    "12:30",
    "12:30:45",
    "1:2.5",
    "2026-11-23",
    "2026-11-23T01:02:03Z",
    "2026-1-2 3:4:5",
    "<<",
    "=",
    "1.2.3",
];

/// What every YAML reads as a string and nobody wants quoted.
const PLAIN: &[&str] = &[
    "hello",
    "a b",
    "a:b",
    "http://x:80/?a=b&c",
    "-x",
    "?x",
    "it's",
    "a\"b",
    "x#y",
    "v1.2",
    "postgres://u:p@h/db",
    "deadbeef",
    "ü",
    "a,b",
    "e5",
    "C:\\x",
];

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

fn numbered(values: &[&str]) -> (Json, BTreeMap<String, String>) {
    let named =
        values.iter().enumerate().map(|(i, value)| (format!("K{i:02}"), (*value).to_owned()));
    let named: BTreeMap<String, String> = named.collect();
    let fields = named.iter().map(|(key, value)| (key.clone(), Json::String(value.clone())));
    (Json::Object(fields.collect()), named)
}

fn rendered(format: &str, data: &Json) -> String {
    render(&Format::parse(format).unwrap(), data).unwrap().expose().to_owned()
}

fn refused(format: &str, data: &str) -> String {
    let error = render(&Format::parse(format).unwrap(), &json(data)).unwrap_err();
    crate::base::report::OneLine(&error).to_string()
}

#[test]
fn env_is_read_back_by_sh() {
    let (data, named) = numbered(HOSTILE);
    let names: Vec<String> = named.keys().map(|name| format!("\"${name}\"")).collect();
    let script = format!("{}printf '%s\\0' {}", rendered("env", &data), names.join(" "));
    let output = Command::new("sh").arg("-c").arg(script).env_clear().output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).unwrap();
    let read: Vec<&str> = out.split_terminator('\0').collect();
    assert_eq!(read, named.values().map(String::as_str).collect::<Vec<_>>());
}

/// The rules of Go's godotenv, strictly: one line each. What has no quotes is as it stands, and must hold nothing
/// that a parser of Python, Node, Go or Compose would take for a comment, a variable, a quote or a blank.
fn read_dotenv(text: &str) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let quote = after.chars().next().unwrap();
        if !['"', '\''].contains(&quote) {
            let (value, next) = after.split_once('\n').unwrap();
            assert!(!value.contains(['#', '$', '\r']) && value.trim() == value, "{value:?}");
            assert!(!value.starts_with('`') && value.contains(['\\', '"', '`']), "{value:?}");
            read.insert(name.to_owned(), value.to_owned());
            rest = next;
            continue;
        }
        let (mut value, mut chars) = (String::new(), after.chars());
        chars.next();
        loop {
            let c = chars.next().unwrap();
            match c {
                _ if c == quote => break,
                '\\' if quote == '"' => value.push(match chars.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    escaped @ ('"' | '\\' | '$') => escaped,
                    other => panic!("escape {other:?}"),
                }),
                '$' | '\n' | '\r' if quote == '"' => panic!("{name}: bare {c:?}"),
                _ => value.push(c),
            }
        }
        assert_eq!(chars.next(), Some('\n'));
        read.insert(name.to_owned(), value);
        rest = chars.as_str();
    }
    assert_eq!(rest, "");
    read
}

#[test]
fn dotenv_is_read_back_by_its_rules() {
    let (data, named) = numbered(HOSTILE);
    assert_eq!(read_dotenv(&rendered("dotenv", &data)), named);
    let simple = json(r#"{"db-password":"a b","json":"{\"k\":\"\\n\"}","n":1.10,"pem":"a\nb"}"#);
    assert_eq!(
        rendered("dotenv", &simple),
        "db_password=\"a b\"\njson='{\"k\":\"\\n\"}'\nn=\"1.10\"\npem=\"a\\nb\"\n"
    );
}

/// `java.util.Properties.load`, for text without continued lines and comments.
fn read_properties(text: &str) -> BTreeMap<String, String> {
    assert!(text.is_ascii());
    let line = |line: &str| {
        let (mut key, mut value): (Vec<u16>, Vec<u16>) = (Vec::new(), Vec::new());
        let (mut is_value, mut chars) = (false, line.chars());
        while let Some(c) = chars.next() {
            let unit = match c {
                '\\' => match chars.next().unwrap() {
                    't' => u16::from(b'\t'),
                    'n' => u16::from(b'\n'),
                    'r' => u16::from(b'\r'),
                    'f' => 0xc,
                    'u' => {
                        let hex: String = chars.by_ref().take(4).collect();
                        u16::from_str_radix(&hex, 16).unwrap()
                    }
                    other => other as u16,
                },
                '=' | ':' | ' ' | '\t' if !is_value => {
                    is_value = true;
                    continue;
                }
                ' ' | '\t' if value.is_empty() && is_value => continue,
                plain => plain as u16,
            };
            if is_value { value.push(unit) } else { key.push(unit) }
        }
        (String::from_utf16(&key).unwrap(), String::from_utf16(&value).unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
fn properties_are_read_back_by_javas_rules() {
    let (data, named) = numbered(HOSTILE);
    assert_eq!(read_properties(&rendered("properties", &data)), named);
    let keys = json(r#"{"a b:c=d#e!f\\":" x y\u0000é","spring.url":"http://h:1"}"#);
    assert_eq!(
        rendered("properties", &keys),
        "a\\ b\\:c\\=d\\#e\\!f\\\\=\\ x y\\u0000\\u00E9\nspring.url=http\\://h\\:1\n"
    );
}

#[test]
fn yaml_quotes_what_is_misread_and_nothing_else() {
    for text in PLAIN {
        let data = Json::Object([("k".to_owned(), Json::String((*text).to_owned()))].into());
        assert_eq!(rendered("yaml", &data), format!("k: {text}\n"));
    }
    for text in MISREAD {
        let data = Json::Object([("k".to_owned(), Json::String((*text).to_owned()))].into());
        assert_eq!(rendered("yaml", &data), format!("k: \"{text}\"\n"));
    }
}

#[test]
fn yaml_is_read_back_by_a_reader() {
    let (data, _) = numbered(HOSTILE);
    assert_eq!(yaml::parse(&rendered("yaml", &data)), Ok(vec![data]));
}

#[test]
fn yaml_writes_nested_values_as_blocks() {
    let data = json(
        r#"{"b":{"deep":{"x":null,"y":[]},"list":[1.10,"1.10",{"k":"v","l":[true]},[2,[3]],{}]},"a":"x: y","off":0,"pem":"a\nb\n"}"#,
    );
    let wanted = "\
a: 'x: y'
b:
  deep:
    x: null
    \"y\": []
  list:
  - 1.10
  - \"1.10\"
  - k: v
    l:
    - true
  -
    - 2
    -
      - 3
  - {}
\"off\": 0
pem: |
  a
  b
";
    assert_eq!(rendered("yaml", &data), wanted);
    assert_eq!(rendered("yaml", &json("{}")), "{}\n");
}

#[test]
fn raw_is_one_value_byte_for_byte() {
    let data = json(
        r#"{"a":{"b":{"c":"deep"},"list":[1.10]},"a.b":"literal","nul":"x\u0000\n","z":null}"#,
    );
    assert_eq!(rendered("raw:a.b", &data), "literal");
    assert_eq!(rendered("raw:a.b.c", &data), "deep");
    assert_eq!(rendered("raw:a.list", &data), "[1.10]");
    assert_eq!(rendered("raw:nul", &data), "x\0\n");
    assert_eq!(rendered("raw:z", &data), "");
    assert_eq!(refused("raw:a.x", r#"{"a":{"password":1}}"#), "the secret has no key \"a.x\"");
}

#[test]
fn sees_through_kv2_and_only_through_kv2() {
    let kv2 = json(r#"{"data":{"k":"v"},"metadata":{"version":3}}"#);
    assert_eq!(rendered("env", &kv2), "export k='v'\n");
    for other in [r#"{"data":{"k":"v"}}"#, r#"{"data":{"k":"v"},"metadata":{"x":1}}"#] {
        assert!(rendered("env", &json(other)).contains("data='{\"k\":\"v\"}'"), "{other}");
    }
    let deleted = refused("env", r#"{"data":null,"metadata":{"version":3}}"#);
    assert_eq!(deleted, "no fields to write: this version of the secret was deleted or destroyed");
    assert_eq!(refused("yaml", "null"), "no fields to write: the response holds no data");
}

#[test]
fn errors_name_keys_and_no_values() {
    assert_eq!(refused("env", r#"{"":"hunter2"}"#), "an empty key cannot become a variable");
    let clash = refused("dotenv", r#"{"a-b":"hunter2","a.b":"hunter2"}"#);
    assert_eq!(clash, "keys \"a-b\" and \"a.b\" both become the variable a_b");
    let nul = refused("env", r#"{"k":"hunter\u00002"}"#);
    assert_eq!(nul, "the value of \"k\" holds a NUL byte, use raw:k");
    let long = format!(r#"{{"x":[{{"{}":"hunter2"}}]}}"#, "k".repeat(1025));
    assert!(refused("yaml", &long).starts_with("key \"kkk"));
    let unknown = Format::parse("toml").unwrap_err().to_string();
    assert_eq!(unknown, "unknown format \"toml\", want env, dotenv, properties, yaml or raw:KEY");
    assert!(Format::parse("raw:").is_err());
}

fn tiny_error(text: &str, data: &str) -> String {
    crate::base::report::OneLine(&tiny::render(text, &json(data)).unwrap_err()).to_string()
}

#[test]
fn tiny_renders_fields_lists_and_exact_numbers() {
    let kv2 = json(
        r#"{"data":{"user":"a&b<\"c>'","port":1.10,"zero":0,"hosts":[{"n":"x"},{"n":"y"}],"o":{"k":2.50}},
           "metadata":{"version":1}}"#,
    );
    let text = "{user} {port}{{ if zero }}!{{ endif }} {{ for h in hosts }}{h.n}{{ if @last }}.{{ else }},{{ endif }}\
                {{ endfor }} {user | sh} {user | json} {o} {port | yaml} {user | base64} \\{literal}";
    let wanted = "a&b<\"c>' 1.10 x,y. 'a&b<\"c>'\\''' \"a&b<\\\"c>'\" {\"k\":2.50} 1.10 YSZiPCJjPic= {literal}";
    assert_eq!(tiny::render(text, &kv2).unwrap().expose(), wanted);
}

#[test]
fn tiny_errors_show_the_place_and_no_neighbours() {
    let data = r#"{"password":"hunter2","list":[1]}"#;
    assert_eq!(tiny_error("a\n b {nope.x}", data), "template 2:5: no such field at \"nope.x\"");
    assert_eq!(
        tiny_error("{{ for x in password }}{{ endfor }}", data),
        "template 1:13: not a list at \"for x in password\""
    );
    assert_eq!(
        tiny_error("{password | rot13}", data),
        "template 1:13: unknown formatter at \"password | rot13\""
    );
    assert!(tiny_error("{{ if password }}", data).starts_with("template 1:"));
    assert!(tiny_error("{@index}", data).contains("outside of a loop"));
    assert_eq!(tiny_error("x", "[]"), "template: no fields to use: the response holds no data");
}

#[test]
fn tiny_refuses_what_its_engine_dies_of() {
    for text in [
        "{#}",
        "a{#}b",
        "{{ if not }}",
        "{{ if not -}}",
        "{{- if not- }}",
        "{{if not\u{e9}}}",
        "{{ if nothing }}",
        "\\",
        "x\\{\\",
        "{password}\\",
        "\\\\",
    ] {
        let error = tiny::render(text, &json(r#"{"password":"hunter2"}"#)).unwrap_err();
        assert!(matches!(error, TinyError::Compile { .. }), "{text}: {error}");
    }
}

#[test]
fn tiny_stops_at_its_bounds() {
    let long = format!("{{\"l\":[{}0]}}", "0,".repeat(200));
    let text = format!("{}x{}", "{{ for a in l }}".repeat(9), "{{ endfor }}".repeat(9));
    assert!(tiny_error(&text, &long).contains("too long"));
    assert!(tiny_error(&"x".repeat(300_000), "{}").contains("256 KiB"));
    let big = format!("{{\"b\":\"{}\"}}", "y".repeat(1_000_000));
    assert!(tiny_error(&"{b}".repeat(20), &big).contains("output is too long"));
    let calls = tiny_error("{{ call \n with b }}{{ call x with b }}", &big);
    assert!(calls.contains("template 1:"), "{calls}");
    assert!(tiny_error("{{ call x with b }}", &big).contains("cannot call each other"));
}

/// Texts of pieces that the engine's compiler knows: whatever is in them, an answer and no panic.
#[test]
fn tiny_never_panics() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "{{",
        "}}",
        "{#",
        "#}",
        "\\",
        "-",
        " ",
        "\n",
        "\r\n",
        "not",
        "if",
        "else",
        "endif",
        "for",
        " in ",
        "endfor",
        "with",
        " as ",
        "endwith",
        "call",
        "a",
        "l",
        ".",
        "0",
        "@root",
        "@index",
        "@last",
        "|",
        "sh",
        "é",
        "\u{2003}",
        "{{ if a }}",
        "{{ for x in l }}",
        "{{ endfor }}",
        "{{ endif }}",
        "{a}",
    ];
    let data = json(r#"{"a":"hunter2","l":[1,[2],{"a":3}],"0":{"a":null}}"#);
    let mut seed: u64 = 7;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut worked = 0;
    for _ in 0..60_000 {
        let text: String = (0..1 + next(9)).map(|_| PIECES[next(PIECES.len())]).collect();
        match tiny::render(&text, &data) {
            Ok(_) => worked += 1,
            Err(TinyError::Panic) => panic!("{text:?}"),
            Err(error) => {
                let told = error.to_string();
                assert!(
                    !told.contains("hunter2") && !told.contains("Available"),
                    "{text:?}: {told}"
                );
            }
        }
    }
    assert!(worked > 5_000, "{worked}");
}
