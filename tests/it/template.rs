//! The template language: recorded renderings, hostile templates, positions of errors.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vault_injector::base::json::Json;
use vault_injector::base::secret::SecretBytes;
use vault_injector::base::time::Wall;
use vault_injector::domain::template::{
    Budget, Found, Outcome, Snapshot, Template, TemplateError, Want,
};
use vault_injector::domain::vault::Reading;

const BUDGET: Budget = Budget { steps: 10_000_000, depth: 250, output_bytes: 8 * 1024 * 1024 };

/// Recorded after another template had changed the secret it shares, so it says what no first render can.
const OF_CHANGED_DATA: &str =
    "{{ with secret \"kv2\" }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}";

struct Vector {
    template: String,
    is_strict: bool,
    /// `None` when it fails.
    output: Option<String>,
}

fn vectors() -> (Snapshot, Vec<Vector>) {
    let text = include_str!("../golden/template.jsonl");
    let mut rows = text.lines().map(|line| Json::parse(line.as_bytes()).unwrap());
    let head = rows.next().unwrap();
    let data = head.get("data").unwrap();
    let of = |row: &Json, key: &str| row.get(key).and_then(Json::as_str).map(str::to_owned);
    let vectors = rows.map(|row| Vector {
        template: of(&row, "t").unwrap(),
        is_strict: row.get("strict").and_then(Json::as_bool).unwrap(),
        output: of(&row, "out"),
    });
    (snapshot(data), vectors.collect())
}

