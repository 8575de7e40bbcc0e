//! Classic ATNA: RFC 5424 messages over TLS with octet counting (RFC 5425) or UDP (RFC 5426).
//!
//! Syslog has no acknowledgement. Over TLS a delivery is a connection of its own that we end: when the
//! receiver ends it as well, without an error, it has read everything before. Over UDP a record counts as
//! arrived unless the network says that nobody listens.
use std::{net::SocketAddr, time::Duration};

use fhir_client::{TransportKind, kind_of};
use hospital::{
    audit::{Schema, message},
    json::Json,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use super::{ANSWER, CONNECT, Delivered};
use crate::{
    Trouble,
    tls::{Connector, SetupError, TlsSettings},
};

/// Ports of RFC 5425 and RFC 5426.
const TLS_PORT: u16 = 6514;
const UDP_PORT: u16 = 514;
/// Facility security (10), severity notice (5).
const PRIORITY: u8 = 10 * 8 + 5;
/// Largest payload of a datagram over IPv4, in bytes.
const MAX_DATAGRAM: usize = 65_507;
/// Most records of one delivery.
const MOST_TLS: usize = 500;
const MOST_UDP: usize = 20;
/// How long the network has to say that nobody listens.
const UDP_ANSWER: Duration = Duration::from_millis(100);

/// A syslog repository.
pub(super) struct Syslog {
    service: &'static str,
    /// Our host, as RFC 5424 writes it.
    here: String,
    host: String,
    port: u16,
    schema: Schema,
    /// None over UDP.
    connector: Option<Connector>,
}

impl Syslog {
    pub(super) fn new(
        service: &'static str,
        url: &str,
        schema: Schema,
        tls: &TlsSettings,
    ) -> Result<Self, SetupError> {
        let wrong =
            || SetupError("the address is not syslog+tls://host:port or syslog+udp://host:port".to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let port = match scheme {
            "syslog+tls" => TLS_PORT,
            "syslog+udp" => UDP_PORT,
            _ => return Err(wrong()),
        };
        let rest = rest.trim_end_matches('/');
        // An IPv6 address stands in brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, text)) if !text.contains(']') => (host, text.parse().map_err(|_| wrong())?),
            _ => (rest, port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '?', '@']) {
            return Err(wrong());
        }
        let connector = match scheme {
            "syslog+tls" => {
                let connector =
                    Connector::new(&TlsSettings { allow_plaintext: false, ..tls.clone() }, CONNECT).map_err(
                        |SetupError(reason)| {
                            let no_roots = tls.roots.is_none();
                            SetupError(if no_roots { "syslog+tls needs AUDIT_CA".to_owned() } else { reason })
                        },
                    )?;
                Some(connector)
            }
            _ => None,
        };
        Ok(Self { service, here: here(), host: host.to_owned(), port, schema, connector })
    }

    pub(super) fn target(&self) -> &'static str {
        if self.connector.is_some() { "syslog+tls" } else { "syslog+udp" }
    }

    pub(super) fn most(&self) -> usize {
        if self.connector.is_some() { MOST_TLS } else { MOST_UDP }
    }

    pub(super) async fn deliver(&self, records: &[String]) -> Delivered {
        let largest = if self.connector.is_some() { usize::MAX } else { MAX_DATAGRAM };
        let mut refused = 0;
        let mut messages = Vec::with_capacity(records.len());
        for record in records {
            match self.message(record).filter(|message| message.len() <= largest) {
                Some(message) => messages.push(message),
                None => {
                    tracing::error!(
                        "an audit record cannot be sent: it has no classic form, or is too large"
                    );
                    refused += 1;
                }
            }
        }
        let exchange = async {
            match &self.connector {
                _ if messages.is_empty() => Ok(()),
                Some(connector) => self.over_tls(connector, &messages).await,
                None => self.over_udp(&messages).await,
            }
        };
        match tokio::time::timeout(ANSWER, exchange).await.unwrap_or(Err(TransportKind::Timeout)) {
            Ok(()) => Delivered { done: records.len(), refused, ..Delivered::default() },
            Err(kind) => {
                let failure = Some(Trouble::Transport(kind).outcome());
                Delivered { failure, ..Delivered::default() }
            }
        }
    }

    /// The syslog message of a record; `None` for a line that is none.
    fn message(&self, record: &str) -> Option<Vec<u8>> {
        let event = Json::read(record.trim_end().as_bytes()).ok()?;
        let text = message(&event, self.schema)?;
        let process = event.get("agent").items().iter().find_map(|agent| agent.get("altId").text());
        let header = format!(
            "<{PRIORITY}>1 {} {} {} {} {} - ",
            event.get("recorded").text()?,
            self.here,
            self.service,
            process.unwrap_or("-"),
            self.schema.message_id(),
        );
        // The mark says that what follows is UTF-8.
        Some([header.as_bytes(), b"\xef\xbb\xbf", text.as_bytes()].concat())
    }

    async fn over_tls(&self, connector: &Connector, messages: &[Vec<u8>]) -> Result<(), TransportKind> {
        let mut stream = connector.open(&self.host, self.port).await?;
        let written = async {
            for message in messages {
                stream.write_all(format!("{} ", message.len()).as_bytes()).await?;
                stream.write_all(message).await?;
            }
            // Ends our side.
            stream.shutdown().await
        };
        let written = written.await;
        let mut rest = [0; 64];
        let ended = loop {
            match stream.read(&mut rest).await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        // That our certificate was refused is read, whatever became of what was written.
        match (written, ended.map_err(|error| kind_of(&error))) {
            (_, Err(TransportKind::Tls)) => Err(TransportKind::Tls),
            (Err(error), _) => Err(kind_of(&error)),
            (Ok(()), ended) => ended,
        }
    }

    async fn over_udp(&self, messages: &[Vec<u8>]) -> Result<(), TransportKind> {
        let failed = |error: std::io::Error| kind_of(&error);
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let address = addresses.map_err(|_| TransportKind::Dns)?.next().ok_or(TransportKind::Dns)?;
        let any: SocketAddr =
            if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(address).await.map_err(failed)?;
        for message in messages {
            socket.send(message).await.map_err(failed)?;
        }
        let mut none = [0; 1];
        match tokio::time::timeout(UDP_ANSWER, socket.recv(&mut none)).await {
            Ok(Err(error)) => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

/// Name of this host; RFC 5424 writes `-` for none.
pub(crate) fn here() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        name.to_owned()
    } else {
        "-".to_owned()
    }
}
