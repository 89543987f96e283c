//! What a render may use up is what it does: large texts, lists that grow and deep calls pass, whatever was dropped on
//! the way.

use vault_injector::domain::template::{Budget, Found, Outcome, Snapshot, Template, Want};

/// As the program gives it.
const BUDGET: Budget = Budget { steps: 10_000_000, depth: 250, output_bytes: 8 * 1024 * 1024 };

/// The output of a template that sees `file` as the file `f`.
fn render(template: &str, file: &str) -> Result<String, String> {
    let mut snapshot = Snapshot { complete: true, ..Snapshot::default() };
    let want = Want::File { path: "f".to_owned(), sandbox: None };
    let file = file.as_bytes().to_vec();
    snapshot.found.insert(want, Found::File(vault_injector::base::secret::SecretBytes::new(file)));
    let template = Template::parse("t", template, "", "", BUDGET).map_err(|e| e.to_string())?;
    match template.render(&snapshot, false, BUDGET) {
        Outcome::Done(done) => Ok(String::from_utf8(done.text.expose().to_vec()).unwrap()),
        Outcome::Fail(error, _) => Err(error.to_string()),
        Outcome::Lack { .. } => Err("lacks something".to_owned()),
    }
}

/// A bundle of certificates in looks: 220 KB of lines of 64 characters.
fn bundle() -> String {
    let line = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuVwXyZ0123456789abcd";
    let body = [line; 24].join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n").repeat(136)
}

#[test]
fn a_bundle_passes_any_replacement() {
    let bundle = bundle();
    assert!(bundle.len() > 200_000);
    for (pattern, with) in [
        (r"\r?\n", "\\\\n"),
        ("(?m)^#.*$\\n?", ""),
        ("[A-Z]+([a-z])", "<$1>"),
        (r"\s+", " "),
        (".", "x"),
        ("", "-"),
        (r"(\w)(\w)(\w)", "$3$2$1"),
        ("(?s)-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", "[$1]"),
        ("(?i)begin|end|certificate", "x"),
    ] {
        let template = format!("{{{{ file \"f\" | regexReplaceAll `{pattern}` `{with}` | len }}}}");
        let length: usize = render(&template, &bundle)
            .unwrap_or_else(|e| panic!("{pattern}: {e}"))
            .parse()
            .unwrap();
        assert!(length > 0, "{pattern}");
    }
}

#[test]
fn a_text_of_a_megabyte_may_match_at_every_byte() {
    let text = "a".repeat(1_000_000);
    for (pipe, wanted) in [
        ("regexReplaceAll `.` `b` (file `f`) | len", "1000000"),
        ("sprig_regexFindAll `.` (file `f`) -1 | len", "1000000"),
        ("sprig_regexFindAll `[a-z]` (print (file `f`)) -1 | len", "1000000"),
        ("sprig_regexSplit `` (file `f`) -1 | len", "1000000"),
        ("sprig_splitList `` (file `f`) | sprig_join `` | len", "1000000"),
        ("file `f` | replaceAll `a` `bc` | len", "2000000"),
    ] {
        assert_eq!(render(&format!("{{{{ {pipe} }}}}"), &text).as_deref(), Ok(wanted), "{pipe}");
    }
}

#[test]
fn what_was_dropped_takes_no_memory() {
    for (template, wanted) in [
        (
            "{{ $l := sprig_list }}{{ range $i := loop 8000 }}{{ $l = sprig_append $l $i }}{{ end }}{{ len $l }}",
            "8000",
        ),
        (
            "{{ $l := sprig_until 8000 }}{{ range $l }}{{ if not (sprig_has . $l) }}x{{ end }}{{ end }}",
            "",
        ),
        (
            "{{ $s := `` }}{{ range loop 10000 }}{{ $s = print $s `abcdefgh` }}{{ end }}{{ len $s }}",
            "80000",
        ),
        (
            "{{ $s := `` }}{{ range loop 10000 }}{{ $s = printf `%s%s` $s `abcdefgh` }}{{ end }}{{ len $s }}",
            "80000",
        ),
        (
            "{{ $l := sprig_list }}{{ range $i := loop 8000 }}{{ $l = sprig_append $l (print $i) }}{{ end }}{{ sprig_uniq $l | len }}",
            "8000",
        ),
        ("{{ sprig_uniq (sprig_until 100000) | len }}", "100000"),
        (
            "{{ $m := sprig_dict }}{{ range $i := loop 20000 }}{{ $m = sprig_merge $m (sprig_dict (print $i) $i) }}{{ end }}{{ len $m }}",
            "20000",
        ),
        ("{{ range loop 100000 }}{{ $x := printf `%.2f` 1.5 }}{{ end }}", ""),
        ("{{ range loop 60 }}{{ $x := sprig_repeat 1000000 `a` }}{{ end }}", ""),
    ] {
        assert_eq!(render(template, "").as_deref(), Ok(wanted), "{template}");
    }
    let kept = "{{ $l := sprig_list }}{{ range loop 60 }}{{ $l = sprig_append $l (sprig_repeat 1000000 `a`) }}{{ end }}";
    assert!(render(kept, "").unwrap_err().contains("too much memory"), "what is held counts");
}

#[test]
fn documents_of_megabytes_pass() {
    let record = |i: usize| {
        format!(r#""k{i}":{{"a":"x{i}","b":[1,2,{{"c":null}}],"name":"some name here"}}"#)
    };
    let members: Vec<String> = (0..24_000).map(record).collect();
    let json = format!("{{{}}}", members.join(","));
    assert!(json.len() > 1_300_000);
    for pipe in ["toYAML", "toJSONPretty", "sprig_toPrettyJson", "toJSON | parseJSON | toJSON"] {
        let template = format!("{{{{ file \"f\" | parseJSON | {pipe} | len }}}}");
        let length: usize =
            render(&template, &json).unwrap_or_else(|e| panic!("{pipe}: {e}")).parse().unwrap();
        assert!(length > 1_000_000, "{pipe}");
    }
}

#[test]
fn templates_call_each_other_thousands_deep() {
    let template = |depth: usize| {
        format!(
            "{{{{ define \"r\" }}}}{{{{ if gt . 0 }}}}{{{{ range sprig_list . }}}}{{{{ template \"r\" (subtract 1 .) }}}}{{{{ end }}}}\
             {{{{ end }}}}{{{{ end }}}}{{{{ template \"r\" {depth} }}}}ok"
        )
    };
    assert_eq!(render(&template(20_000), "").as_deref(), Ok("ok"));
    assert!(render(&template(1_000_000), "").unwrap_err().contains("calls itself without end"));
    let through_values =
        "{{ define \"r\" }}{{ executeTemplate \"r\" 1 }}{{ end }}{{ template \"r\" 1 }}";
    assert!(render(through_values, "").unwrap_err().contains("calls itself without end"));
}
