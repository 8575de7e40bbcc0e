//! Who may say and hear what, as a real nats-server decides it: every user with every kind of subject.
//!
//! The table below is written for readers and independent of the one that the configuration is generated from.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use messaging::permissions::{USERS, User};
use serde_json::json;
use stand::{NatsServer, Tools};

/// Subject, the users that may publish on it, the users that may subscribe to it. Everybody else is refused.
const TABLE: [(&str, &str, &str); 37] = [
    ("fhir.event.Task.requested.new", "gateway", ""),
    ("fhir.event.Task.requested.keyed", "gateway", ""),
    ("fhir.changed.Task", "gateway", "gateway"),
    ("engine.cmd.deliver", "router", "engine"),
    ("engine.cmd.refuse", "router", "engine"),
    ("engine.api.incident.retry", "operator", "engine"),
    ("engine.api.instance.cancel", "operator", "engine"),
    ("engine.api.instance.set-variable", "operator", "engine"),
    ("job.dsf.send", "engine", "router worker"),
    ("job.any.type", "engine", "worker"),
    ("job.result.dsf.send", "router", "engine"),
    ("job.result.any.type", "worker", "engine"),
    ("mpi.find", "rbf", "mpi"),
    ("mpi.match", "rbf", "mpi"),
    ("pdp.decide", "worker", "pdp"),
    ("pdp.revoked", "operator", "pdp"),
    ("mdat.count", "worker", "mdat"),
    ("mdat.rows", "worker", "mdat"),
    ("rbf.encode", "worker", "rbf"),
    ("rbf.data-set", "worker", "rbf"),
    ("mpi.health", "operator", "mpi"),
    ("pdp.health", "operator", "pdp"),
    ("mdat.health", "operator", "mdat"),
    ("rbf.health", "operator", "rbf"),
    ("$JS.API.STREAM.CREATE.EVENTS", "gateway operator", ""),
    ("$JS.API.STREAM.INFO.EVENTS", "gateway operator router", ""),
    ("$JS.API.STREAM.DELETE.EVENTS", "", ""),
    ("$JS.API.STREAM.PURGE.EVENTS", "", ""),
    ("$JS.API.STREAM.CREATE.OTHER", "", ""),
    ("$JS.API.STREAM.MSG.GET.EVENTS", "", ""),
    ("$JS.API.CONSUMER.MSG.NEXT.EVENTS.router-Task-requested-new", "router", ""),
    ("$JS.API.CONSUMER.CREATE.EVENTS.spy.fhir.event.>", "", ""),
    ("$JS.API.CONSUMER.DELETE.EVENTS.router-Task-requested-new", "", ""),
    ("$JS.ACK.EVENTS.router-Task-requested-new.1.1.1.1.0", "router", ""),
    ("_INBOX.other.answer", "", ""),
    ("$SYS.REQ.SERVER.PING", "", ""),
    (">", "", ""),
];

/// A login spoken by hand, so that no client library hides a refusal.
struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str, login: &str, password: &str) -> Self {
        let mut connection = Self { reader: BufReader::new(TcpStream::connect(address).unwrap()) };
        connection.line();
        let hello = json!({"verbose": false, "pedantic": false, "user": login, "pass": password, "lang": "test", "version": "0"});
        connection.say(&format!("CONNECT {hello}\r\n"));
        assert!(connection.allowed(""), "{login} may connect");
        connection
    }

    fn say(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    /// Says something; false when the server refuses it before it answers a ping.
    fn allowed(&mut self, text: &str) -> bool {
        self.say(&format!("{text}PING\r\n"));
        let mut allowed = true;
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the server hung up after {text:?}");
            match line.trim_end() {
                "PONG" => return allowed,
                "PING" => self.say("PONG\r\n"),
                line if line.starts_with("-ERR 'Permissions Violation") => allowed = false,
                line if line.starts_with("-ERR") => panic!("{line} after {text:?}"),
                // A message of a subscription, or the server's information.
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let folder = std::env::temp_dir().join(format!("dsf-permissions-{}", uuid::Uuid::new_v4()));
    let tools = Tools::find().expect("nats-server");
    let mut server = NatsServer::start(&tools, &folder, &["a".to_owned(), "b".to_owned()]).await.unwrap();
    let address = server.url().trim_start_matches("nats://").to_owned();
    let mut wrong = Vec::new();
    for user in USERS {
        let (login, password) = server.credentials("a", user);
        let mut connection = Connection::open(&address, &login, &password);
        for (subject, publish, subscribe) in TABLE {
            for (verb, users, line) in [
                ("publish", publish, format!("PUB {subject} 0\r\n\r\n")),
                ("subscribe", subscribe, format!("SUB {subject} 1\r\n")),
            ] {
                if subject == ">" && verb == "publish" {
                    continue;
                }
                let expected = users.split(' ').any(|name| name == user.name());
                let allowed = connection.allowed(&line);
                if verb == "subscribe" && allowed {
                    connection.say("UNSUB 1\r\n");
                }
                if allowed != expected {
                    wrong.push(format!("{} {verb} {subject}: allowed {allowed}", user.name()));
                }
            }
        }
        // Everybody hears answers to itself only.
        let other = User::Engine.login("b");
        for (inbox, expected) in [
            (format!("{}.>", messaging::connect::inbox_prefix(&login)), true),
            (format!("{}.>", messaging::connect::inbox_prefix(&other)), false),
        ] {
            if connection.allowed(&format!("SUB {inbox} 2\r\n")) != expected {
                wrong.push(format!("{} subscribes to {inbox}: {}", user.name(), !expected));
            }
        }
    }
    server.stop().await;
    let _ = std::fs::remove_dir_all(&folder);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
