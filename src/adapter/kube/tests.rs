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
    timeout: Duration::from_millis(800),
    watch: Duration::from_secs(2),
    watch_grace: Duration::from_millis(300),
};

fn client(kube: &FakeKube) -> Arc<KubeClient> {
    let cluster = Cluster {
        host: kube.host(),
        port: kube.port(),
        service_account_dir: kube.service_account().to_str().unwrap().to_owned(),
    };
    Arc::new(KubeClient::connect(&cluster, LIMITS, Clock::start()).unwrap())
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
