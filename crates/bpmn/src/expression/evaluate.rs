//! Evaluation of expression trees with the coercions of the Unified Expression Language.
use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{Node, Operator};
use crate::value::Value;

/// What names in an expression mean.
pub(crate) trait Environment {
    /// A variable by scope walk.
    fn variable(&self, name: &str) -> Option<&Value>;
    /// A variable of the innermost scope only.
    fn local_variable(&self, name: &str) -> Option<&Value>;
    /// Business key of the instance.
    fn business_key(&self) -> Option<&str>;
    /// Id of the instance.
    fn instance_id(&self) -> String;
    /// Element id of the activity.
    fn activity_id(&self) -> &str;
    /// Milliseconds since the epoch.
    fn now(&self) -> i64;
}

/// Why an expression gives no value. The texts hold names of the model, never values of variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EvaluationError {
    #[error("unknown variable '{0}'")]
    UnknownVariable(String),
    #[error("a {0} has no member '{1}'")]
    NoMember(&'static str, String),
    #[error("a {0} has no method '{1}' with these arguments")]
    NoMethod(&'static str, String),
    #[error("unknown function '{0}'")]
    NoFunction(String),
    #[error("a {0} cannot be used as {1}")]
    Type(&'static str, &'static str),
    #[error("a condition must give a boolean, not a {0}")]
    NoCondition(&'static str),
    #[error("division by zero")]
    DivisionByZero,
}

/// An intermediate value; looks into lists and maps without copying them.
pub(super) enum Operand<'a> {
    Value(&'a Value),
    Json(&'a Json),
    Owned(Value),
    /// The name `execution`.
    Execution,
}

/// A value by shape, for coercions.
enum Shape<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Decimal(f64),
    Text(&'a str),
    List(&'a [Json]),
    Map(&'a serde_json::Map<String, Json>),
    Opaque(&'static str),
}

/// A number in one of the two kinds of arithmetic.
enum Number {
    Integer(i64),
    Decimal(f64),
}

/// Evaluates a tree.
pub(super) fn node<'a>(
    node: &'a Node,
    environment: &'a dyn Environment,
) -> Result<Operand<'a>, EvaluationError> {
    let owned = |value: Value| Ok(Operand::Owned(value));
    match node {
        Node::Literal(value) => Ok(Operand::Value(value)),
        Node::Name(name) if name == "execution" => Ok(Operand::Execution),
        Node::Name(name) => environment
            .variable(name)
            .map(Operand::Value)
            .ok_or_else(|| EvaluationError::UnknownVariable(name.clone())),
        Node::Member(base, key) => {
            member(self::node(base, environment)?, self::node(key, environment)?, environment)
        }
        Node::Call(base, name, arguments) => {
            let arguments: Result<Vec<Operand<'a>>, EvaluationError> =
                arguments.iter().map(|argument| self::node(argument, environment)).collect();
            match base {
                Some(base) => method(self::node(base, environment)?, name, arguments?, environment),
                None => function(name, &arguments?, environment),
            }
        }
        Node::Not(inner) => owned(Value::Boolean(!self::node(inner, environment)?.to_boolean()?)),
        Node::Minus(inner) => owned(match self::node(inner, environment)?.to_number()? {
            Number::Integer(value) => Value::Integer(value.wrapping_neg()),
            Number::Decimal(value) => Value::Decimal(-value),
        }),
        Node::Empty(inner) => owned(Value::Boolean(self::node(inner, environment)?.is_empty())),
        Node::If(condition, yes, no) => {
            let chosen = if self::node(condition, environment)?.to_boolean()? { yes } else { no };
            self::node(chosen, environment)
        }
        Node::Binary(Operator::And, left, right) => owned(Value::Boolean(
            self::node(left, environment)?.to_boolean()? && self::node(right, environment)?.to_boolean()?,
        )),
        Node::Binary(Operator::Or, left, right) => owned(Value::Boolean(
            self::node(left, environment)?.to_boolean()? || self::node(right, environment)?.to_boolean()?,
        )),
        Node::Binary(operator, left, right) => {
            let (left, right) = (self::node(left, environment)?, self::node(right, environment)?);
            owned(match operator {
                Operator::Equal => Value::Boolean(equal(&left, &right)?),
                Operator::NotEqual => Value::Boolean(!equal(&left, &right)?),
                Operator::Less => Value::Boolean(compare(&left, &right)? == Some(Ordering::Less)),
                Operator::Greater => Value::Boolean(compare(&left, &right)? == Some(Ordering::Greater)),
                Operator::LessEqual => Value::Boolean(at_most(&left, &right)?),
                Operator::GreaterEqual => Value::Boolean(at_most(&right, &left)?),
                _ => arithmetic(*operator, left.to_number()?, right.to_number()?)?,
            })
        }
    }
}

fn member<'a>(
    base: Operand<'a>,
    key: Operand<'a>,
    environment: &dyn Environment,
) -> Result<Operand<'a>, EvaluationError> {
    let null = Operand::Owned(Value::Null);
    if let Operand::Execution = base {
        return execution_member(&key.to_text()?, environment).map(Operand::Owned);
    }
    if matches!(base.shape(), Shape::Null) || matches!(key.shape(), Shape::Null) {
        return Ok(null);
    }
    match base {
        Operand::Value(Value::Json(json)) | Operand::Json(json) => {
            lookup(json, &key).map(|found| match found {
                Some(found) => Operand::Json(found),
                None => null,
            })
        }
        Operand::Owned(Value::Json(json)) => lookup(&json, &key)
            .map(|found| Operand::Owned(found.map_or(Value::Null, |json| Value::from_json(json.clone())))),
        other => Err(EvaluationError::NoMember(other.kind(), key.to_text()?)),
    }
}

fn lookup<'j>(json: &'j Json, key: &Operand<'_>) -> Result<Option<&'j Json>, EvaluationError> {
    match json {
        Json::Object(map) => Ok(map.get(&key.to_text()?)),
        Json::Array(list) => match key.to_number() {
            Ok(Number::Integer(index)) => Ok(usize::try_from(index).ok().and_then(|index| list.get(index))),
            _ => Err(EvaluationError::NoMember("list", key.to_text()?)),
        },
        Json::Null => Ok(None),
        _ => Err(EvaluationError::NoMember("scalar", key.to_text()?)),
    }
}

fn execution_member(name: &str, environment: &dyn Environment) -> Result<Value, EvaluationError> {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    match name {
        "businessKey" | "processBusinessKey" => Ok(text(environment.business_key())),
        "id" | "processInstanceId" => Ok(Value::String(environment.instance_id())),
        "currentActivityId" => Ok(Value::from(environment.activity_id())),
        other => Err(EvaluationError::NoMember("execution", other.to_owned())),
    }
}

fn method<'a>(
    base: Operand<'a>,
    name: &str,
    arguments: Vec<Operand<'a>>,
    environment: &'a dyn Environment,
) -> Result<Operand<'a>, EvaluationError> {
    let null = || Operand::Owned(Value::Null);
    let missing = |kind| Err(EvaluationError::NoMethod(kind, name.to_owned()));
    if let Operand::Execution = base {
        return match (name, arguments.as_slice()) {
            ("getVariable", [key]) => {
                Ok(environment.variable(&key.to_text()?).map_or_else(null, Operand::Value))
            }
            ("getVariableLocal", [key]) => {
                Ok(environment.local_variable(&key.to_text()?).map_or_else(null, Operand::Value))
            }
            ("hasVariable", [key]) => Ok(boolean(environment.variable(&key.to_text()?).is_some())),
            ("hasVariableLocal", [key]) => Ok(boolean(environment.local_variable(&key.to_text()?).is_some())),
            (getter, []) if getter.starts_with("get") => {
                let mut property = getter[3..].to_owned();
                if let Some(first) = property.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                execution_member(&property, environment).map(Operand::Owned)
            }
            _ => missing("execution"),
        };
    }
    let kind = base.kind();
    let argument = |index: usize| arguments.get(index).map(Operand::to_text).transpose();
    let result = match (base.shape(), name, arguments.len()) {
        (Shape::Text(text), "concat", 1) => {
            Value::String(text.to_owned() + &argument(0)?.unwrap_or_default())
        }
        (Shape::Text(text), "startsWith", 1) => {
            Value::Boolean(text.starts_with(&argument(0)?.unwrap_or_default()))
        }
        (Shape::Text(text), "endsWith", 1) => {
            Value::Boolean(text.ends_with(&argument(0)?.unwrap_or_default()))
        }
        (Shape::Text(text), "contains", 1) => {
            Value::Boolean(text.contains(&argument(0)?.unwrap_or_default()))
        }
        (Shape::Text(text), "equals", 1) => Value::Boolean(argument(0)?.as_deref() == Some(text)),
        (Shape::Text(text), "equalsIgnoreCase", 1) => {
            Value::Boolean(argument(0)?.is_some_and(|other| other.eq_ignore_ascii_case(text)))
        }
        (Shape::Text(text), "length", 0) => count(text.encode_utf16().count()),
        (Shape::Text(text), "isEmpty", 0) => Value::Boolean(text.is_empty()),
        (Shape::Text(text), "trim", 0) => Value::from(text.trim()),
        (Shape::Text(text), "toLowerCase", 0) => Value::String(text.to_lowercase()),
        (Shape::Text(text), "toUpperCase", 0) => Value::String(text.to_uppercase()),
        (Shape::List(list), "size", 0) => count(list.len()),
        (Shape::List(list), "isEmpty", 0) => Value::Boolean(list.is_empty()),
        (Shape::List(list), "contains", 1) => {
            let same = |item: &Json| equal(&Operand::Json(item), &arguments[0]).unwrap_or(false);
            Value::Boolean(list.iter().any(same))
        }
        (Shape::Map(map), "size", 0) => count(map.len()),
        (Shape::Map(map), "isEmpty", 0) => Value::Boolean(map.is_empty()),
        (Shape::Map(map), "containsKey", 1) => {
            Value::Boolean(map.contains_key(&argument(0)?.unwrap_or_default()))
        }
        (Shape::Map(map), "get", 1) => map
            .get(&argument(0)?.unwrap_or_default())
            .map_or(Value::Null, |json| Value::from_json(json.clone())),
        (Shape::List(list), "get", 1) => match arguments[0].to_number()? {
            Number::Integer(index) => {
                let found = usize::try_from(index).ok().and_then(|index| list.get(index));
                Value::from_json(found.ok_or(EvaluationError::Type("list", "a shorter list"))?.clone())
            }
            Number::Decimal(_) => return missing(kind),
        },
        (Shape::Null | Shape::Opaque(_), ..) => return missing(kind),
        (_, "toString", 0) => Value::String(base.to_text()?),
        // `target.getCorrelationKey()` is `target.correlationKey`.
        (Shape::Map(map), getter, 0) if getter.starts_with("get") && getter.len() > 3 => {
            let mut property = getter[3..].to_owned();
            if let Some(first) = property.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            map.get(&property).map_or(Value::Null, |json| Value::from_json(json.clone()))
        }
        _ => return missing(kind),
    };
    Ok(Operand::Owned(result))
}

