//! What is written as before, and that the new text says what was wanted.

use super::*;
use crate::base::dice::dice;
use crate::base::source;

/// The text with its only document changed by `change`.
fn changed(text: &str, change: impl Fn(&mut Json)) -> (String, Kept) {
    let read = source::read_json(text);
    let is_json = read.is_ok();
    let mut documents =
        read.unwrap_or_else(|_| yaml::read(text).collect::<Result<_, _>>().unwrap());
    let document = documents.remove(0);
    let mut wanted = document.root.to_json();
    change(&mut wanted);
    let mut edits = Vec::new();
    let kept = rewrite(text, &document, &wanted, &mut edits);
    let out = apply(text, &edits);
    let back = if is_json {
        Json::parse(out.as_bytes()).unwrap()
    } else {
        let back = yaml::parse(&out).unwrap_or_else(|e| panic!("{e}\n{out}"));
        assert_eq!(back.len(), 1, "{out}");
        back[0].clone()
    };
    assert_eq!(back.to_text(), wanted.to_text(), "{text}\n->\n{out}");
    (out, kept)
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

fn at<'a>(value: &'a mut Json, path: &[&str]) -> &'a mut Json {
    path.iter().fold(value, |value, part| match value {
        Json::Object(members) => members.get_mut(*part).unwrap(),
        Json::Array(items) => &mut items[part.parse::<usize>().unwrap()],
        _ => panic!("{part}"),
    })
}

fn insert(value: &mut Json, path: &[&str], key: &str, new: &str) {
    let Json::Object(members) = at(value, path) else { panic!("no map") };
    members.insert(key.to_owned(), json(new));
}

fn push(value: &mut Json, path: &[&str], index: usize, new: &str) {
    let Json::Array(items) = at(value, path) else { panic!("no list") };
    items.insert(index, json(new));
}

