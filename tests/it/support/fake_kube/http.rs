//! HTTP/1.1 with keep-alive over TLS, one thread per connection.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::api::{self, Answer, Request};
use super::{Fault, Inside, Seen, Shared, What, fits};

/// Bytes of a request head or body.
const BYTES_MAX: usize = 4 * 1024 * 1024;

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Serves until the server stops.
pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        let tls = {
            let mut inside = shared.lock();
            if inside.stopping {
                return;
            }
            if let Ok(clone) = stream.try_clone() {
                inside.streams.insert(number, clone);
            }
            Arc::clone(&inside.tls)
        };
        // Small answers must not wait for acknowledgements.
        let _slower = stream.set_nodelay(true);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A connection that breaks is the client's business.
            let _broken = talk(stream, tls, number, &shared);
            // Its clone would keep the socket open.
            if let Some(clone) = shared.lock().streams.remove(&number) {
                let _closed = clone.shutdown(Shutdown::Both);
            }
        });
    }
}

/// Requests of one connection, until the client or a fault ends it.
fn talk(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    connection: usize,
    shared: &Shared,
) -> io::Result<()> {
    let tls = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    while let Some(request) = read_request(&mut stream, shared)? {
        let (number, fault) = record(&request, connection, shared);
        if !answer(stream.get_mut(), &request, fault.as_ref(), number, shared)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers one request, or mistreats it. Says whether the connection goes on.
fn answer(
    stream: &mut Stream,
    request: &Request,
    fault: Option<&Fault>,
    number: usize,
    shared: &Shared,
) -> io::Result<bool> {
    let mut refused = |status: u16, headers: &[(&str, String)], body: &str| {
        note_status(shared, number, status);
        send(stream, status, headers, body).map(|()| true)
    };
    match fault {
        None => {}
        Some(Fault::Close) => return Ok(false),
        Some(Fault::Foreign(status, body)) => return refused(*status, &[], body),
        Some(Fault::Garbage(body)) => return refused(200, &[], body),
        Some(Fault::Status(status, wait)) => {
            let wait = wait.map(|seconds| ("Retry-After", seconds.to_string()));
            let body = api::status(*status, "InternalError", "told to fail", &json!({}));
            return refused(*status, wait.as_slice(), &body.to_string());
        }
        Some(Fault::Slow(wait)) => thread::sleep(*wait),
        Some(Fault::Hang) => return wait_for_end(shared),
        Some(Fault::HalfOpen) => {
            begin_stream(stream, shared, number)?;
            return wait_for_end(shared);
        }
        Some(Fault::CutBody) => {
            begin_stream(stream, shared, number)?;
            chunk(stream, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"na")?;
            return Ok(false);
        }
        Some(Fault::Endless) => {
            begin_stream(stream, shared, number)?;
            let filler = " ".repeat(64 * 1024);
            while !shared.lock().stopping {
                chunk(stream, &filler)?;
            }
            return Ok(false);
        }
    }
    match shared.change(|inside| api::answer(inside, request)) {
        Answer::Document(status, body) => refused(status, &[], &body.to_string()),
        Answer::Watch { from, limit } => {
            begin_stream(stream, shared, number)?;
            let Some(start) = shared.change(|inside| start_of_watch(inside, from)) else {
                chunk(stream, &expired())?;
                return chunk(stream, "").map(|()| true);
            };
            let ended = watch(stream, request, start, Instant::now() + limit, shared);
            shared.change(|inside| inside.open_watches -= 1);
            ended.map(|()| true)
        }
    }
}

/// The event that ends a watch from a version that is forgotten.
fn expired() -> String {
    let error = api::status(410, "Expired", "too old resource version", &json!({}));
    format!("{}\n", json!({ "type": "ERROR", "object": error }))
}

/// Opens a watch: the place of the first happening after version `from`, and the round it belongs to.
fn start_of_watch(inside: &mut Inside, from: u64) -> Option<(usize, u64)> {
    if from < inside.forgotten {
        return None;
    }
    let is_old = |what: &What, version| version <= from || !matches!(what, What::Change(..));
    let old = inside.happenings.iter().take_while(|h| is_old(&h.what, h.version)).count();
    inside.open_watches += 1;
    Some((old, inside.watch_rounds))
}

/// Events as they come, until the watch has lasted long enough.
fn watch(
    stream: &mut Stream,
    request: &Request,
    (mut next, round): (usize, u64),
    end: Instant,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let (events, is_over) = {
            let is_quiet = |inside: &mut Inside| {
                next == inside.happenings.len() && inside.watch_rounds == round && !inside.stopping
            };
            let left = end.saturating_duration_since(Instant::now());
            let waited = shared.changed.wait_timeout_while(shared.lock(), left, is_quiet);
            let (inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let new = inside.happenings.iter().skip(next);
            let events: Vec<String> = new
                .filter_map(|happening| match &happening.what {
                    What::Expiry => Some(expired()),
                    What::Bookmark => Some(api::bookmark(request, happening.version)),
                    What::Change(kind, key, object) => api::event(request, kind, key, object),
                })
                .collect();
            next = inside.happenings.len();
            let is_over = inside.watch_rounds != round || inside.stopping || Instant::now() >= end;
            (events, is_over)
        };
        for event in events {
            // In two pieces: clients must not take a chunk for an event.
            let (first, second) = event.split_at(event.len() / 2);
            chunk(stream, first)?;
            chunk(stream, second)?;
        }
        if is_over {
            return chunk(stream, "");
        }
    }
}

fn wait_for_end(shared: &Shared) -> io::Result<bool> {
    let stopped = shared.changed.wait_while(shared.lock(), |inside| !inside.stopping);
    drop(stopped.unwrap_or_else(PoisonError::into_inner));
    Ok(false)
}

/// Remembers the request; returns its place in the log, and the fault that is set for it, counted down.
fn record(request: &Request, connection: usize, shared: &Shared) -> (usize, Option<Fault>) {
    shared.change(|inside| {
        let token = inside.tokens.iter().position(|(token, _)| *token == request.token);
        inside.seen.push(Seen {
            verb: request.verb,
            resource: request.resource.to_owned(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            token,
            body: request.body.clone(),
            at: Instant::now(),
            connection,
            status: 0,
        });
        let mut live = inside.traps.iter_mut().rev().filter(|trap| trap.left > 0);
        let fault = live
            .find(|trap| fits(&trap.verb, request.verb) && fits(&trap.resource, request.resource))
            .map(|trap| {
                trap.left -= 1;
                trap.fault.clone()
            });
        (inside.seen.len() - 1, fault)
    })
}

fn note_status(shared: &Shared, number: usize, status: u16) {
    // The log may have been cleared in between.
    shared.change(|inside| {
        if let Some(seen) = inside.seen.get_mut(number) {
            seen.status = status;
        }
    });
}

/// The next request, `None` when the client is done.
fn read_request(stream: &mut BufReader<Stream>, shared: &Shared) -> io::Result<Option<Request>> {
    let Some(start) = read_line(stream)? else { return Ok(None) };
    let mut words = start.split(' ');
    let (method, uri) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut headers = BTreeMap::new();
    while let Some(line) = read_line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; BYTES_MAX.min(length)];
    stream.read_exact(&mut body)?;
    let body: Value = match body.as_slice() {
        [] => Value::Null,
        text => serde_json::from_slice(text).unwrap_or_else(|e| {
            shared.lock().complaints.push(format!("{method} {uri}: body: {e}"));
            Value::Null
        }),
    };
    Ok(Some(api::request(&mut shared.lock(), method, uri, headers, body)))
}

/// One line without its end; `None` at the end of the stream.
fn read_line(stream: &mut BufReader<Stream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.by_ref().take(64 * 1024).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn send(
    stream: &mut Stream,
    status: u16,
    headers: &[(&str, String)],
    body: &str,
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        if status < 400 { "OK" } else { "Error" },
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    stream.flush()
}

fn begin_stream(stream: &mut Stream, shared: &Shared, number: usize) -> io::Result<()> {
    note_status(shared, number, 200);
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    stream.flush()
}

/// One chunk; an empty one ends the body.
fn chunk(stream: &mut Stream, text: &str) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())?;
    stream.flush()
}