fn snapshot(data: &Json) -> Snapshot {
    let members = |key: &str| data.get(key).and_then(Json::as_object).unwrap();
    let mut snapshot = Snapshot { complete: true, ..Snapshot::default() };
    for (path, text) in members("secrets_text") {
        let response = Json::parse(text.as_str().unwrap().as_bytes()).unwrap();
        let reading = Reading::decode(&response).unwrap();
        let want = Want::Read { path: path.clone() };
        snapshot.found.insert(want, Found::Reading(Arc::new(reading)));
    }
    for (path, names) in members("lists") {
        let names = names.as_array().unwrap().iter();
        let names = names.map(|name| name.as_str().unwrap().to_owned()).collect();
        let path = path.trim_matches('/').to_owned();
        snapshot.found.insert(Want::List { path }, Found::List(names));
    }
    for (name, value) in members("env") {
        snapshot.env.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    let now = data.get("now").and_then(Json::as_i64).unwrap();
    snapshot.now = Some(Wall(now * 1000));
    snapshot
}

fn render(text: &str, is_strict: bool, snapshot: &Snapshot) -> Result<String, TemplateError> {
    let template = Template::parse("t", text, "", "", BUDGET)?;
    match template.render(snapshot, is_strict, BUDGET) {
        Outcome::Done(rendered) => Ok(String::from_utf8_lossy(rendered.text.expose()).into_owned()),
        Outcome::Fail(error, _) => Err(error),
        Outcome::Lack { .. } => panic!("lacks something of a complete snapshot"),
    }
}

/// Offline, with nothing there.
fn alone(text: &str) -> Result<String, TemplateError> {
    render(text, false, &Snapshot { complete: true, ..Snapshot::default() })
}

#[test]
fn recorded_renderings() {
    let (snapshot, vectors) = vectors();
    let mut wrong = Vec::new();
    let mut in_scope = 0;
    for vector in &vectors {
        if vector.template == OF_CHANGED_DATA {
            continue;
        }
        let got = render(&vector.template, vector.is_strict, &snapshot);
        in_scope += 1;
        let is_right = match (&vector.output, &got) {
            (None, Err(_)) => true,
            (Some(want), Ok(got)) => want == got,
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{}\n  want {:?}\n  got  {got:?}", vector.template, vector.output));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(in_scope > 500, "only {in_scope} of {}", vectors.len());
}

#[test]
fn no_error_shows_a_secret() {
    let (snapshot, vectors) = vectors();
    let mut leaves = Vec::new();
    for found in snapshot.found.values() {
        if let Found::Reading(reading) = found {
            collect_leaves(&reading.data, &mut leaves);
        }
    }
    assert!(leaves.len() > 10);
    let mut failed = 0;
    for vector in &vectors {
        if let Err(error) = render(&vector.template, vector.is_strict, &snapshot) {
            failed += 1;
            let leaks =
                |leaf: &&String| error.message.contains(*leaf) && !vector.template.contains(*leaf);
            assert_eq!(leaves.iter().find(leaks), None, "{}: {}", vector.template, error.message);
        }
    }
    assert!(failed > 40, "only {failed} fail");
    let hostile = [
        "parseInt",
        "parseBool",
        "parseFloat",
        "parseJSON",
        "base64Decode",
        "sprig_fail",
        "mustEnv",
        "executeTemplate",
        "loop",
        "add 1",
        "index .Data.data",
        "sprig_mustFromJson",
        "indent -1",
        "printf \"%d\" | parseInt",
        "lt 1",
        "sprig_first",
        "sprig_urlParse",
        "parseUint",
        "sprig_int | divide 0",
        "printf \"a: %s: b\" | parseYAML",
        "printf \"!!int %s\" | parseYAML",
        "printf \"(%s\" | sprig_mustRegexMatch \"a\"",
        "sprig_mustRegexMatch \"(\"",
        "sprig_list nil | toTOML",
        "sprig_decryptAES \"p\"",
        "sprig_genCAWithKey \"x\" 1",
        "sprig_buildCustomCert \"\"",
        "sprig_list | sprig_genSelfSignedCert \"x\" nil",
        "pkiCert \"pki/issue/x\"",
        "sockaddr",
        "printf \"GetAllInterfaces | %s\" | sockaddr",
        "sprig_mustToDate \"2006\"",
        "printf \"%s2006\" | sprig_mustToDate \"x\"",
        "sprig_semver",
        "sprig_semverCompare \"1\"",
        "printf \">%s\" | sprig_semverCompare \"1\"",
        "printf \"%s\" | writeToFile \"/x\" \"\" \"\"",
    ];
    for function in hostile {
        let text = format!(
            "{{{{ with secret \"kv2\" }}}}{{{{ .Data.data.pass | {function} }}}}{{{{ end }}}}"
        );
        if let Err(error) = render(&text, true, &snapshot) {
            assert!(!error.message.contains("p@ss"), "{function}: {}", error.message);
        }
    }
}

/// Texts and numbers long enough not to be found by chance.
fn collect_leaves(json: &Json, leaves: &mut Vec<String>) {
    match json {
        Json::String(text) if text.len() >= 3 => leaves.push(text.clone()),
        Json::Number(text) if text.len() >= 3 => leaves.push(text.to_string()),
        Json::Array(items) => items.iter().for_each(|item| collect_leaves(item, leaves)),
        Json::Object(members) => members.values().for_each(|item| collect_leaves(item, leaves)),
        _ => {}
    }
}

/// Test threads have a stack of 2 MiB, and frames are largest in this profile.
#[test]
fn hostile_templates_end_in_an_error_soon() {
    let nested =
        |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    let doubling: String = (0..40)
        .map(|i| format!("{{{{define \"{i}\"}}}}{{{{$x := executeTemplate \"{}\"}}}}{{{{$x}}}}{{{{$x}}}}{{{{end}}}}", i + 1))
        .collect();
    let templates = [
        "{{range loop 1 1000000000}}{{end}}".to_owned(),
        "{{range 1000000000}}{{end}}".to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{executeTemplate \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        format!("{{{{{}", "(".repeat(1 << 20)),
        format!("{{{{{}1{}}}}}", "(".repeat(20_000), ")".repeat(20_000)),
        nested("{{if true}}", "{{end}}"),
        nested("{{with 1}}", "{{end}}"),
        nested("{{range 1}}", "{{end}}"),
        nested("{{define \"a\"}}", "{{end}}"),
        nested("{{if true}}{{else if false}}", "{{end}}"),
        format!("{doubling}{{{{define \"40\"}}}}x{{{{end}}}}{{{{template \"0\"}}}}"),
        "{{indent 1000000000000 \"a\"}}".to_owned(),
        "{{sprig_repeat 1000000000000 \"a\"}}".to_owned(),
        "{{sprig_until 1000000000000}}".to_owned(),
        "{{$x := \"ab\"}}{{range loop 64}}{{$x = print $x $x}}{{end}}".to_owned(),
        "{{$x := sprig_list 1}}{{range loop 64}}{{$x = sprig_list $x $x}}{{end}}{{$x | toJSON}}".to_owned(),
        "{{$x := sprig_list 1}}{{range loop 64}}{{$x = sprig_list $x $x}}{{end}}{{sprig_deepCopy $x}}".to_owned(),
        "{{$x := sprig_list 1}}{{range loop 64}}{{$x = sprig_list $x $x}}{{end}}{{sprig_set (sprig_dict) \"a\" $x}}".to_owned(),
        "{{$x := sprig_list 1}}{{range loop 90000}}{{$x = sprig_list $x}}{{end}}{{$x}}".to_owned(),
        "{{$x := sprig_dict}}{{range loop 90000}}{{$x = sprig_dict \"a\" $x}}{{end}}{{mergeMap $x (sprig_deepCopy $x)}}".to_owned(),
        "{{$m := sprig_dict}}{{sprig_set $m \"m\" $m}}".to_owned(),
        "{{$m := sprig_dict}}{{scratch.MapSet \"m\" \"a\" 1}}{{sprig_set (scratch.Get \"m\") \"m\" (sprig_list (scratch.Get \"m\"))}}".to_owned(),
    ];
    // Go takes no such width, and says so in the text.
    for text in ["{{printf \"%999999999d\" 1}}", "{{printf \"%.999999999f\" 1.0}}"] {
        assert!(alone(text).is_ok_and(|output| output.starts_with("%!(NOVERB)")), "{text}");
    }
    for text in templates {
        let start = Instant::now();
        let shown: String = text.chars().take(90).collect();
        assert!(alone(&text).is_err(), "no error: {shown}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}: {shown}", start.elapsed());
    }
}

#[test]
fn errors_say_where() {
    let cases = [
        ("{{ nope }}", 1, 4),
        ("a\nb {{ nope }}", 2, 6),
        ("é{{ nope }}", 1, 5),
        ("{{ if }}", 1, 7),
        ("{{ end }}", 1, 4),
        ("{{ $x }}", 1, 4),
        ("{{ 1 | 2 }}", 1, 8),
        ("a\n{{ index (parseJSON \"[]\") 1 }}", 2, 4),
        ("{{ add 1 (add \"a\" 2) }}", 1, 11),
        ("{{ define \"d\" }}\n{{ parseInt \"x\" }}{{ end }}{{ template \"d\" }}", 2, 4),
        ("{{ template \"d\" }}", 1, 4),
        ("{{ range 2 }}\n\n{{ loop true }}{{ end }}", 3, 4),
        ("{{ \"unended }}", 1, 4),
    ];
    let mut wrong = Vec::new();
    for (text, line, column) in cases {
        let error = alone(text).unwrap_err();
        if (error.line, error.column) != (line, column) {
            wrong.push(format!("{text}: want {line}:{column}, got {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let error =
        alone("{{ define \"d\" }}{{ parseInt \"x\" }}{{ end }}{{ template \"d\" }}").unwrap_err();
    assert_eq!(error.template, "d");
}

#[test]
fn what_is_not_known_is_lacking_and_the_pass_goes_on() {
    let text = "{{ with secret \"a\" }}{{ .Data.x }}{{ end }}{{ secrets \"b/\" }}{{ file \"/c\" }}{{ secret \"d\" \"k=v\" }}";
    let template = Template::parse("t", text, "", "", BUDGET).unwrap();
    let Outcome::Lack { lacking, used } = template.render(&Snapshot::default(), true, BUDGET)
    else {
        panic!("nothing is lacking");
    };
    let names: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["file /c", "list b", "read a", "write d"]);
    assert_eq!(lacking, used);
    let other = Template::parse("t", "<< print 1 >>{{ x }}", "<<", ">>", BUDGET).unwrap();
    let snapshot = Snapshot::default();
    let Outcome::Done(done) = other.render(&snapshot, false, BUDGET) else { panic!("fails") };
    assert_eq!(done.text.expose(), b"1{{ x }}");
}

#[rustfmt::skip]
const TOKENS: &[&str] = &[
    "{{", "}}", "{{-", "-}}", " ", "if ", "with ", "range ", "end", "else", "else if ",
    "define \"a\"", "template \"a\" ", "block \"b\" ", "break", "continue", "$x", "$x := ",
    "$x = ", "$", ".", ".Data", ".a.b", "(", ")", "|", ",", "\"t\"", "`r`", "'c'", "1", "-7",
    "0x1p4", "1i", "nil", "true", "text", "\n", "é", "print ", "printf ",
    "\"%v %q %5.2f %x %[2]*d\" ", "index ", "slice ", "len ", "eq ", "lt ", "and ", "or ", "not ",
    "secret \"kv2\" ", "toJSON ", "parseJSON ", "split ", "join ", "loop ", "scratch.Set \"k\" ",
    "scratch.MapSet \"m\" \"k\" ", "sprig_list ", "sprig_dict ", "sprig_set ", "sprig_trunc ",
    "sprig_substr ", "sprig_wrap ", "sprig_slice ", "sprig_round ", "sprig_divf ", "timestamp ",
    "executeTemplate \"a\" ", "sprig_toDate \"2006-01-02 15:04 MST\" \"2020-02-29 01:02 GMT+3\" ", ".Unix ",
    "(sprig_toDate \"06\" \"99\") ", ".AddDate 9223372036854775807 ", ".Add ", ".Round ", ".Format ", ".Month ", "sprig_durationRound ",
    "sprig_semver \"v1.2.3-a+b\" ", ".Compare ", "sprig_semverCompare \"^1.x || >2 - 3\" ", "spew_sdump ",
    "spew_sprintf \"%#+v %v\" ", "sockaddr \"GetAllInterfaces | sort `-size` | math `network` `-3` | join `hex` `,`\" ", "html ", "js ", "add ", "divide ", "sprig_abbrevboth ",
    "sprig_splitn ", "sprig_chunk ", "toYAML ", "toTOML ",
    "parseYAML ", "parseYAML \"{a: [1, {b: ~}], 2: x}\" ", "regexReplaceAll \"(a)|b*\" \"$1\" ", "/* c */", "\0",
];

/// Deterministic, so that a failure comes again.
fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

#[test]
fn random_tokens_never_panic_and_end() {
    let (snapshot, _) = vectors();
    let budget = Budget { steps: 20_000, depth: 100, output_bytes: 64 * 1024 };
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut rendered = 0;
    for round in 0..6000 {
        let count = 1 + xorshift(&mut state) % 24;
        let mut text = String::new();
        // Half of them are one action, so that many get past the parser.
        let is_action = round % 2 == 0;
        for _ in 0..count {
            text.push_str(TOKENS[xorshift(&mut state) % TOKENS.len()]);
        }
        if is_action {
            text = format!("{{{{ {} }}}}", text.replace("{{", "").replace("}}", ""));
        }
        if let Ok(template) = Template::parse("t", &text, "", "", budget)
            && let Outcome::Done(_) = template.render(&snapshot, false, budget)
        {
            rendered += 1;
        }
    }
    assert!(rendered > 50, "only {rendered} rendered");
}

#[test]
fn output_need_not_be_text() {
    let budget = Budget { steps: 1000, depth: 20, output_bytes: 1000 };
    let text = "{{ base64Decode \"/wAB\" }}{{ \"\\xfe\" | js }}";
    let template = Template::parse("t", text, "", "", budget).unwrap();
    let snapshot = Snapshot::default();
    let Outcome::Done(done) = template.render(&snapshot, false, budget) else {
        panic!("did not render");
    };
    assert_eq!(done.text.expose(), b"\xff\x00\x01\xfe");
}

#[test]
fn formats_odd_directives_as_go_does() {
    let budget = Budget { steps: 10_000, depth: 20, output_bytes: 10_000 };
    for (text, want) in [
        // Recorded from Go.
        (
            r#"{{ printf "x%12q %+12.0[1]% % o" true 1e-7 }}"#,
            "x%!q(bool=        true) % %!o(bool=true)",
        ),
        (
            r#"{{ printf "|%+#3.[3]wx%.[1]x %3v" 1.5 +5 9223372036854775807 }}"#,
            "|%!w(int=9223372036854775807)x0x1p+01   5",
        ),
        (r#"{{ printf "% .[1]*[1]xx%.0T" -3 }}"#, "%!(BADPREC)-3x%!T(MISSING)"),
        (r#"{{ printf "%.10[1]t %-5.0T" 1e20 1.5 1e-7 }}"#, "%!t(float64=1e+20)      "),
        (r#"{{ printf "|%#03.[3]O|%#O" 0x1F 1.5 +5 'a' }}"#, "|0o05|0o0141"),
        (
            r#"{{ printf "%05s|%999999999d|%#v" "ab" 1 2.0 }}"#,
            "000ab|%!(NOVERB)%!(EXTRA int=1, float64=2)",
        ),
        (r#"{{ printf "%#3.10w" "a" }}"#, "%!w(string=\"a\")"),
    ] {
        let template = Template::parse("t", text, "", "", budget).unwrap();
        let snapshot = Snapshot::default();
        let Outcome::Done(done) = template.render(&snapshot, false, budget) else {
            panic!("{text}");
        };
        assert_eq!(String::from_utf8_lossy(done.text.expose()), want, "{text}");
    }
}

#[test]
fn the_mode_render_prints_the_text_or_the_place() {
    let folder = std::env::temp_dir().join(format!("vault-injector-render-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let response = r#"{"data":{"n":1.10}}"#;
    let data = format!(r#"{{"secrets":{{"a/b":{response}}},"env":{{"E":"x"}}}}"#);
    std::fs::write(path("data"), data).unwrap();
    std::fs::write(path("good"), "<with secret \"/a/b\">n=<.Data.n> <env \"E\"><end>").unwrap();
    std::fs::write(path("bad"), "\n{{ nope }}").unwrap();
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vault-injector"));
        let done = command.arg("render").args(words).env_clear().output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (data, good, bad) = (path("data"), path("good"), path("bad"));
    let marks = ["--left-delimiter", "<", "--right-delimiter", ">"];
    let words = [&["--data", data.as_str()][..], &marks, &[good.as_str()]].concat();
    assert_eq!(run(&words), (Some(0), "n=1.10 x".to_owned(), String::new()));
    let (code, out, error) = run(&["--data", &data, &bad]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let shown = "  2 | {{ nope }}\n    |    ^\n";
    assert!(
        error.starts_with(&format!("{bad}:2:4: function \"nope\" not defined\n{shown}")),
        "{error}"
    );
    assert_eq!(run(&["--data", &bad, &good]).0, Some(2));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A folder of its own per test, removed at its end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("vault-injector-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// Exit code, standard output, standard error of the mode `render`.
    fn render(&self, template: &str, words: &[&str]) -> (Option<i32>, String, String) {
        std::fs::write(self.0.join("data"), "{}").unwrap();
        std::fs::write(self.0.join("template"), template).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vault-injector"));
        let command = command.args(["render", "--data"]).arg(self.0.join("data")).args(words);
        let done = command.arg(self.0.join("template")).env_clear().output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn files_are_written_when_the_render_is_whole_and_only_when_asked_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("write-to-file");
    let (deep, log) = (folder.path("a/b/app"), folder.path("log"));
    let template = format!(
        "x{{{{ \"one\" | writeToFile {deep:?} \"\" \"\" \"0640\" }}}}\
         {{{{ \"two\" | writeToFile {log:?} \"\" \"\" \"600\" \"append,newline\" }}}}\
         {{{{ \"three\" | writeToFile {log:?} \"\" \"\" \"0644\" \"append\" }}}}"
    );
    let (code, out, told) = folder.render(&template, &[]);
    assert_eq!((code, out.as_str(), told.lines().count()), (Some(0), "x", 3), "{told}");
    assert!(told.starts_with(&format!("would write 3 bytes to {deep:?}, mode 0640\n")), "{told}");
    assert!(!told.contains("one") && !folder.0.join("log").exists());

    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    std::fs::write(&log, "zero ").unwrap();
    assert_eq!(folder.render(&template, &["--write-files"]), (Some(0), "x".into(), String::new()));
    assert_eq!((read(&deep), mode(&deep)), ("one".to_owned(), 0o640));
    assert_eq!((read(&log), mode(&log)), ("zero two\nthree".to_owned(), 0o644));

    // One that fails takes all the others with it, and so does an error of the template.
    std::fs::remove_file(&deep).unwrap();
    for wrong in [
        format!("{{{{ \"x\" | writeToFile {log:?} \"nobody here\" \"\" \"0644\" }}}}"),
        format!("{{{{ \"x\" | writeToFile {log:?} \"\" \"\" \"0x1\" }}}}"),
        "{{ index nil 1 }}".to_owned(),
    ] {
        let (code, out, error) = folder.render(&format!("{template}{wrong}"), &["--write-files"]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{error}");
        assert!(!folder.0.join("a/b/app").exists() && read(&log) == "zero two\nthree", "{wrong}");
    }
    let link = folder.path("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    let template = format!("{{{{ \"x\" | writeToFile {link:?} \"\" \"\" \"0644\" }}}}");
    let (_, _, error) = folder.render(&template, &["--write-files"]);
    assert!(error.contains("symbolic link"), "{error}");
}

#[test]
fn responses_may_lack_data_and_have_times() {
    let response = br#"{"request_id":"r","data":null,"wrap_info":{"token":"tok","ttl":60,
        "creation_time":"2026-01-02T03:04:05.6Z","wrapped_accessor":"acc"}}"#;
    let reading = Reading::decode(&Json::parse(response).unwrap()).unwrap();
    let mut snapshot = Snapshot { complete: true, ..Snapshot::default() };
    let want = Want::Read { path: "w".to_owned() };
    snapshot.found.insert(want, Found::Reading(Arc::new(reading)));
    for (text, wanted) in [
        ("{{ .WrapInfo }}", "{tok 60 2026-01-02 03:04:05.6 +0000 UTC acc}"),
        ("{{ .WrapInfo.CreationTime.Year }} {{ .WrapInfo.CreationTime.Unix }}", "2026 1767323045"),
        (
            "{{ .WrapInfo | toJSON }}",
            r#"{"Token":"tok","TTL":60,"CreationTime":"2026-01-02T03:04:05.6Z","WrappedAccessor":"acc"}"#,
        ),
        ("{{ .Data | toJSON }}{{ len .Data }}{{ .Data }}{{ .Data.x }}", "null0map[]<no value>"),
        ("{{ sprig_dict | toJSON }}", "{}"),
    ] {
        let text = format!("{{{{ with secret \"w\" }}}}{text}{{{{ end }}}}");
        assert_eq!(render(&text, false, &snapshot).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn a_file_keeps_its_bytes_and_belongs_to_its_sandbox() {
    let template =
        Template::parse("t", "{{ file \"/a\" }}{{ file \"\" }}", "", "", BUDGET).unwrap();
    let template = template.in_sandbox(Some("/box"));
    let Outcome::Lack { lacking, .. } = template.render(&Snapshot::default(), false, BUDGET) else {
        panic!("nothing is lacking");
    };
    let want = Want::File { path: "/a".to_owned(), sandbox: Some("/box".to_owned()) };
    assert_eq!(lacking, BTreeSet::from([want.clone()]));
    let mut snapshot = Snapshot::default();
    snapshot.found.insert(want, Found::File(SecretBytes::new(vec![0xff, 0, 0x80])));
    let Outcome::Done(done) = template.render(&snapshot, false, BUDGET) else { panic!("fails") };
    assert_eq!(done.text.expose(), [0xff, 0, 0x80]);
}
