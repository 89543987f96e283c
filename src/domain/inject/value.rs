//! What the values of annotations must look like, kind by kind.

use std::borrow::Cow;

use super::annotations::Kind;
use super::names::is_subdomain;
use super::quantity;
use crate::base::go_duration;
use crate::base::near::near;

/// Go's `strconv.ParseBool`, and the empty text for false.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// The largest set of permissions: those of owner, group and others, and the three special bits.
const MODE_MAX: u32 = 0o7777;

/// Permission bits as agents of both flavours read them; 0 and the empty text are none.
pub(crate) fn parse_mode(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    u32::from_str_radix(text, 8).ok().filter(|bits| digits && *bits <= MODE_MAX)
}

/// Bytes of the smallest memory or volume of which there is a page.
const SIZE_MIN: i128 = 4096;

/// What is wrong with a value and the way out.
pub(crate) fn check(kind: Kind, value: &str) -> Result<(), Cow<'static, str>> {
    use Kind::{
        Bool, Choice, Count, Filled, GoDuration, Id, Image, Int, List, Mode, Name, Patch, Path,
        Port, Quantity, Share, Size, Text, Uint, VaultDuration, Word,
    };
    let clause: &'static str = match kind {
        Bool if parse_bool(value).is_none() => "is not a boolean: write \"true\" or \"false\"",
        Choice(words) => return among(value, words),
        Word(words) if !value.trim().is_empty() => return among(value.trim(), words),
        Filled if value.is_empty() => "must not be empty: leave the annotation out for the default",
        Image | Path if value.is_empty() => {
            "must not be empty: leave the annotation out for the default"
        }
        Image if value.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            "is no image: take the blanks out"
        }
        Image if !is_image(value) => {
            "is no image: write one such as registry.example/vault-injector:0.1.0, with a repository in lower case and without https://"
        }
        Path if value.contains(|c: char| c == ':' || c.is_control()) => {
            "is no folder that Kubernetes can mount at: take colons and unprintable characters out"
        }
        Name if !value.is_empty() && !is_subdomain(value) => {
            "is no name of a Secret or ConfigMap: write lower-case letters, digits, \"-\" and \".\""
        }
        Share if !value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)) => {
            "is not a number from 0 to 1: write one such as 0.9"
        }
        GoDuration if !value.is_empty() => {
            return go_duration::parse(value)
                .map(drop)
                .map_err(|e| format!("is no duration: {e}").into());
        }
        VaultDuration if !value.is_empty() => {
            return go_duration::parse_vault(value)
                .map(drop)
                .map_err(|e| format!("is no duration: {e}").into());
        }
        Id if !value.is_empty() && !value.parse::<i32>().is_ok_and(|id| id >= 0) => {
            "is not a user or group number: write a whole number from 0 to 2147483647"
        }
        Int if !value.is_empty() && value.parse::<i64>().is_err() => "is not a whole number",
        Port if !value.is_empty() && !value.parse::<u16>().is_ok_and(|port| port > 0) => {
            "is not a port: write a number from 1 to 65535"
        }
        Uint if !is_count::<u64>(value) => {
            "is not a whole number from 0: write digits without a unit"
        }
        Count if !value.is_empty() && !is_count::<u32>(value) => "is not a whole number from 0",
        Mode if parse_mode(value).is_none() => {
            "is no set of permissions: write octal digits such as 0640, at most 7777"
        }
        Quantity if !value.is_empty() => {
            return quantity::canonical(value).map(drop).map_err(|e| e.to_string().into());
        }
        Size if !value.is_empty() => return size(value),
        Bool | Word(_) | Filled | Share | GoDuration | VaultDuration | Id | Int | Port | Uint
        | Count | Mode | Name | Image | Path | Quantity | Size | List | Patch | Text => {
            return Ok(());
        }
    };
    Err(clause.into())
}

fn is_count<Number: std::str::FromStr>(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<Number>().is_ok()
}

fn among(value: &str, words: &[&str]) -> Result<(), Cow<'static, str>> {
    if words.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    let meant = near(value, words.iter().copied());
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    Err(format!("is not one of {}{meant}", words.join(", ")).into())
}

