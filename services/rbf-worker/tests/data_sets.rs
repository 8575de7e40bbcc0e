//! Data sets in pieces over NATS: tens of megabytes, a replica that is killed, everything that is refused,
//! and nothing that stays.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeySize, PrivateDecryptingKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use linkage::data_set::{OwnKey, Parties, RecipientKey};
use messaging::{
    bulk::{DataSetCommand, DataSetReply, DataSetRequest, DataSetStart, DataSetStarted, MAX_PIECE, Octets},
    connect::{Nats, NatsConfig, RequestError},
    linkage::DataSetAction,
    permissions::User,
    recipient::generate,
    subject,
};
use nix::sys::signal::Signal;
use rand::{SeedableRng, rngs::StdRng};
use rbf_worker::client::{Client, Error};
use stand::{NatsServer, ServiceProcess, Tools, replica};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTIES: Parties<'_> = Parties { sender: "dic.test", recipient: "dms.test" };
const CANARY: &str = "<Patient>Canary-Of-The-Data-Set</Patient>";
const MIB: usize = 1024 * 1024;

/// NATS and what workers are told; no patient index, which data sets need none of.
struct Site {
    folder: PathBuf,
    nats: NatsServer,
    settings: Vec<(&'static str, String)>,
    own: OwnKey,
    recipient: RecipientKey,
}

impl Site {
    async fn start(name: &str, more: &[(&'static str, String)]) -> Self {
        let tools = Tools::find().expect("nats-server");
        let folder = std::env::temp_dir().join(format!("dsf-rbf-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let nats =
            NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
        let (own, recipient, pem) = pair();
        let path = folder.join("data-set.pem");
        std::fs::write(&path, pem).expect("a key");
        let (public, private) = generate().expect("keys");
        let (user, password) = nats.credentials("alpha", User::Linkage);
        let mut settings = vec![
            ("SITE", "alpha".to_owned()),
            ("ORGANIZATION", "alpha.test".to_owned()),
            ("PRIVATE_KEY", private.to_string()),
            ("PUBLIC_KEY", public),
            ("DATA_SET_KEY", path.display().to_string()),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
        ];
        settings.extend_from_slice(more);
        Self { folder, nats, settings, own, recipient }
    }

    fn spawn(&self, name: &str) -> ServiceProcess {
        let program = Path::new(env!("CARGO_BIN_EXE_rbf-worker"));
        replica::spawn(program, rbf_worker::PREFIX, &self.settings, &self.folder, name).expect("a worker")
    }

    async fn worker(&self, name: &str) -> ServiceProcess {
        let mut process = self.spawn(name);
        replica::ready(&mut process, &self.folder, name).await.expect("a worker");
        process
    }

    async fn connect(&self) -> Nats {
        let (login, password) = self.nats.credentials("alpha", User::Worker);
        let config =
            NatsConfig { urls: vec![self.nats.url()], user: Some(login), password: Some(password), ca: None };
        Nats::connect(&config, "test").await
    }

    fn encrypt(&self) -> DataSetAction {
        DataSetAction::Encrypt {
            public_key: STANDARD.encode(self.recipient.der()),
            hash: hex::encode(self.recipient.hash()),
        }
    }

    /// Nothing of what went through is in a log or in the store of NATS.
    async fn stop(mut self) {
        self.nats.stop().await;
        let mut folders = vec![self.folder.clone()];
        let mut looked_at = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                    assert!(!text.contains("Canary"), "{}", path.display());
                    looked_at += 1;
                }
            }
        }
        assert!(looked_at > 2, "logs and configurations are there");
        std::fs::remove_dir_all(&self.folder).expect("clean");
    }
}

/// A pair of the length of the wire, and the private one as PEM.
fn pair() -> (OwnKey, RecipientKey, String) {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa4096).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key()).unwrap();
    let text = STANDARD.encode(private.as_ref());
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let own = OwnKey::from_pem(pem.as_bytes()).unwrap();
    (own, RecipientKey::from_der(public.as_ref()).unwrap(), pem)
}

fn start(id: &str, action: DataSetAction, bytes: usize) -> DataSetStart {
    DataSetStart {
        request_id: id.to_owned(),
        sender: PARTIES.sender.to_owned(),
        recipient: PARTIES.recipient.to_owned(),
        action,
        bytes: bytes as u64,
    }
}

fn content(bytes: usize) -> Vec<u8> {
    CANARY.bytes().cycle().take(bytes).collect()
}

