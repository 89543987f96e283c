//! A review as an API server sends it: a pod of a Deployment, with what admission and defaulting have added.

use serde_json::{Value, json};

/// Bytes of the review, those of a pod with three containers.
pub(crate) const REVIEW_BYTES: usize = 12_288;

/// What people write into a container and what Kubernetes adds to it.
fn container(name: &str, port: u16) -> Value {
    let plain = [
        ("LOG_LEVEL", "info"),
        ("JAVA_TOOL_OPTIONS", "-XX:MaxRAMPercentage=75.0 -XX:+ExitOnOutOfMemoryError"),
        ("DATABASE_HOST", "shop-postgres-rw.databases.svc.cluster.local"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_NAME", "shop"),
        ("REDIS_URL", "redis://shop-redis-master.databases.svc.cluster.local:6379/0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector.observability:4317"),
        ("FEATURE_CHECKOUT_V2", "true"),
        ("HTTP_TIMEOUT_SECONDS", "15"),
        ("TZ", "Europe/Berlin"),
    ];
    let mut variables: Vec<Value> =
        plain.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    for (name, path) in [
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
        ("POD_IP", "status.podIP"),
    ] {
        let field = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
        variables.push(json!({"name": name, "valueFrom": field}));
    }
    let probe = |path: &str, period: u8| {
        json!({
            "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": period, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    json!({
        "name": name,
        "image": format!("images.example/shop/{name}:2026.11.2"),
        "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
        "env": variables,
        "resources": {
            "limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "512Mi"},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "settings", "mountPath": "/etc/shop", "readOnly": true},
            {
                "name": "kube-api-access-x7k2p", "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            },
        ],
        "livenessProbe": probe("/health/live", 10),
        "readinessProbe": probe("/health/ready", 5),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

/// What the controller that made the pod has set, in the form of server-side apply.
fn managed_fields(containers: &[Value]) -> Value {
    let mut fields = serde_json::Map::new();
    for container in containers {
        let mut inner: serde_json::Map<String, Value> = container
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| (format!("f:{key}"), json!({})))
            .collect();
        let variables = container["env"].as_array().into_iter().flatten();
        inner["f:env"] = variables
            .map(|variable| {
                let key = format!("k:{}", json!({"name": variable["name"]}));
                (key, json!({".": {}, "f:name": {}, "f:value": {}}))
            })
            .collect::<serde_json::Map<String, Value>>()
            .into();
        fields.insert(format!("k:{}", json!({"name": container["name"]})), inner.into());
    }
    json!([{
        "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
        "time": "2026-11-27T10:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:containers": fields, "f:volumes": {}, "f:restartPolicy": {}}},
    }])
}

fn volumes() -> Value {
    json!([
        {"name": "tmp", "emptyDir": {}},
        {"name": "cache", "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": "settings", "configMap": {"name": "shop-settings", "defaultMode": 420}},
        {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {
                "name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }},
            {"downwardAPI": {"items": [{
                "path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            }]}},
        ]}},
    ])
}

fn metadata(containers: &[Value]) -> Value {
    json!({
        "generateName": "shop-6f7c9d8b5d-",
        "namespace": "shop",
        "creationTimestamp": null,
        "labels": {
            "app.kubernetes.io/name": "shop", "app.kubernetes.io/part-of": "store",
            "pod-template-hash": "6f7c9d8b5d",
        },
        "annotations": {
            "vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/role": "shop",
            "vault.hashicorp.com/agent-inject-secret-db": "database/creds/shop",
            "vault.hashicorp.com/agent-inject-template-db":
                "{{ with secret \"database/creds/shop\" }}postgres://{{ .Data.username }}:{{ .Data.password }}@shop-postgres-rw:5432/shop{{ end }}",
            "vault.hashicorp.com/agent-inject-secret-app": "secret/data/shop/app",
            "vault.hashicorp.com/agent-inject-secret-mail": "secret/data/shop/mail",
            "vault.hashicorp.com/agent-inject-secret-payment": "secret/data/shop/payment",
            "example.com/note": "",
        },
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-6f7c9d8b5d",
            "uid": "3b0f2c0e-52b7-4b4c-9a0e-6a1f0c6d2c11",
            "controller": true, "blockOwnerDeletion": true,
        }],
        "managedFields": managed_fields(containers),
    })
}

/// A review of exactly [`REVIEW_BYTES`] bytes for a pod that asks for four files, one of a template.
pub(crate) fn review() -> String {
    let containers =
        [container("web", 8080), container("worker", 8081), container("metrics", 9090)];
    let mut review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "6c1f9a53-0a32-4f7e-8f4d-3b6a1a1d5f0c",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            },
            "object": {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": metadata(&containers),
                "spec": {
                    "volumes": volumes(),
                    "containers": containers,
                    "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 30,
                    "dnsPolicy": "ClusterFirst",
                    "serviceAccountName": "shop",
                    "serviceAccount": "shop",
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000},
                    "schedulerName": "default-scheduler",
                    "enableServiceLinks": true,
                    "preemptionPolicy": "PreemptLowerPriority",
                    "priority": 0,
                    "tolerations": [
                        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                    ],
                },
                "status": {},
            },
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    let length = review.to_string().len();
    let missing = REVIEW_BYTES.checked_sub(length).expect("room for a note");
    assert!(missing < 400, "{missing} bytes of padding are no real pod");
    review["request"]["object"]["metadata"]["annotations"]["example.com/note"] =
        json!("a note ".chars().cycle().take(missing).collect::<String>());
    let text = review.to_string();
    assert_eq!(text.len(), REVIEW_BYTES);
    text
}
