//! Beside the golden lines: what only we bound.

use crate::domain::template::{Budget, Outcome, Snapshot, Template};

fn render(pipe: &str) -> Option<String> {
    let budget = Budget { steps: 10_000_000, depth: 100, output_bytes: 1 << 20 };
    let template = Template::parse("t", &format!("{{{{ {pipe} }}}}"), "", "", budget).unwrap();
    match template.render(&Snapshot::default(), false, budget) {
        Outcome::Done(done) => Some(String::from_utf8(done.text.expose().to_vec()).unwrap()),
        _ => None,
    }
}

/// Recorded from Go; more of it is in the golden lines.
#[test]
fn expressions_are_those_of_re2() {
    for (expression, replaced) in [
        ("a{", "aaab\nb {<> ☺"),
        ("{", "aaab\nb <>a<> ☺"),
        ("[a[b]", "<><><><>\n<> {<>{ ☺"),
        ("[a&&b]", "<><><><>\n<> {<>{ ☺"),
        (r"\Qa{\E", "aaab\nb {<> ☺"),
        (r"\x{263a}", "aaab\nb {a{ <>"),
        (r"\<", "aaab\nb {a{ ☺"),
        ("a+?", "<><><>b\nb {<>{ ☺"),
        ("x|", "<>a<>a<>a<>b<>\n<>b<> <>{<>a<>{<> <>☺<>"),
        ("(?m)b$", "aaa<>\nb {a{ ☺"),
        ("[[:^alpha:]]+", "aaab<>b<>a<>"),
    ] {
        let pipe = format!("`aaab\nb {{a{{ ☺` | regexReplaceAll `{expression}` `<>`");
        assert_eq!(render(&pipe).as_deref(), Some(replaced), "{expression}");
    }
    for wrong in ["(", "a**", "a++", "a{1001}", "(a{1000}){1000}", r"\8", "(?=a)", "[z-a]", r"\"] {
        assert_eq!(render(&format!("regexMatch `{wrong}` `a`")), None, "{wrong}");
        let lenient = render(&format!("sprig_regexMatch `{wrong}` `a`"));
        assert_eq!(lenient.as_deref(), Some("false"), "{wrong}");
    }
}

#[test]
fn matches_and_pieces() {
    for (pipe, output) in [
        ("regexReplaceAll `(a)(b)?` `$1-${2}_$$$x` `abac`", "a-b_$a-_$c"),
        ("sprig_regexReplaceAllLiteral `a` `aba` `$1`", "$1b$1"),
        ("sprig_regexReplaceAll `(a)` `aba` `${1}_`", "a_ba_"),
        ("sprig_regexFindAll `a` `aaa` 2", "[a a]"),
        ("sprig_regexFindAll `x` `aaa` -1 | toJSON", "null"),
        ("sprig_regexSplit `a` `bab` 1 | toJSON", "[\"bab\"]"),
        ("sprig_regexSplit `` `ab` -1 | toJSON", "[\"a\",\"b\"]"),
        ("sprig_regexQuoteMeta `a.b\\`", r"a\.b\\"),
    ] {
        assert_eq!(render(pipe).as_deref(), Some(output), "{pipe}");
    }
}

#[test]
fn slow_expressions_run_out_of_steps() {
    let long = "sprig_repeat 200000 `a`";
    assert_eq!(render(&format!("{long} | regexReplaceAll `.*b|a` ``")), None);
    assert_eq!(render(&format!("{long} | regexMatch `(a{{1,900}})+b`")), None);
}

#[test]
fn large_and_deep_expressions_are_refused() {
    let large = ["(a{1000}){1000}", "(?:a{30}){33}{2}", "\\pL{1000}{2}", "(((a{9}){9}){9}){9}"];
    for wrong in large {
        assert_eq!(render(&format!("regexMatch `{wrong}` `a`")), None, "{wrong}");
    }
    let deep = |n: usize| format!("regexMatch `{}a{}` `a`", "(".repeat(n), ")".repeat(n));
    assert_eq!(render(&deep(100)).as_deref(), Some("true"));
    for pipe in [
        deep(101),
        format!("regexMatch `a{}` `a`", "*(?i)".repeat(101)),
        format!("regexMatch `{}` `a`", "\\pL".repeat(500)),
        format!("regexMatch `{}` `a`", "a".repeat(5000)),
        format!("regexReplaceAll `{}{{900}}` `$1` `a`", "()".repeat(1000)),
    ] {
        assert_eq!(render(&pipe), None, "{pipe}");
    }
    assert_eq!(render("regexMatch `\\pL{100}` `a`").as_deref(), Some("false"));
}

/// Each is compiled once: 20,000 compilations would take more steps than there are.
#[test]
fn loops_compile_once() {
    let text = "{{ range loop 20000 }}{{ if regexMatch `(?i)^\\p{Greek}{3,20}$` `abc` }}x{{ end }}{{ end }}";
    let budget = Budget { steps: 4_000_000, depth: 100, output_bytes: 1 << 20 };
    let template = Template::parse("t", text, "", "", budget).unwrap();
    assert!(matches!(template.render(&Snapshot::default(), false, budget), Outcome::Done(_)));
}

/// An expression that comes from data may be a secret.
#[test]
fn only_a_literal_expression_is_shown() {
    let budget = Budget { steps: 10_000, depth: 100, output_bytes: 1 << 20 };
    let message = |text: &str| {
        let template = Template::parse("t", text, "", "", budget).unwrap();
        match template.render(&Snapshot::default(), false, budget) {
            Outcome::Fail(error, _) => error.message,
            _ => panic!("{text}"),
        }
    };
    let shown = "error calling regexMatch: error parsing regexp: missing closing ): `(a`";
    assert_eq!(message("{{ print `b` | regexMatch `(a` }}"), shown);
    let hidden = "error calling regexMatch: error parsing regexp: missing closing )";
    assert_eq!(message("{{ regexMatch (print `(a`) `b` }}"), hidden);
}
