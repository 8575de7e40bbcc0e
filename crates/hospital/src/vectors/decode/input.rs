//! What a decoder is given: the settings of an adapter, and what a message answers.
use std::path::Path;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    consent::Zone,
    hl7v2::{Charset, Options, pix},
    json::Json,
    mllp,
    person::{Domain, Profile, Query, Repetition},
};

/// Settings of an adapter, as far as they change what a message means.
pub struct Settings {
    pub frame_limit: usize,
    repetition: Option<Repetition>,
    pub options: Options,
    zone: Zone,
}

impl Settings {
    /// Reads settings; the name of the first one that cannot be set.
    pub fn read(json: &Json) -> Result<Self, String> {
        let mut settings = Self {
            frame_limit: mllp::FRAME_LIMIT,
            repetition: None,
            options: Options::default(),
            zone: Zone::Berlin,
        };
        for (name, value) in json.members() {
            let known = match (name.as_str(), value) {
                ("frame_limit", Json::Number(number)) => {
                    number.parse().map(|limit| settings.frame_limit = limit).is_ok()
                }
                ("repetition", Json::Text(text)) => {
                    settings.repetition = match text.as_str() {
                        "first" => Some(Repetition::First),
                        "preferred" => Some(Repetition::Preferred),
                        _ => return Err(name.clone()),
                    };
                    true
                }
                ("charset", Json::Text(text)) => match Charset::from_setting(text) {
                    Some(charset) => {
                        settings.options.charset = charset;
                        true
                    }
                    None => false,
                },
                ("lenient", Json::Boolean(lenient)) => {
                    settings.options.lenient = *lenient;
                    true
                }
                ("mode" | "parser" | "segment_terminator", Json::Text(text)) => match text.as_str() {
                    "lenient" | "any" => {
                        settings.options.lenient = true;
                        true
                    }
                    "strict" | "cr" => true,
                    _ => false,
                },
                ("time_zone", Json::Text(text)) => match Zone::from_setting(text) {
                    Some(zone) => {
                        settings.zone = zone;
                        true
                    }
                    None => false,
                },
                ("on_indeterminate", Json::Text(text)) => text == "fail",
                ("on_multiple", Json::Text(text)) => text == "fail" || text == "ambiguous",
                _ => false,
            };
            if !known {
                return Err(name.clone());
            }
        }
        Ok(settings)
    }
}

/// What a decoder is given beside the bytes.
pub struct Input<'a> {
    pub folder: &'a Path,
    pub context: &'a Json,
    pub settings: &'a Settings,
}

impl Input<'_> {
    pub fn text(&self, name: &str) -> Option<String> {
        self.context.get(name).filled()
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        self.context.get(name).items().iter().filter_map(Json::filled).collect()
    }

    pub fn status(&self) -> u16 {
        self.context.get("http_status").whole().and_then(|status| status.try_into().ok()).unwrap_or(200)
    }

    pub fn query(&self) -> Query {
        match self.context.get("query").text() {
            Some("demographics") => Query::Demographics,
            Some("match") => Query::Match,
            _ => Query::Identifier,
        }
    }

    pub fn profile(&self) -> Profile {
        let insurance = self.context.get("insurance_authority");
        Profile {
            authority: domain(self.context.get("authority")),
            insurance_authority: (!insurance.is_null()).then(|| domain(insurance)),
            repetition: self.settings.repetition,
        }
    }

    pub fn cross_reference(&self) -> pix::Asked {
        pix::Asked {
            control_id: self.text("control_id"),
            query_tag: self.text("query_tag"),
            id: self.text("asked_id"),
            source: domain(self.context.get("source_domain")),
            targets: self.context.get("target_domains").items().iter().map(domain).collect(),
        }
    }

    pub fn zone(&self) -> Zone {
        self.context.get("time_zone").text().and_then(Zone::from_setting).unwrap_or(self.settings.zone)
    }

    pub fn at(&self) -> Option<OffsetDateTime> {
        let text = self.text("at")?;
        match OffsetDateTime::parse(&text, &Rfc3339) {
            Ok(at) => Some(at),
            Err(_) => self.zone().span(&text).map(|span| span.first),
        }
    }

    pub fn codes(&self) -> Option<Vec<u32>> {
        let codes = self.context.find("codes")?.items();
        Some(codes.iter().filter_map(|code| code.whole().and_then(|code| code.try_into().ok())).collect())
    }
}

fn domain(json: &Json) -> Domain {
    Domain {
        namespace: json.get("namespace").filled(),
        universal_id: json.get("universal_id").filled(),
        universal_id_type: json.get("universal_id_type").filled(),
        system: json.get("system").filled(),
    }
}
