//! Plain HTTP through a proxy: the request goes to the proxy and names the whole address, as HTTP wants it.
//! A tunnel (CONNECT) is for TLS alone; many proxies allow it to port 443 only.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use crate::adapter::resolver::CachingResolver;

/// Finds the proxy, whatever host is asked for.
#[derive(Debug)]
pub(super) struct ToProxy {
    pub(super) proxy: Uri,
    pub(super) resolver: CachingResolver,
}

impl Resolver for ToProxy {
    fn resolve(
        &self,
        _uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.resolver.resolve(&self.proxy, config, timeout)
    }
}

/// Makes of a connection to the proxy one that asks it for whole addresses.
#[derive(Debug)]
pub(super) struct ForwardConnector;

impl<In: Transport> Connector<In> for ForwardConnector {
    type Out = ForwardTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let transport = chained.ok_or(ureq::Error::ConnectionFailed)?;
        let authority = details.uri.authority().ok_or(ureq::Error::HostNotFound)?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        let config = details.config;
        Ok(Some(ForwardTransport {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            sock,
            origin: format!("http://{authority}"),
            is_request_line_next: true,
        }))
    }
}

/// A connection on which each request line gets the origin before its path.
pub(super) struct ForwardTransport {
    buffers: LazyBuffers,
    sock: TransportAdapter,
    origin: String,
    is_request_line_next: bool,
}

impl fmt::Debug for ForwardTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForwardTransport")
    }
}

impl Transport for ForwardTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.sock.set_timeout(timeout);
        let mut output = self.buffers.output().get(..amount).unwrap_or_default();
        // Whatever comes first after an answer is a request line: METHOD, a blank, the path.
        if self.is_request_line_next
            && let Some(blank) = output.iter().position(|byte| *byte == b' ')
        {
            let (method, rest) = output.split_at(blank + 1);
            self.sock.write_all(method)?;
            self.sock.write_all(self.origin.as_bytes())?;
            self.is_request_line_next = false;
            output = rest;
        }
        self.sock.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.sock.set_timeout(timeout);
        let amount = self.sock.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        self.is_request_line_next |= amount > 0;
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        false
    }
}
