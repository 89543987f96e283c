//! What holds for every value, tried on some thousand made up ones. The dice are fixed, so a failure comes
//! again.

use std::collections::BTreeMap;

use vault_injector::base::json::Json;
use vault_injector::base::yaml;
use vault_injector::domain::inject::json_patch::{self, Dialect};
use vault_injector::domain::template::{Budget, Outcome, Snapshot, Template};

const BUDGET: Budget = Budget { steps: 1_000_000, depth: 100, output_bytes: 1 << 20 };

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<'a, T: ?Sized>(&mut self, things: &[&'a T]) -> &'a T {
        things[self.below(things.len())]
    }

    /// Texts that mean something to YAML, and random characters.
    fn text(&mut self) -> String {
        let known = [
            "",
            "a",
            "true",
            "no",
            "~",
            "null",
            "1",
            "-1.5",
            "0o7",
            "1e3",
            ".inf",
            "- a",
            "a: b",
            "#",
            "a #b",
            "'",
            "\"",
            "\\",
            "<<",
            "=",
            "2020-01-02",
            "12:30:45",
            " a",
            "a ",
            "a\nb\n",
            "\n",
            "\ta",
            "|",
            ">",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "[a]",
            "{a}",
            "a,b",
            "? a",
            "é\u{2028}",
            "\u{feff}",
            "\u{7f}",
            "\u{1f600}",
            "---",
            "...",
            "0x1F",
            "1_000",
            "a\r\nb",
        ];
        if self.below(3) > 0 {
            return self.of(&known).to_owned();
        }
        let chars: Vec<char> = "ab01-:#'\"\\ \n,[]{}é~|>%\t.".chars().collect();
        (0..self.below(12)).map(|_| chars[self.below(chars.len())]).collect()
    }

    fn json(&mut self, depth: usize) -> Json {
        let numbers =
            ["0", "-1", "1.5", "1e21", "123456789012", "-0.001", "1E-7", "9007199254740993"];
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => Json::Null,
            1 => Json::Bool(self.below(2) == 0),
            2 => Json::Number(self.of(&numbers).into()),
            3 | 4 => Json::String(self.text()),
            5 => Json::Array((0..self.below(4)).map(|_| self.json(depth - 1)).collect()),
            _ => Json::Object(self.members(depth - 1)),
        }
    }

    fn members(&mut self, depth: usize) -> BTreeMap<String, Json> {
        (0..self.below(4)).map(|_| (self.text(), self.json(depth))).collect()
    }
}

fn render(pipe: &str, env: &[(&str, &str)]) -> Option<String> {
    let template = Template::parse("t", &format!("{{{{ {pipe} }}}}"), "", "", BUDGET).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match template.render(&Snapshot { env, ..Snapshot::default() }, false, BUDGET) {
        Outcome::Done(done) => Some(String::from_utf8_lossy(done.text.expose()).into_owned()),
        Outcome::Lack { .. } | Outcome::Fail(..) => None,
    }
}

#[test]
fn printf_takes_every_directive_and_keeps_to_the_width() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let values = [
        "1",
        "-7",
        "0",
        "9223372036854775807",
        "1.5",
        "-0.0",
        "1e300",
        "\"h\\u00e9\"",
        "\"\"",
        "true",
        "nil",
        "'c'",
        "(sprig_list 1 \"a\" nil)",
        "(sprig_dict \"k\" 1.5)",
        "(sprig_float64 \"NaN\")",
        "(loop 1)",
        "(sprig_list)",
        "1i",
    ];
    for _ in 0..4000 {
        let flags: String =
            (0..dice.below(3)).map(|_| dice.of(&["+", "-", "#", "0", " "])).collect();
        let width = dice.below(30);
        let precision = ["".to_owned(), format!(".{}", dice.below(20))][dice.below(2)].clone();
        let verb = dice.of(&[
            "v", "d", "s", "q", "x", "X", "o", "O", "b", "c", "U", "e", "g", "G", "f", "t", "T",
            "p", "z",
        ]);
        // A width of 0 would be a flag.
        let directive = format!(
            "%{flags}{}{precision}{verb}",
            if width == 0 { String::new() } else { width.to_string() }
        );
        let value = dice.of(&values);
        let text = render(&format!("printf \"{directive}\" {value}"), &[]);
        let text = text.unwrap_or_else(|| panic!("{directive} of {value} fails"));
        let is_alone = !text.contains("%!")
            && !value.starts_with("(sprig_list")
            && !value.starts_with("(sprig_dict");
        // Go pads no type names of nothing and no complex number as one.
        if is_alone && value != "1i" && value != "nil" {
            assert!(text.chars().count() >= width, "{directive} of {value}: {text:?}");
        }
    }
}