fn function<'a>(
    name: &str,
    arguments: &[Operand<'a>],
    environment: &dyn Environment,
) -> Result<Operand<'a>, EvaluationError> {
    match (name, arguments) {
        ("now" | "dateTime", []) => {
            Ok(Operand::Owned(Value::Date(crate::iso8601::format_instant(environment.now()))))
        }
        // Nobody is logged in when an engine runs a process.
        ("currentUser" | "currentUserGroups", []) => Ok(Operand::Owned(Value::Null)),
        _ => Err(EvaluationError::NoFunction(name.to_owned())),
    }
}

fn boolean<'a>(value: bool) -> Operand<'a> {
    Operand::Owned(Value::Boolean(value))
}

fn count(length: usize) -> Value {
    Value::Integer(i64::try_from(length).unwrap_or(i64::MAX))
}

fn equal(left: &Operand<'_>, right: &Operand<'_>) -> Result<bool, EvaluationError> {
    Ok(match (left.shape(), right.shape()) {
        (Shape::Null, Shape::Null) => true,
        (Shape::Null, _) | (_, Shape::Null) => false,
        (Shape::List(left), Shape::List(right)) => left == right,
        (Shape::Map(left), Shape::Map(right)) => left == right,
        (Shape::Decimal(_), _) | (_, Shape::Decimal(_)) => left.to_decimal()? == right.to_decimal()?,
        (Shape::Integer(_), _) | (_, Shape::Integer(_)) => match (left.to_number()?, right.to_number()?) {
            (Number::Integer(left), Number::Integer(right)) => left == right,
            _ => left.to_decimal()? == right.to_decimal()?,
        },
        (Shape::Boolean(_), _) | (_, Shape::Boolean(_)) => left.to_boolean()? == right.to_boolean()?,
        (Shape::Text(left), Shape::Text(right)) => left == right,
        (Shape::Opaque(_), _) | (_, Shape::Opaque(_)) => false,
        (Shape::Text(text), _) => text == right.to_text()?,
        (_, Shape::Text(text)) => text == left.to_text()?,
        _ => false,
    })
}

