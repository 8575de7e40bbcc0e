//! Tokens of a FHIRPath expression.

use super::ExpressionError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(String),
    /// `%resource`
    Variable(String),
    /// `$this`
    Special(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 24] = [
    "!=", "!~", "<=", ">=", "(", ")", "{", "}", "[", "]", ".", ",", "=", "~", "<", ">", "|", "&", "+", "-",
    "*", "/", ":", "@",
];

/// All tokens with their positions.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let start = at;
        let error = |reason: &str| ExpressionError { reason: reason.to_owned(), at: start };
        let token = match first {
            '\'' | '`' | '"' => {
                let (value, end) = quoted(text, at, first).ok_or_else(|| error("an unfinished text"))?;
                at = end;
                if first == '\'' { Token::Text(value) } else { Token::Name(value) }
            }
            '0'..='9' => {
                let mut end = at;
                let bytes = text.as_bytes();
                while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                    end += 1;
                }
                if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
                    end += 1;
                    while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                        end += 1;
                    }
                }
                at = end;
                Token::Number(text[start..end].to_owned())
            }
            '%' | '$' => {
                at += 1;
                if let Some(quote @ ('`' | '\'' | '"')) = text[at..].chars().next() {
                    let (value, end) = quoted(text, at, quote).ok_or_else(|| error("an unfinished name"))?;
                    at = end;
                    Token::Variable(value)
                } else {
                    let name = word(&text[at..]);
                    at += name.len();
                    let name = name.to_owned();
                    if first == '%' { Token::Variable(name) } else { Token::Special(name) }
                }
            }
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let name = word(&text[at..]);
                at += name.len();
                Token::Name(name.to_owned())
            }
            _ => match SYMBOLS.iter().find(|symbol| text[at..].starts_with(**symbol)) {
                Some(symbol) => {
                    at += symbol.len();
                    Token::Symbol(symbol)
                }
                None => return Err(error("an unknown character")),
            },
        };
        tokens.push((start, token));
    }
    Ok(tokens)
}

fn word(text: &str) -> &str {
    let end = text
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// A quoted text from its opening quote; also where it ends.
fn quoted(text: &str, at: usize, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text[at + 1..].char_indices();
    while let Some((offset, character)) = characters.next() {
        if character == quote {
            return Some((value, at + 1 + offset + quote.len_utf8()));
        }
        if character != '\\' {
            value.push(character);
            continue;
        }
        let (_, escaped) = characters.next()?;
        match escaped {
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            'f' => value.push('\u{c}'),
            'u' => {
                let mut number = 0;
                for _ in 0..4 {
                    number = number * 16 + characters.next()?.1.to_digit(16)?;
                }
                value.push(char::from_u32(number)?);
            }
            other => value.push(other),
        }
    }
    None
}
