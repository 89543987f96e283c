//! One request to Vault, complete but for the connection.

use std::collections::BTreeMap;
use std::time::Duration;

use super::path::{Mount, SecretPath, encoded_path, percent_decoded};
use crate::base::json::Json;
use crate::base::secret::Secret;

/// The verb of a request. Listing is `GET` with `list=true`, as proxies refuse unknown verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read, or list with `list=true`.
    Get,
    /// Write; Vault treats `POST` and `PUT` alike and its client sends `PUT`.
    Put,
}

impl Method {
    /// The verb as it stands in a request line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

/// A request: what `adapter::vault` sends. Built by the functions of this module only.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Below `/v1/`, percent-encoded, without a leading slash.
    pub path: String,
    /// Encoded query without `?`, empty for none.
    pub query: String,
    /// A JSON text.
    pub body: Option<Secret>,
    /// `X-Vault-Token`.
    pub token: Option<Secret>,
    /// `X-Vault-Namespace`: no leading slash, one trailing slash.
    pub namespace: Option<String>,
    /// `X-Vault-Wrap-TTL`.
    pub wrap_ttl: Option<Duration>,
}

impl Request {
    /// Logs in with a role and a JSON web token: the methods `kubernetes` and `jwt`. `mount_path` is
    /// `auth/kubernetes` or the like.
    pub fn log_in_with_jwt(mount_path: &str, role: &str, jwt: &Secret) -> Self {
        Self::put(&log_in_path(mount_path), &[("role", text(role)), ("jwt", text(jwt.expose()))])
    }

    /// Logs in with an AppRole. Roles that bind by network need no secret id.
    pub fn log_in_with_approle(
        mount_path: &str,
        role_id: &Secret,
        secret_id: Option<&Secret>,
    ) -> Self {
        let mut body = vec![("role_id", text(role_id.expose()))];
        body.extend(secret_id.map(|id| ("secret_id", text(id.expose()))));
        Self::put(&log_in_path(mount_path), &body)
    }

    /// What of the request must not come out of a foreign text: the token, and the texts of the body but those that
    /// are told by errors and are no secret.
    pub fn credentials(&self) -> Vec<Secret> {
        let mut found: Vec<Secret> = self.token.iter().cloned().collect();
        let body = self.body.as_ref().and_then(|body| Json::parse(body.expose().as_bytes()).ok());
        if let Some(body) = body {
            texts_of(&body, &mut found);
        }
        found
    }

    /// Asks what the token of the request is worth.
    pub fn look_up_self() -> Self {
        Self::get("auth/token/lookup-self")
    }

    /// Prolongs the token of the request by its own period.
    pub fn renew_self() -> Self {
        Self::put("auth/token/renew-self", &[("increment", number(0))])
    }

    /// Ends the token of the request and all its leases.
    pub fn revoke_self() -> Self {
        Self::put("auth/token/revoke-self", &[])
    }

    /// Prolongs a lease by its own period.
    pub fn renew_lease(lease_id: &str) -> Self {
        Self::put("sys/leases/renew", &[("lease_id", text(lease_id)), ("increment", number(0))])
    }

    /// Asks what is left of a lease.
    pub fn look_up_lease(lease_id: &str) -> Self {
        Self::put("sys/leases/lookup", &[("lease_id", text(lease_id))])
    }

    /// Asks something that no policy has to allow, so that the answer tells whether the token of the request
    /// is known: for [`super::TokenState::of`].
    pub fn probe_token() -> Self {
        Self::get("sys/internal/ui/mounts/cubbyhole")
    }

    /// Ends a lease.
    pub fn revoke_lease(lease_id: &str) -> Self {
        Self::put("sys/leases/revoke", &[("lease_id", text(lease_id))])
    }

    /// Asks which engine a path lies in; the answer is for [`Mount::of_reading`].
    pub fn mount_of(path: &SecretPath) -> Self {
        Self::get(&format!("sys/internal/ui/mounts/{}", encoded_path(path.path())))
    }

    /// Reads a secret.
    pub fn read(path: &SecretPath, mount: &Mount) -> Self {
        Self { query: path.encoded_query(), ..Self::get(&path.data_path(mount)) }
    }

    /// Writes fields to a path, to keep them or to get an answer made from them.
    pub fn write(path: &SecretPath, mount: &Mount, fields: &BTreeMap<String, String>) -> Self {
        let fields = fields.iter().map(|(key, value)| (key.clone(), text(value)));
        let body = Json::Object(fields.collect());
        let target = path.data_path(mount);
        if target == WRAP {
            let request =
                Self { body: Some(Secret::new(body.to_text())), ..Self::put(&target, &[]) };
            return request.wrapped_for(WRAP_TTL);
        }
        if mount.is_kv2 {
            Self::put(&target, &[("data", body)])
        } else {
            Self { body: Some(Secret::new(body.to_text())), ..Self::put(&target, &[]) }
        }
    }

    /// Lists the names below a path.
    pub fn list(path: &SecretPath, mount: &Mount) -> Self {
        Self { query: "list=true".to_owned(), ..Self::get(&path.list_path(mount)) }
    }

    /// Asks what the token may do on another request's [`Request::path`].
    pub fn capabilities_self(api_path: &str) -> Self {
        let plain = percent_decoded(api_path, false);
        let paths = Json::Array(vec![text(plain.as_deref().unwrap_or(api_path))]);
        Self::put("sys/capabilities-self", &[("paths", paths)])
    }

