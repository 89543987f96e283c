//! The standard, the looser dialect, the bounds.

use super::*;

fn run(doc: &str, patch: &str, dialect: Dialect) -> Result<String, String> {
    let mut doc = Json::parse(doc.as_bytes()).unwrap();
    apply(&mut doc, &parse(patch)?, dialect).map_err(|e| e.to_string())?;
    Ok(doc.to_text())
}

#[test]
fn applies_what_the_standard_says() {
    for (doc, patch, want) in [
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":[1,3]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2,3]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/-","value":2}]"#, r#"{"a":[1,2]}"#),
        (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/0"}]"#, r#"{"a":[2]}"#),
        (
            r#"{"a/b":1,"m~n":2}"#,
            r#"[{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}]"#,
            r#"{"m~n":3}"#,
        ),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a/b","path":"/c"}]"#, r#"{"a":{},"c":1}"#),
        (
            r#"{"a":{"b":1}}"#,
            r#"[{"op":"copy","from":"/a","path":"/c"}]"#,
            r#"{"a":{"b":1},"c":{"b":1}}"#,
        ),
        (r#"{"a":1.0}"#, r#"[{"op":"test","path":"/a","value":1}]"#, r#"{"a":1.0}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"","value":[]}]"#, "[]"),
        ("{}", "null", "{}"),
    ] {
        assert_eq!(run(doc, patch, Dialect::Strict).as_deref(), Ok(want), "{patch}");
    }
    for patch in [
        r#"[{"op":"replace","path":"/x","value":1}]"#,
        r#"[{"op":"remove","path":"/x"}]"#,
        r#"[{"op":"add","path":"/a/-1","value":1}]"#,
        r#"[{"op":"add","path":"/a/01","value":1}]"#,
        r#"[{"op":"add","path":"/a/9","value":1}]"#,
        r#"[{"op":"add","path":"/a/0"}]"#,
        r#"[{"op":"add","path":"a","value":1}]"#,
        r#"[{"op":"copy","from":"/x","path":"/y"}]"#,
        r#"[{"op":"test","path":"/x","value":null}]"#,
        r#"[{"op":"move","from":"/a","path":"/a/0"}]"#,
        r#"[{"op":"ADD","path":"/a","value":1}]"#,
        r#"[{"path":"/a"}]"#,
        r#"[{"op":"add","value":1}]"#,
        r#"[1]"#,
        r#"{}"#,
        "[{",
        " ",
    ] {
        assert!(run(r#"{"a":[1]}"#, patch, Dialect::Strict).is_err(), "{patch}");
    }
}

#[test]
fn the_lenient_dialect_takes_more() {
    for (patch, want) in [
        (r#"[{"op":"replace","path":"/x","value":1}]"#, Some(r#"{"a":[1,2],"x":1}"#)),
        (r#"[{"op":"add","path":"/a/-1","value":3}]"#, Some(r#"{"a":[1,2,3]}"#)),
        (r#"[{"op":"remove","path":"/a/-1"}]"#, Some(r#"{"a":[1]}"#)),
        (r#"[{"op":"add","path":"/x"}]"#, Some(r#"{"a":[1,2],"x":null}"#)),
        (r#"[{"op":"copy","from":"/x","path":"/a/0"}]"#, Some(r#"{"a":[null,1,2]}"#)),
        (r#"[{"op":"test","path":"/x","value":null}]"#, Some(r#"{"a":[1,2]}"#)),
        (r#"[{"op":"replace","path":"","value":{}}]"#, Some("{}")),
        (r#"[{"op":"add","path":"","value":{}}]"#, None),
        (r#"[{"op":"replace","path":"/a/9","value":1}]"#, None),
        (r#"[{"op":"move","from":"/x","path":"/y"}]"#, None),
        (r#"[{"op":"add","path":"/a/-4","value":3}]"#, None),
        (r#"[{"op":"add","path":"/a/-0","value":3}]"#, Some(r#"{"a":[3,1,2]}"#)),
        (r#"[{"op":"replace","path":"/a/+1","value":3}]"#, Some(r#"{"a":[1,3]}"#)),
        (r#"[{"op":"replace","path":"/a/-","value":3}]"#, None),
        (r#"[{"op":"remove","path":"/a/x"}]"#, None),
        (r#"[{"op":"replace","path":"","value":null}]"#, None),
        (r#"[{"op":"copy","from":"","path":"/x"}]"#, None),
    ] {
        let got = run(r#"{"a":[1,2]}"#, patch, Dialect::Lenient).ok();
        assert_eq!(got.as_deref(), want, "{patch}");
    }
}

#[test]
fn copies_and_depth_are_bounded() {
    let double = r#"{"op":"copy","from":"/a","path":"/a/-"},"#.repeat(60);
    let patch = format!("[{}]", double.trim_end_matches(','));
    assert!(run(r#"{"a":["0123456789"]}"#, &patch, Dialect::Lenient).is_err());
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let patch = format!(
        r#"[{{"op":"add","path":"/a/0","value":{deep}}},{{"op":"copy","from":"/a","path":"/a/0{}"}}]"#,
        "/0".repeat(20)
    );
    assert!(run(r#"{"a":[]}"#, &patch, Dialect::Lenient).unwrap_err().contains("deeper"));
}
