//! The client against a small API server that also does what a real one will not do on demand.

use serde_json::{Value, json};

use super::*;
use crate::base::secret::SecretBytes;
use crate::base::time::Wall;
use crate::domain::serving::objects::{
    ConfigMap, KubeLease, KubeSecret, LeaseSpec, Metadata, MicroTime, Node, OwnerReference, Pod,
    WebhookConfiguration,
};

use fake_kube::{FakeKube, Fault, NAMESPACE};

#[path = "../../../tests/it/support/fake_kube.rs"]
mod fake_kube;
#[path = "../../../tests/it/support/https.rs"]
#[expect(dead_code, reason = "its client is for tests of our own server")]
mod https;
#[path = "../../../tests/it/support/temp_dir.rs"]
#[expect(clippy::disallowed_methods, reason = "tests may touch the outside")]
mod temp_dir;

const LIMITS: KubeLimits = KubeLimits {
    reply_bytes_max: 100_000,
    file_bytes_max: 100_000,
    timeout: Duration::from_secs(10),
    watch: Duration::from_secs(2),
    watch_grace: Duration::from_secs(10),
};

/// For tests that wait for the end of it.
const SHORT: KubeLimits = KubeLimits {
    timeout: Duration::from_millis(800),
    watch: Duration::from_secs(1),
    watch_grace: Duration::from_millis(300),
    ..LIMITS
};

fn client(kube: &FakeKube) -> Arc<KubeClient> {
    client_within(kube, LIMITS)
}

fn client_within(kube: &FakeKube, limits: KubeLimits) -> Arc<KubeClient> {
    let cluster = Cluster {
        host: kube.host(),
        port: kube.port(),
        service_account_dir: kube.service_account().to_str().unwrap().to_owned(),
    };
    Arc::new(KubeClient::connect(&cluster, limits, Clock::start()).unwrap())
}

fn configuration(version: u32) -> Value {
    let webhook = |name: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "service": { "name": "injector", "namespace": NAMESPACE } },
        })
    };
    json!({
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "cfg", "labels": { "version": version.to_string() } },
        "webhooks": [webhook("vault.hashicorp.com"), webhook("other.hashicorp.com")],
    })
}

fn get_configuration(client: &KubeClient) -> Result<Stored<WebhookConfiguration>, KubeError> {
    client.get("", "cfg")
}

#[test]
fn patches_the_ca_bundle_of_the_state_that_it_read() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client(&kube);
    let read = get_configuration(&client).unwrap();
    assert_eq!(read.object.webhooks.len(), 2);
    assert_eq!(read.object.webhooks[0].client_config.service.as_ref().unwrap().name, "injector");
    assert!(read.object.webhooks[0].client_config.ca_bundle.is_empty());

    let patch = read.object.ca_patch(&[(0, b"PEM one".to_vec()), (1, b"PEM two".to_vec())]);
    let after = client.patch::<WebhookConfiguration>("", "cfg", &patch).unwrap();
    assert_eq!(after.object.webhooks[1].client_config.ca_bundle, b"PEM two");
    let stored = kube.object("mutatingwebhookconfigurations", "", "cfg").unwrap();
    assert_eq!(stored["webhooks"][0]["clientConfig"]["caBundle"], "UEVNIG9uZQ==");
    assert_eq!(stored["webhooks"][0]["sideEffects"], "None");

    // The same patch again is one of a state that is gone.
    let late = client.patch::<WebhookConfiguration>("", "cfg", &patch).unwrap_err();
    assert!(matches!(late, KubeError::Conflict { .. }), "{late}");
    let nowhere = after.object.ca_patch(&[(7, Vec::new())]);
    assert!(client.patch::<WebhookConfiguration>("", "cfg", &nowhere).is_err());
    assert_eq!(kube.count("patch", "mutatingwebhookconfigurations"), 3);
}

fn secret(name: &str) -> KubeSecret {
    let data = [("key".to_owned(), SecretBytes::new(b"hunter2".to_vec()))].into();
    KubeSecret { metadata: Metadata::named(NAMESPACE, name), data, ..KubeSecret::default() }
}

