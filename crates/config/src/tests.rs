//! Both sources, their order, and the errors an operator sees.
use std::io::Write;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    base_url: String,
    #[serde(default = "ten")]
    limit: u32,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    proxies: Vec<String>,
    password: Option<String>,
    wait: Option<Duration>,
    ready_file: Option<PathBuf>,
}

fn ten() -> u32 {
    10
}

fn load_pairs(pairs: &[(&str, &str)]) -> Result<Sample, ConfigError> {
    load_from("DSF_X", None, pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

/// What services share, in a field of each.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Shared {
    urls: Vec<String>,
    password: Option<String>,
    log_file: Option<PathBuf>,
    #[serde(default)]
    tries: u32,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Grouped {
    site: String,
    nats: Shared,
}

fn load_grouped(file: Option<&Path>, pairs: &[(&str, &str)]) -> Result<Grouped, ConfigError> {
    load_from("DSF_X", file, pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

#[test]
fn shared_settings_are_flat_for_operators() {
    let folder = std::env::temp_dir().join(format!("config-groups-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, secret) = (folder.join("x.toml"), folder.join("secret"));
    std::fs::write(&secret, "s3cret\n").unwrap();
    let pairs = [
        ("DSF_X_SITE", "a"),
        ("DSF_X_NATS_URLS", "nats://one, nats://two"),
        ("DSF_X_NATS_PASSWORD_FILE", secret.to_str().unwrap()),
        ("DSF_X_NATS_LOG_FILE", "/tmp/log"),
        ("DSF_X_NATS_TRIES", "3"),
    ];
    let grouped = load_grouped(None, &pairs).unwrap();
    assert_eq!(grouped.nats.urls, ["nats://one", "nats://two"]);
    assert_eq!((grouped.nats.password.as_deref(), grouped.nats.tries), (Some("s3cret"), 3));
    assert_eq!(grouped.nats.log_file, Some(PathBuf::from("/tmp/log")));
    // Both forms of the file, and the environment wins over either.
    for text in [
        "site = \"b\"\nnats_urls = [\"u\"]\nnats_tries = 1",
        "site = \"b\"\n[nats]\nurls = [\"u\"]\ntries = 1",
    ] {
        std::fs::write(&file, text).unwrap();
        let grouped = load_grouped(Some(&file), &[("DSF_X_NATS_TRIES", "2")]).unwrap();
        assert_eq!((grouped.site.as_str(), grouped.nats.urls[0].as_str(), grouped.nats.tries), ("b", "u", 2));
    }
    let mistakes = [
        (None, vec![("DSF_X_SITE", "a")], "nats: missing field `urls`"),
        (
            None,
            vec![("DSF_X_NATS_URL", "u")],
            "unknown field `nats_url`, expected one of `site`, `nats_urls`",
        ),
        (None, vec![("DSF_X_NATS", "u")], "unknown field `nats`"),
        (None, vec![("DSF_X_SITE", "a"), ("DSF_X_NATS_TRIES", "many")], "nats: tries: expected"),
        (Some("site = \"a\"\nnats_urls = []\n[nats]\nurls = []"), vec![], "nats_urls stands twice"),
        (Some("site = \"a\"\n[nats]\nurls = []\nurl = 1"), vec![], "unknown field `url`"),
        (Some("site = \"a\"\nnats_urls = []\nnats_tires = 1"), vec![], "unknown field `nats_tires`"),
        (Some("site = \"a\"\nnats = 1"), vec![], "nats: "),
    ];
    for (text, pairs, expected) in mistakes {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let error = load_grouped(text.map(|_| file.as_path()), &pairs).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error:?} should name {expected:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn texts_become_typed_values() {
    let sample = load_pairs(&[
        ("DSF_X_BASE_URL", "https://a/fhir"),
        ("DSF_X_LIMIT", "7"),
        ("DSF_X_STRICT", "true"),
        ("DSF_X_PROXIES", "10.0.0.1, 10.0.0.2"),
        ("DSF_X_WAIT", "PT1M30S"),
        ("DSF_X_READY_FILE", "/tmp/ready"),
        ("DSF_Y_LIMIT", "not ours"),
    ])
    .unwrap();
    assert_eq!(sample.limit, 7);
    assert!(sample.strict);
    assert_eq!(sample.proxies, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(sample.wait, Some(Duration::secs(90)));
    assert_eq!(sample.ready_file, Some(PathBuf::from("/tmp/ready")));
}

#[test]
fn environment_wins_over_file_and_secrets_come_from_files() {
    let folder = std::env::temp_dir().join(format!("config-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, secret) = (folder.join("x.toml"), folder.join("secret"));
    writeln!(std::fs::File::create(&file).unwrap(), "base_url = \"https://file\"\nlimit = 3").unwrap();
    writeln!(std::fs::File::create(&secret).unwrap(), "s3cret").unwrap();
    let environment = vec![
        ("DSF_X_LIMIT".to_owned(), "4".to_owned()),
        ("DSF_X_PASSWORD_FILE".to_owned(), secret.display().to_string()),
    ];
    let sample: Sample = load_from("DSF_X", Some(&file), environment).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((sample.base_url.as_str(), sample.limit), ("https://file", 4));
    assert_eq!(sample.password.as_deref(), Some("s3cret"));
}

#[test]
fn mistakes_are_one_line_and_name_the_setting() {
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[], "base_url"),
        (&[("DSF_X_BASE_URL", "a"), ("DSF_X_LIMTI", "1")], "limti"),
        (&[("DSF_X_BASE_URL", "a"), ("DSF_X_LIMIT", "many")], "limit: expected a value of type u32"),
        (&[("DSF_X_BASE_URL", "a"), ("DSF_X_WAIT", "soon")], "duration"),
    ];
    for (pairs, expected) in table {
        let text = load_pairs(pairs).unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} should name {expected:?}");
        assert!(!text.contains('\n'), "{text:?} should be one line");
    }
}

#[test]
fn durations() {
    for (text, millis) in [("500ms", 500), ("10s", 10_000), ("2h", 7_200_000), ("P1DT1S", 86_401_000)] {
        assert_eq!(text.parse::<Duration>(), Ok(Duration::millis(millis)), "{text}");
    }
    for text in ["", "10", "P", "PT", "10 s", "-1s", "PT1X", "99999999999999999999s"] {
        assert_eq!(text.parse::<Duration>(), Err(DurationError), "{text}");
    }
}
