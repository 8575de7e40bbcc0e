//! Character sets of HL7 v2 (table 0211, contract 1.3).
use encoding_rs::Encoding;

use crate::failure::Reason;

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// As MSH-18 says; where it says nothing or ASCII, UTF-8 if the bytes are, else ISO 8859-1.
    #[default]
    Auto,
    /// UTF-8.
    Utf8,
    /// ISO 8859-1.
    Latin1,
    /// Another one-byte set, by its label.
    Labelled(&'static str),
}

impl Charset {
    /// From a setting: `auto`, `utf-8`, `iso-8859-1`, `iso-8859-15`, `windows-1252`.
    pub fn from_setting(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "auto" => Self::Auto,
            "utf-8" => Self::Utf8,
            "iso-8859-1" => Self::Latin1,
            "iso-8859-15" => Self::Labelled("iso-8859-15"),
            "windows-1252" => Self::Labelled("windows-1252"),
            _ => return None,
        })
    }

    /// From MSH-18, first repetition.
    fn declared(text: &str) -> Result<Self, Reason> {
        let text = text.trim().to_ascii_uppercase();
        Ok(match text.as_str() {
            "" | "\"\"" | "ASCII" => Self::Auto,
            "UNICODE UTF-8" | "UTF-8" => Self::Utf8,
            "8859/1" => Self::Latin1,
            "8859/2" => Self::Labelled("iso-8859-2"),
            "8859/3" => Self::Labelled("iso-8859-3"),
            "8859/4" => Self::Labelled("iso-8859-4"),
            "8859/5" => Self::Labelled("iso-8859-5"),
            "8859/6" => Self::Labelled("iso-8859-6"),
            "8859/7" => Self::Labelled("iso-8859-7"),
            "8859/8" => Self::Labelled("iso-8859-8"),
            "8859/9" => Self::Labelled("windows-1254"),
            "8859/10" => Self::Labelled("iso-8859-10"),
            "8859/13" => Self::Labelled("iso-8859-13"),
            "8859/14" => Self::Labelled("iso-8859-14"),
            "8859/15" => Self::Labelled("iso-8859-15"),
            // Two-byte sets and `UNICODE` without form would need another way to find the segments.
            _ => return Err(Reason::Charset),
        })
    }

    /// The set in force: the setting, else what the message declares.
    pub(super) fn resolve(self, declared: &str) -> Result<Self, Reason> {
        if self == Self::Auto { Self::declared(declared) } else { Ok(self) }
    }

    /// Text, the set that was used, and whether ISO 8859-1 had to be assumed.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<(String, Self, bool), Reason> {
        match self {
            Self::Auto => match std::str::from_utf8(bytes) {
                Ok(text) => Ok((text.to_owned(), Self::Utf8, false)),
                Err(_) => Ok((latin1(bytes), Self::Latin1, true)),
            },
            Self::Utf8 => {
                let text = std::str::from_utf8(bytes).map_err(|_| Reason::Charset)?;
                Ok((text.to_owned(), Self::Utf8, false))
            }
            Self::Latin1 => Ok((latin1(bytes), self, false)),
            Self::Labelled(label) => {
                let encoding = Encoding::for_label(label.as_bytes()).ok_or(Reason::Charset)?;
                let text = encoding
                    .decode_without_bom_handling_and_without_replacement(bytes)
                    .ok_or(Reason::Charset)?;
                Ok((text.into_owned(), self, false))
            }
        }
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