#[test]
fn creates_and_updates_secrets_and_keeps_what_others_wrote() {
    let kube = FakeKube::start_as_charted();
    let client = client(&kube);
    assert_eq!(client.namespace(), NAMESPACE);
    let created = client.create(&secret("certs")).unwrap();
    assert!(!created.object.metadata.uid.is_empty());
    let twice = client.create(&secret("certs")).unwrap_err();
    assert!(matches!(twice, KubeError::Conflict { .. }), "{twice}");
    assert!(
        !format!("{created:?}").contains("hunter2") && !format!("{created:?}").contains("aHVu")
    );

    kube.edit("secrets", NAMESPACE, "certs", |object| {
        object["type"] = json!("Opaque");
        object["metadata"]["labels"] = json!({ "mine": "no" });
        object["metadata"]["managedFields"] = json!([{ "manager": "other" }]);
        object["data"]["theirs"] = json!("AAECAw==");
    });
    let mut stale = created;
    stale.object.data.clear();
    let conflict = client.update(&stale).unwrap_err();
    assert!(matches!(conflict, KubeError::Conflict { .. }), "{conflict}");
    assert!(conflict.to_string().contains("has been modified"), "{conflict}");

    let mut read = client.get::<KubeSecret>(NAMESPACE, "certs").unwrap();
    assert_eq!(read.object.data["theirs"].expose(), [0, 1, 2, 3]);
    assert_eq!(read.object.data["key"].expose(), b"hunter2");
    read.object.data.insert("cert".to_owned(), SecretBytes::new(b"PEM".to_vec()));
    read.object.data.remove("key");
    read.object.metadata.annotations.insert("a/b".to_owned(), "\"1\"".to_owned());
    let updated = client.update(&read).unwrap();
    assert_ne!(updated.object.metadata.resource_version, read.object.metadata.resource_version);
    let stored = kube.object("secrets", NAMESPACE, "certs").unwrap();
    assert_eq!(stored["data"], json!({ "cert": "UEVN", "theirs": "AAECAw==" }));
    assert_eq!(stored["type"], "Opaque");
    assert_eq!(stored["metadata"]["labels"]["mine"], "no");
    assert_eq!(stored["metadata"]["managedFields"][0]["manager"], "other");
    assert_eq!(stored["metadata"]["annotations"]["a/b"], "\"1\"");
}

#[test]
fn takes_and_renews_leases() {
    let kube = FakeKube::start();
    kube.allow("get create update", "leases", "leader");
    kube.allow("create", "leases", "");
    let client = client(&kube);
    let missing = client.get::<KubeLease>(NAMESPACE, "leader").unwrap_err();
    assert!(matches!(missing, KubeError::NotFound { .. }), "{missing}");
    let spec = LeaseSpec {
        holder_identity: Some("pod-1".to_owned()),
        lease_duration_seconds: Some(30),
        acquire_time: Some(Wall(1_790_000_000_123).into()),
        renew_time: Some(MicroTime(1_790_000_000_123_456)),
        lease_transitions: Some(0),
    };
    let lease = KubeLease { metadata: Metadata::named(NAMESPACE, "leader"), spec };
    let mut held = client.create(&lease).unwrap();
    assert_eq!(held.object.spec, lease.spec);
    let stored = || kube.object("leases", NAMESPACE, "leader").unwrap();
    assert_eq!(stored()["spec"]["acquireTime"], "2026-09-21T14:13:20.123000Z");
    assert_eq!(stored()["spec"]["renewTime"], "2026-09-21T14:13:20.123456Z");
    kube.edit("leases", NAMESPACE, "leader", |lease| lease["spec"]["strategy"] = json!("Oldest"));
    held = client.get(NAMESPACE, "leader").unwrap();
    held.object.spec.holder_identity = None;
    held.object.spec.lease_duration_seconds = Some(1);
    held = client.update(&held).unwrap();
    assert_eq!(held.object.spec.holder_identity, None);
    assert_eq!(stored()["spec"]["holderIdentity"], Value::Null);
    assert_eq!(stored()["spec"]["strategy"], "Oldest");
    held.object.spec.lease_duration_seconds = Some(0);
    let invalid = client.update(&held).unwrap_err();
    assert!(matches!(invalid, KubeError::Invalid { .. }), "{invalid}");
    assert!(invalid.to_string().contains("must be greater than 0"), "{invalid}");
}

