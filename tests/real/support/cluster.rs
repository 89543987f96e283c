//! What a cluster gives a pod: OpenBao with the kubernetes login, and service account tokens.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::agent::Pod;
use super::bao::Bao;
use super::jwt::Issuer;
use super::shared_folder;
use super::temp_dir::TempDir;
use super::token_review::TokenReview;

/// OpenBao that trusts the service account `app` of the namespace `shop` and lets it read `secret/`.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) bao: Bao,
    pub(crate) reviews: TokenReview,
    pub(crate) issuer: Issuer,
    /// OpenBao's own token for Kubernetes.
    reviewer: String,
    scratch: TempDir,
}

impl Cluster {
    /// Starts everything, or says loudly that it cannot.
    pub(crate) fn start() -> Option<Self> {
        Some(Self::around(Bao::start()?))
    }

    /// As `start`, for measurements: OpenBao writes no audit log.
    #[allow(dead_code, reason = "measurements share this module with tests")]
    pub(crate) fn start_unaudited() -> Option<Self> {
        Some(Self::around(Bao::start_unaudited()?))
    }

    /// As `start`, with OpenBao's clear port given.
    pub(crate) fn start_on(port: u16) -> Option<Self> {
        Some(Self::around(Bao::start_on(port)?))
    }

    fn around(bao: Bao) -> Self {
        let issuer = Issuer::new();
        let reviewer = issuer.service_account("vault", "reviewer");
        let reviews = TokenReview::start(&reviewer);
        let cluster = Self { bao, reviews, issuer, reviewer, scratch: shared_folder("cluster") };
        cluster.bao.allow("path \"secret/*\" { capabilities = [\"read\", \"list\"] }");
        cluster.kubernetes_login("");
        cluster.role(&json!({"token_ttl": "1h"}));
        let token = cluster.issuer.service_account("shop", "app");
        cluster.reviews.know(&token, "shop", "app");
        cluster.scratch.write("token", &token);
        cluster
    }

    /// Sets up the kubernetes login of a namespace, which is empty or ends in a slash.
    pub(crate) fn kubernetes_login(&self, namespace: &str) {
        self.bao.post(&format!("{namespace}sys/auth/kubernetes"), &json!({"type": "kubernetes"}));
        self.bao.post(
            &format!("{namespace}auth/kubernetes/config"),
            &json!({
                "kubernetes_host": self.reviews.url(),
                "kubernetes_ca_cert": self.reviews.certificate,
                "token_reviewer_jwt": self.reviewer,
                "disable_local_ca_jwt": true,
            }),
        );
    }

    /// Writes the role `app` of the kubernetes login with these settings beside its bindings.
    pub(crate) fn role(&self, settings: &Value) {
        self.role_in("", settings);
    }

    /// The same in a namespace.
    pub(crate) fn role_in(&self, namespace: &str, settings: &Value) {
        let mut role = json!({
            "bound_service_account_names": ["app"],
            "bound_service_account_namespaces": ["shop"],
            "token_policies": ["app"],
        });
        for (name, value) in settings.as_object().expect("settings") {
            role[name] = value.clone();
        }
        self.bao.post(&format!("{namespace}auth/kubernetes/role/app"), &role);
    }

    /// The file with the token of the service account `app`.
    pub(crate) fn token_path(&self) -> PathBuf {
        self.scratch.join("token")
    }

    /// A pod of the service account `app`.
    pub(crate) fn pod(&self) -> Pod<'_> {
        Pod::new(&self.bao, &kubernetes_method(&self.token_path()))
    }
}

/// `auto_auth.method` as the webhook writes it, with a short wait after a failed login.
pub(crate) fn kubernetes_method(token_path: &std::path::Path) -> Value {
    json!({
        "type": "kubernetes",
        "mount_path": "auth/kubernetes",
        "min_backoff": "200ms",
        "max_backoff": "1s",
        "config": {"role": "app", "token_path": token_path},
    })
}
