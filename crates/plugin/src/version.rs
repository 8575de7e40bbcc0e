//! Plugin versions and what they say about the resources.

/// A plugin version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// As given.
    pub(crate) full: String,
    /// Version of models and resources: the first two of four numbers, all of three (generation 0.9).
    pub(crate) resource: String,
    /// Not yet released.
    pub(crate) draft: bool,
}

impl Version {
    /// Reads `1.0.1.0`, `0.7.0`, or one of them with `-SNAPSHOT`, `-M<n>` or `-RC<n>`.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let (numbers, suffix) = match text.split_once('-') {
            Some((numbers, suffix)) => (numbers, Some(suffix)),
            None => (text, None),
        };
        if suffix.is_some_and(|suffix| !is_draft_suffix(suffix)) {
            return None;
        }
        let parts: Vec<&str> = numbers.split('.').collect();
        if !parts.iter().all(|part| is_number(part)) {
            return None;
        }
        let resource = match parts.as_slice() {
            [major, minor, _, _] => format!("{major}.{minor}"),
            [_, _, _] => numbers.to_owned(),
            _ => return None,
        };
        Some(Version { full: text.to_owned(), resource, draft: suffix.is_some() })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_draft_suffix(suffix: &str) -> bool {
    suffix == "SNAPSHOT"
        || suffix.strip_prefix("RC").is_some_and(is_number)
        || suffix.strip_prefix('M').is_some_and(is_number)
}

/// Name and version of a folder named `<name>-<version>`.
pub(crate) fn split_folder_name(folder: &str) -> Option<(&str, &str)> {
    let mut at = folder.rfind('-')?;
    if is_draft_suffix(&folder[at + 1..]) {
        at = folder[..at].rfind('-')?;
    }
    let (name, version) = (&folder[..at], &folder[at + 1..]);
    (!name.is_empty() && Version::parse(version).is_some()).then_some((name, version))
}

/// Today in UTC, `yyyy-MM-dd`.
pub(crate) fn today() -> String {
    let today = time::OffsetDateTime::now_utc().date();
    format!("{:04}-{:02}-{:02}", today.year(), u8::from(today.month()), today.day())
}
