//! Tests of certificates and offers. Whether clients get them is tested with the whole program.

#![expect(clippy::disallowed_methods, reason = "fixtures on disk")]

use super::*;
use crate::adapter::authority::to_pem;

fn own(hosts: &[&str], now: u64) -> SelfSigned {
    SelfSigned::new(hosts.iter().map(|host| (*host).to_owned()).collect(), now).unwrap()
}

#[test]
fn makes_leaves_and_renews_them_when_a_third_is_left() {
    let start = 1_800_000_000;
    let mut own = own(&["localhost", "127.0.0.1"], start);
    let first = own.poll(start).unwrap().unwrap();
    assert_eq!(first.not_after, Some(start + 86_400));
    assert!(own.poll(start + 57_000).unwrap().is_none());
    let second = own.poll(start + 57_600).unwrap().unwrap();
    assert_ne!(first.fingerprint, second.fingerprint);
    assert_eq!(second.not_after, Some(start + 57_600 + 86_400));
    // The clock ran ahead, and nobody would believe it until then.
    let third = own.poll(start + 50_000).unwrap().unwrap();
    assert_eq!(third.not_after, Some(start + 50_000 + 86_400));
    assert!(own.poll(start + 50_000).unwrap().is_none());
}

#[test]
fn cipher_suites_are_chosen_by_iana_and_go_names() {
    let names = |text: &str| text.split(',').map(String::from).collect::<Vec<_>>();
    let count = |text: &str| Offer::new(false, &names(text)).unwrap().provider.cipher_suites.len();
    assert_eq!(Offer::new(false, &[]).unwrap().provider.cipher_suites.len(), 9);
    assert_eq!(count("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), 4);
    assert_eq!(count("TLS_AES_128_GCM_SHA256"), 3);
    assert_eq!(count("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"), 4);
    // Those of a company's list that we do not have are left out, and told.
    let mixed = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA";
    assert_eq!(count(mixed), 4);
    assert_eq!(
        Offer::unknown_suites(&names(mixed)),
        ["TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]
    );
    let error =
        Offer::new(false, &names("TLS_RSA_WITH_AES_128_CBC_SHA,NULL")).unwrap_err().to_string();
    let want =
        "none of the cipher suites TLS_RSA_WITH_AES_128_CBC_SHA, NULL is known, want some of ";
    assert!(error.starts_with(want), "{error}");
}

#[test]
fn errors_name_the_file_and_never_its_content() {
    let folder = std::env::temp_dir().join(format!("vault-injector-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let own = own(&["localhost"], 1_800_000_000);
    let certificate = to_pem([own.ca.certificate()]);
    std::fs::write(path("c"), &certificate).unwrap();
    std::fs::write(path("k"), "-----BEGIN PRIVATE KEY-----\nhunter2\n").unwrap();
    std::fs::write(path("long"), vec![b'x'; 5000]).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    for (c, k, want) in [
        ("c", "k", "no unencrypted PEM private key in "),
        ("c", "absent", "cannot read certificate and key: /"),
        ("long", "k", "cannot read certificate and key: /"),
        ("empty", "k", "no PEM certificate in "),
    ] {
        let error = Files::new(path(c), path(k), 4096).poll().err().unwrap();
        let text = crate::base::report::OneLine(&error).to_string();
        assert!(text.starts_with(want) && !text.contains("hunter2"), "{text}");
    }
    // A key of another certificate.
    std::fs::write(path("k"), Ca::make(0, 1).unwrap().key_pem().unwrap().expose()).unwrap();
    let mut files = Files::new(path("c"), path("k"), 4096);
    assert!(matches!(files.poll(), Err(TlsError::Fit { .. })));
    std::fs::write(path("k"), own.ca.key_pem().unwrap().expose()).unwrap();
    assert!(files.poll().unwrap().is_some());
    assert!(files.poll().unwrap().is_none());
    std::fs::remove_dir_all(&folder).unwrap();
}
