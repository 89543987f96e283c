//! Certificates that are replaced on disk while a client lives, and the limits that the environment sets.

use super::*;
use crate::domain::vault::RateLimit;

fn works(client: &VaultClient) -> bool {
    client.send(&read()).is_ok_and(|reply| reply.status == 200)
}

#[test]
fn certificates_that_are_replaced_on_disk_are_read_again() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = pki.server("127.0.0.1", false);
    let base = connection(server.url("https"));
    let by_file = |pki: &Pki, text: &str| pki.file("bundle.pem", text);
    let folder = std::fs::canonicalize(&pki.folder).unwrap().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let in_folder = |text: &str| {
        files::replace(&folder.join("ca.crt"), text.as_bytes(), Some(0o600), false).unwrap()
    };
    // The system's bundle stands for every file that is named.
    let named = by_file(&pki, &other.ca.pem());
    in_folder(&other.ca.pem());
    let clients = [
        Connection { ca_cert: Some(named.clone()), ..base.clone() },
        Connection { system_ca_file: Some(named.clone()), ..base.clone() },
        Connection { ca_path: folder.to_str().map(str::to_owned), ..base },
    ]
    .map(|connection| client(&connection));
    assert!(clients.iter().all(|client| !works(client)), "the wrong authority");
    by_file(&pki, &pki.ca.pem());
    in_folder(&pki.ca.pem());
    assert!(clients.iter().all(works), "the right one, in their place");
    by_file(&pki, "half a file, which is no reason to forget the one before");
    in_folder("half a file");
    assert!(clients.iter().all(works), "what cannot be read changes nothing");
    by_file(&pki, &other.ca.pem());
    in_folder(&other.ca.pem());
    assert!(clients.iter().all(|client| !works(client)), "an open connection believes it no more");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_volume_whose_link_turns_is_followed() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = pki.server("127.0.0.1", false);
    let version = |name: &str, text: &str| {
        let folder = pki.folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        files::replace(&folder.join("ca.crt"), text.as_bytes(), None, false).unwrap();
        let link = pki.folder.join("turning");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        std::fs::rename(link, pki.folder.join("..data")).unwrap();
    };
    version("..one", &other.ca.pem());
    let path = pki.folder.join("..data/ca.crt").to_str().map(str::to_owned);
    let client = client(&Connection { ca_cert: path, ..connection(server.url("https")) });
    assert!(!works(&client));
    version("..two", &pki.ca.pem());
    assert!(works(&client));
}

#[test]
fn a_renewed_pair_of_the_client_is_shown() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = pki.server("127.0.0.1", true);
    let pair = |of: &Pki| {
        let (cert, key) = of.signed("client");
        (pki.file("client.pem", &cert.pem()), pki.file("client.key", &key.serialize_pem()))
    };
    let (cert, key) = pair(&other);
    let connection = Connection {
        ca_cert: Some(pki.ca_file()),
        client_cert: Some(cert),
        client_key: Some(key),
        ..connection(server.url("https"))
    };
    let client = client(&connection);
    assert!(!works(&client), "a pair of somebody else");
    pair(&pki);
    assert!(works(&client));
}

#[test]
fn a_redirect_is_refused_where_it_is_forbidden() {
    let standby = Server::start(None, |_| {
        http("307 Temporary Redirect", "Location: http://active.invalid:8200/v1/x\r\n", "")
    });
    let connection = Connection { refuses_redirects: true, ..connection(standby.url("http")) };
    let error = client(&connection).send(&read()).unwrap_err().to_string();
    assert!(error.contains("redirected to http://active.invalid:8200, which"), "{error}");
    assert!(error.contains("VAULT_DISABLE_REDIRECTS"), "{error}");
}

#[test]
fn headers_of_the_command_line_go_with_every_request() {
    let server = Server::start(None, |_| http("200 OK", "", "{}"));
    let headers = vec![("X-Tenant".to_owned(), Secret::new("team a"))];
    let client = client(&Connection { headers, ..connection(server.url("http")) });
    assert!(works(&client));
    assert!(server.request().to_ascii_lowercase().contains("x-tenant: team a\r\n"));
}

#[test]
fn requests_keep_to_their_rate() {
    let server = Server::start(None, |_| http("200 OK", "", "{}"));
    let rate_limit = RateLimit::parse("20:2");
    let client = client(&Connection { rate_limit, ..connection(server.url("http")) });
    let clock = Clock::start();
    thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| (0..2).for_each(|_| assert!(works(&client))))));
    });
    assert!(
        clock.now().since_start() >= Duration::from_millis(200),
        "6 requests, 2 of them at once"
    );
}
