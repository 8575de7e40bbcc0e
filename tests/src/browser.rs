//! Headless Chromium, driven by its DevTools protocol: no driver program, no further library.
//!
//! The browser holds no client certificate: a [`Relay`] of the test puts the one of a site between the
//! browser and the gateway. Names, ports and origins stay those of the gateway.
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use stand::Identity;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{LOOK, PATIENCE};

/// Flags for a browser that talks to nobody but us.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--ignore-certificate-errors",
    "--remote-debugging-port=0",
];

/// How long an evaluation may take while pages are exchanged: the one that goes takes its answer along.
const GONE: Duration = Duration::from_secs(2);

/// Ends TLS on both sides: towards the browser without, towards the gateway with a certificate.
pub struct Relay {
    /// Port on 127.0.0.1.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Relay {
    /// Relays to `port` on this machine as the holder of `identity`.
    pub async fn start(ca: &Path, identity: &Identity, port: u16) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = || -> Result<Vec<CertificateDer<'static>>> {
            Ok(CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<_, _>>()?)
        };
        let key = || PrivateKeyDer::from_pem_file(&identity.key);
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain()?, key()?)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain()?, key()?)?;
        let (acceptor, connector) =
            (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let own = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(async move {
                    let mut inner = acceptor.accept(stream).await?;
                    let outer = TcpStream::connect(("127.0.0.1", port)).await?;
                    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
                    let mut outer = connector.connect(name, outer).await?;
                    tokio::io::copy_bidirectional(&mut inner, &mut outer).await
                });
            }
        });
        Ok(Self { port: own, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A browser with one page.
pub struct Browser {
    _child: Child,
    folder: PathBuf,
    socket: WebSocketStream<TcpStream>,
    session: Option<String>,
    next: u64,
    /// What the browser complained of: errors of its console and log, blocked content.
    pub complaints: Vec<String>,
}

impl Browser {
    /// Starts Chromium; everything on `localhost` goes to the relay.
    pub async fn start(relay: &Relay) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("dsf-browser-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder)?;
        let program = std::env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into());
        let child = Command::new(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg(format!("--host-resolver-rules=MAP localhost 127.0.0.1:{}", relay.port))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromium cannot be started: scripts/setup test installs it")?;
        let told = folder.join("DevToolsActivePort");
        let told = crate::wait_for("chromium to listen", || async {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            Ok(text.split_once('\n').map(|(port, path)| (port.to_owned(), path.trim().to_owned())))
        })
        .await?;
        let stream = TcpStream::connect(format!("127.0.0.1:{}", told.0)).await?;
        let (socket, _) = client_async(format!("ws://127.0.0.1:{}{}", told.0, told.1), stream).await?;
        let mut browser =
            Self { _child: child, folder, socket, session: None, next: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await?;
        }
        Ok(browser)
    }

    /// Calls a method of the protocol.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).await?;
        let answer = async {
            loop {
                let message = self.socket.next().await.context("chromium has gone")??;
                let Message::Text(text) = message else { continue };
                let message: Value = serde_json::from_str(&text)?;
                if message["id"] == id {
                    if message["error"].is_null() {
                        return Ok(message["result"].clone());
                    }
                    bail!("{method}: {}", message["error"]);
                }
                let complaint = match message["method"].as_str() {
                    Some("Log.entryAdded") if message["params"]["entry"]["level"] == "error" => {
                        Some(&message["params"]["entry"]["text"])
                    }
                    Some("Runtime.exceptionThrown") => Some(&message["params"]["exceptionDetails"]["text"]),
                    _ => None,
                };
                self.complaints.extend(complaint.map(Value::to_string));
            }
        };
        timeout(PATIENCE, answer).await.with_context(|| format!("{method} was not answered"))?
    }

    /// Value of a JavaScript expression in the page. Works also where pages themselves may run nothing.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters).await?;
        if result["exceptionDetails"].is_null() {
            return Ok(result["result"]["value"].clone());
        }
        Err(anyhow!("{expression}: {}", result["exceptionDetails"]["exception"]["description"]))
    }

    /// Polls until an expression is true.
    pub async fn until(&mut self, what: &str, expression: &str) -> Result<()> {
        let started = Instant::now();
        // While a page is exchanged for the next there is nothing to evaluate in.
        while !matches!(timeout(GONE, self.evaluate(expression)).await, Ok(Ok(Value::Bool(true)))) {
            if started.elapsed() > PATIENCE {
                let text = self.text().await.unwrap_or_default();
                bail!("waited {PATIENCE:?} for {what}; the page says: {text}");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Opens a page and waits until it is there.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", json!({"url": url})).await?;
        if let Some(error) = opened["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        let there = "document.readyState === 'complete' && location.href !== 'about:blank'";
        self.until(&format!("{url} to load"), there).await
    }

    /// What the page says, as text.
    pub async fn text(&mut self) -> Result<String> {
        Ok(self.evaluate("document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Presses a key, as a person would.
    pub async fn press(&mut self, key: &str, code: u32, text: &str) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Width and height of the window, and the colour scheme of the system.
    pub async fn look(&mut self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// Writes a picture of the page below the folder that `DSF_SCREENSHOTS` names; nothing without it.
    pub async fn picture(&mut self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("DSF_SCREENSHOTS").map(PathBuf::from) else { return Ok(()) };
        let taken = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", taken).await?;
        std::fs::create_dir_all(&folder)?;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap_or_default())?;
        Ok(std::fs::write(folder.join(format!("{name}.png")), bytes)?)
    }

    /// Ends the browser and takes its folder away.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(5), self.call("Browser.close", json!({}))).await;
        let _ = self._child.kill().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self._child.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
