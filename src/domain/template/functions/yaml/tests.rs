use crate::domain::template::{Budget, Outcome, Snapshot, Template};

fn render(text: &str) -> Option<String> {
    let budget = Budget { steps: 10_000_000, depth: 100, output_bytes: 1 << 20 };
    let template = Template::parse("t", text, "", "", budget).unwrap();
    let snapshot = Snapshot { complete: true, ..Snapshot::default() };
    match template.render(&snapshot, false, budget) {
        Outcome::Done(done) => Some(String::from_utf8(done.text.expose().to_vec()).unwrap()),
        Outcome::Fail(..) => None,
        Outcome::Lack { .. } => panic!("lacks"),
    }
}

/// Renders `text | function`.
fn of(function: &str, text: &str) -> Option<String> {
    let quoted = crate::domain::template::go::quote::quote(text.as_bytes(), false);
    render(&format!("{{{{ {function} {quoted} }}}}"))
}

/// Recorded from yaml.v2.
#[test]
fn texts_have_the_style_that_they_need() {
    for (text, yaml) in [
        ("a", "a"),
        ("it's", "it's"),
        ("a: b", "'a: b'"),
        ("a:b", "a:b"),
        ("'a", "'''a'"),
        ("-a", "-a"),
        ("- ", "'- '"),
        ("x #y", "'x #y'"),
        ("x#y", "x#y"),
        ("...", "'...'"),
        ("a\tb", "\"a\\tb\""),
        ("\u{feff}a b", "\"\\uFEFF\\x61\\x20\\x62\""),
        ("\u{a0}\u{85}", "\"\u{a0}\\N\""),
        ("0b-1", "\"0b-1\""),
        ("-0b-1", "-0b-1"),
        ("1:2:3.4", "\"1:2:3.4\""),
        ("a\n b", "|-\n  a\n   b"),
        ("\na\n", "|2\n\n  a"),
        ("\n", "|2+"),
        (" \n", "\" \\n\""),
        ("a \nb", "\"a \\nb\""),
        ("a\n\n", "|+\n  a"),
        ("a\r\n", "\"a\\r\\n\""),
        ("x\u{2028}y", "'x\u{2028}  y'"),
    ] {
        assert_eq!(of("toYAML", text).as_deref(), Some(yaml), "{text:?}");
    }
    assert_eq!(render(r#"{{ "\xff\xfeab" | toYAML }}"#).unwrap(), "!!binary //5hYg==");
}

#[test]
fn long_lines_are_folded() {
    let words = "lorem ipsum dolor sit amet ".repeat(5);
    let words = words.trim_end();
    let line =
        "lorem ipsum dolor sit amet lorem ipsum dolor sit amet lorem ipsum dolor sit amet lorem";
    let rest = "ipsum dolor sit amet lorem ipsum dolor sit amet";
    assert_eq!(of("toYAML", words).unwrap(), format!("{line}\n  {rest}"));
    let single = of("toYAML", &format!("# {words}")).unwrap();
    let (first, second) = single.split_once("\n  ").unwrap();
    assert!(first.starts_with("'# lorem") && first.ends_with(" amet"), "{first}");
    assert!(second.starts_with("lorem ipsum") && second.ends_with('\''), "{second}");
    let double = of("toYAML", &format!("{}  x\t", "a".repeat(90))).unwrap();
    assert_eq!(double, format!("\"{}\n  \\ x\\t\"", "a".repeat(90)));
    let key = format!("{words} {words}");
    let marked = render(&format!("{{{{ sprig_dict \"{key}\" 1 | toYAML }}}}")).unwrap();
    assert!(marked.starts_with("? lorem") && marked.ends_with("\n: 1"), "{marked}");
}

#[test]
fn lists_and_maps_are_indented() {
    let json = r#"{"a":[[1,[]],{"b":[{"c":null,"d":{}}]}],"x\ny":[true],"10":1,"9":1e6}"#;
    let yaml = "\"9\": 1e+06\n\"10\": 1\na:\n- - 1\n  - []\n- b:\n  - c: null\n    d: {}\n? |-\n  x\n  y\n:\n  - true";
    let text = render(&format!("{{{{ parseJSON `{json}` | toYAML }}}}")).unwrap();
    assert_eq!(text, yaml.replace(":\n  - true", ": - true"));
}

/// Recorded from yaml.v2; `%#v` shows the types.
#[test]
fn yaml_is_read_as_version_1_1() {
    for (yaml, value) in [
        ("a: &x {k: 1, j: 2}\nb: {<<: *x, j: 3}", r#"{"a":@{"j":2, "k":1}, "b":@{"j":3, "k":1}}"#),
        ("c: {k: 5, <<: {k: 6, l: 7}}", r#"{"c":@{"k":6, "l":7}}"#),
        (
            "a: &x {k: 1}\nb: &y {k: 2, z: 1}\nc: {<<: [*x, *y]}",
            r#"{"a":@{"k":1}, "b":@{"k":2, "z":1}, "c":@{"k":1, "z":1}}"#,
        ),
        ("{\"<<\": 1}", r#"{"<<":1}"#),
        (
            "yes: no\n1: 2\n1.0: 3\n\"1\": 4\n~: 5",
            "{interface {}(nil):5, \"1\":4, 1:2, 1:3, true:false}",
        ),
        ("a: 1\na: 2", r#"{"a":2}"#),
        ("a: 2001-01-01\nb: 12:30", r#"{"a":"2001-01-01", "b":"12:30"}"#),
        ("a: !!int \"12\"\nb: !!str 12\nc: !!float 3", r#"{"a":12, "b":"12", "c":3}"#),
        ("a: !!binary aGVsbG8=\nb: !x 1\nc: ! 1", r#"{"a":"hello", "b":"1", "c":"1"}"#),
        ("a: |\n  x", r#"{"a":"x"}"#),
        ("a: |\n  x\n", r#"{"a":"x\n"}"#),
        ("a: |\n  x\n  ", r#"{"a":"x\n"}"#),
        ("a: |\n  x\n ", r#"{"a":"x\n"}"#),
        ("a: >\n  x\n   ", r#"{"a":"x\n "}"#),
        ("---\na: 1\n---\nb: [", r#"{"a":1}"#),
    ] {
        let quoted = crate::domain::template::go::quote::quote(yaml.as_bytes(), false);
        let found = render(&format!("{{{{ printf \"%#v\" (parseYAML {quoted}) }}}}"));
        let map = "map[interface {}]interface {}";
        let value = format!("@{value}").replace('@', map);
        assert_eq!(found.as_deref(), Some(value.as_str()), "{yaml}");
    }
    for wrong in [
        "a: b: c",
        "{<<: 1}",
        "{<<: [1]}",
        "[a]: b",
        "? [a]",
        "a: &x [*x]",
        "*x",
        "\x01",
        "!!int x",
    ] {
        assert_eq!(of("parseYAML", wrong), None, "{wrong}");
    }
    assert_eq!(of("parseYAML", "# nothing").as_deref(), Some("<no value>"));
}

#[test]
fn maps_of_yaml_can_be_looked_into() {
    let text = r#"{{ $m := parseYAML "a: {b: x}\n1: q\ntrue: z" }}{{ $m.a.b }}{{ index $m 1 }}{{ index $m true }}
{{- index $m "1" }}{{ $m.none }}{{ len $m }}{{ range $k, $v := $m }} {{ $k }}{{ end }}{{ if parseYAML "{}" }}full{{ end }}"#;
    assert_eq!(render(text).unwrap(), "xqz<no value><no value>3 a 1 true");
    assert_eq!(of("parseYAML \"a: 1\" | toJSON | print", ""), None);
}

#[test]
fn hostile_yaml_ends_in_an_error() {
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for i in 1..40 {
        laughs += &format!("a{i}: &a{i} [*a{p}, *a{p}]\n", p = i - 1);
    }
    let mut chain = "- &a0 {x: 1}\n".to_owned();
    for i in 1..5000 {
        chain += &format!("- &a{i} {{x: *a{}}}\n", i - 1);
    }
    for text in [laughs, chain, "[".repeat(100_000), "{a: ".repeat(1000), "- ".repeat(5000)] {
        assert_eq!(of("parseYAML", &text), None, "{}", text.get(..20).unwrap());
    }
}
