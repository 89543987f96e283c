//! What the server knows: tokens, leases, secrets. Time is the real one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The kinds of secrets engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// `creds/ROLE` makes a user with a lease.
    Database,
    /// Without versions.
    Kv1,
    /// With versions.
    Kv2,
}

/// What tokens of a login are like.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Seconds; 0 never expires.
    pub(crate) ttl: u64,
    /// Seconds from the login; 0 for no such limit.
    pub(crate) max_ttl: u64,
    /// Whether tokens can be renewed.
    pub(crate) renewable: bool,
    /// Uses of a token, 0 for no limit.
    pub(crate) uses: u64,
    /// The policies' names.
    pub(crate) policies: Vec<String>,
    /// When set, the only JWT that may log in.
    pub(crate) jwt: Option<String>,
}

impl Default for Role {
    fn default() -> Self {
        let policies = vec!["default".to_owned(), "app".to_owned()];
        Self { ttl: 3600, max_ttl: 0, renewable: true, uses: 0, policies, jwt: None }
    }
}

/// A token and how long it lives.
pub(super) struct Token {
    pub(super) accessor: String,
    pub(super) role: Role,
    pub(super) path: String,
    pub(super) since: Instant,
    pub(super) ends: Option<Instant>,
    pub(super) uses_left: Option<u64>,
}

/// Someone's right to a dynamic secret.
pub(super) struct Lease {
    pub(super) accessor: String,
    pub(super) since: Instant,
    pub(super) ends: Instant,
    pub(super) ttl: u64,
    pub(super) max_ttl: u64,
    pub(super) renewable: bool,
}

/// One version of a KV 2 secret.
pub(super) struct Version {
    pub(super) data: Value,
    pub(super) created: String,
    /// RFC 3339, empty while it is there.
    pub(super) deleted: String,
    pub(super) destroyed: bool,
}

/// A response that waits to be unwrapped.
pub(super) struct Wrapped {
    pub(super) creation_path: String,
    pub(super) data: Value,
}

/// A role of the dynamic engine.
#[derive(Clone, Copy)]
pub(super) struct DynamicRole {
    pub(super) ttl: u64,
    pub(super) max_ttl: u64,
    pub(super) renewable: bool,
}

/// All of it.
pub(super) struct State {
    pub(super) auth_mounts: BTreeMap<String, &'static str>,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) mounts: BTreeMap<String, Engine>,
    pub(super) kv1: BTreeMap<String, Value>,
    pub(super) kv2: BTreeMap<String, Vec<Version>>,
    pub(super) dynamic: BTreeMap<String, DynamicRole>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) leases: BTreeMap<String, Lease>,
    pub(super) wrapped: BTreeMap<String, Wrapped>,
    /// By path; what is not here is allowed.
    pub(super) capabilities: BTreeMap<String, Vec<String>>,
    issued: u64,
}

impl State {
    /// Mounts `secret` (KV 2), `kv` (KV 1), `database`; logins for the role `app`.
    pub(super) fn fresh() -> Self {
        let mounts = [("secret", Engine::Kv2), ("kv", Engine::Kv1), ("database", Engine::Database)];
        let auths = ["kubernetes", "jwt", "approle"];
        Self {
            auth_mounts: auths.iter().map(|name| ((*name).to_owned(), *name)).collect(),
            roles: BTreeMap::from([("app".to_owned(), Role::default())]),
            mounts: mounts.iter().map(|(path, kind)| (format!("{path}/"), *kind)).collect(),
            kv1: BTreeMap::new(),
            kv2: BTreeMap::new(),
            dynamic: BTreeMap::new(),
            tokens: BTreeMap::new(),
            leases: BTreeMap::new(),
            wrapped: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            issued: 0,
        }
    }

    /// A number that was never given before.
    pub(super) fn next(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    pub(super) fn mount(&mut self, mount: &str, engine: Engine) {
        self.mounts.insert(format!("{}/", mount.trim_matches('/')), engine);
    }

    /// The mount `path` lies in, with its slash, and what follows.
    pub(super) fn mount_of<'p>(&self, path: &'p str) -> Option<(String, Engine, &'p str)> {
        self.mounts.iter().find_map(|(mount, engine)| {
            let rest = path.strip_prefix(mount.as_str());
            let rest = rest.or_else(|| (path == mount.trim_end_matches('/')).then_some(""))?;
            Some((mount.clone(), *engine, rest))
        })
    }

