//! The shapes of Kubernetes objects as tables: a check of types, and a container as the API knows it.

use std::collections::BTreeMap;

use super::quantity;
use crate::base::json::Json;

/// What a value must be.
pub(crate) enum Shape {
    Any,
    Bool,
    Int,
    IntOrText,
    List(&'static Self),
    Map(&'static Self),
    Object(&'static [Member]),
    Quantity,
    Text,
}

/// When a member with a zero value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zero {
    /// Left out, as the API server does.
    Drop,
    /// Written when it was given: zero and absent mean different things.
    Keep,
    /// Always there.
    Must,
}

/// A member of an object.
pub(crate) struct Member(&'static str, &'static Shape, Zero);

use Shape::{Any, Bool, Int, IntOrText, List, Map, Object, Quantity, Text};
use Zero::{Drop, Keep, Must};

/// What a decision reads of a pod. Only used to explain why one could not be read.
pub(crate) static POD: Shape = Object(&[
    Member("kind", &Text, Drop),
    Member(
        "metadata",
        &Object(&[
            Member("annotations", &Map(&Text), Drop),
            Member("generateName", &Text, Drop),
            Member("labels", &Map(&Text), Drop),
            Member("name", &Text, Drop),
        ]),
        Drop,
    ),
    Member(
        "spec",
        &Object(&[
            Member("containers", &List(&POD_CONTAINER), Drop),
            Member("initContainers", &List(&POD_CONTAINER), Drop),
            Member("nodeSelector", &Map(&Text), Drop),
            Member("os", &Object(&[Member("name", &Text, Drop)]), Drop),
            Member("restartPolicy", &Text, Drop),
            Member(
                "securityContext",
                &Object(&[
                    Member("fsGroup", &Int, Keep),
                    Member("runAsGroup", &Int, Keep),
                    Member("runAsUser", &Int, Keep),
                    Member("supplementalGroups", &List(&Int), Drop),
                ]),
                Drop,
            ),
            Member("volumes", &List(&POD_VOLUME), Drop),
            Member("shareProcessNamespace", &Bool, Drop),
        ]),
        Drop,
    ),
    Member("status", &Object(&[Member("phase", &Text, Drop)]), Drop),
]);

static POD_CONTAINER: Shape = Object(&[
    Member("env", &List(&Object(&[Member("name", &Text, Drop)])), Drop),
    Member("name", &Text, Drop),
    Member(
        "volumeMounts",
        &List(&Object(&[Member("name", &Text, Drop), Member("mountPath", &Text, Drop)])),
        Drop,
    ),
    Member("restartPolicy", &Text, Drop),
    Member(
        "securityContext",
        &Object(&[Member("runAsGroup", &Int, Keep), Member("runAsUser", &Int, Keep)]),
        Drop,
    ),
]);

static POD_VOLUME: Shape = Object(&[
    Member("name", &Text, Drop),
    Member(
        "projected",
        &Object(&[Member(
            "sources",
            &List(&Object(&[Member(
                "serviceAccountToken",
                &Object(&[Member("audience", &Text, Drop), Member("path", &Text, Drop)]),
                Drop,
            )])),
            Drop,
        )]),
        Drop,
    ),
]);

/// `io.k8s.api.core.v1.Container`
pub(crate) static CONTAINER: Shape = Object(&[
    Member("name", &Text, Must),
    Member("image", &Text, Drop),
    Member("command", &List(&Text), Drop),
    Member("args", &List(&Text), Drop),
    Member("workingDir", &Text, Drop),
    Member(
        "ports",
        &List(&Object(&[
            Member("name", &Text, Drop),
            Member("hostPort", &Int, Drop),
            Member("containerPort", &Int, Must),
            Member("protocol", &Text, Drop),
            Member("hostIP", &Text, Drop),
        ])),
        Drop,
    ),
    Member(
        "envFrom",
        &List(&Object(&[
            Member("prefix", &Text, Drop),
            Member("configMapRef", &REFERENCE, Keep),
            Member("secretRef", &REFERENCE, Keep),
        ])),
        Drop,
    ),
    Member(
        "env",
        &List(&Object(&[
            Member("name", &Text, Must),
            Member("value", &Text, Drop),
            Member("valueFrom", &ENV_SOURCE, Keep),
        ])),
        Drop,
    ),
    Member(
        "resources",
        &Object(&[
            Member("limits", &Map(&Quantity), Drop),
            Member("requests", &Map(&Quantity), Drop),
            Member(
                "claims",
                &List(&Object(&[Member("name", &Text, Must), Member("request", &Text, Drop)])),
                Drop,
            ),
        ]),
        Drop,
    ),
    Member(
        "resizePolicy",
        &List(&Object(&[
            Member("resourceName", &Text, Must),
            Member("restartPolicy", &Text, Must),
        ])),
        Drop,
    ),
    Member("restartPolicy", &Text, Keep),
    Member("restartPolicyRules", &List(&Any), Drop),
    Member(
        "volumeMounts",
        &List(&Object(&[
            Member("name", &Text, Must),
            Member("readOnly", &Bool, Drop),
            Member("recursiveReadOnly", &Text, Keep),
            Member("mountPath", &Text, Must),
            Member("subPath", &Text, Drop),
            Member("mountPropagation", &Text, Keep),
            Member("subPathExpr", &Text, Drop),
        ])),
        Drop,
    ),
    Member(
        "volumeDevices",
        &List(&Object(&[Member("name", &Text, Must), Member("devicePath", &Text, Must)])),
        Drop,
    ),
    Member("livenessProbe", &PROBE, Keep),
    Member("readinessProbe", &PROBE, Keep),
    Member("startupProbe", &PROBE, Keep),
    Member(
        "lifecycle",
        &Object(&[
            Member("postStart", &Object(HANDLER), Keep),
            Member("preStop", &Object(HANDLER), Keep),
            Member("stopSignal", &Text, Keep),
        ]),
        Keep,
    ),
    Member("terminationMessagePath", &Text, Drop),
    Member("terminationMessagePolicy", &Text, Drop),
    Member("imagePullPolicy", &Text, Drop),
    Member("securityContext", &SECURITY_CONTEXT, Keep),
    Member("stdin", &Bool, Drop),
    Member("stdinOnce", &Bool, Drop),
    Member("tty", &Bool, Drop),
]);

static REFERENCE: Shape = Object(&[Member("name", &Text, Drop), Member("optional", &Bool, Keep)]);

static KEY_REFERENCE: Shape = Object(&[
    Member("name", &Text, Drop),
    Member("key", &Text, Must),
    Member("optional", &Bool, Keep),
]);

static ENV_SOURCE: Shape = Object(&[
    Member(
        "fieldRef",
        &Object(&[Member("apiVersion", &Text, Drop), Member("fieldPath", &Text, Must)]),
        Keep,
    ),
    Member(
        "resourceFieldRef",
        &Object(&[
            Member("containerName", &Text, Drop),
            Member("resource", &Text, Must),
            Member("divisor", &Quantity, Keep),
        ]),
        Keep,
    ),
    Member("configMapKeyRef", &KEY_REFERENCE, Keep),
    Member("secretKeyRef", &KEY_REFERENCE, Keep),
    Member(
        "fileKeyRef",
        &Object(&[
            Member("volumeName", &Text, Must),
            Member("path", &Text, Must),
            Member("key", &Text, Must),
            Member("optional", &Bool, Keep),
        ]),
        Keep,
    ),
]);

static HTTP_GET: Shape = Object(&[
    Member("path", &Text, Drop),
    Member("port", &IntOrText, Must),
    Member("host", &Text, Drop),
    Member("scheme", &Text, Drop),
    Member(
        "httpHeaders",
        &List(&Object(&[Member("name", &Text, Must), Member("value", &Text, Must)])),
        Drop,
    ),
]);
static EXEC: Shape = Object(&[Member("command", &List(&Text), Drop)]);
static TCP: Shape = Object(&[Member("port", &IntOrText, Must), Member("host", &Text, Drop)]);

static HANDLER: &[Member] = &[
    Member("exec", &EXEC, Keep),
    Member("httpGet", &HTTP_GET, Keep),
    Member("tcpSocket", &TCP, Keep),
    Member("sleep", &Object(&[Member("seconds", &Int, Must)]), Keep),
];

static PROBE: Shape = Object(&[
    Member("exec", &EXEC, Keep),
    Member("httpGet", &HTTP_GET, Keep),
    Member("tcpSocket", &TCP, Keep),
    Member("grpc", &Object(&[Member("port", &Int, Must), Member("service", &Text, Keep)]), Keep),
    Member("initialDelaySeconds", &Int, Drop),
    Member("timeoutSeconds", &Int, Drop),
    Member("periodSeconds", &Int, Drop),
    Member("successThreshold", &Int, Drop),
    Member("failureThreshold", &Int, Drop),
    Member("terminationGracePeriodSeconds", &Int, Keep),
]);

static PROFILE: Shape =
    Object(&[Member("type", &Text, Must), Member("localhostProfile", &Text, Keep)]);

static SECURITY_CONTEXT: Shape = Object(&[
    Member(
        "capabilities",
        &Object(&[Member("add", &List(&Text), Drop), Member("drop", &List(&Text), Drop)]),
        Keep,
    ),
    Member("privileged", &Bool, Keep),
    Member(
        "seLinuxOptions",
        &Object(&[
            Member("user", &Text, Drop),
            Member("role", &Text, Drop),
            Member("type", &Text, Drop),
            Member("level", &Text, Drop),
        ]),
        Keep,
    ),
    Member(
        "windowsOptions",
        &Object(&[
            Member("gmsaCredentialSpecName", &Text, Keep),
            Member("gmsaCredentialSpec", &Text, Keep),
            Member("runAsUserName", &Text, Keep),
            Member("hostProcess", &Bool, Keep),
        ]),
        Keep,
    ),
    Member("runAsUser", &Int, Keep),
    Member("runAsGroup", &Int, Keep),
    Member("runAsNonRoot", &Bool, Keep),
    Member("readOnlyRootFilesystem", &Bool, Keep),
    Member("allowPrivilegeEscalation", &Bool, Keep),
    Member("procMount", &Text, Keep),
    Member("seccompProfile", &PROFILE, Keep),
    Member("appArmorProfile", &PROFILE, Keep),
]);

impl Shape {
    const fn name(&self) -> &'static str {
        match self {
            Any => "anything",
            Bool => "true or false",
            Int => "a whole number",
            IntOrText => "a whole number or a string",
            List(_) => "a list",
            Map(_) | Object(_) => "an object",
            Quantity => "a quantity such as 250m",
            Text => "a string",
        }
    }

    fn zero(&self) -> Json {
        match self {
            Any => Json::Null,
            Bool => Json::Bool(false),
            Int | IntOrText => Json::Number("0".into()),
            List(_) => Json::Array(Vec::new()),
            Map(_) => Json::Object(BTreeMap::new()),
            Object(known) => Json::Object(
                known
                    .iter()
                    .filter(|Member(.., zero)| *zero == Must)
                    .map(|Member(name, shape, _)| ((*name).to_owned(), shape.zero()))
                    .collect(),
            ),
            Quantity => Json::String("0".into()),
            Text => Json::String(String::new()),
        }
    }

    fn is_zero(&self, value: &Json) -> bool {
        match value {
            Json::Array(items) => items.is_empty(),
            Json::Object(members) => members.is_empty(),
            other => *other == self.zero(),
        }
    }

    /// The value as the API would keep it: known members, canonical quantities, nothing empty that
    /// means nothing. Names of dropped members go to `unknown`; the error names the place and what was
    /// wanted there, never the value.
    pub(crate) fn conform(
        &self,
        value: &Json,
        path: &str,
        unknown: &mut Vec<String>,
    ) -> Result<Json, String> {
        let wrong = || Err(format!("{path}: want {}", self.name()));
        match (self, value) {
            (Any, _) | (Bool, Json::Bool(_)) | (Text | IntOrText, Json::String(_)) => {
                Ok(value.clone())
            }
            (_, Json::Null) => Ok(self.zero()),
            (Int | IntOrText, Json::Number(_)) if value.as_i64().is_some() => Ok(value.clone()),
            (Quantity, Json::String(text)) => match quantity::canonical(text) {
                Ok(text) => Ok(Json::String(text)),
                Err(_) => wrong(),
            },
            (Quantity, Json::Number(text)) => match quantity::canonical(text) {
                Ok(text) => Ok(Json::String(text)),
                Err(_) => wrong(),
            },
            (List(shape), Json::Array(items)) => {
                let items = items.iter().enumerate();
                let items =
                    items.map(|(i, item)| shape.conform(item, &format!("{path}/{i}"), unknown));
                Ok(Json::Array(items.collect::<Result<_, _>>()?))
            }
            (Map(shape), Json::Object(members)) => {
                let members = members.iter().map(|(key, value)| {
                    Ok((key.clone(), shape.conform(value, &format!("{path}/{key}"), unknown)?))
                });
                Ok(Json::Object(members.collect::<Result<_, String>>()?))
            }
            (Object(known), Json::Object(members)) => object(known, members, path, unknown),
            _ => wrong(),
        }
    }
}

fn object(
    known: &[Member],
    members: &BTreeMap<String, Json>,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<Json, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in members {
        // Go matches the names of members in any case.
        let member = known.iter().find(|Member(n, ..)| n.eq_ignore_ascii_case(name));
        let Some(Member(name, shape, zero)) = member else {
            unknown.push(format!("{path}/{name}"));
            continue;
        };
        let value_kept = shape.conform(value, &format!("{path}/{name}"), unknown)?;
        let wanted = match zero {
            Drop => !shape.is_zero(&value_kept),
            Keep => *value != Json::Null,
            Must => true,
        };
        if wanted {
            kept.insert((*name).to_owned(), value_kept);
        }
    }
    for Member(name, shape, zero) in known {
        if *zero == Must && !kept.contains_key(*name) {
            kept.insert((*name).to_owned(), shape.zero());
        }
    }
    Ok(Json::Object(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conform(text: &str) -> Result<String, String> {
        let json = Json::parse(text.as_bytes()).unwrap();
        CONTAINER.conform(&json, "", &mut Vec::new()).map(|json| json.to_text())
    }

    #[test]
    fn a_container_comes_back_as_the_api_writes_it() {
        for (text, want) in [
            (r#"{"name":"x"}"#, r#"{"name":"x"}"#),
            (r#"{"NAME":"x","nope":1}"#, r#"{"name":"x"}"#),
            (r#"{"args":["a",null],"tty":false}"#, r#"{"args":["a",""],"name":""}"#),
            (
                r#"{"env":[null],"ports":[null]}"#,
                r#"{"env":[{"name":""}],"name":"","ports":[{"containerPort":0}]}"#,
            ),
            (r#"{"lifecycle":{},"env":[]}"#, r#"{"lifecycle":{},"name":""}"#),
            (
                r#"{"resources":{"limits":{"cpu":2,"memory":"0.5"}}}"#,
                r#"{"name":"","resources":{"limits":{"cpu":"2","memory":"500m"}}}"#,
            ),
            (
                r#"{"securityContext":{"runAsUser":0,"privileged":null}}"#,
                r#"{"name":"","securityContext":{"runAsUser":0}}"#,
            ),
            (
                r#"{"livenessProbe":{"httpGet":{"port":"http"}}}"#,
                r#"{"livenessProbe":{"httpGet":{"port":"http"}},"name":""}"#,
            ),
        ] {
            assert_eq!(conform(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_wrong_type_is_named_by_place() {
        for (text, want) in [
            (r#"{"name":5}"#, "/name: want a string"),
            (r#"{"env":[{"name":true}]}"#, "/env/0/name: want a string"),
            (r#"{"tty":"hunter2"}"#, "/tty: want true or false"),
            (r#"{"ports":[{"containerPort":1.5}]}"#, "/ports/0/containerPort: want a whole number"),
            (
                r#"{"resources":{"limits":{"cpu":"hunter2"}}}"#,
                "/resources/limits/cpu: want a quantity such as 250m",
            ),
            ("[]", ": want an object"),
        ] {
            assert_eq!(conform(text).unwrap_err(), want, "{text}");
        }
    }
}