#[test]
fn reads_the_lock_its_owner_and_the_owner_s_node() {
    let kube = FakeKube::start_as_charted();
    kube.put(json!({
        "kind": "Pod",
        "metadata": { "name": "p", "namespace": NAMESPACE, "deletionTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "nodeName": "n", "containers": [] },
        "status": { "phase": "Failed", "reason": "Evicted" },
    }));
    kube.put(json!({
        "kind": "Node",
        "metadata": { "name": "n" },
        "status": { "conditions": [
            { "type": "DiskPressure", "status": "True" }, { "type": "Ready", "status": "Unknown" },
        ] },
    }));
    let client = client(&kube);
    let pod = client.get::<Pod>(NAMESPACE, "p").unwrap().object;
    assert!(pod.metadata.deletion_timestamp.is_some());
    assert_eq!(
        (&*pod.spec.node_name, &*pod.status.phase, &*pod.status.reason),
        ("n", "Failed", "Evicted")
    );
    assert!(!client.get::<Node>("", "n").unwrap().object.is_ready());
    kube.edit("nodes", "", "n", |node| node["status"]["conditions"][1]["status"] = json!("True"));
    assert!(client.get::<Node>("", "n").unwrap().object.is_ready());

    let mut lock =
        ConfigMap { metadata: Metadata::named(NAMESPACE, "lock"), ..ConfigMap::default() };
    lock.metadata.owner_references.push(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: "p".to_owned(),
        uid: pod.metadata.uid,
        ..OwnerReference::default()
    });
    client.create(&lock).unwrap();
    kube.edit("configmaps", NAMESPACE, "lock", |lock| {
        lock["data"] = Value::Null;
        lock["metadata"]["ownerReferences"][0]["controller"] = json!(true);
    });
    let mut held = client.get::<ConfigMap>(NAMESPACE, "lock").unwrap();
    assert_eq!(held.object.metadata.owner_references[0].name, "p");
    held.object.metadata.annotations.insert("renewed".to_owned(), "now".to_owned());
    client.update(&held).unwrap();
    let stored = kube.object("configmaps", NAMESPACE, "lock").unwrap();
    assert_eq!(stored["metadata"]["annotations"]["renewed"], "now");
    assert_eq!(stored["metadata"]["ownerReferences"][0]["controller"], true);
    held.object.metadata.owner_references[0].uid.clear();
    held.object.metadata.resource_version =
        stored["metadata"]["resourceVersion"].as_str().unwrap().into();
    assert!(matches!(client.update(&held).unwrap_err(), KubeError::Invalid { .. }));
}