    pub(super) fn put(&mut self, path: &str, data: Value) {
        match self.mount_of(path).expect("a mounted engine").1 {
            Engine::Kv1 => drop(self.kv1.insert(path.to_owned(), data)),
            Engine::Kv2 => drop(self.put_version(path, data)),
            Engine::Database => panic!("{path}: not a key-value engine"),
        }
    }

    /// Adds a version and returns its metadata.
    pub(super) fn put_version(&mut self, path: &str, data: Value) -> Value {
        let versions = self.kv2.entry(path.to_owned()).or_default();
        let created = now_text();
        versions.push(Version { data, created, deleted: String::new(), destroyed: false });
        metadata(versions, versions.len()).expect("the version just added")
    }

    pub(super) fn delete(&mut self, path: &str, destroy: bool) {
        self.kv1.remove(path);
        if let Some(version) = self.kv2.get_mut(path).and_then(|versions| versions.last_mut()) {
            version.data = Value::Null;
            version.destroyed = destroy;
            version.deleted = if destroy { String::new() } else { now_text() };
        }
    }

    pub(super) fn dynamic(&mut self, name: &str, ttl: u64, max_ttl: u64, renewable: bool) {
        self.dynamic.insert(name.to_owned(), DynamicRole { ttl, max_ttl, renewable });
    }

    /// A new token of `role`, and its accessor.
    pub(super) fn issue(&mut self, role: &Role, path: &str) -> (String, String) {
        let number = self.next();
        let (token, accessor) = (format!("hvs.token{number}"), format!("accessor{number}"));
        let since = Instant::now();
        let lives = Token {
            accessor: accessor.clone(),
            role: role.clone(),
            path: path.to_owned(),
            since,
            ends: (role.ttl > 0).then(|| since + Duration::from_secs(role.ttl)),
            uses_left: (role.uses > 0).then_some(role.uses),
        };
        self.tokens.insert(token.clone(), lives);
        (token, accessor)
    }

    pub(super) fn wrap(&mut self, creation_path: &str, data: Value) -> String {
        let token = format!("hvs.wrapping{}", self.next());
        let wrapped = Wrapped { creation_path: creation_path.to_owned(), data };
        self.wrapped.insert(token.clone(), wrapped);
        token
    }

    /// Ends a token with the leases that hang on it.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(token) = self.tokens.remove(token) {
            self.leases.retain(|_, lease| lease.accessor != token.accessor);
        }
    }

    pub(super) fn revoke_all_tokens(&mut self) {
        self.tokens.clear();
        self.leases.clear();
    }

    /// Drops what ended by itself.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let is_over = |token: &Token| {
            token.ends.is_some_and(|ends| ends <= now) || token.uses_left == Some(0)
        };
        let over: Vec<String> = self
            .tokens
            .iter()
            .filter(|(_, token)| is_over(token))
            .map(|(id, _)| id.clone())
            .collect();
        for token in over {
            self.revoke(&token);
        }
        self.leases.retain(|_, lease| lease.ends > now);
    }

    pub(super) fn accessor(&self, token: &str) -> Option<String> {
        self.tokens.get(token).map(|token| token.accessor.clone())
    }

    pub(super) fn live_tokens(&mut self) -> Vec<String> {
        self.expire();
        let logged_in = self.tokens.values().filter(|token| token.path != "operator");
        logged_in.map(|token| token.accessor.clone()).collect()
    }

    pub(super) fn live_leases(&mut self) -> Vec<String> {
        self.expire();
        self.leases.keys().cloned().collect()
    }

    /// What may be done with `path`: the longest rule at or above it.
    pub(super) fn capabilities(&self, path: &str) -> Vec<String> {
        let above = |rule: &&str| {
            path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let rule =
            self.capabilities.keys().map(String::as_str).filter(above).max_by_key(|r| r.len());
        match rule.and_then(|rule| self.capabilities.get(rule)) {
            Some(capabilities) => capabilities.clone(),
            None => ["create", "list", "read", "update"].map(str::to_owned).to_vec(),
        }
    }
}

/// `metadata` of version `number` (from 1).
pub(super) fn metadata(versions: &[Version], number: usize) -> Option<Value> {
    let version = versions.get(number.checked_sub(1)?)?;
    Some(json!({
        "created_time": version.created,
        "custom_metadata": null,
        "deletion_time": version.deleted,
        "destroyed": version.destroyed,
        "version": number,
    }))
}

/// Now, as Vault writes it.
pub(super) fn now_text() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).expect("a year of four digits")
}
