//! From text to expression trees: a tokenizer and a Pratt parser.
use super::{MAX_DEPTH, MAX_NODES, MAX_TEXT, Node, Operator, Part, SyntaxError};
use crate::value::Value;

/// Splits a text into literals and expressions. `\${` and `\#{` stand for themselves.
pub(super) fn template(text: &str) -> Result<Vec<Part>, SyntaxError> {
    if text.len() > MAX_TEXT {
        return Err(error(MAX_TEXT, "the text is too long"));
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with("\\${") || rest.starts_with("\\#{") {
            literal.push_str(&rest[1..3]);
            at += 3;
        } else if rest.starts_with("${") || rest.starts_with("#{") {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            let mut parser = Parser { lexer: Lexer { text, at: at + 2 }, ahead: None, nodes: 0, depth: 0 };
            let node = parser.expression(0)?;
            match parser.next()? {
                (Token::Close('}'), _) => at = parser.lexer.at,
                (_, at) => return Err(error(at, "'}' expected")),
            }
            parts.push(Part::Expression(node));
        } else {
            literal.push(c);
            at += c.len_utf8();
        }
    }
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn error(at: usize, message: &str) -> SyntaxError {
    SyntaxError { at, message: message.to_owned() }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Literal(Value),
    Name(String),
    Operator(Operator),
    Not,
    Empty,
    Question,
    Colon,
    Comma,
    Dot,
    Open(char),
    Close(char),
    End,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<(Token, usize), SyntaxError> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        let at = self.at;
        let Some(c) = trimmed.chars().next() else { return Ok((Token::End, at)) };
        let symbol = |token| (token, 1);
        let (token, length) = match c {
            '\'' | '"' => return self.string(c),
            '0'..='9' => return self.number(),
            c if c.is_alphabetic() || c == '_' || c == '$' => return Ok((self.name(), at)),
            _ => match trimmed.get(..2) {
                Some("&&") => (Token::Operator(Operator::And), 2),
                Some("||") => (Token::Operator(Operator::Or), 2),
                Some("==") => (Token::Operator(Operator::Equal), 2),
                Some("!=") => (Token::Operator(Operator::NotEqual), 2),
                Some("<=") => (Token::Operator(Operator::LessEqual), 2),
                Some(">=") => (Token::Operator(Operator::GreaterEqual), 2),
                _ => match c {
                    '<' => symbol(Token::Operator(Operator::Less)),
                    '>' => symbol(Token::Operator(Operator::Greater)),
                    '+' => symbol(Token::Operator(Operator::Add)),
                    '-' => symbol(Token::Operator(Operator::Subtract)),
                    '*' => symbol(Token::Operator(Operator::Multiply)),
                    '/' => symbol(Token::Operator(Operator::Divide)),
                    '%' => symbol(Token::Operator(Operator::Modulo)),
                    '!' => symbol(Token::Not),
                    '?' => symbol(Token::Question),
                    ':' => symbol(Token::Colon),
                    ',' => symbol(Token::Comma),
                    '.' => symbol(Token::Dot),
                    '(' | '[' => symbol(Token::Open(c)),
                    ')' | ']' | '}' => symbol(Token::Close(c)),
                    _ => return Err(error(at, "unexpected character")),
                },
            },
        };
        self.at += length;
        Ok((token, at))
    }

    fn string(&mut self, quote: char) -> Result<(Token, usize), SyntaxError> {
        let start = self.at;
        let mut value = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped)) if escaped == '\\' || escaped == '\'' || escaped == '"' => {
                        value.push(escaped)
                    }
                    _ => return Err(error(start + 1 + offset, "unknown escape in string")),
                },
                c if c == quote => {
                    self.at = start + 1 + offset + 1;
                    return Ok((Token::Literal(Value::String(value)), start));
                }
                c => value.push(c),
            }
        }
        Err(error(start, "the string has no end"))
    }

    fn number(&mut self) -> Result<(Token, usize), SyntaxError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut end = digits(start);
        let mut decimal = false;
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            decimal = true;
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
                decimal = true;
                end = digits(end + 1 + sign);
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        let value = if decimal {
            text.parse().map(Value::Decimal).map_err(|_| error(start, "bad number"))?
        } else {
            text.parse().map(Value::Integer).map_err(|_| error(start, "the number is too large"))?
        };
        Ok((Token::Literal(value), start))
    }

    fn name(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
        self.at += end;
        match &rest[..end] {
            "true" => Token::Literal(Value::Boolean(true)),
            "false" => Token::Literal(Value::Boolean(false)),
            "null" => Token::Literal(Value::Null),
            "not" => Token::Not,
            "empty" => Token::Empty,
            "or" => Token::Operator(Operator::Or),
            "and" => Token::Operator(Operator::And),
            "eq" => Token::Operator(Operator::Equal),
            "ne" => Token::Operator(Operator::NotEqual),
            "lt" => Token::Operator(Operator::Less),
            "gt" => Token::Operator(Operator::Greater),
            "le" => Token::Operator(Operator::LessEqual),
            "ge" => Token::Operator(Operator::GreaterEqual),
            "div" => Token::Operator(Operator::Divide),
            "mod" => Token::Operator(Operator::Modulo),
            name => Token::Name(name.to_owned()),
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Option<(Token, usize)>,
    nodes: usize,
    depth: usize,
}

/// Binding power of prefix operators: above every binary one.
const PREFIX: u8 = 8;

impl Operator {
    /// Binding power; all operators associate to the left.
    fn power(self) -> u8 {
        match self {
            Operator::Or => 2,
            Operator::And => 3,
            Operator::Equal | Operator::NotEqual => 4,
            Operator::Less | Operator::Greater | Operator::LessEqual | Operator::GreaterEqual => 5,
            Operator::Add | Operator::Subtract => 6,
            Operator::Multiply | Operator::Divide | Operator::Modulo => 7,
        }
    }
}

impl Parser<'_> {
    fn next(&mut self) -> Result<(Token, usize), SyntaxError> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.lexer.token(),
        }
    }

    fn peek(&mut self) -> Result<&Token, SyntaxError> {
        if self.ahead.is_none() {
            self.ahead = Some(self.lexer.token()?);
        }
        Ok(self.ahead.as_ref().map(|(token, _)| token).unwrap_or(&Token::End))
    }

    fn expect(&mut self, wanted: Token, message: &str) -> Result<(), SyntaxError> {
        let (token, at) = self.next()?;
        if token == wanted { Ok(()) } else { Err(error(at, message)) }
    }

    /// Parses operators that bind at least as tightly as `power`; 0 admits the conditional operator.
    fn expression(&mut self, power: u8) -> Result<Node, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(error(self.lexer.at, "the expression is nested too deeply"));
        }
        let mut left = self.prefix()?;
        loop {
            self.count()?;
            match self.peek()? {
                Token::Operator(operator) if operator.power() >= power.max(1) => {
                    let operator = *operator;
                    self.next()?;
                    let right = self.expression(operator.power() + 1)?;
                    left = Node::Binary(operator, Box::new(left), Box::new(right));
                }
                Token::Question if power <= 1 => {
                    self.next()?;
                    let yes = self.expression(0)?;
                    self.expect(Token::Colon, "':' expected")?;
                    let no = self.expression(0)?;
                    left = Node::If(Box::new(left), Box::new(yes), Box::new(no));
                }
                _ => break,
            }
        }
        self.depth -= 1;
        Ok(left)
    }

    fn count(&mut self) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(error(self.lexer.at, "the expression is too long")) } else { Ok(()) }
    }

    fn prefix(&mut self) -> Result<Node, SyntaxError> {
        self.count()?;
        let (token, at) = self.next()?;
        match token {
            Token::Not => Ok(Node::Not(Box::new(self.expression(PREFIX)?))),
            Token::Empty => Ok(Node::Empty(Box::new(self.expression(PREFIX)?))),
            Token::Operator(Operator::Subtract) => Ok(Node::Minus(Box::new(self.expression(PREFIX)?))),
            Token::Literal(value) => self.suffix(Node::Literal(value)),
            Token::Open('(') => {
                let inner = self.expression(0)?;
                self.expect(Token::Close(')'), "')' expected")?;
                self.suffix(inner)
            }
            Token::Name(name) => {
                let node = if *self.peek()? == Token::Open('(') {
                    Node::Call(None, name, self.arguments()?)
                } else {
                    Node::Name(name)
                };
                self.suffix(node)
            }
            Token::End => Err(error(at, "the expression has no end")),
            _ => Err(error(at, "a value is expected")),
        }
    }

    fn suffix(&mut self, mut node: Node) -> Result<Node, SyntaxError> {
        loop {
            self.count()?;
            match self.peek()? {
                Token::Dot => {
                    self.next()?;
                    let (Token::Name(name), _) = self.member_name()? else {
                        return Err(error(self.lexer.at, "a member name is expected"));
                    };
                    node = if *self.peek()? == Token::Open('(') {
                        Node::Call(Some(Box::new(node)), name, self.arguments()?)
                    } else {
                        Node::Member(Box::new(node), Box::new(Node::Literal(Value::String(name))))
                    };
                }
                Token::Open('[') => {
                    self.next()?;
                    let key = self.expression(0)?;
                    self.expect(Token::Close(']'), "']' expected")?;
                    node = Node::Member(Box::new(node), Box::new(key));
                }
                _ => return Ok(node),
            }
        }
    }

    /// A member may be named like a keyword (`isEmpty` is none, `empty` is).
    fn member_name(&mut self) -> Result<(Token, usize), SyntaxError> {
        let rest = &self.lexer.text[self.lexer.at..];
        let trimmed = rest.trim_start();
        let start = self.lexer.at + rest.len() - trimmed.len();
        let (token, at) = self.next()?;
        let word = &self.lexer.text[start..self.lexer.at];
        let is_word = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
        Ok((if is_word { Token::Name(word.to_owned()) } else { token }, at))
    }

    fn arguments(&mut self) -> Result<Vec<Node>, SyntaxError> {
        self.expect(Token::Open('('), "'(' expected")?;
        let mut arguments = Vec::new();
        if *self.peek()? == Token::Close(')') {
            self.next()?;
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            match self.next()? {
                (Token::Comma, _) => {}
                (Token::Close(')'), _) => return Ok(arguments),
                (_, at) => return Err(error(at, "',' or ')' expected")),
            }
        }
    }
}