/// `None` where the values have no order to each other, as with null.
fn compare(left: &Operand<'_>, right: &Operand<'_>) -> Result<Option<Ordering>, EvaluationError> {
    Ok(match (left.shape(), right.shape()) {
        (Shape::Null, _) | (_, Shape::Null) => None,
        (Shape::Integer(left), Shape::Integer(right)) => Some(left.cmp(&right)),
        (Shape::Decimal(_) | Shape::Integer(_), _) | (_, Shape::Decimal(_) | Shape::Integer(_)) => {
            left.to_decimal()?.partial_cmp(&right.to_decimal()?)
        }
        (Shape::Text(left), Shape::Text(right)) => Some(left.cmp(right)),
        _ => return Err(EvaluationError::Type(left.kind(), "something with an order")),
    })
}

fn at_most(left: &Operand<'_>, right: &Operand<'_>) -> Result<bool, EvaluationError> {
    if let (Shape::Null, Shape::Null) = (left.shape(), right.shape()) {
        return Ok(true);
    }
    Ok(matches!(compare(left, right)?, Some(Ordering::Less | Ordering::Equal)))
}

fn arithmetic(operator: Operator, left: Number, right: Number) -> Result<Value, EvaluationError> {
    if let (Number::Integer(left), Number::Integer(right)) = (&left, &right) {
        let result = match operator {
            Operator::Add => left.wrapping_add(*right),
            Operator::Subtract => left.wrapping_sub(*right),
            Operator::Multiply => left.wrapping_mul(*right),
            Operator::Modulo if *right == 0 => return Err(EvaluationError::DivisionByZero),
            Operator::Modulo => left.wrapping_rem(*right),
            _ => return Ok(Value::Decimal(*left as f64 / *right as f64)),
        };
        return Ok(Value::Integer(result));
    }
    let (left, right) = (left.into_decimal(), right.into_decimal());
    Ok(Value::Decimal(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Modulo => left % right,
        _ => left / right,
    }))
}