/// Whether kubelets read it as an image: `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]` (the distribution project's
/// grammar of references).
fn is_image(value: &str) -> bool {
    let (rest, digest) = value.split_once('@').map_or((value, None), |(rest, d)| (rest, Some(d)));
    let is_digest = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(name, hash)| {
            !name.is_empty()
                && !hash.is_empty()
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    let (rest, tag) = match rest.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
        _ => (rest, None),
    };
    let in_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_tag = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.bytes().all(in_tag)
    });
    let is_host = |first: &str| {
        first == "localhost"
            || first.contains(['.', ':'])
            || first.bytes().any(|b| b.is_ascii_uppercase())
    };
    let path = match rest.split_once('/') {
        Some((first, path)) if is_host(first) => {
            let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            if !first.bytes().all(in_host) {
                return false;
            }
            path
        }
        _ => rest,
    };
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(inner);
        ends(part.bytes().next())
            && ends(part.bytes().next_back())
            && part.bytes().all(|byte| inner(byte) || b"._-".contains(&byte))
            && !part.contains("..")
    };
    is_digest && is_tag && path.split('/').all(is_part)
}

/// The letter `m` is a thousandth, and who writes it behind a size means a million bytes.
fn size(value: &str) -> Result<(), Cow<'static, str>> {
    let amount = quantity::parse(value).map_err(|e| e.to_string())?;
    if amount.nanos() == 0 || amount.nanos() >= SIZE_MIN * quantity::NANOS {
        return Ok(());
    }
    let way = match value.strip_suffix('m') {
        Some(number) => format!(
            "is {number} thousandths of a byte: write {number}M for megabytes or {number}Mi for mebibytes"
        ),
        None => "is less than a page of memory: write a size such as 64Mi".to_owned(),
    };
    Err(way.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_that_agents_of_both_flavours_take() {
        for (text, want) in [("", 0), ("0", 0), ("0640", 0o640), ("640", 0o640), ("7777", 0o7777)] {
            assert_eq!(parse_mode(text), Some(want), "{text}");
        }
        for text in ["0999", "rw", "u+r", "0o640", "10000", "-1", "+640", " 640", "0x1FF", "６４０"]
        {
            assert_eq!(parse_mode(text), None, "{text}");
        }
    }

    #[test]
    fn images_are_those_that_kubelets_take() {
        let digest = format!("vault@sha256:{}", "0a".repeat(32));
        for text in [
            "vault-injector",
            "hashicorp/vault:1.19",
            "x/a.b_c__d--e/f",
            "registry.example:5000/Team-1/x:V_1",
            "localhost/x",
            "[::1]:5000/x",
            &digest,
        ] {
            let is_wrong = text.contains("Team");
            assert_eq!(check(Kind::Image, text).is_err(), is_wrong, "{text}");
        }
        for text in [
            "https://registry.example/x",
            "Vault",
            "x:",
            "x/",
            "/x",
            "x:a/b:",
            "é",
            "x@sha256:",
            "x@sha256:xyz",
            "x:-a",
            "a..b",
            "{{ .Values.image }}",
            "a\0b",
            "repo/x:1:2",
        ] {
            assert!(check(Kind::Image, text).is_err(), "{text}");
        }
    }

    #[test]
    fn users_are_those_that_kubernetes_takes() {
        for (text, is) in [("", true), ("0", true), ("2147483647", true), ("2147483648", false)] {
            assert_eq!(check(Kind::Id, text).is_ok(), is, "{text}");
        }
    }

    #[test]
    fn sizes_are_whole_pages_at_least() {
        for text in ["", "0", "4Ki", "4096", "64Mi", "5M", "1.5Gi", "64e6"] {
            assert_eq!(check(Kind::Size, text), Ok(()), "{text}");
        }
        for text in ["5m", "64m", "1", "100", "1k", "4095", "500u", "x", "64MB"] {
            assert!(check(Kind::Size, text).is_err(), "{text}");
        }
        let clause = check(Kind::Size, "5m").unwrap_err();
        assert!(clause.contains("5M") && clause.contains("5Mi"), "{clause}");
    }

    #[test]
    fn a_misspelt_word_is_told_what_was_meant() {
        let words = &["info", "debug", "warn"];
        assert_eq!(check(Kind::Word(words), " INFO "), Ok(()));
        assert_eq!(check(Kind::Word(words), ""), Ok(()));
        let clause = check(Kind::Word(words), "debgu").unwrap_err();
        assert_eq!(clause, "is not one of info, debug, warn; did you mean \"debug\"?");
        assert!(check(Kind::Choice(words), "").is_err());
    }
}
