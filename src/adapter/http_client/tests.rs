//! The rules around the proxy; requests themselves are tested through the Vault client.

use super::*;

#[test]
fn the_proxy_is_bypassed_by_gos_rules() {
    let list =
        "example.com, .corp, *.wild,10.0.0.0/8,192.0.2.7,host:8200,[2001:db8::1]:443,fd00::/8";
    for (url, want) in [
        ("https://example.com", true),
        ("https://vault.EXAMPLE.com:8200", true),
        ("https://badexample.com", false),
        ("https://a.corp", true),
        ("https://corp", false),
        ("https://x.wild", true),
        ("https://10.9.8.7:8200", true),
        ("https://11.0.0.1", false),
        ("http://192.0.2.7", true),
        ("https://host:8200", true),
        ("https://host", false),
        ("https://[2001:db8::1]", true),
        ("https://[fd12::1]", true),
        ("https://localhost:1", true),
        ("https://127.9.9.9", true),
        ("https://[::1]:8200", true),
    ] {
        assert_eq!(bypasses_proxy(&url.parse().unwrap(), list), want, "{url}");
    }
    assert!(bypasses_proxy(&"https://any".parse().unwrap(), "*"));
    assert!(bypasses_proxy(&"https://1.2.3.4".parse().unwrap(), "0.0.0.0/0"));
    assert!(!bypasses_proxy(&"https://1.2.3.4".parse().unwrap(), "1.2.3.0/33,1.2.3.0/x"));
}

#[test]
fn a_bad_proxy_is_refused_without_its_password() {
    for text in ["http://u:hunter2@", "socks5://u:hunter2@p:1", "ftp://u:hunter2@p", "\u{1}hunter2"]
    {
        let error = parse_proxy(text).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
    for text in ["http://p:82000", "p:82oo", "http://u:hun?ter2@p:1", "http://u:hun#ter2@p:1"] {
        assert!(parse_proxy(text).is_err(), "{text}");
    }
    assert!(parse_proxy("https://u:p%2F%3F@[2001:DB8::01]:3128").is_ok());
    assert!(parse_proxy("http://u:p@Proxy").is_ok());
    assert!(parse_proxy("http://u:p@proxy:3128").is_ok());
    assert!(parse_proxy("proxy:3128").is_ok());
}
