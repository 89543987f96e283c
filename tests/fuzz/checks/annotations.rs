//! The webhook's decision about any set of its annotations.

use std::collections::BTreeMap;

use vault_injector::base::json::Json;
use vault_injector::domain::inject::InjectConfig;
use vault_injector::domain::inject::annotations::{KEYS, Key, PREFIX};

use super::{Input, review};

/// Values that mean something to one key or another, and some that nearly do.
const VALUES: &[&str] = &[
    "true",
    "false",
    "1",
    "0",
    "-1",
    "T",
    "",
    " ",
    "on",
    "yes",
    "null",
    "injected",
    "update",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "65535",
    "65536",
    "1e309",
    "NaN",
    "0.5",
    "0x10",
    "1_0",
    "64Mi",
    "250m",
    "1e30",
    "-5m",
    ".5Gi",
    "12e6",
    "1Ki1",
    "5m",
    "1h2m3.5s",
    "30",
    "2d",
    "9223372036s",
    "-1ns",
    "1.5.1s",
    "µs",
    "app",
    "a,b",
    ",",
    "app, ",
    "/vault/secrets",
    "/",
    "//a/../b/",
    "..",
    "../../etc/passwd",
    "a/b",
    "a b",
    "kv/data/x",
    "/x/",
    "https://v:8200",
    "http://[::1]:8200/p?q#f",
    "json",
    "map",
    "env",
    "dotenv",
    "properties",
    "yaml",
    "raw:k",
    "raw:",
    "native",
    "vault",
    "auto",
    "go",
    "tinytemplate",
    "{{",
    "}}",
    "<%",
    "{{ with secret \"a\" }}{{ .Data.b }}{{ end }}",
    "{ x }",
    "0640",
    "640",
    "0999",
    "7777777",
    "kubernetes",
    "jwt",
    "approle",
    "cert",
    "token_file",
    "token",
    "aws",
    "vault-injector:1",
    "x/vault-injector@sha256:00",
    "hashicorp/vault:1",
    "[]",
    "[1]",
    "{\"a\":1}",
    "[",
    "[{\"op\":\"add\",\"path\":\"/env/-\",\"value\":{\"name\":\"A\",\"value\":\"b\"}}]",
    "[{\"op\":\"replace\",\"path\":\"/name\",\"value\":\"z\"}]",
    "[{\"op\":\"remove\",\"path\":\"/volumeMounts\"}]",
    "[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/x\"},{\"op\":\"test\",\"path\":\"/image\"}]",
    "[{\"op\":\"move\",\"from\":\"/env/0\",\"path\":\"/env/-1\"}]",
    "\u{0}",
    "é\n",
    "\"\\",
    "kube-api-access-abcde",
    "prometheus_retention_time",
    "60s",
];

/// Ends of the keys that are families.
const NAMES: &[&str] =
    &["a", "A", "db-creds", "x.y", "..", "a/b", "", "role", "token-path", "é", "file-a", " "];

const PODS: &[&str] = &[
    r#"{"spec":{"containers":[{"name":"app","volumeMounts":[{"name":"kube-api-access-abcde","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}],"volumes":[{"name":"kube-api-access-abcde","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}]}}"#,
    r#"{"spec":{"containers":[{"name":"app","env":[{"name":"AWS_ROLE_ARN","valueFrom":{}}],"securityContext":{"runAsUser":7}},{"name":"b","volumeMounts":[{"name":"v","mountPath":"/vault/secrets"}]}],"initContainers":[{"name":"i"}],"shareProcessNamespace":false}}"#,
    r#"{"spec":{"containers":[{"name":"app"}],"os":{"name":"windows"},"volumes":null}}"#,
    r#"{"spec":{"containers":[{"name":"app"},{"name":"vault-agent"}],"initContainers":[{"name":"vault-agent-init"}]}}"#,
];

/// A pod with annotations, of which the fuzzer chooses keys and values.
pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let mut pod = Json::parse(input.of(PODS).as_bytes()).expect("a pod");
    let choice = input.byte();
    let config = InjectConfig {
        address: if choice & 1 == 0 { "http://vault:8200".into() } else { String::new() },
        image: if choice & 2 == 0 { "vault-injector:1".into() } else { "openbao:2".into() },
        revoke_on_shutdown: choice & 4 != 0,
        run_as_same_user: choice & 8 != 0,
        ..InjectConfig::default()
    };
    let mut annotations = BTreeMap::from([
        (Key::Inject.to_string(), Json::String("true".into())),
        (Key::Role.to_string(), Json::String("app".into())),
    ]);
    while !input.is_empty() && annotations.len() < 32 {
        let row = input.of(KEYS);
        let mut name = format!("{PREFIX}{}", row.name);
        if name.ends_with('-') {
            let own = input.byte() & 7 == 0;
            name += &if own { input.text() } else { (*input.of(NAMES)).to_owned() };
        }
        let own = input.byte() & 3 == 0;
        let value = if own { input.text() } else { (*input.of(VALUES)).to_owned() };
        annotations.insert(name, Json::String(value));
    }
    let metadata = BTreeMap::from([("annotations".to_owned(), Json::Object(annotations))]);
    if let Json::Object(members) = &mut pod {
        members.insert("metadata".to_owned(), Json::Object(metadata));
    }
    review::decided(&pod, &config);
}