fn random() -> StdRng {
    StdRng::seed_from_u64(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_data_set_goes_through_though_replicas_are_killed() {
    let site = Site::start("large", &[]).await;
    let one = site.worker("one").await;
    let client = Client::new(site.connect().await, PATIENCE);
    let plain = content(24 * MIB + 12_345);
    // It begins at the only replica, which dies with half of the pieces.
    let mut two = None;
    let sealed = client
        .data_set(&start("large", site.encrypt(), plain.len()), &plain, |state| {
            let half = matches!(state, DataSetReply::Loading(there) if *there >= 12 * MIB as u64);
            if half && two.is_none() {
                two = Some(site.spawn("two"));
                one.signal(Signal::SIGKILL);
            }
            true
        })
        .await
        .expect("an encrypted data set");
    let two = two.expect("the second replica was started");
    // The layout of the wire, whatever the size.
    assert_eq!(sealed.len(), 512 + 12 + plain.len() + 16);
    assert!(*site.own.decrypt(&PARTIES, &sealed, &mut random()).expect("the content") == plain);

    // Both replicas; one dies while the result is read, with it or beside it.
    let one = site.worker("again").await;
    let decrypt = start("back", DataSetAction::Decrypt, sealed.len());
    let mut pieces = 0;
    let back = client
        .data_set(&decrypt, &sealed, |state| {
            pieces += usize::from(matches!(state, DataSetReply::Piece(_)));
            if pieces == 10 {
                one.signal(Signal::SIGKILL);
            }
            true
        })
        .await
        .expect("the content");
    assert!(*back == plain);
    // Of no size at all, and in one piece.
    for plain in [content(0), content(1), content(MAX_PIECE)] {
        let begin = start(&format!("small{}", plain.len()), site.encrypt(), plain.len());
        let sealed = client.data_set(&begin, &plain, |_| true).await.expect("an encrypted data set");
        assert_eq!(*site.own.decrypt(&PARTIES, &sealed, &mut random()).unwrap(), plain);
    }
    drop((one, two));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decryption_that_fails_ends_alike() {
    let site = Site::start("refused", &[]).await;
    let worker = site.worker("one").await;
    let client = Client::new(site.connect().await, PATIENCE);
    let plain = content(3 * MIB);
    let sealed = site.recipient.encrypt(&PARTIES, &plain, &mut random()).unwrap();
    let (_, stranger, _) = pair();
    let other_parties = Parties { sender: "other.test", ..PARTIES };
    let changed = |at: usize| {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        changed
    };
    let wrong = [
        stranger.encrypt(&PARTIES, &plain, &mut random()).unwrap(),
        site.recipient.encrypt(&other_parties, &plain, &mut random()).unwrap(),
        changed(0),
        changed(515),
        changed(2 * MIB),
        changed(sealed.len() - 1),
        sealed[..sealed.len() - 1].to_vec(),
        sealed[..100].to_vec(),
        Vec::new(),
    ];
    for (at, message) in wrong.iter().enumerate() {
        let begin = start(&format!("w{at}"), DataSetAction::Decrypt, message.len());
        let mut released = false;
        let refused = client
            .data_set(&begin, message, |state| {
                released |= matches!(state, DataSetReply::Piece(_) | DataSetReply::Done(_));
                true
            })
            .await;
        assert!(
            matches!(&refused, Err(Error::DataSet(text)) if text == "cannot be decrypted with this key and context"),
            "{at}: {:?}",
            refused.map(|content| content.len())
        );
        assert!(!released, "{at}: nothing is given out before the tag was checked");
    }
    // Keys that are wrong beforehand are refused before anything is sent.
    let DataSetAction::Encrypt { public_key, .. } = site.encrypt() else { unreachable!() };
    for (public_key, hash, text) in [
        (public_key, "00".repeat(32), "the SHA-256 hash that was published"),
        (STANDARD.encode(b"no key"), "00".repeat(32), "not an RSA key"),
        ("-".to_owned(), "00".to_owned(), "must be Base64"),
    ] {
        let begin = start("k", DataSetAction::Encrypt { public_key, hash }, 1);
        let refused = client.data_set(&begin, b"x", |_| true).await;
        assert!(refused.as_ref().is_err_and(|error| error.to_string().contains(text)), "{refused:?}");
    }
    // Whoever watches may stop it.
    let begin = start("c", site.encrypt(), plain.len());
    let cancelled = client.data_set(&begin, &plain, |_| false).await;
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    drop(worker);
    site.stop().await;
}

/// Asks the replicas by hand.
struct Asker(Nats);

impl Asker {
    async fn start(&self, start: &DataSetStart) -> Result<DataSetStarted, RequestError> {
        self.0.ask(subject::RBF_DATA_SET, start, PATIENCE).await
    }

    async fn say(&self, set: &DataSetStarted, command: DataSetCommand) -> Result<DataSetReply, RequestError> {
        let request = DataSetRequest { set: set.set.clone(), command };
        self.0.ask_sealed(&set.subject, &request, PATIENCE).await
    }

    async fn put(
        &self,
        set: &DataSetStarted,
        from: usize,
        content: &[u8],
    ) -> Result<DataSetReply, RequestError> {
        let content: Octets = content.into();
        self.say(set, DataSetCommand::Put { from: from as u64, content }).await
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, RequestError>, text: &str) {
    assert!(
        matches!(&answer, Err(RequestError::Invalid(reason)) if reason.contains(text)),
        "{text}: {answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_come_in_order_and_sizes_and_memory_are_bounded() {
    let settings = [("DATA_SET", (3 * MIB).to_string()), ("MEMORY", (8 * MIB).to_string())];
    let site = Site::start("bounds", &settings).await;
    let worker = site.worker("one").await;
    let asker = Asker(site.connect().await);
    let plain = content(3000);
    let begin = start("order", site.encrypt(), plain.len());
    let set = asker.start(&begin).await.expect("a data set");
    assert_eq!(asker.start(&begin).await.expect("a data set"), set, "the same request");
    refused(asker.start(&start("order", site.encrypt(), 1)).await, "take a new one");

    // Nothing that does not fit changes anything.
    refused(asker.put(&set, 1, &plain[1..]).await, "0 bytes of the data set are there");
    assert_eq!(asker.put(&set, 0, &plain[..1000]).await.unwrap(), DataSetReply::Loading(1000));
    refused(asker.put(&set, 1001, &plain[1001..]).await, "pieces come in order");
    refused(asker.put(&set, 1000, &content(2001)).await, "announced with 3000 bytes");
    refused(asker.say(&set, DataSetCommand::Get { from: 0 }).await, "nothing there");
    assert_eq!(asker.put(&set, 0, &plain[..1000]).await.unwrap(), DataSetReply::Loading(1000), "again");
    assert_eq!(asker.put(&set, 500, &plain[500..1500]).await.unwrap(), DataSetReply::Loading(1500));
    let mut state = asker.put(&set, 1500, &plain[1500..]).await.unwrap();
    let asked = Instant::now();
    while state == DataSetReply::Working {
        assert!(asked.elapsed() < PATIENCE, "it is encrypted");
        state = asker.say(&set, DataSetCommand::Status).await.unwrap();
    }
    let size = 512 + 12 + 3000 + 16;
    assert_eq!(state, DataSetReply::Done(size));
    assert_eq!(asker.put(&set, 1500, &plain[1500..]).await.unwrap(), state, "the last piece again");
    let DataSetReply::Piece(piece) = asker.say(&set, DataSetCommand::Get { from: 0 }).await.unwrap() else {
        panic!("a piece");
    };
    assert_eq!(*site.own.decrypt(&PARTIES, &piece.0, &mut random()).unwrap(), plain);
    refused(asker.say(&set, DataSetCommand::Get { from: size + 1 }).await, "nothing there");
    assert_eq!(asker.say(&set, DataSetCommand::End).await.unwrap(), DataSetReply::Ended);
    assert_eq!(asker.say(&set, DataSetCommand::Status).await.unwrap(), DataSetReply::Ended);

    // A limit for one, which what was encrypted at the limit still fits into; and one for all.
    refused(asker.start(&start("b", site.encrypt(), 3 * MIB + 1)).await, "DSF_RBF_DATA_SET allows");
    let full = asker.start(&start("f", DataSetAction::Decrypt, 3 * MIB + 540)).await.expect("a data set");
    let other = asker.start(&start("g", site.encrypt(), 3 * MIB)).await.expect("a data set");
    let busy = asker.start(&start("h", site.encrypt(), 3 * MIB)).await;
    assert!(
        matches!(&busy, Err(RequestError::Unavailable { reason, .. }) if reason.contains("try again later")),
        "{busy:?}"
    );
    asker.say(&full, DataSetCommand::End).await.expect("an end");
    let asked = Instant::now();
    while let Err(error) = asker.start(&start("h", site.encrypt(), 3 * MIB)).await {
        assert!(asked.elapsed() < PATIENCE, "what has ended makes room: {error}");
    }
    drop((worker, other));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_that_is_left_alone_is_freed() {
    let settings = [("MEMORY", (8 * MIB).to_string()), ("DATA_SET_IDLE", "1s".to_owned())];
    let site = Site::start("idle", &settings).await;
    let worker = site.worker("one").await;
    let asker = Asker(site.connect().await);
    let left = asker.start(&start("left", site.encrypt(), 6 * MIB)).await.expect("a data set");
    asker.put(&left, 0, &content(1000)).await.expect("a piece");
    let asked = Instant::now();
    while let Err(error) = asker.start(&start("next", site.encrypt(), 6 * MIB)).await {
        assert!(asked.elapsed() < PATIENCE, "nobody asks about the first: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(asker.say(&left, DataSetCommand::Status).await.unwrap(), DataSetReply::Ended);
    drop(worker);
    site.stop().await;
}
