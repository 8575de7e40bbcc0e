//! Bearer tokens, login by authorization code and back-channel logout against an existing OpenID provider
//! (node-oidc-provider). `make test-peers` runs it; without the provider's folder it is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
#[path = "gateway/client.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod client;
#[path = "gateway/world.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests")]
mod world;

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use client::Client;
use fhir_gateway::Config;
use serde_json::{Value, json};
use world::{Replica, World, until_async};

const ROLES: &str = r#"
[[role]]
token-role = "dsf-reader"
dsf-role = [{ SEARCH = ["Task"] }, { READ = ["Task"] }]
"#;
const AUDIENCE: &str = "https://gateway.test";

/// A provider that ends with the value.
struct Provider {
    process: Child,
    url: String,
    ca: PathBuf,
}

impl Provider {
    /// None where the machine has none.
    fn folder() -> Option<PathBuf> {
        let folder = std::env::var_os("DSF_OIDC_PROVIDER").map(PathBuf::from);
        if folder.is_none() {
            eprintln!("left out: tests against an OpenID provider (make test-peers runs them)");
        }
        folder
    }

    async fn start(folder: &Path, world: &World, port: u16, gateway: &str, kid: &str) -> Self {
        let identity = world.authority.issue(&world.folder.join("provider"), "provider.test").unwrap();
        let process = Command::new("node")
            .arg("provider.mjs")
            .current_dir(folder)
            .env("PORT", port.to_string())
            .env("CERT", &identity.certificate)
            .env("KEY", &identity.key)
            .env("GATEWAY", gateway)
            .env("KID", kid)
            .env("NODE_EXTRA_CA_CERTS", &world.authority.certificate)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("https://localhost:{port}");
        let provider = Self { process, url, ca: world.authority.certificate.clone() };
        until_async("the provider is ready", async || {
            let answer = provider.curl(&[&format!("{}/.well-known/openid-configuration", provider.url)]);
            answer.contains("jwks_uri").then_some(())
        })
        .await;
        provider
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
            .arg(&self.ca)
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// An access token the provider issues to a client.
    fn token(&self, client: &str) -> String {
        let answer = self.curl(&[
            "--user",
            &format!("{client}:secret"),
            "--data",
            "grant_type=client_credentials",
            &format!("{}/token", self.url),
        ]);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no token: {answer}"));
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    fn mint(&self, order: &Value) -> String {
        self.curl(&["--data", &order.to_string(), &format!("{}/mint", self.url)])
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn with_oidc(world: &World, provider: u16) -> Config {
    let mut config = world.config();
    let roles = world.folder.join("roles.toml");
    std::fs::write(&roles, ROLES).unwrap();
    config.roles_file = Some(roles);
    config.oidc_provider = Some(format!("https://localhost:{provider}"));
    config.oidc_ca = Some(world.authority.certificate.clone());
    config.oidc_client_id = Some("gateway".to_owned());
    config.oidc_client_secret = Some("secret".to_owned());
    config.oidc_bearer_token = true;
    config.oidc_bearer_token_audience = Some(AUDIENCE.to_owned());
    config.oidc_authorization_code_flow = true;
    config.oidc_back_channel_logout = true;
    // So that new keys are seen soon.
    config.oidc_cache = config::Duration::millis(300);
    config
}

async fn ask(world: &World, gateway: &Replica, line: &str, token: Option<&str>) -> (u16, bool) {
    let client = Client::new(&world.authority, None);
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("accept", "application/fhir+json")];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    let answer = client.ask(gateway.address, line, &headers, b"").await.unwrap();
    (answer.status.as_u16(), answer.header("www-authenticate") == Some("Bearer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_tokens_of_a_provider_are_accepted_and_forged_ones_are_not() {
    let Some(folder) = Provider::folder() else { return };
    let world = World::start().await;
    let port = free_port();
    let config = with_oidc(&world, port);
    let base_url = config.base_url();
    let provider = Provider::start(&folder, &world, port, &base_url, "first").await;
    let gateway = Replica::start(config).await;

    let reader = provider.token("reader");
    assert_eq!(ask(&world, &gateway, "GET /fhir/Task", Some(&reader)).await.0, 200);
    assert_eq!(ask(&world, &gateway, "GET /fhir/Organization", Some(&reader)).await.0, 403, "no role for it");
    assert_eq!(ask(&world, &gateway, "GET /fhir/Task", Some(&provider.token("nobody"))).await.0, 403);
    assert_eq!(ask(&world, &gateway, "GET /fhir/Task", None).await, (401, true));

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = json!({
        "iss": provider.url, "aud": AUDIENCE, "sub": "x", "sid": "y", "iat": now, "exp": now + 60,
        "realm_access": {"roles": ["dsf-reader"]},
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        json!({"claims": claims})
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        json!({"claims": claims})
    };
    let table = [
        ("as it should be", json!({"claims": good}), 200),
        ("client role of another name", with("realm_access", json!({"roles": ["reader"]})), 403),
        ("expired", with("exp", json!(now - 60)), 401),
        ("not valid yet", with("nbf", json!(now + 600)), 401),
        ("no expiry", without("exp"), 401),
        ("another audience", with("aud", json!("https://other.test")), 401),
        ("no audience", without("aud"), 401),
        ("another issuer", with("iss", json!("https://other.test")), 401),
        ("no subject", without("sub"), 400),
        ("no session", without("sid"), 400),
        ("signed with another key", json!({"claims": good, "key": "other"}), 401),
        ("unknown key", json!({"claims": good, "header": {"kid": "unknown"}}), 401),
        ("shared secret", json!({"claims": good, "header": {"alg": "HS256"}}), 401),
    ];
    for (what, order, expected) in table {
        let token = provider.mint(&order);
        assert_eq!(ask(&world, &gateway, "GET /fhir/Task", Some(&token)).await.0, expected, "{what}");
    }
    for (what, token, expected) in [
        ("no token at all", "nonsense".to_owned(), 400),
        ("unsigned", format!("eyJhbGciOiJub25lIn0.{}.", reader.split('.').nth(1).unwrap()), 400),
        ("cut", reader[..reader.len() - 10].to_owned(), 401),
    ] {
        assert_eq!(ask(&world, &gateway, "GET /fhir/Task", Some(&token)).await.0, expected, "{what}");
    }

    // The provider comes back with another key: its tokens are accepted, the old ones are not any more.
    drop(provider);
    let provider = Provider::start(&folder, &world, port, &base_url, "second").await;
    let renewed = provider.token("reader");
    until_async("the new key is known", async || {
        (ask(&world, &gateway, "GET /fhir/Task", Some(&renewed)).await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(ask(&world, &gateway, "GET /fhir/Task", Some(&reader)).await.0, 401, "the key is gone");
    // Without the provider nobody is let in on old keys for longer than they are believed.
    drop(provider);
    until_async("old keys are not believed for ever", async || {
        (ask(&world, &gateway, "GET /fhir/Task", Some(&renewed)).await.0 == 503).then_some(())
    })
    .await;
    gateway.stop().await;
}

/// A browser: curl with a cookie jar.
struct Browser<'a> {
    provider: &'a Provider,
    jar: String,
}

impl Browser<'_> {
    /// Follows redirects; final status, URL and body.
    fn go(&self, url: &str, form: Option<&str>) -> (u16, String, String) {
        let mut arguments = vec![
            "--location",
            "--cookie",
            &self.jar,
            "--cookie-jar",
            &self.jar,
            "--header",
            "Accept: text/html",
            "--write-out",
            "\n%{http_code} %{url_effective}",
        ];
        arguments.extend(form.iter().flat_map(|form| ["--data", *form]));
        arguments.push(url);
        let answer = self.provider.curl(&arguments);
        let (body, last) = answer.rsplit_once('\n').unwrap();
        let (status, url) = last.split_once(' ').unwrap();
        (status.parse().unwrap(), url.to_owned(), body.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_log_in_and_the_provider_logs_them_out() {
    let Some(folder) = Provider::folder() else { return };
    let world = World::start().await;
    let port = free_port();
    let config = with_oidc(&world, port);
    let base_url = config.base_url();
    let provider = Provider::start(&folder, &world, port, &base_url, "first").await;
    let gateway = Replica::start(config).await;
    let jar = world.folder.join("jar").display().to_string();
    let browser = Browser { provider: &provider, jar };
    let page = format!("{base_url}/Task?_format=json&status=draft");

    // A callback that nobody asked for.
    let (status, ..) = browser.go(&format!("{base_url}/oidc/callback?code=x&state=y"), None);
    assert_eq!(status, 400);

    let (_, login, body) = browser.go(&page, None);
    assert!(login.starts_with(&format!("{}/interaction/", provider.url)), "sent to {login}: {body}");
    let (_, consent, body) = browser.go(&login, Some("prompt=login&login=user&password=x"));
    assert!(consent.starts_with(&format!("{}/interaction/", provider.url)), "sent to {consent}: {body}");
    let (status, back, body) = browser.go(&consent, Some("prompt=consent"));
    assert_eq!((status, back.as_str()), (200, page.as_str()), "{body}");
    assert!(body.contains("searchset"), "{body}");
    let jar = std::fs::read_to_string(&browser.jar).unwrap();
    let session = jar.lines().find(|line| line.contains("__Host-dsf-session")).expect("a session cookie");
    let fields: Vec<&str> = session.split('\t').collect();
    assert!(session.starts_with("#HttpOnly_") && fields[3] == "TRUE", "HttpOnly and Secure: {session}");

    // The session holds, with the rights of the token's role and no more; another's writes are not its.
    assert_eq!(browser.go(&page, None).0, 200);
    assert_eq!(browser.go(&format!("{base_url}/Organization?_format=json"), None).0, 403);
    let written = provider.curl(&[
        "--cookie",
        &browser.jar,
        "--header",
        "Origin: https://evil.test",
        "--header",
        "Content-Type: application/fhir+json",
        "--data",
        "{}",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        &format!("{base_url}/Task"),
    ]);
    assert_eq!(written, "401", "a write that a page of another origin causes");

    // A page says who is signed in and has the way out. It leads to the provider, which asks, ends the session
    // and tells the gateway; the gateway's own is over at once.
    let (status, _, body) = browser.go(&format!("{base_url}/Task?_format=html&status=draft"), None);
    let sign_out = format!("{base_url}/logout");
    assert!(
        status == 200 && body.contains(&format!("<a href=\"{sign_out}\">Sign out</a>")),
        "{status}: {body}"
    );
    let held = std::fs::read_to_string(&browser.jar).unwrap();
    // One step: a curl that follows the redirect reads its jar again, with the cookie in it.
    let jar = ["--cookie", &browser.jar, "--cookie-jar", &browser.jar];
    let url = provider.curl(&[&jar[..], &["--write-out", "%{redirect_url}", &sign_out]].concat());
    assert!(url.starts_with(&format!("{}/session/end", provider.url)), "sent to {url}");
    let left = std::fs::read_to_string(&browser.jar).unwrap();
    assert!(!left.contains("__Host-dsf-session"), "the cookie is gone: {left}");
    // Nor does a copy of it help.
    let copy = world.folder.join("copy").display().to_string();
    let own: Vec<&str> = held.lines().filter(|line| line.contains("__Host-dsf-session")).collect();
    std::fs::write(&copy, own.join("\n") + "\n").unwrap();
    let (_, url, _) = Browser { provider: &provider, jar: copy }.go(&page, None);
    assert!(url.starts_with(&provider.url), "a copy of the session still holds: {url}");
    let (_, _, body) = browser.go(&format!("{}/session/end?client_id=gateway", provider.url), None);
    let xsrf = body.split("name=\"xsrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let xsrf = xsrf.unwrap_or_else(|| panic!("a form to log out: {body}"));
    browser.go(&format!("{}/session/end/confirm", provider.url), Some(&format!("xsrf={xsrf}&logout=yes")));
    let (_, url, _) = browser.go(&page, None);
    assert!(url.starts_with(&provider.url), "signed out, yet at {url}");

    // Somebody signs in again; now the provider alone ends the session, and tells the gateway.
    let (_, login, _) = browser.go(&page, None);
    let (_, consent, _) = browser.go(&login, Some("prompt=login&login=user&password=x"));
    if consent.contains("/interaction/") {
        browser.go(&consent, Some("prompt=consent"));
    }
    assert_eq!(browser.go(&page, None).1, page);
    let (_, _, body) = browser.go(&format!("{}/session/end", provider.url), None);
    let xsrf = body.split("name=\"xsrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let xsrf = xsrf.unwrap_or_else(|| panic!("a form to log out: {body}"));
    browser.go(&format!("{}/session/end/confirm", provider.url), Some(&format!("xsrf={xsrf}&logout=yes")));
    until_async("the session is ended", async || {
        let (_, url, _) = browser.go(&page, None);
        url.starts_with(&provider.url).then_some(())
    })
    .await;

    // Logout tokens are checked as others are.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let good = json!({
        "iss": provider.url, "aud": "gateway", "sub": "user", "sid": "s", "iat": now, "exp": now + 60,
        "jti": "1", "events": event,
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        provider.mint(&json!({"claims": claims}))
    };
    let table = [
        ("as it should be", Some(provider.mint(&json!({"claims": good}))), "200"),
        ("no event", Some(with("events", json!({}))), "400"),
        ("a nonce", Some(with("nonce", json!("n"))), "400"),
        ("another audience", Some(with("aud", json!("other"))), "400"),
        ("expired", Some(with("exp", json!(now - 60))), "400"),
        ("another key", Some(provider.mint(&json!({"claims": good, "key": "other"}))), "400"),
        ("none", None, "403"),
    ];
    for (what, token, expected) in table {
        let form = token.map(|token| format!("logout_token={token}")).unwrap_or_default();
        let status = provider.curl(&[
            "--data",
            &form,
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            &format!("{base_url}/back-channel-logout"),
        ]);
        assert_eq!(status, expected, "{what}");
    }
    gateway.stop().await;
}