#[test]
fn says_what_rbac_has_to_allow() {
    let kube = FakeKube::start();
    kube.put(configuration(1));
    let client = client(&kube);
    let error = get_configuration(&client).unwrap_err();
    assert!(matches!(error, KubeError::Forbidden { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "may not get mutatingwebhookconfigurations.admissionregistration.k8s.io cfg: grant it to the \
         service account in RBAC (mutatingwebhookconfigurations.admissionregistration.k8s.io \"cfg\" is \
         forbidden: User \"system:serviceaccount:vault:vault-agent-injector\" cannot get resource \
         \"mutatingwebhookconfigurations\" in API group \"admissionregistration.k8s.io\" at the cluster \
         scope)"
    );
    let error = client.create(&secret("certs")).unwrap_err().to_string();
    assert!(error.starts_with("may not create secrets certs in namespace vault: "), "{error}");
    kube.allow("get", "mutatingwebhookconfigurations", "cfg");
    get_configuration(&client).unwrap();
}

#[test]
fn tells_failures_apart() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client(&kube);
    let fail = |fault| {
        kube.fault("get", "mutatingwebhookconfigurations", fault, 1);
        get_configuration(&client).unwrap_err()
    };
    let busy = fail(Fault::Status(429, Some(7)));
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));
    assert!(matches!(busy, KubeError::Unavailable { status: 429, .. }), "{busy}");
    let down = fail(Fault::Foreign(503, "<html>\n\u{1b}[31mno upstream"));
    assert!(matches!(down, KubeError::Unavailable { status: 503, .. }), "{down}");
    assert!(down.to_string().ends_with("HTTP 503: <html>  [31mno upstream"), "{down}");
    let in_body =
        r#"{"kind":"Status","code":504,"message":"wait","details":{"retryAfterSeconds":3}}"#;
    assert_eq!(fail(Fault::Foreign(504, in_body)).retry_after(), Some(Duration::from_secs(3)));
    let long: &'static str = Box::leak("x".repeat(9000).into_boxed_str());
    assert!(fail(Fault::Foreign(500, long)).to_string().len() < 600);
    assert!(fail(Fault::Foreign(500, "")).to_string().ends_with("HTTP 500: HTTP 500"));
    for (status, body) in [(302, ""), (200, "{}"), (200, "[1"), (200, r#"{"metadata":{"name":7}}"#)]
    {
        let error = fail(Fault::Foreign(status, body));
        assert!(matches!(error, KubeError::Malformed { .. }), "{status} {body}: {error}");
    }
    let invalid = fail(Fault::Status(400, None));
    assert!(matches!(invalid, KubeError::Invalid { .. }), "{invalid}");
    let cut = fail(Fault::Close);
    assert!(matches!(cut, KubeError::Unreachable { .. }), "{cut}");
    assert!(matches!(fail(Fault::CutBody), KubeError::Unreachable { .. }));
    let sneaky = client.get::<Node>("", "../secrets").unwrap_err();
    assert!(matches!(sneaky, KubeError::Invalid { .. }), "{sneaky}");
    get_configuration(&client).unwrap();
}

#[test]
fn no_answer_takes_longer_or_more_than_allowed() {
    let kube = FakeKube::start_as_charted();
    let client = client_within(&kube, SHORT);
    let began = client.clock.now();
    for fault in [Fault::Hang, Fault::Slow(Duration::from_secs(2))] {
        kube.fault("get", "secrets", fault, 1);
        let error = client.get::<KubeSecret>(NAMESPACE, "certs").unwrap_err().to_string();
        assert!(error.ends_with("no answer within 0.8 s"), "{error}");
    }
    kube.fault("get", "secrets", Fault::Endless, 1);
    let error = client.get::<KubeSecret>(NAMESPACE, "certs").unwrap_err();
    assert!(matches!(error, KubeError::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("larger than 100000 bytes"), "{error}");
    assert!(client.clock.now().since(began) < Duration::from_secs(5));
}

#[test]
fn follows_a_rotated_token_and_a_rotated_ca() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client(&kube);
    let tokens = || kube.requests().iter().map(|seen| seen.token).collect::<Vec<_>>();
    get_configuration(&client).unwrap();
    kube.rotate_token();
    get_configuration(&client).unwrap();
    get_configuration(&client).unwrap();
    assert_eq!(tokens(), [Some(0), Some(0), Some(1), Some(1)]);
    kube.rotate_ca();
    get_configuration(&client).unwrap();

    // Read again by age alone, before anybody refuses the old one.
    let (token, now) = (Arc::new(Secret::new("token-0")), client.clock.now());
    for (age, is_fresh) in [(TOKEN_AGE_MAX - Duration::from_secs(9), true), (TOKEN_AGE_MAX, false)]
    {
        let read_at = Mono::at(now.since_start() + Duration::from_secs(100) - age);
        *client.token.lock().unwrap() = Some((Arc::clone(&token), read_at));
        let later = now + Duration::from_secs(100);
        assert_eq!(*client.token_at(later, false).unwrap() == *token, is_fresh, "{age:?}");
    }

    kube.revoke_token();
    kube.forget_requests();
    let refused = get_configuration(&client).unwrap_err();
    assert!(matches!(refused, KubeError::Unauthorized { .. }), "{refused}");
    assert_eq!(tokens(), [Some(1)], "the same token is not tried twice");
    std::fs::remove_file(kube.service_account().join("token")).unwrap();
    assert!(matches!(get_configuration(&client), Err(KubeError::Unauthorized { .. })));
    assert!(!format!("{refused:?}{refused}").contains("token-1"));
}

#[test]
fn needs_a_whole_service_account() {
    let kube = FakeKube::start();
    let connect = |host: &str, port: &str| {
        let service_account_dir = kube.service_account().to_str().unwrap().to_owned();
        let cluster = Cluster { host: host.to_owned(), port: port.to_owned(), service_account_dir };
        KubeClient::connect(&cluster, LIMITS, Clock::start())
    };
    assert_eq!(connect("fd00::1", "6443").unwrap().address, "https://[fd00::1]:6443");
    assert_eq!(connect("10.0.0.1", "443").unwrap().address, "https://10.0.0.1:443");
    for (host, port) in [
        ("", "443"),
        ("a/b", "443"),
        ("10.0.0.1", "tcp"),
        ("10.0.0.1", "70000"),
        ("10.0.0.1", "+443"),
    ] {
        let error = connect(host, port).err().unwrap().to_string();
        assert!(error.contains("KUBERNETES_SERVICE_HOST"), "{error}");
    }
    for (file, content) in [("ca.crt", "none"), ("namespace", "../x"), ("namespace", "")] {
        let before = kube.write_file(file, content);
        let error = connect("10.0.0.1", "443").err().unwrap().to_string();
        assert!(error.contains(file), "{error}");
        kube.write_file(file, &before);
    }
    let client = client(&kube);
    kube.write_file("token", "two\nlines");
    let error = client.get::<Pod>(NAMESPACE, "p").unwrap_err();
    assert!(matches!(error, KubeError::TokenUnreadable { .. }), "{error}");
    assert!(error.to_string().ends_with("/token: holds no token"), "{error}");
    std::fs::remove_file(kube.service_account().join("ca.crt")).unwrap();
    let error = connect("10.0.0.1", "443").err().unwrap();
    assert!(crate::base::report::OneLine(&error).to_string().contains("ca.crt"), "{error}");
}

/// The version of the object, or what there is instead of one.
fn seen(watched: Result<Watched<WebhookConfiguration>, KubeError>) -> String {
    match watched.unwrap() {
        Watched::Absent => "absent".to_owned(),
        Watched::Present(stored) => {
            format!("version {}", stored.object.metadata.resource_version)
        }
        Watched::Unchanged => "unchanged".to_owned(),
    }
}

fn watch(client: &Arc<KubeClient>) -> Watch<WebhookConfiguration> {
    Watch::new(Arc::clone(client), "", "cfg")
}

#[test]
fn watches_one_object_come_change_and_go() {
    let kube = FakeKube::start_as_charted();
    let client = client(&kube);
    let mut watch = watch(&client);
    assert_eq!(seen(watch.next()), "absent");
    let first = kube.put(configuration(1));
    assert_eq!(seen(watch.next()), format!("version {first}"));
    let mut other = configuration(1);
    other["metadata"]["name"] = json!("other");
    kube.put(other);
    let second = kube.put(configuration(2));
    let third = kube.put(configuration(3));
    assert_eq!(seen(watch.next()), format!("version {second}"));
    assert_eq!(seen(watch.next()), format!("version {third}"));
    kube.remove("mutatingwebhookconfigurations", "", "cfg");
    assert_eq!(seen(watch.next()), "absent");
    assert_eq!(seen(watch.next()), "unchanged", "the server ends it after two seconds");
    assert_eq!(kube.count("list", "*"), 1);
    assert_eq!(kube.count("watch", "*"), 1);
    let last = kube.put(configuration(4));
    assert_eq!(seen(watch.next()), format!("version {last}"));
    assert_eq!((kube.count("list", "*"), kube.count("watch", "*")), (1, 2));
}

#[test]
fn a_broken_watch_goes_on_where_it_was() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client(&kube);
    let mut watch = watch(&client);
    seen(watch.next());
    let second = kube.put(configuration(2));
    assert_eq!(seen(watch.next()), format!("version {second}"));
    kube.cut_connections();
    let third = kube.put(configuration(3));
    let broken = watch.next().unwrap_err();
    assert!(matches!(broken, KubeError::Unreachable { .. }), "{broken}");
    assert_eq!(seen(watch.next()), format!("version {third}"));

    let at_once = Fault::Garbage("");
    let fail = Fault::Status(500, None);
    for fault in [Fault::Close, Fault::CutBody, fail, Fault::Endless, at_once] {
        kube.cut_connections();
        assert!(watch.next().is_err());
        kube.fault("watch", "*", fault.clone(), 1);
        assert!(watch.next().is_err(), "{fault:?}");
        let next = kube.put(configuration(4));
        assert_eq!(seen(watch.next()), format!("version {next}"), "after {fault:?}");
    }
    assert_eq!(kube.count("list", "*"), 1, "nothing was forgotten");
    kube.cut_connections();
    assert!(watch.next().is_err());
    kube.forbid("watch", "mutatingwebhookconfigurations");
    let error = watch.next().unwrap_err();
    assert!(error.to_string().starts_with("may not watch mutatingwebhook"), "{error}");
    kube.allow("watch", "mutatingwebhookconfigurations", "cfg");
    let next = kube.put(configuration(5));
    assert_eq!(seen(watch.next()), format!("version {next}"));
}

