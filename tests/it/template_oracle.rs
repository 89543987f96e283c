//! Templates rendered by Go's text/template and by an agent with consul-template's functions, side by side
//! with ours: `tests/golden/template-more.jsonl`. Its first line is the data, each other one a template
//! with its output, or with the fact that it fails, some with how the error ends.

use std::sync::Arc;

use vault_injector::base::json::Json;
use vault_injector::base::time::Wall;
use vault_injector::domain::template::{
    Budget, Flags, Found, Interface, Outcome, Snapshot, Template, Want,
};
use vault_injector::domain::vault::Reading;

const BUDGET: Budget = Budget { steps: 10_000_000, depth: 250, output_bytes: 8 * 1024 * 1024 };

fn snapshot(data: &Json) -> Snapshot {
    let data = data.as_object().unwrap();
    let mut snapshot = Snapshot { complete: true, ..Snapshot::default() };
    for (path, text) in data["secrets_text"].as_object().unwrap() {
        let response = Json::parse(text.as_str().unwrap().as_bytes()).unwrap();
        let reading = Arc::new(Reading::decode(&response).unwrap());
        snapshot.found.insert(Want::Read { path: path.clone() }, Found::Reading(reading));
    }
    for (path, names) in data["lists"].as_object().unwrap() {
        let names = names.as_array().unwrap().iter();
        let names = names.map(|name| name.as_str().unwrap().to_owned()).collect();
        let path = path.trim_matches('/').to_owned();
        snapshot.found.insert(Want::List { path }, Found::List(names));
    }
    for (name, value) in data["env"].as_object().unwrap() {
        snapshot.env.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    snapshot.interfaces = data["interfaces"].as_array().unwrap().iter().map(interface).collect();
    snapshot.now = data["now"].as_i64().map(|seconds| Wall(seconds * 1000));
    snapshot
}

fn interface(value: &Json) -> Interface {
    let texts = |key: &str| value.get(key).and_then(Json::as_array).unwrap().iter();
    let addresses = texts("addresses").map(|text| {
        let (ip, prefix) = text.as_str().unwrap().split_once('/').unwrap();
        (ip.parse().unwrap(), prefix.parse().unwrap())
    });
    Interface {
        name: value.get("name").and_then(Json::as_str).unwrap().to_owned(),
        flags: Flags::of_names(texts("flags").map(|flag| flag.as_str().unwrap())),
        addresses: addresses.collect(),
        has_default_route: value.get("default").is_some(),
    }
}

/// The output, or the error.
fn render(snapshot: &Snapshot, row: &Json) -> Result<Vec<u8>, String> {
    let row = row.as_object().unwrap();
    let text = |key: &str| row.get(key).and_then(Json::as_str).unwrap_or_default();
    let template = Template::parse("t", text("t"), text("left"), text("right"), BUDGET)
        .map_err(|error| error.to_string())?;
    match template.render(snapshot, row["strict"] == Json::Bool(true), BUDGET) {
        Outcome::Done(rendered) => Ok(rendered.text.expose().to_vec()),
        Outcome::Fail(error, _) => Err(error.to_string()),
        Outcome::Lack { .. } => Err("lacks something".to_owned()),
    }
}

#[test]
fn renders_as_go_and_consul_template_do() {
    let lines = include_str!("../golden/template-more.jsonl").lines();
    let mut rows = lines.map(|line| Json::parse(line.as_bytes()).unwrap());
    let head = rows.next().unwrap();
    let snapshot = snapshot(&head.as_object().unwrap()["data"]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows {
        count += 1;
        let wanted = row.as_object().unwrap().get("out").and_then(Json::as_str);
        let got = render(&snapshot, &row);
        let error = row.as_object().unwrap().get("error").and_then(Json::as_str);
        let is_error_right = match (error, &got) {
            (Some(wanted), Err(got)) => got.ends_with(wanted),
            (wanted, _) => wanted.is_none(),
        };
        if !is_error_right || got.as_deref().ok() != wanted.map(str::as_bytes) {
            let template = row.as_object().unwrap()["t"].as_str().unwrap().to_owned();
            let got = got.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            wrong.push(format!("{template}\n  want {wanted:?}\n  got  {got:?}"));
        }
    }
    assert!(count > 1300, "{count} rows");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn renders_bytes_that_are_no_text() {
    let row = Json::parse(br#"{"t": "{{ base64Decode \"/+8A\" }}", "strict": false}"#).unwrap();
    assert_eq!(render(&Snapshot::default(), &row), Ok(vec![0xff, 0xef, 0]));
}

#[test]
fn hostile_templates_end_by_their_budget() {
    let small = Budget { steps: 200_000, ..BUDGET };
    let big = r#"{{$s := printf "%300000d" 1}}{{$t := print $s}}"#;
    for body in [
        "{{range 9223372036854775807}}{{end}}",
        "{{range 100000}}{{$x := lt $s $t}}{{end}}",
        "{{range 100000}}{{$x := ne $s $t}}{{end}}",
        "{{range 100000}}{{$x := parseBool \"1\"}}{{$x := secret $s}}{{end}}",
        "{{range 100000}}{{$x := trim $s $t}}{{end}}",
        "{{range 100000}}{{$x := printf \"%f\" 1e308}}{{end}}",
        "{{define \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}",
    ] {
        let template = Template::parse("t", &format!("{big}{body}"), "", "", small).unwrap();
        let snapshot = Snapshot { complete: true, ..Snapshot::default() };
        let outcome = template.render(&snapshot, false, small);
        assert!(matches!(outcome, Outcome::Fail(..)), "{body}");
    }
}
