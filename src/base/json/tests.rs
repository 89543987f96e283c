//! What is JSON, what it costs, and that errors show nothing of it.

use super::*;

#[test]
fn keeps_the_text_of_numbers() {
    let text = br#"{"b":[1.10,1e3,12345678901234567890,-0.0],"a":"\u00e9\n"}"#;
    let json = Json::parse(text).unwrap();
    assert_eq!(json.to_text(), r#"{"a":"é\n","b":[1.10,1e3,12345678901234567890,-0.0]}"#);
}

#[test]
fn refuses_garbage_and_depth_without_showing_content() {
    assert!(matches!(Json::parse(b"{\"a\": hunter2}"), Err(JsonError::Syntax { .. })));
    assert!(Json::parse(b"{} x").is_err());
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(Json::parse(deep.as_bytes()), Err(JsonError::Deep));
    let debug = format!("{:?}", Json::parse(br#"{"k":"hunter2"}"#).unwrap());
    assert_eq!(debug, "object of 1");
}

const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"null",
    b"nul",
    b"nulll",
    b"true",
    b"false",
    b"tru",
    b"0",
    b"-0",
    b"00",
    b"01",
    b"-",
    b"1.",
    b".1",
    b"1.0",
    b"1e",
    b"1e+",
    b"1E-7",
    b"1e5x",
    b"+1",
    b"0x1",
    b"NaN",
    b"Infinity",
    b"1 2",
    b"[1,]",
    b"[,1]",
    b"[1 2]",
    b"[",
    b"]",
    b"[]",
    b"[[]]",
    b"[1,[2,[3]]]",
    b"{}",
    b"{",
    b"}",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{\"a\":1,}",
    b"{,}",
    b"{a:1}",
    b"{\"a\":1 \"b\":2}",
    b"{\"a\":1,\"a\":2}",
    b"{\"\":{\"\":[{}]}}",
    b"\"",
    b"\"\"",
    b"\"a",
    b"\"\\\"",
    b"\"\\\\\"",
    b"\"\\x\"",
    b"\"\\u12\"",
    b"\"\\u00e9\"",
    b"\"\\u00E9\\/\\b\\f\\n\\r\\t\\\"\"",
    b"\"\\ud83d\\ude00\"",
    b"\"\\ud83d\"",
    b"\"\\ude00\"",
    b"\"\\ud83d\\ud83d\"",
    b"\"\\ud83dx\"",
    b"\"\\u0000\"",
    b"\"\x00\"",
    b"\"\n\"",
    b"\"\x1f\"",
    b"\"\x7f\"",
    b"\"\xff\"",
    b"\xff",
    "\"é\u{2028}😀\"".as_bytes(),
    b"\"\\u+123\"",
    b"\xef\xbb\xbf{}",
    b" {\r\n\t\"a\" : [ 1 , 2 ] } ",
    b"{} {}",
    b"'a'",
    b"//x\n1",
    b"\"\\\xc3\xa9\"",
    b"[1]\x00",
    b"[1]\x0b",
    b"{\"a\":1}\xc2\xa0",
    b"-1.5e+10",
    b"- 1",
    b"1_000",
    b"1.5.5",
    b"1e1e1",
];

/// `serde_json` is what others call JSON.
#[test]
fn reads_what_others_read_and_nothing_else() {
    for text in TEXTS {
        let shown = String::from_utf8_lossy(text);
        let theirs = serde_json::from_slice::<serde_json::Value>(text);
        let ours = Json::parse(text);
        // Numbers beyond a float are numbers to us.
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{shown:?} {ours:?} {theirs:?}");
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            let again: serde_json::Value = serde_json::from_str(&ours.to_text()).unwrap();
            assert_eq!(again, theirs, "{shown:?}");
            assert_eq!(Json::parse(ours.to_text().as_bytes()), Ok(ours), "{shown:?}");
        }
    }
    assert!(Json::parse(b"1e999999").is_ok());
}

#[test]
fn mistakes_have_a_line_and_a_column() {
    for (text, line, column) in
        [("", 1, 0), ("x", 1, 1), ("{\n  \"a\": x}", 2, 8), ("[1,\n", 2, 0), ("[1,\n2", 2, 1)]
    {
        assert_eq!(
            Json::parse(text.as_bytes()),
            Err(JsonError::Syntax { line, column }),
            "{text:?}"
        );
    }
}

#[test]
fn strings_are_written_as_others_write_them() {
    let all: String = (0..0x300).filter_map(char::from_u32).chain("😀\u{2028}".chars()).collect();
    let theirs = serde_json::Value::from(all.as_str()).to_string();
    assert_eq!(Json::String(all).to_text(), theirs);
    assert_eq!(Json::String(String::new()).to_text(), "\"\"");
}

#[test]
fn memory_is_counted_before_it_is_taken() {
    let many = |text: &str| format!("[{}]", vec![text; 10_000].join(","));
    let keys: Vec<_> = (0..10_000).map(|i| format!("\"{i}\":0")).collect();
    for text in [
        many("0"),
        many("[]"),
        many("{}"),
        many("\"\""),
        many("\"a\""),
        many("{\"\":0}"),
        many("[[[0]]]"),
        format!("{{{}}}", keys.join(",")),
        format!("\"{}\"", "x".repeat(100_000)),
        format!("\"{}\"", "\\u0041".repeat(100_000)),
    ] {
        assert_eq!(Json::parse_within(text.as_bytes(), 50_000), Err(JsonError::Large));
        assert!(Json::parse_within(text.as_bytes(), 100_000_000).is_ok());
    }
    assert!(Json::parse_within(br#"{"a":["b",1]}"#, 2000).is_ok());
}

#[test]
fn lists_are_found_without_the_rest() {
    let lists = |text: &str| lists_of_texts(text.as_bytes(), &["errors", "warnings"], 2, 3);
    let texts =
        |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    for (text, want) in [
        (r#"{"errors":["a","b","c"]}"#, Ok(Some(vec![texts(&["a", "b"]), None]))),
        (
            r#"{"x":{"errors":["a"]},"warnings":[1,"äöüß",null]}"#,
            Ok(Some(vec![None, texts(&["äöü"])])),
        ),
        (r#"{"errors":["a"],"errors":["b"]}"#, Ok(Some(vec![texts(&["b"]), None]))),
        (r#"{"\u0065rrors":[]}"#, Ok(Some(vec![texts(&[]), None]))),
        (r#"{"errors":"x","warnings":{}}"#, Ok(Some(vec![None, None]))),
        (r#"["errors"]"#, Ok(None)),
        ("{}", Ok(Some(vec![None, None]))),
    ] {
        assert_eq!(lists(text), want, "{text}");
    }
    for text in
        ["{\"errors\":[\"a\"]", "{\"errors\":[\"a\"]} x", "x", "{errors:[]}", "{\"a\":\"\\ud800\"}"]
    {
        assert!(lists(text).is_err(), "{text}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(lists(&deep), Err(JsonError::Deep));
}