#[test]
fn lines_beside_a_change_stay() {
    let text =
        "\u{feff}# top\r\nz: 1 # one\r\na:\r\n  - x   # last\r\n  # under a\r\n# under z\r\n";
    let (out, kept) = changed(text, |value| {
        push(value, &["a"], 1, r#"{"k":[1]}"#);
        insert(value, &[], "m", r#"{"k":"o"}"#);
    });
    assert_eq!(kept, Kept::All);
    assert_eq!(
        out,
        "\u{feff}# top\r\nz: 1 # one\r\na:\r\n  - x   # last\r\n  - k:\r\n    - 1\r\n  # under a\r\n# under z\r\nm:\r\n  k: o\r\n"
    );
}

#[test]
fn every_style_can_be_added_to() {
    for (text, want) in [
        ("a:\n  b: 1\n", "a:\n  b: 1\n  new: x\n"),
        ("a:\n  b: 1", "a:\n  b: 1\n  new: x"),
        ("a:\n  b: |\n    t\n\n\nc: 2\n", "a:\n  b: |\n    t\n\n\n  new: x\nc: 2\n"),
        ("a:\n  b: |+\n    t\n\n", "a:\n  b: |+\n    t\n\n  new: x\n"),
        ("a:\n  b: one\n    two\nc: 2\n", "a:\n  b: one\n    two\n  new: x\nc: 2\n"),
        ("a:\n  b:\n  - 1\n  -\nc: 2\n", "a:\n  b:\n  - 1\n  -\n  new: x\nc: 2\n"),
        ("a:\n  b:   # nothing\nc: 2\n", "a:\n  b:   # nothing\n  new: x\nc: 2\n"),
        ("a:\n  b: 'é' # ü\nc: 2\n", "a:\n  b: 'é' # ü\n  new: x\nc: 2\n"),
        ("a: {b: 1}\n", "a: {b: 1, \"new\": \"x\"}\n"),
        ("a: {b: {c: []}} # c\n", "a: {b: {c: []}, \"new\": \"x\"} # c\n"),
        ("a: {}\nb: 1\n", "a: {\"new\": \"x\"}\nb: 1\n"),
        ("a: {b: 1,}\n", "a: {b: 1, \"new\": \"x\",}\n"),
        ("a: {\n  b: 1 # c\n}\n", "a: {\n  b: 1,\n  \"new\": \"x\" # c\n}\n"),
        ("--- {a: {b: 1}}\n", "--- {a: {b: 1, \"new\": \"x\"}}\n"),
        ("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1, \"new\": \"x\"}}"),
        (
            "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}\n",
            "{\n\t\"a\": {\n\t\t\"b\": 1,\n\t\t\"new\": \"x\"\n\t}\n}\n",
        ),
        ("a: !!map\n  b: 1\n", "a: !!map\n  b: 1\n  new: x\n"),
        ("x: &x {b: 1}\na:\n  <<: *x\n", "x: &x {b: 1}\na:\n  <<: *x\n  new: x\n"),
        ("x: &x {b: 1}\na: *x\n", "x: &x {b: 1}\na:\n  b: 1\n  new: x\n"),
        ("a: &unused\n  b: 1\n", "a: &unused\n  b: 1\n  new: x\n"),
        ("a: ~\n", "a:\n  new: x\n"),
        ("a:\nb: 1\n", "a:\n  new: x\nb: 1\n"),
        ("a:   # why\n  # more\nb: 1\n", "a:   # why\n  new: x\n  # more\nb: 1\n"),
        ("a: ~ # why\nb: 1\n", "a: # why\n  new: x\nb: 1\n"),
        ("a: {b: {c: 1,},} # c\n", "a: {b: {c: 1,}, \"new\": \"x\",} # c\n"),
        ("a: {b: {c: 1, # d }\n }} # c\n", "a: {b: {c: 1, # d }\n }, \"new\": \"x\"} # c\n"),
    ] {
        let (out, kept) = changed(text, |value| {
            let a = at(value, &["a"]);
            if *a == Json::Null {
                *a = json("{}");
            }
            insert(value, &["a"], "new", "\"x\"");
        });
        assert_eq!((out.as_str(), kept), (want, Kept::All), "{text}");
    }
}

#[test]
fn every_style_of_list_takes_items_anywhere() {
    for text in [
        "a:\n- 1\n- 2\n",
        "a:\n  - 1\n  - 2\n",
        "a:\n  -   1\n  # c\n  -   2 # d\n",
        "a: [1, 2]\n",
        "a: [\n  1,\n  2\n]\n",
        "a:\n-\n  1\n- 2\n",
        "a:\n- 1\n-\n  2\n",
        "a: [1,2,]\n",
        "{\"a\":[1,2]}",
        "{\n  \"a\": [\n    1,\n    2\n  ]\n}",
        "a:\n- &x 1\n- *x\n",
        "a:\n- 1\n- |\n  2",
        "a:\n- 1\n- |\n  2\n",
        "a:\n- 1\n- >-\n  2\n\nb: 1\n",
        "x:\n- a:\n  - 1\n  - 2\n",
    ] {
        for index in 0..=2 {
            let path = if text.starts_with('x') { &["x", "0", "a"][..] } else { &["a"] };
            let (out, _) = changed(text, |value| push(value, path, index, r#"{"k":{"l":"m"}}"#));
            assert!(out.contains('k'), "{out}");
        }
        changed(text, |value| {
            let path = if text.starts_with('x') { &["x", "0", "a"][..] } else { &["a"] };
            push(value, path, 0, "[1,[2]]");
            push(value, path, 2, "\"two\"");
            push(value, path, 4, "{}");
        });
    }
}

#[test]
fn what_other_places_share_is_written_anew() {
    for text in [
        "x: &x\n  b: 1\na: *x\n# end\n",
        "x:\n  w: &w {b: 1} # c\na: *w\n",
        "x: &x [{b: 1}]\na: *x\n",
    ] {
        let (out, kept) = changed(text, |value| match at(value, &["x"]) {
            Json::Array(_) => insert(value, &["x", "0"], "new", "1"),
            Json::Object(members) if members.contains_key("w") => {
                insert(value, &["x", "w"], "new", "1");
            }
            _ => insert(value, &["x"], "new", "1"),
        });
        assert_eq!(kept, Kept::ValuesOnly, "{out}");
    }
}

#[test]
fn who_loses_comments_hears_of_it() {
    for (text, want) in [
        ("a:\n  ? b # c\n  : 1\n", Kept::Most),
        ("a: # c\n  ? b\n  : 1\nd: 2 # e\n", Kept::Most),
        ("a: {} # c\nd: 2\n", Kept::All),
        ("a: # c\nd: 2\n", Kept::All),
        ("a: old # c\nd: 2\n", Kept::All),
        ("a: 'it''s # no' # c\nd: 2\n", Kept::All),
        ("a: \"\\\" # no\" # c\n", Kept::All),
    ] {
        let (out, kept) = changed(text, |value| {
            let a = at(value, &["a"]);
            if !matches!(a, Json::Object(_)) {
                *a = json("{}");
            }
            insert(value, &["a"], "new", "\"x\"");
        });
        assert_eq!(kept, want, "{text}\n->\n{out}");
        assert_eq!(kept == Kept::All, out.contains("# c"), "{text}\n->\n{out}");
    }
}

#[test]
fn only_the_document_meant_is_changed() {
    let text = "# a\na: 1\n---\n# b\nb:\n- name: x\n  c: 1\n# after\n...\n---\nc: 3\n";
    let documents: Vec<Document> = yaml::read(text).map(Result::unwrap).collect();
    let mut wanted = documents[1].root.to_json();
    insert(&mut wanted, &["b", "0"], "d", "2");
    push(&mut wanted, &["b"], 1, r#"{"name":"z"}"#);
    let mut edits = Vec::new();
    assert_eq!(rewrite(text, &documents[1], &wanted, &mut edits), Kept::All);
    assert_eq!(
        apply(text, &edits),
        "# a\na: 1\n---\n# b\nb:\n- name: x\n  c: 1\n  d: 2\n- name: z\n# after\n...\n---\nc: 3\n"
    );
}

/// Texts in many styles, from which others are made by chance.
const SEEDS: &[&str] = &[
    "a: &x [1, \"two\", 'it''s', {b: ~}]\n? k\n: |-\n  text\n   more\n\n<<: {z: 1}\nl:\n- *x\n- >\n  folded\n  line\n---\n!!str 5\n...\n# end\n",
    "# c\nkind: Pod\nspec:\n  containers:\n    - name: a # c\n      env: [{name: A, value: \"1\"}, ]\n      # d\n    -   image: |\n          x\n\n        name: b\n  volumes:\n  - name: v\n    emptyDir: {}\n  # e\n\n# f\n",
    "- - a\n  - b: {c: [d, {e: f}]}\n-\n  g: h\n  'i': >-\n    j\n\n- k:\n  l:   # m\n  n: 'o\n    p'\n",
    "{a: {b: 1, c: [1, 2,\n  {d: e}]}, # x\n f: [\n  g,\n  h\n ]}\n",
];

#[test]
fn whatever_the_style_the_new_text_says_what_was_wanted() {
    let alphabet = b"&*!|>'\"%{}[],:#-?<\n\n\n    \t~0x.a\\\r\xc3\xa9";
    let mut below = dice(0x2545_F491_4F6C_DD1D);
    let (mut in_place, mut anew) = (0, 0);
    for round in 0..6000 {
        let mut bytes = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..below(4) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes[at] = alphabet[below(alphabet.len())],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, alphabet[below(alphabet.len())]),
            }
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if below(3) == 0 {
            text = text.replace('\n', "\r\n");
        }
        let Ok(documents) = yaml::read(&text).collect::<Result<Vec<_>, _>>() else { continue };
        let (mut edits, mut all) = (Vec::new(), Vec::new());
        for document in &documents {
            let mut wanted = document.root.to_json();
            for _ in 0..below(3) {
                grow(&mut wanted, &mut below);
            }
            match rewrite(&text, document, &wanted, &mut edits) {
                Kept::All | Kept::Most => in_place += 1,
                Kept::ValuesOnly => anew += 1,
            }
            all.push(wanted);
        }
        let out = apply(&text, &edits);
        let back = yaml::parse(&out).unwrap_or_else(|e| panic!("{e}\n{text}\n->\n{out}"));
        let texts = |all: &[Json]| all.iter().map(Json::to_text).collect::<Vec<_>>();
        assert_eq!(texts(&back), texts(&all), "{text:?}\n->\n{out}");
    }
    assert!(in_place > 1000 && anew < in_place, "{in_place} in place, {anew} anew");
}

#[test]
fn json_stays_json_in_every_layout() {
    let texts = [
        r#"{"a":{"b":[1.10,{"c":"d\\\"}"}],"e":{}},"f":[],"a2":null,"g":"é😀\ud83d\ude00"}"#,
        "[\n\t1 ,\n\t{ \"a\" : [ ] ,\r\n \"b\":[\n 1\n ]}\n]\n\n",
        "{\n    \"a\": [\n        {\n            \"b\": 1\n        }\n    ],\n    \"c\": \"d\"\n}\n",
        "{\"a\":1,\"a\":{\"b\":2},\"c\":[[[]]]}",
    ];
    let mut below = dice(7);
    for round in 0..2000 {
        let text = texts[round % texts.len()];
        let document = source::read_json(text).unwrap().remove(0);
        let mut wanted = document.root.to_json();
        assert_eq!(wanted, json(text));
        for _ in 0..below(4) {
            grow(&mut wanted, &mut below);
        }
        let mut edits = Vec::new();
        rewrite(text, &document, &wanted, &mut edits);
        let out = apply(text, &edits);
        let back = Json::parse(out.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}\n{out}"));
        assert_eq!(back.to_text(), wanted.to_text(), "{text}\n{out}");
    }
}

#[test]
fn json_texts_follow_each_other_without_white_space() {
    let values = ["19", "-1.5E+3", "true", "null", "[1]", "[]", r#"{"a":2}"#, r#""x""#, "{}"];
    for value in values {
        for next in ["{}", "[]", r#""y""#, " 1", ""] {
            let read = source::read_json(&format!("[]{value}{next}")).unwrap();
            let read: Vec<Json> = read.iter().map(|document| document.root.to_json()).collect();
            let mut all = vec![json("[]"), json(value)];
            all.extend((!next.is_empty()).then(|| json(next)));
            assert_eq!(read, all, "[]{value}{next}");
        }
    }
}

/// Adds something somewhere.
fn grow(value: &mut Json, below: &mut impl FnMut(usize) -> usize) {
    let new = [json("\"new\""), json(r#"{"name":"n","k":["x: y",{}]}"#), json("[1,[2]]")];
    let new = new[below(3)].clone();
    match value {
        Json::Array(items) if items.is_empty() || below(3) == 0 => {
            items.insert(below(items.len() + 1), new);
        }
        Json::Array(items) => {
            let at = below(items.len());
            grow(&mut items[at], below);
        }
        Json::Object(members) if members.is_empty() || below(3) == 0 => {
            members.insert(format!("new{}", below(9)), new);
        }
        Json::Object(members) => {
            let at = below(members.len());
            grow(members.values_mut().nth(at).unwrap(), below);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => *value = new,
    }
}