impl Number {
    fn into_decimal(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::Decimal(value) => value,
        }
    }
}

impl Operand<'_> {
    /// The value itself.
    pub(super) fn into_value(self) -> Value {
        match self {
            Operand::Value(value) => value.clone(),
            Operand::Json(json) => Value::from_json(json.clone()),
            Operand::Owned(value) => value,
            Operand::Execution => Value::Null,
        }
    }

    fn shape(&self) -> Shape<'_> {
        let of_json = |json| match json {
            &Json::Null => Shape::Null,
            &Json::Bool(value) => Shape::Boolean(value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Shape::Integer(value),
                None => Shape::Decimal(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Shape::Text(text),
            Json::Array(list) => Shape::List(list),
            Json::Object(map) => Shape::Map(map),
        };
        let value = match self {
            Operand::Execution => return Shape::Opaque("execution"),
            Operand::Json(json) => return of_json(json),
            Operand::Value(value) => value,
            Operand::Owned(value) => value,
        };
        match value {
            Value::Null => Shape::Null,
            Value::Boolean(value) => Shape::Boolean(*value),
            Value::Integer(value) => Shape::Integer(*value),
            Value::Decimal(value) => Shape::Decimal(*value),
            Value::String(text) | Value::Date(text) => Shape::Text(text),
            Value::Json(json) => of_json(json),
            Value::Document(_) => Shape::Opaque("document"),
        }
    }

    fn kind(&self) -> &'static str {
        match self.shape() {
            Shape::Null => "null",
            Shape::Boolean(_) => "boolean",
            Shape::Integer(_) => "integer",
            Shape::Decimal(_) => "decimal",
            Shape::Text(_) => "string",
            Shape::List(_) => "list",
            Shape::Map(_) => "map",
            Shape::Opaque(kind) => kind,
        }
    }

    fn to_boolean(&self) -> Result<bool, EvaluationError> {
        match self.shape() {
            Shape::Null => Ok(false),
            Shape::Boolean(value) => Ok(value),
            Shape::Text(text) => Ok(text.eq_ignore_ascii_case("true")),
            _ => Err(EvaluationError::Type(self.kind(), "a boolean")),
        }
    }

    fn to_number(&self) -> Result<Number, EvaluationError> {
        let mismatch = || EvaluationError::Type(self.kind(), "a number");
        match self.shape() {
            Shape::Null | Shape::Text("") => Ok(Number::Integer(0)),
            Shape::Integer(value) => Ok(Number::Integer(value)),
            Shape::Decimal(value) => Ok(Number::Decimal(value)),
            Shape::Text(text) if text.contains(['.', 'e', 'E']) => {
                text.parse().map(Number::Decimal).map_err(|_| mismatch())
            }
            Shape::Text(text) => text.parse().map(Number::Integer).map_err(|_| mismatch()),
            _ => Err(mismatch()),
        }
    }

    fn to_decimal(&self) -> Result<f64, EvaluationError> {
        self.to_number().map(Number::into_decimal)
    }

    /// The value as text; null is empty.
    pub(super) fn to_text(&self) -> Result<String, EvaluationError> {
        Ok(match self.shape() {
            Shape::Null => String::new(),
            Shape::Boolean(value) => value.to_string(),
            Shape::Integer(value) => value.to_string(),
            Shape::Decimal(value) => {
                serde_json::Number::from_f64(value).map_or("NaN".to_owned(), |n| n.to_string())
            }
            Shape::Text(text) => text.to_owned(),
            Shape::List(list) => Json::from(list.to_vec()).to_string(),
            Shape::Map(map) => Json::from(map.clone()).to_string(),
            Shape::Opaque(kind) => return Err(EvaluationError::Type(kind, "text")),
        })
    }

    fn is_empty(&self) -> bool {
        match self.shape() {
            Shape::Null => true,
            Shape::Text(text) => text.is_empty(),
            Shape::List(list) => list.is_empty(),
            Shape::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}
