//! Replacing `#{…}` in models and resources, and `${name:default}` in resources.
use std::collections::BTreeMap;

/// What placeholders become (contract `process-engine.md` section 5.2).
#[derive(Debug, Clone)]
pub(crate) struct Placeholders<'a> {
    /// `#{version}`
    pub(crate) version: &'a str,
    /// `#{date}`
    pub(crate) date: &'a str,
    /// `#{organization}`
    pub(crate) organization: &'a str,
    /// Other names, dots as `_` and in capitals.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Leave a placeholder without a value as it is, instead of failing.
    pub(crate) tolerant: bool,
}

impl Placeholders<'_> {
    /// Replaces `#{…}` in a model; `${…}` is an expression there and stays.
    pub(crate) fn in_model(&self, text: &str) -> Result<String, String> {
        replace(text, "#{", |name| self.required(name).map(|value| value.map(|value| escape(&value, false))))
    }

    /// Replaces `#{…}` and `${name:default}` in a FHIR resource.
    pub(crate) fn in_resource(&self, text: &str, json: bool) -> Result<String, String> {
        let text = replace(text, "#{", |name| {
            self.required(name).map(|value| value.map(|value| escape(&value, json)))
        })?;
        replace(&text, "${", |name| self.setting(name).map(|value| value.map(|value| escape(&value, json))))
    }

    fn required(&self, name: &str) -> Result<Option<String>, String> {
        let value = match name {
            "version" => self.version.to_owned(),
            "date" => self.date.to_owned(),
            "organization" => self.organization.to_owned(),
            _ if !is_name(name) => return Ok(None),
            _ => match self.environment.get(&variable(name)) {
                Some(value) => value.clone(),
                None if self.tolerant => return Ok(None),
                None => return Err(format!("placeholder #{{{name}}} has no value: set {}", variable(name))),
            },
        };
        Ok(Some(value))
    }

    fn setting(&self, placeholder: &str) -> Result<Option<String>, String> {
        let (name, default) = match placeholder.split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (placeholder, None),
        };
        // Anything else between braces is content, for example a pattern.
        if !is_name(name) || !name.contains('.') {
            return Ok(None);
        }
        match (self.environment.get(&variable(name)), default) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, Some(default)) => Ok(Some(default.to_owned())),
            (None, None) if self.tolerant => Ok(None),
            (None, None) => Err(format!("placeholder ${{{name}}} has no value: set {}", variable(name))),
        }
    }
}

/// The environment variable of a placeholder.
fn variable(name: &str) -> String {
    name.replace(['.', '-'], "_").to_uppercase()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Replaces what stands between `open` and `}`; a name without a value stays as it is.
fn replace(
    text: &str,
    open: &str,
    value: impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let (before, after) = rest.split_at(start);
        result.push_str(before);
        let inner = &after[open.len()..];
        let replaced = match inner.find('}') {
            Some(end) => value(&inner[..end])?.map(|value| (value, end + 1)),
            None => None,
        };
        match replaced {
            Some((value, used)) => {
                result.push_str(&value);
                rest = &inner[used..];
            }
            None => {
                result.push_str(open);
                rest = inner;
            }
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// A value must not end the text it is put into.
fn escape(value: &str, json: bool) -> String {
    if json {
        let quoted = serde_json::Value::from(value).to_string();
        return quoted[1..quoted.len() - 1].to_owned();
    }
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces() {
        let environment = BTreeMap::from([("A_B_C".to_owned(), "x & \"y\"".to_owned())]);
        let placeholders = Placeholders {
            version: "1.0",
            date: "2026-01-02",
            organization: "a.test",
            environment: &environment,
            tolerant: false,
        };
        let model = placeholders.in_model("#{version}|${execution.x}|#{a.b.c}|#{ no|#{1}").unwrap();
        assert_eq!(model, "1.0|${execution.x}|x &amp; &quot;y&quot;|#{ no|#{1}");
        let resource = placeholders
            .in_resource("#{date} #{organization} ${a.b.c} ${d.e:f g} ^[a-z]${2} ${x}", true)
            .unwrap();
        assert_eq!(resource, "2026-01-02 a.test x & \\\"y\\\" f g ^[a-z]${2} ${x}");
        let error = placeholders.in_model("#{d.e}").unwrap_err();
        assert_eq!(error, "placeholder #{d.e} has no value: set D_E");
        assert!(placeholders.in_resource("${d.e}", false).is_err());
        let tolerant = Placeholders { tolerant: true, ..placeholders };
        assert_eq!(tolerant.in_model("#{d.e}").unwrap(), "#{d.e}");
    }
}