#[test]
fn a_half_open_watch_ends_within_its_bound() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client_within(&kube, SHORT);
    let mut watch = watch(&client);
    seen(watch.next());
    kube.fault("watch", "*", Fault::HalfOpen, 1);
    let began = client.clock.now();
    let error = watch.next().unwrap_err();
    assert!(error.to_string().ends_with("no answer within 1.3 s"), "{error}");
    assert!(client.clock.now().since(began) < Duration::from_secs(4));
}

#[test]
fn a_version_that_is_too_old_lists_again() {
    let kube = FakeKube::start_as_charted();
    let version = kube.put(configuration(1));
    let client = client(&kube);
    let mut watch = watch(&client);
    seen(watch.next());
    // By an event, before the watch begins.
    kube.bookmark();
    kube.compact();
    assert_eq!(seen(watch.next()), format!("version {version}"));
    // By HTTP.
    kube.fault("watch", "*", Fault::Foreign(410, r#"{"kind":"Status","code":410}"#), 1);
    assert_eq!(seen(watch.next()), format!("version {version}"));
    // By an event, in the middle.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| seen(watch.next()));
        assert!(kube.wait_for_watches(1));
        kube.expire_watches();
        assert_eq!(waiting.join().unwrap(), format!("version {version}"));
    });
    assert_eq!(kube.count("list", "*"), 4);
}

