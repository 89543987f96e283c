//! `pkiCert`: one certificate for as long as it is good.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::secrets::{PKI_ISSUE, pki};
use crate::support::agent::{Pod, Program};
use crate::support::cluster::Cluster;
use crate::support::until;

const SOON: Duration = Duration::from_secs(10);

fn template(pod: &mut Pod<'_>, ttl: &str) {
    let call = format!(r#"pkiCert "pki/issue/app" "common_name=app.shop.svc" "ttl={ttl}""#);
    let fields = "{{ .Cert }}{{ .CA }}{{ .Data.Key }}";
    pod.template("pem", &format!("{{{{ with {call} }}}}{fields}{{{{ end }}}}"));
}

/// How many certificates were issued.
fn issued(cluster: &Cluster) -> usize {
    cluster.bao.requests().iter().filter(|line| line.as_str() == PKI_ISSUE).count()
}

#[test]
fn a_good_certificate_stays_through_restarts() {
    let Some(cluster) = Cluster::start() else { return };
    pki(&cluster);
    let mut pod = cluster.pod();
    pod.env.push(("VAULT_LOG_LEVEL".to_owned(), "debug".to_owned()));
    template(&mut pod, "10m");
    pod.init_ok();
    let first = pod.secret("pem").expect("a file");
    assert_eq!(first.matches("BEGIN CERTIFICATE").count(), 2, "the certificate and its CA");
    assert_eq!(first.matches("PRIVATE KEY-----").count(), 2, "begin and end of the key");
    // With the state that init left, and without: then there is nothing but the file.
    for removes_state in [false, true] {
        if removes_state && pod.program == Program::Ours {
            std::fs::remove_file(pod.path("home/.state")).expect("the state");
        }
        let sidecar = pod.start_sidecar();
        sidecar.expect_output("(runner) unchanged", SOON);
        drop(sidecar);
        assert_eq!(pod.secret("pem").as_ref(), Some(&first));
    }
    pod.init_ok();
    assert_eq!(pod.secret("pem"), Some(first));
    assert_eq!(issued(&cluster), 1);
    let requests = cluster.bao.requests();
    let lookups = requests.iter().filter(|line| line.contains("ui/mounts/pki")).count();
    assert_eq!(lookups, 0, "nothing but the certificate is asked for: {requests:#?}");
}

#[test]
fn a_certificate_is_replaced_once_nine_tenths_of_its_life_are_over() {
    let Some(cluster) = Cluster::start() else { return };
    pki(&cluster);
    cluster.bao.post(
        "pki/roles/app",
        &json!({"allow_any_name": true, "max_ttl": "1h", "not_before_duration": "2s"}),
    );
    let mut pod = cluster.pod();
    template(&mut pod, "8s");
    let start = Instant::now();
    pod.init_ok();
    let first = pod.secret("pem").expect("a file");
    let sidecar = pod.start_sidecar();
    // Its ten seconds begin two before the request, and dates of certificates have no fractions.
    let second = until("a second certificate", Duration::from_secs(20), || {
        pod.secret("pem").filter(|text| *text != first)
    });
    let took = start.elapsed();
    let sixth_to_ninth = Duration::from_secs(6)..Duration::from_secs(9);
    assert!(sixth_to_ninth.contains(&took), "{took:?}\n{}", sidecar.output());
    assert_eq!(issued(&cluster), 2, "{}", sidecar.output());
    assert_eq!(second.matches("BEGIN CERTIFICATE").count(), 2);
    let key = |text: &str| text.split("PRIVATE KEY-----").nth(1).map(str::to_owned);
    assert_ne!(key(&first), key(&second));
}
