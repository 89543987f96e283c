//! What a response says about its own age: how long it is good for and what keeps it so.

use std::time::Duration;

use crate::base::go_duration::parse_vault;
use crate::base::json::Json;
use crate::base::time::Wall;
use crate::domain::template::Found;
use crate::domain::vault::Reading;
use crate::domain::x509::Bundle;

/// What the schedule needs to know of something that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When to fetch it again.
    pub cadence: Cadence,
    /// Whether it has a lease, which dies with the token it was fetched with.
    pub is_leased: bool,
    /// Whether that lease can be looked up; that of a token made by a template cannot.
    pub has_lease_id: bool,
}

/// When something that was fetched is fetched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// After exactly this time.
    Exact(Duration),
    /// Its lease of this length is renewed; read again when that no longer works.
    Renewable(Duration),
    /// Each `static_secret_render_interval`, exactly.
    Steady,
    /// About each `static_secret_render_interval`.
    Static,
    /// At the threshold of this time.
    Until(Duration),
}

/// The secret is about to be rotated (`ttl` 0): what it holds is good for nothing, read it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotating;

impl Facts {
    /// Of a file or a list.
    pub const STEADY: Self =
        Self { cadence: Cadence::Steady, is_leased: false, has_lease_id: false };

    /// Of an answer without content.
    pub const UNLEASED: Self =
        Self { cadence: Cadence::Static, is_leased: false, has_lease_id: false };

    /// Of whatever was found at `now`.
    pub fn of_found(found: &Found, now: Wall) -> Result<Self, Rotating> {
        match found {
            Found::Absent => Ok(Self::UNLEASED),
            Found::Certificate(bundle) => Ok(Self::of_certificate(bundle, now)),
            Found::File(_) | Found::List(_) => Ok(Self::STEADY),
            Found::Reading(reading) => Self::of(reading, now),
        }
    }

    /// Of a certificate; one that is overdue already comes from a clock that is not ours, and asking at
    /// once again would not help.
    fn of_certificate(bundle: &Bundle, now: Wall) -> Self {
        let left = u64::try_from(bundle.renew_at.0.saturating_sub(now.0)).unwrap_or_default();
        let wait = Duration::from_millis(left);
        let cadence = if wait.is_zero() { Cadence::Static } else { Cadence::Exact(wait) };
        Self { cadence, is_leased: false, has_lease_id: false }
    }

    /// Of a response that came at `now`. Values of an unexpected kind count as absent.
    pub fn of(reading: &Reading, now: Wall) -> Result<Self, Rotating> {
        let is_leased = !reading.lease_id.is_empty();
        let auth_ttl = reading.auth.as_ref().map_or(0, |auth| auth.lease_duration);
        let lease =
            Duration::from_secs(if auth_ttl > 0 { auth_ttl } else { reading.lease_duration });
        if reading.auth.is_none() && reading.renewable && is_leased && !lease.is_zero() {
            let cadence = Cadence::Renewable(lease);
            return Ok(Self { cadence, is_leased, has_lease_id: true });
        }
        // KV version 1 names the longest lease there is for a secret that has none; only a time to live
        // that its author wrote into it says when it changes.
        let is_nominal = !is_leased && reading.auth.is_none() && !says_ttl(&reading.data, lease);
        let mut cadence =
            if lease.is_zero() || is_nominal { Cadence::Static } else { Cadence::Until(lease) };
        if !is_leased {
            cadence = of_data(&reading.data, now)?.unwrap_or(cadence);
        }
        Ok(Self {
            cadence,
            is_leased: is_leased || reading.auth.is_some(),
            has_lease_id: is_leased,
        })
    }
}

/// Whether `lease` comes from the secret itself: KV version 1 takes it from its key `ttl`, else `lease`.
fn says_ttl(data: &Json, lease: Duration) -> bool {
    let said = data.get("ttl").or_else(|| data.get("lease"));
    let duration = match said {
        Some(Json::String(text)) => parse_vault(text).ok(),
        Some(number) => number.as_u64().map(Duration::from_secs),
        None => None,
    };
    duration.is_some_and(|duration| duration.as_secs() == lease.as_secs())
}

/// What keys that Vault's engines set tell about a secret without lease; the last one counts.
fn of_data(data: &Json, now: Wall) -> Result<Option<Cadence>, Rotating> {
    let number = |key: &str| data.get(key).and_then(Json::as_i64);
    let seconds = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or_default());
    let mut cadence = None;
    // PKI: `expiration` is a Unix time.
    if data.get("certificate").is_some()
        && let Some(expiration) = number("expiration")
    {
        let left = expiration.saturating_sub(now.seconds());
        cadence = Some(if left > 0 { Cadence::Until(seconds(left)) } else { Cadence::Static });
    }
    // AppRole.
    if data.get("secret_id").is_some()
        && let Some(ttl) = number("secret_id_ttl").filter(|ttl| *ttl > 0)
    {
        cadence = Some(Cadence::Until(seconds(ttl.saturating_add(1))));
    }
    // Static roles of databases, LDAP and clouds: one second after the rotation.
    if number("rotation_period").is_some()
        && let Some(ttl) = number("ttl").filter(|ttl| *ttl >= 0)
    {
        if ttl == 0 {
            return Err(Rotating);
        }
        cadence = Some(Cadence::Exact(seconds(ttl.saturating_add(1))));
    }
    Ok(cadence)
}