    /// Asks who made a wrapping token and when. Needs no token of its own.
    pub fn look_up_wrapping(wrapping_token: &Secret) -> Self {
        Self::put("sys/wrapping/lookup", &[("token", text(wrapping_token.expose()))])
    }

    /// Takes out what a wrapping token holds; works once.
    pub fn unwrap_with(wrapping_token: Secret) -> Self {
        Self::put("sys/wrapping/unwrap", &[]).with_token(wrapping_token)
    }

    /// The same request with a token.
    #[must_use]
    pub fn with_token(self, token: Secret) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The same request in a namespace, given in normal form.
    #[must_use]
    pub fn in_namespace(self, namespace: Option<&str>) -> Self {
        Self { namespace: namespace.map(str::to_owned), ..self }
    }

    /// The same request, its answer wrapped for `ttl`.
    #[must_use]
    pub fn wrapped_for(self, ttl: Duration) -> Self {
        Self { wrap_ttl: Some(ttl), ..self }
    }

    fn get(path: &str) -> Self {
        Self {
            method: Method::Get,
            path: path.to_owned(),
            query: String::new(),
            body: None,
            token: None,
            namespace: None,
            wrap_ttl: None,
        }
    }

    fn put(path: &str, members: &[(&str, Json)]) -> Self {
        let members = members.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let body = Secret::new(Json::Object(members.collect()).to_text());
        Self { method: Method::Put, body: Some(body), ..Self::get(path) }
    }
}

/// Wraps what is sent to it; Vault refuses it without a time to live, and its clients add this one.
const WRAP: &str = "sys/wrapping/wrap";
const WRAP_TTL: Duration = Duration::from_mins(5);

fn log_in_path(mount_path: &str) -> String {
    format!("{}/login", encoded_path(mount_path.trim_matches('/')))
}

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}

fn number(number: u32) -> Json {
    Json::Number(number.to_string().into())
}

/// Members of bodies that Vault's errors repeat for a reason.
const NO_SECRETS: &[&str] = &[
    "alt_names",
    "common_name",
    "display_name",
    "entity_alias",
    "format",
    "increment",
    "ip_sans",
    "key_type",
    "lease_id",
    "other_sans",
    "path",
    "period",
    "policies",
    "private_key_format",
    "role",
    "role_name",
    "ttl",
    "type",
    "uri_sans",
    "username",
];

fn texts_of(value: &Json, into: &mut Vec<Secret>) {
    match value {
        Json::String(text) => into.push(Secret::new(text.as_str())),
        Json::Array(items) => items.iter().for_each(|item| texts_of(item, into)),
        Json::Object(members) => {
            let secret = members.iter().filter(|(name, _)| !NO_SECRETS.contains(&name.as_str()));
            secret.for_each(|(_, value)| texts_of(value, into));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &Request) -> &str {
        request.body.as_ref().unwrap().expose()
    }

    #[test]
    fn logs_in_as_vault_agent_does() {
        let jwt = Request::log_in_with_jwt("/auth/kubernetes/", "app", &Secret::new("e.y.J"));
        assert_eq!((jwt.method, jwt.path.as_str()), (Method::Put, "auth/kubernetes/login"));
        assert_eq!(body(&jwt), r#"{"jwt":"e.y.J","role":"app"}"#);
        let bare = Request::log_in_with_approle("auth/approle", &Secret::new("r"), None);
        assert_eq!(body(&bare), r#"{"role_id":"r"}"#);
        let both = Request::log_in_with_approle(
            "auth/approle",
            &Secret::new("r"),
            Some(&Secret::new("s")),
        );
        assert_eq!(body(&both), r#"{"role_id":"r","secret_id":"s"}"#);
    }

    #[test]
    fn a_write_wraps_its_fields_for_kv2_only() {
        let fields = BTreeMap::from([("k".to_owned(), "a\"b".to_owned())]);
        let path = SecretPath::literal("secret/app").unwrap();
        let kv2 = Mount { path: "secret/".to_owned(), is_kv2: true };
        let request = Request::write(&path, &kv2, &fields);
        assert_eq!(request.path, "secret/data/app");
        assert_eq!(body(&request), r#"{"data":{"k":"a\"b"}}"#);
        let other = Mount { is_kv2: false, ..kv2 };
        assert_eq!(body(&Request::write(&path, &other, &fields)), r#"{"k":"a\"b"}"#);
    }

    #[test]
    fn what_is_to_be_wrapped_gets_the_time_that_vaults_clients_send() {
        let ttl = |path: &str| {
            let path = SecretPath::literal(path).unwrap();
            let mount = Mount { path: "sys/".to_owned(), is_kv2: false };
            Request::write(&path, &mount, &BTreeMap::new()).wrap_ttl
        };
        assert_eq!(ttl("/sys/wrapping/wrap"), Some(Duration::from_secs(300)));
        assert_eq!(ttl("sys/wrapping/rewrap"), None);
        assert_eq!(ttl("sys/tools/hash"), None);
    }

    #[test]
    fn debug_shows_neither_token_nor_body() {
        let request = Request::look_up_wrapping(&Secret::new("hunter2"))
            .with_token(Secret::new("hunter3"))
            .in_namespace(Some("team/"));
        let debug = format!("{request:?}");
        assert!(!debug.contains("hunter"), "{debug}");
        assert!(debug.contains("team/"), "{debug}");
    }
}