#[test]
fn sorting_loses_nothing_and_sorts() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for _ in 0..300 {
        let mut texts: Vec<String> =
            (0..dice.below(12)).map(|_| dice.text().replace(',', "")).collect();
        let joined = texts.join(",");
        let sorted = render(
            "sprig_sortAlpha (sprig_splitList \",\" (env \"L\")) | join \",\"",
            &[("L", &joined)],
        );
        texts.sort_unstable();
        assert_eq!(sorted, Some(texts.join(",")));
    }
}

#[test]
fn what_json_and_yaml_say_comes_back() {
    let mut dice = Dice(0xda94_2042_e4dd_58b5);
    for _ in 0..2000 {
        let json = dice.json(4);
        assert!(Json::parse(json.to_text().as_bytes()) == Ok(json.clone()), "{}", json.to_text());
        let text = json.to_text();
        let written = render("env \"J\" | parseJSON | toJSON", &[("J", &text)]).unwrap();
        let again = render("env \"J\" | parseJSON | toJSON", &[("J", &written)]);
        assert_eq!(again, Some(written), "{text}");
        // Not at the end, where toYAML cuts off the white space of a text.
        let first = Json::Array(vec![json.clone(), Json::Null]).to_text();
        let written = render("env \"J\" | parseJSON | toYAML", &[("J", &first)]).unwrap();
        let again = render("env \"Y\" | parseYAML | toYAML", &[("Y", &written)]);
        // yaml.v2 does not quote this one and reads it as a merge.
        assert!(again == Some(written) || text.contains("\"<<\":"), "{text}");
        if json != Json::Null {
            let mut written = String::new();
            yaml::write(&json, &mut written);
            let read = yaml::parse(&written).unwrap_or_else(|e| panic!("{text}\n{written}\n{e}"));
            let mut again = String::new();
            read.iter().for_each(|document| yaml::write(document, &mut again));
            assert_eq!(again, written, "{text}");
        }
    }
}

#[test]
fn a_patch_means_the_same_in_both_dialects_where_the_standard_takes_it() {
    let mut dice = Dice(0x853c_49e6_748f_ea9b);
    let mut applied = 0;
    for _ in 0..6000 {
        let doc = Json::Object(BTreeMap::from([
            ("a".to_owned(), Json::Array((0..dice.below(4)).map(|_| dice.json(1)).collect())),
            ("b".to_owned(), dice.json(2)),
            ("c/d~".to_owned(), Json::Object(dice.members(1))),
        ]));
        let paths = [
            "/a",
            "/a/0",
            "/a/1",
            "/a/-",
            "/b",
            "/b/a",
            "/c~1d~0",
            "/c~1d~0/a",
            "/x",
            "/a/01",
            "/a/-1",
            "",
        ];
        let operations: Vec<Json> = (0..1 + dice.below(3))
            .map(|_| {
                let op = dice.of(&["add", "remove", "replace", "move", "copy", "test"]);
                let text = |text: &str| Json::String(text.to_owned());
                let members = [
                    ("op", text(op)),
                    ("path", text(dice.of(&paths))),
                    ("from", text(dice.of(&paths))),
                    ("value", dice.json(1)),
                ];
                Json::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
            })
            .collect();
        let text = Json::Array(operations).to_text();
        let patch = json_patch::parse(&text).unwrap();
        let (mut strict, mut lenient) = (doc.clone(), doc);
        if json_patch::apply(&mut strict, &patch, Dialect::Strict).is_err() {
            continue;
        }
        // What the looser dialect refuses: the whole document.
        if json_patch::apply(&mut lenient, &patch, Dialect::Lenient).is_err() {
            assert!(text.contains("\":\"\""), "{text}");
            continue;
        }
        assert!(strict == lenient, "{text}");
        applied += 1;
    }
    assert!(applied > 500, "only {applied}");
}
