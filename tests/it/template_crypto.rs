//! Passwords, encryption, keys and certificates of templates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use vault_injector::base::time::Wall;
use vault_injector::domain::template::{
    Budget, Found, Outcome, Seed, Snapshot, Template, TemplateError, Want,
};
use vault_injector::domain::x509::Bundle;

const BUDGET: Budget = Budget { steps: 10_000_000, depth: 250, output_bytes: 16 * 1024 * 1024 };
const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 3600;

fn snapshot(seed: u8) -> Snapshot {
    Snapshot {
        complete: true,
        now: Some(Wall(i64::try_from(NOW).unwrap() * 1000)),
        seed: Some(Seed::new([seed; 32])),
        ..Snapshot::default()
    }
}

fn render_in(text: &str, file: &str, snapshot: &Snapshot) -> Result<String, TemplateError> {
    let template = Template::parse("t", text, "", "", BUDGET)?.for_file(file);
    match template.render(snapshot, false, BUDGET) {
        Outcome::Done(rendered) => Ok(String::from_utf8(rendered.text.expose().to_vec()).unwrap()),
        Outcome::Fail(error, _) => Err(error),
        Outcome::Lack { .. } => panic!("lacks something of a complete snapshot"),
    }
}

fn render(text: &str) -> String {
    render_in(text, "/f", &snapshot(1)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    match render_in(text, "/f", &snapshot(1)) {
        Ok(output) => panic!("{text}: {output}"),
        Err(error) => error.message,
    }
}

#[test]
fn derived_passwords_are_those_of_master_password() {
    for (counter, kind, want) in [
        (1, "long", "ZedaFaxcZaso9*"),
        (2, "long", "Fovi2@JifpTupx"),
        (1, "maximum", "pf4zS1LjCg&LjhsZ7T2~"),
        (1, "medium", "ZedJuz8$"),
        (1, "basic", "pIS54PLs"),
        (1, "short", "Zed5"),
        (1, "pin", "6685"),
        (1, "pins", "cannot find password template pins"),
    ] {
        let call = format!(r#"sprig_derivePassword {counter} "{kind}" "password" "user""#);
        assert_eq!(render(&format!(r#"{{{{ {call} "example.com" }}}}"#)), want);
    }
    let call = r#""long" "password" "user" "example.com" }}"#;
    for counter in ["-1", "1.5", "\"1\""] {
        let error = error(&format!("{{{{ sprig_derivePassword {counter} {call}"));
        assert_eq!(error, "expected unsigned integer", "{counter}");
    }
}

/// Salted with what the seed of these tests yields; libxcrypt agrees with the hashes.
#[test]
fn bcrypt_hashes_are_those_of_other_implementations() {
    assert_eq!(render(r#"{{ sprig_bcrypt "password" }}"#), BCRYPT);
    assert_eq!(render(r#"{{ sprig_htpasswd "me" "password" }}"#), HTPASSWD);
    assert_eq!(render(r#"{{ sprig_htpasswd "a:b" "c" }}"#), "invalid username: a:b");
    let refused = render(r#"{{ sprig_bcrypt (sprig_repeat 73 "a") }}"#);
    let want = "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes";
    assert_eq!(refused, want);
    assert!(render(r#"{{ sprig_bcrypt (sprig_repeat 72 "a") }}"#).starts_with("$2a$10$"));
}

const BCRYPT: &str = "$2a$10$7I2V1zmzs6hDEXrSiOLmkuJE7O59zYN2u2gG3QOP8wMtwK2G52GPi";
const HTPASSWD: &str = "me:$2a$10$vQNKyqq9813flAq4tKHBJuv5KnPCjygdNXFHKDGExKgehdHYhdBSS";

#[test]
fn aes_is_undone_with_the_same_password_only() {
    let sealed = "30tEfhuJSVRhpG97XCuWgz2okj7L8vQ1s6V9zVUPeDQ=";
    let opened = render(&format!(r#"{{{{ "{sealed}" | sprig_decryptAES "secretkey" }}}}"#));
    assert_eq!(opened, "plaintext");
    for text in ["x", "sixteen bytes..!", "one block and some more"] {
        for password in ["", "short", "one of more than thirty-two bytes, which is cut"] {
            let sealed = render(&format!(r#"{{{{ sprig_encryptAES "{password}" "{text}" }}}}"#));
            let call = format!(r#"sprig_decryptAES "{password}" "{sealed}""#);
            assert_eq!(render(&format!("{{{{ {call} }}}}")), text, "{password}");
        }
    }
    let cut = "one of more than thirty-two byte";
    let whole = format!(r#"{{{{ sprig_encryptAES "{cut}s" "x" | sprig_decryptAES "{cut}" }}}}"#);
    assert_eq!(render(&whole), "x");
    assert_eq!(render(r#"{{ sprig_encryptAES "p" "" }}{{ sprig_decryptAES "p" "" }}"#), "");
    for wrong in ["?", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
        error(&format!(r#"{{{{ sprig_decryptAES "p" "{wrong}" }}}}"#));
    }
}

#[test]
fn what_is_drawn_stays_until_what_it_is_made_from_changes() {
    let text = |password: &str| {
        format!(
            r#"{{{{ sprig_htpasswd "u" "{password}" }}}} {{{{ sprig_randInt 0 1000000000 }}}}
               {{{{ sprig_shuffle "abcdefghijklmnopqrstuvwxyz" }}}} {{{{ sprig_encryptAES "p" "x" }}}}
               {{{{ sprig_genPrivateKey "ecdsa" }}}}{{{{ sprig_genPrivateKey "ed25519" }}}}"#
        )
    };
    let first = render_in(&text("a"), "/f", &snapshot(1)).unwrap();
    assert_eq!(first, render_in(&text("a"), "/f", &snapshot(1)).unwrap());
    let tail = |text: &str| text.split_once(' ').unwrap().1.to_owned();
    let changed = render_in(&text("b"), "/f", &snapshot(1)).unwrap();
    assert_ne!(first, changed);
    assert_eq!(tail(&first), tail(&changed), "the other draws stay");
    assert_ne!(tail(&first), tail(&render_in(&text("a"), "/g", &snapshot(1)).unwrap()));
    assert_ne!(tail(&first), tail(&render_in(&text("a"), "/f", &snapshot(2)).unwrap()));
    let twice = render(r#"{{ sprig_bcrypt "a" }} {{ sprig_bcrypt "a" }}"#);
    let (one, other) = twice.split_once(' ').unwrap();
    assert_ne!(one, other, "each call draws its own salt");
    let unseeded = Snapshot { complete: true, ..Snapshot::default() };
    let refused = render_in(r#"{{ sprig_bcrypt "a" }}"#, "", &unseeded).unwrap_err();
    assert!(refused.message.contains("nothing to draw"), "{refused}");
}

#[test]
fn numbers_and_shuffles_keep_their_bounds() {
    let numbers = render(r#"{{ range sprig_until 300 }}{{ sprig_randInt -2 3 }} {{ end }}"#);
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    for n in ["-2", "-1", "0", "1", "2"] {
        assert!(numbers.iter().filter(|drawn| **drawn == n).count() > 30, "{n}: {numbers:?}");
    }
    assert!(error("{{ sprig_randInt 3 3 }}").contains("invalid argument to Intn"));
    let shuffled = render(r#"{{ sprig_shuffle "häß, l" }}"#);
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    assert_eq!(sorted(&shuffled), sorted("häß, l"));
}

/// What clients of `certificate` find under `ca` at a time, as TLS clients of rustls do.
fn verify(ca: &str, certificate: &str, name: &str, now: u64) -> Result<(), rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let verified = verifier.build().unwrap().verify_server_cert(&leaf, &[], &name, &[], now);
    verified.map(|_| ())
}

/// Whether a server could use them together.
fn fits(certificate: &str, key: &str) -> bool {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    CertifiedKey::from_der(chain, key, &default_provider()).is_ok()
}

/// The parts that a template puts between `%`.
fn parts(text: &str) -> Vec<String> {
    render(text).split('%').map(str::to_owned).collect()
}

const LEAF: &str = r#"sprig_genSignedCert "app" (sprig_list "10.0.0.1" "::1") (sprig_list "app.shop.svc" "*.shop.example")"#;

#[test]
fn a_certificate_holds_under_the_ca_that_signed_it() {
    let text = format!(
        r#"{{{{ $ca := sprig_genCA "shop CA" 365 }}}}{{{{ $leaf := {LEAF} 30 $ca }}}}
        {{{{- $ca.Cert }}}}%{{{{ $ca.Key }}}}%{{{{ $leaf.Cert }}}}%{{{{ $leaf.Key }}}}"#
    );
    let parts = parts(&text);
    let [ca, ca_key, leaf, key] = parts.as_slice() else { panic!("{parts:?}") };
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----\n") && ca.ends_with('\n'));
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "as sprig's");
    assert!(fits(ca, ca_key) && fits(leaf, key));
    for name in ["app.shop.svc", "any.shop.example", "10.0.0.1", "::1"] {
        assert_eq!(verify(ca, leaf, name, NOW + 1), Ok(()), "{name}");
    }
    assert!(verify(ca, leaf, "other.svc", NOW + 1).is_err());
    assert!(verify(ca, leaf, "app.shop.svc", NOW + 30 * DAY - 1).is_ok());
    assert!(verify(ca, leaf, "app.shop.svc", NOW + 30 * DAY + 1).is_err());
    assert!(verify(ca, leaf, "app.shop.svc", NOW - 1).is_err());
    let text = r#"{{ (sprig_genCA "shop CA" 365).Cert }}"#;
    let foreign = render_in(text, "/another", &snapshot(1)).unwrap();
    assert_ne!(&foreign, ca);
    assert!(verify(&foreign, leaf, "app.shop.svc", NOW + 1).is_err());
}

#[test]
fn a_certificate_can_sign_itself() {
    let call = r#"sprig_genSelfSignedCert "x" nil (sprig_list "x.example") 1"#;
    let parts = parts(&format!("{{{{ with {call} }}}}{{{{ .Cert }}}}%{{{{ .Key }}}}{{{{ end }}}}"));
    assert!(fits(&parts[0], &parts[1]));
    // rustls takes no leaf for a CA; that its signature is right shows below a CA of the same key.
    let text = format!("{{{{ {call} | sprig_typeOf }}}} {{{{ {call} | sprig_kindOf }}}}");
    assert_eq!(render(&text), "sprig.certificate struct");
    assert_eq!(render(&format!("{{{{ len (printf \"%v\" ({call})) | lt 2000 }}}}")), "true");
}

#[test]
fn keys_of_every_kind_can_be_given() {
    let pkcs8 = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    let keys = [
        render(r#"{{ sprig_genPrivateKey "ecdsa" }}"#),
        render(r#"{{ sprig_genPrivateKey "ed25519" }}"#),
        render(r#"{{ (sprig_genCA "x" 1).Key }}"#),
        pkcs8(&rcgen::PKCS_ECDSA_P256_SHA256),
        pkcs8(&rcgen::PKCS_ED25519),
    ];
    for key in keys {
        let text = format!(
            r#"{{{{ $k := `{key}` }}}}{{{{ $ca := sprig_genCAWithKey "ca" 9 $k }}}}
            {{{{- $leaf := sprig_genSignedCertWithKey "l" nil (sprig_list "l.example") 9 $ca $k }}}}
            {{{{- $own := sprig_genSelfSignedCertWithKey "l" nil nil 9 $k }}}}
            {{{{- $ca.Cert }}}}%{{{{ $leaf.Cert }}}}%{{{{ $leaf.Key }}}}%{{{{ $own.Cert }}}}"#
        );
        let parts = parts(&text);
        assert_eq!(verify(&parts[0], &parts[1], "l.example", NOW + 1), Ok(()), "{key}");
        assert!(fits(&parts[1], &parts[2]) && fits(&parts[3], &parts[2]), "{key}");
    }
}

#[test]
fn a_ca_of_somebody_else_signs() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Bücher");
    let country = "DE".try_into().unwrap();
    let country = rcgen::DnValue::PrintableString(country);
    params.distinguished_name.push(rcgen::DnType::CountryName, country);
    let ca = params.self_signed(&key).unwrap().pem();
    let custom = format!(
        "sprig_buildCustomCert (sprig_b64enc `{ca}`) (sprig_b64enc `{}`)",
        key.serialize_pem()
    );
    let leaf = render(&format!("{{{{ ({LEAF} 9 ({custom})).Cert }}}}"));
    assert_eq!(verify(&ca, &leaf, "app.shop.svc", NOW + 1), Ok(()));
    assert_eq!(render(&format!("{{{{ ({custom}).Cert }}}}")), ca, "handed through as it came");
    for (cert, key, want) in [
        ("?", "", "unable to decode base64 certificate"),
        ("", "?", "unable to decode base64 private key"),
        ("", "", "unable to decode certificate"),
    ] {
        let error = error(&format!(r#"{{{{ sprig_buildCustomCert "{cert}" "{key}" }}}}"#));
        assert!(error.ends_with(want), "{error}");
    }
    let call = format!(r#"{{{{ sprig_buildCustomCert (sprig_b64enc `{ca}`) "" }}}}"#);
    assert!(error(&call).ends_with("error parsing private key: no PEM data in input"));
}

#[test]
fn what_cannot_be_made_says_why() {
    for (text, want) in [
        (r#"{{ sprig_genPrivateKey "dsa" }}"#, "use ed25519"),
        (r#"{{ sprig_genCAWithKey "x" 1 "no key" }}"#, "parsing private key: no PEM data in input"),
        (r#"{{ sprig_genSelfSignedCert "x" (sprig_list "10.0.0") nil 1 }}"#, "error parsing ip"),
        (r#"{{ sprig_genSelfSignedCert "x" nil (sprig_list 1) 1 }}"#, "is not a string"),
        (r#"{{ sprig_genSelfSignedCert "x" nil (sprig_list "ä.de") 1 }}"#, "want ASCII"),
        (r#"{{ sprig_genCA "x" 9000000000000000 }}"#, "days is out of range"),
        (r#"{{ sprig_genCA "x" 99999999 }}"#, "days is out of range"),
        (
            r#"{{ sprig_genSignedCert "x" nil nil 1 (sprig_dict "Cert" "") }}"#,
            "expected sprig.certificate; got map[string]interface {}",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(want), "{text}: {error}");
    }
    assert_eq!(render(r#"{{ sprig_genPrivateKey "x25519" }}"#), "Unknown type x25519");
}

#[test]
fn slow_functions_in_a_loop_end_soon() {
    for call in [
        r#"sprig_bcrypt "x""#,
        r#"sprig_genPrivateKey "rsa""#,
        r#"sprig_genCA "x" 1"#,
        r#"sprig_derivePassword 1 "pin" "a" "b" "c""#,
    ] {
        let start = Instant::now();
        let error =
            error(&format!("{{{{ range sprig_until 1000 }}}}{{{{ {call} }}}}{{{{ end }}}}"));
        assert!(error.contains("too many steps"), "{call}: {error}");
        // One to two seconds of a core of its own.
        assert!(start.elapsed() < Duration::from_secs(20), "{call}: {:?}", start.elapsed());
    }
}

/// A certificate that is good from `from` to `to`, with the CA of its issuer, as files hold them.
fn issued(from: u64, to: u64) -> (String, String, String) {
    let at = |seconds: u64| {
        time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
    };
    let key = || rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params, key()).unwrap();
    let (mut params, key) = (rcgen::CertificateParams::default(), key());
    (params.not_before, params.not_after) = (at(from), at(to));
    (params.signed_by(&key, &ca).unwrap().pem(), key.serialize_pem(), ca.pem())
}

#[test]
fn a_certificate_is_good_for_nine_tenths_of_its_life() {
    let (leaf, key, ca) = issued(1000, 2000);
    let bundle = Bundle::of_text(format!("# mine\n{ca}{key}{leaf}").as_bytes()).unwrap();
    assert_eq!(bundle.renew_at, Wall(1_900_000));
    assert!(bundle.is_good(Wall(1_899_999)) && !bundle.is_good(Wall(1_900_000)));
    assert_eq!((&bundle.certificate, bundle.key.expose()), (&leaf, key.as_str()));
    assert_eq!((&bundle.ca, bundle.ca_chain.as_slice()), (&ca, std::slice::from_ref(&ca)));
    assert_eq!(format!("{bundle:?}"), "Bundle(..)");
    assert!(Bundle::of_text(format!("{ca}{key}").as_bytes()).is_none(), "a CA is none");
    assert!(Bundle::of_text(b"").is_none());
    assert!(Bundle::of_text(leaf.replace('M', "!").as_bytes()).is_none());
    let without_key = Bundle::of_text(leaf.as_bytes()).unwrap();
    assert!(without_key.key.is_empty() && without_key.ca.is_empty());
    let (second, _, _) = issued(1000, 2000);
    let last = Bundle::of_text(format!("{leaf}{second}").as_bytes()).unwrap();
    assert_eq!(last.certificate, second, "the last one counts");
}

#[test]
fn pki_cert_is_one_want_for_all_files() {
    let text = r#"{{ with pkiCert "/pki/issue/app/" "common_name=a.b" "ttl = 1h" "" }}{{ .Cert }}|{{ .Data.Key }}|{{ .CA }}|{{ len .CAChain }}|{{ .Data.Data.Cert }}{{ else }}none{{ end }}"#;
    let template = Template::parse("t", text, "", "", BUDGET).unwrap().for_file("/f");
    let mut snapshot = Snapshot::default();
    let Outcome::Lack { lacking, .. } = template.render(&snapshot, false, BUDGET) else {
        panic!("nothing is known yet")
    };
    let fields = [("common_name", "a.b"), ("ttl", "1h")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let want =
        Want::Certificate { path: "pki/issue/app".to_owned(), fields: BTreeMap::from(fields) };
    assert_eq!(lacking.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&want));
    let other = r#"{{ (pkiCert "pki/issue/app" "ttl=1h" "common_name=a.b").Key }}"#;
    let other = Template::parse("o", other, "", "", BUDGET).unwrap().for_file("/other");
    let Outcome::Lack { lacking, .. } = other.render(&snapshot, false, BUDGET) else {
        panic!("nothing is known yet")
    };
    assert_eq!(lacking.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&want));
    let (leaf, key, ca) = issued(1000, 2000);
    let bundle = Bundle::of_text(format!("{leaf}{ca}{key}").as_bytes()).unwrap();
    snapshot.found.insert(want, Found::Certificate(Arc::new(bundle)));
    let Outcome::Done(rendered) = template.render(&snapshot, false, BUDGET) else {
        panic!("all is known")
    };
    let text = String::from_utf8(rendered.text.expose().to_vec()).unwrap();
    assert_eq!(text, format!("{leaf}|{key}|{ca}|1|{leaf}"));
}