#[test]
fn a_bookmark_saves_a_list() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client(&kube);
    let mut watch = watch(&client);
    seen(watch.next());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| seen(watch.next()));
        assert!(kube.wait_for_watches(1));
        kube.bookmark();
        assert_eq!(waiting.join().unwrap(), "unchanged");
    });
    // The list's own version is too old now, the bookmark's is not.
    kube.compact();
    let second = kube.put(configuration(2));
    assert_eq!(seen(watch.next()), format!("version {second}"));
    assert_eq!((kube.count("list", "*"), kube.count("watch", "*")), (1, 2));
}

#[test]
fn a_fault_of_the_watch_s_events_is_an_error() {
    let kube = FakeKube::start_as_charted();
    kube.put(configuration(1));
    let client = client(&kube);
    let mut watch = watch(&client);
    seen(watch.next());
    for body in [
        "nonsense\n",
        "{\"type\":\"ADDED\"}\n",
        "{\"type\":\"ADDED\",\"object\":{}}\n",
        "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"cfg\",\"resourceVersion\":7}}}\n",
    ] {
        kube.fault("watch", "*", Fault::Garbage(body), 1);
        let error = watch.next().unwrap_err();
        assert!(matches!(error, KubeError::Malformed { .. }), "{body}: {error}");
    }
    let status = r#"{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}"#;
    kube.fault("watch", "*", Fault::Garbage(status), 1);
    let error = watch.next().unwrap_err();
    assert!(matches!(error, KubeError::Unavailable { status: 500, .. }), "{error}");
}
