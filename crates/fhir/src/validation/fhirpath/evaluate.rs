//! Evaluates an expression over the element tree.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use super::functions::Function;
use super::item::Item;
use super::parse::{Expr, Operator, Step};
use crate::element::Element;

/// What the variables stand for.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// `%resource`
    pub(crate) resource: &'a Element,
    /// `%rootResource`: the resource that contains `%resource`, or itself.
    pub(crate) root: &'a Element,
    /// `%context`: the element the expression is about.
    pub(crate) focus: &'a Element,
}

/// Steps that may still be taken.
pub(crate) struct Budget {
    left: u64,
}

/// The budget is used up.
pub(super) struct OutOfSteps;

impl Budget {
    pub(crate) fn new(steps: u64) -> Budget {
        Budget { left: steps }
    }

    /// Steps not yet taken.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        match self.left.checked_sub(steps as u64 + 1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(OutOfSteps)
            }
        }
    }
}

type Items<'a> = Vec<Item<'a>>;
type Result<T> = std::result::Result<T, OutOfSteps>;

/// The result as a truth value: `None` is the empty collection.
pub(super) fn truth<'a>(
    expr: &'a Expr,
    focus: &[Item<'a>],
    context: &Context<'a>,
    budget: &mut Budget,
) -> Result<Option<bool>> {
    budget.spend(1)?;
    match expr {
        Expr::Binary(Operator::And, left, right) => Ok(match truth(left, focus, context, budget)? {
            Some(false) => Some(false),
            Some(true) => truth(right, focus, context, budget)?,
            None => truth(right, focus, context, budget)?.filter(|right| !right),
        }),
        Expr::Binary(Operator::Or, left, right) => Ok(match truth(left, focus, context, budget)? {
            Some(true) => Some(true),
            Some(false) => truth(right, focus, context, budget)?,
            None => truth(right, focus, context, budget)?.filter(|right| *right),
        }),
        Expr::Binary(Operator::Implies, left, right) => Ok(match truth(left, focus, context, budget)? {
            Some(false) => Some(true),
            Some(true) => truth(right, focus, context, budget)?,
            None => truth(right, focus, context, budget)?.filter(|right| *right),
        }),
        Expr::Binary(Operator::Xor, left, right) => {
            let left = truth(left, focus, context, budget)?;
            let right = truth(right, focus, context, budget)?;
            Ok(left.zip(right).map(|(left, right)| left != right))
        }
        Expr::Binary(operator @ (Operator::Equal | Operator::Unequal), left, right) => {
            let left = evaluate(left, focus, context, budget)?;
            let right = evaluate(right, focus, context, budget)?;
            if left.is_empty() || right.is_empty() {
                return Ok(None);
            }
            let equal =
                left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| left.equal(right));
            Ok(Some(equal == (*operator == Operator::Equal)))
        }
        Expr::Binary(operator @ (Operator::Equivalent | Operator::NotEquivalent), left, right) => {
            let left = evaluate(left, focus, context, budget)?;
            let right = evaluate(right, focus, context, budget)?;
            budget.spend(left.len().saturating_mul(right.len()))?;
            let same = left.len() == right.len()
                && left.iter().all(|item| {
                    right.iter().any(|other| {
                        item.equal(other)
                            || item.text().zip(other.text()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
                    })
                });
            Ok(Some(same == (*operator == Operator::Equivalent)))
        }
        Expr::Binary(
            operator
            @ (Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual),
            left,
            right,
        ) => {
            let left = evaluate(left, focus, context, budget)?;
            let right = evaluate(right, focus, context, budget)?;
            let (Some(left), Some(right)) = (left.first(), right.first()) else { return Ok(None) };
            Ok(left.compare(right).map(|order| match operator {
                Operator::Less => order == Ordering::Less,
                Operator::LessOrEqual => order != Ordering::Greater,
                Operator::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }))
        }
        Expr::Binary(operator @ (Operator::In | Operator::Contains), left, right) => {
            let (item, list) = if *operator == Operator::In { (left, right) } else { (right, left) };
            let item = evaluate(item, focus, context, budget)?;
            let list = evaluate(list, focus, context, budget)?;
            budget.spend(list.len())?;
            let Some(item) = item.first() else { return Ok(None) };
            Ok(Some(list.iter().any(|other| item.equal(other))))
        }
        Expr::Boolean(value) => Ok(Some(*value)),
        Expr::Matches(of, regex) => {
            let items = source(of.as_deref(), focus, context, budget)?;
            // The public implementation takes no text for one that does not match.
            let Some(text) = single(&items).and_then(Item::text) else { return Ok(Some(false)) };
            budget.spend(text.len() / 16)?;
            Ok(Some(regex.is_match(text)))
        }
        Expr::Is(of, name) => {
            let items = source(of.as_deref(), focus, context, budget)?;
            Ok(single(&items).map(|item| item.is(name)))
        }
        Expr::Call(of, function, arguments) => {
            match boolean_call(of.as_deref(), *function, arguments, focus, context, budget)? {
                Some(result) => Ok(result),
                None => {
                    let items = call(of.as_deref(), *function, arguments, focus, context, budget)?;
                    Ok(as_truth(&items))
                }
            }
        }
        _ => Ok(as_truth(&evaluate(expr, focus, context, budget)?)),
    }
}

/// A single item that is no boolean counts as true.
fn as_truth(items: &[Item<'_>]) -> Option<bool> {
    match items {
        [] => None,
        [item] => Some(item.boolean().unwrap_or(true)),
        _ => Some(true),
    }
}

fn single<'i, 'a>(items: &'i [Item<'a>]) -> Option<&'i Item<'a>> {
    match items {
        [item] => Some(item),
        _ => None,
    }
}

fn source<'a, 'f>(
    of: Option<&'a Expr>,
    focus: &'f [Item<'a>],
    context: &Context<'a>,
    budget: &mut Budget,
) -> Result<Cow<'f, [Item<'a>]>> {
    match of {
        None | Some(Expr::This) => Ok(Cow::Borrowed(focus)),
        Some(expr) => evaluate(expr, focus, context, budget).map(Cow::Owned),
    }
}

fn wrap(value: Option<bool>) -> Items<'static> {
    value.map(Item::Boolean).into_iter().collect()
}

pub(super) fn evaluate<'a>(
    expr: &'a Expr,
    focus: &[Item<'a>],
    context: &Context<'a>,
    budget: &mut Budget,
) -> Result<Items<'a>> {
    budget.spend(1)?;
    Ok(match expr {
        Expr::Empty => Vec::new(),
        Expr::Text(text) => vec![Item::Text(Cow::Borrowed(text))],
        Expr::Number(text) => vec![Item::Number(Cow::Borrowed(text))],
        Expr::Boolean(value) => vec![Item::Boolean(*value)],
        Expr::This => focus.to_vec(),
        Expr::Focus => vec![Item::Node(context.focus, None)],
        Expr::Resource => vec![Item::Node(context.resource, None)],
        Expr::RootResource => vec![Item::Node(context.root, None)],
        Expr::Member(of, step) => {
            let items = source(of.as_deref(), focus, context, budget)?;
            member(&items, step, of.is_none(), budget)?
        }
        Expr::Index(of, index) => {
            evaluate(of, focus, context, budget)?.into_iter().skip(*index).take(1).collect()
        }
        Expr::As(of, name) => {
            let items = source(of.as_deref(), focus, context, budget)?;
            budget.spend(items.len())?;
            items.iter().filter(|item| item.is(name)).cloned().collect()
        }
        Expr::Replace(of, regex, by) => {
            let items = source(of.as_deref(), focus, context, budget)?;
            match single(&items).and_then(Item::text) {
                None => Vec::new(),
                Some(text) => vec![Item::Text(Cow::Owned(regex.replace_all(text, by.as_str()).into_owned()))],
            }
        }
        Expr::Binary(Operator::Union, left, right) => {
            let mut items = evaluate(left, focus, context, budget)?;
            items.extend(evaluate(right, focus, context, budget)?);
            distinct(items, budget)?
        }
        Expr::Binary(Operator::Concatenate, left, right) => {
            let left = evaluate(left, focus, context, budget)?;
            let right = evaluate(right, focus, context, budget)?;
            let text = |items: &Items<'a>| items.first().and_then(Item::text).unwrap_or_default().to_owned();
            vec![Item::Text(Cow::Owned(text(&left) + &text(&right)))]
        }
        Expr::Binary(operator @ (Operator::Add | Operator::Subtract), left, right) => {
            let left = evaluate(left, focus, context, budget)?;
            let right = evaluate(right, focus, context, budget)?;
            let (Some(left), Some(right)) = (left.first(), right.first()) else { return Ok(Vec::new()) };
            let number = |item: &Item<'_>| item.text().and_then(|text| text.parse::<i64>().ok());
            match (number(left), number(right)) {
                (Some(left), Some(right)) => {
                    let result = if *operator == Operator::Add {
                        left.saturating_add(right)
                    } else {
                        left.saturating_sub(right)
                    };
                    vec![Item::Number(Cow::Owned(result.to_string()))]
                }
                _ => match (left.text(), right.text()) {
                    (Some(left), Some(right)) if *operator == Operator::Add => {
                        vec![Item::Text(Cow::Owned(format!("{left}{right}")))]
                    }
                    _ => Vec::new(),
                },
            }
        }
        Expr::Binary(..) | Expr::Matches(..) | Expr::Is(..) => wrap(truth(expr, focus, context, budget)?),
        Expr::Call(of, function, arguments) => {
            match boolean_call(of.as_deref(), *function, arguments, focus, context, budget)? {
                Some(result) => wrap(result),
                None => call(of.as_deref(), *function, arguments, focus, context, budget)?,
            }
        }
    })
}

fn member<'a>(items: &[Item<'a>], step: &Step, first: bool, budget: &mut Budget) -> Result<Items<'a>> {
    let mut found = Vec::new();
    for item in items {
        let Item::Node(element, _) = item else { continue };
        budget.spend(element.children().len() / 8)?;
        if first && step.type_name && element.resource_type() == Some(step.name.as_str()) {
            found.push(item.clone());
        } else {
            item.children(&step.name, step.choice, &mut found);
        }
    }
    Ok(found)
}

fn distinct<'a>(items: Items<'a>, budget: &mut Budget) -> Result<Items<'a>> {
    budget.spend(items.len())?;
    let mut seen = HashSet::new();
    Ok(items.into_iter().filter(|item| seen.insert(item.key())).collect())
}

fn descendants<'a>(element: &'a Element, found: &mut Items<'a>, budget: &mut Budget) -> Result<()> {
    budget.spend(element.children().len())?;
    for child in element.children() {
        found.push(Item::Node(child, None));
        descendants(child, found, budget)?;
    }
    Ok(())
}

/// Calls that give a truth value; the outer `None` stands for another function.
fn boolean_call<'a>(
    of: Option<&'a Expr>,
    function: Function,
    arguments: &'a [Expr],
    focus: &[Item<'a>],
    context: &Context<'a>,
    budget: &mut Budget,
) -> Result<Option<Option<bool>>> {
    if function == Function::Not {
        let value = match of {
            Some(of) => truth(of, focus, context, budget)?,
            None => as_truth(focus),
        };
        return Ok(Some(value.map(|value| !value)));
    }
    if !matches!(
        function,
        Function::All
            | Function::AllTrue
            | Function::Contains
            | Function::Empty
            | Function::EndsWith
            | Function::Exists
            | Function::HasValue
            | Function::IsDistinct
            | Function::StartsWith
    ) {
        return Ok(None);
    }
    let items = source(of, focus, context, budget)?;
    let argument = |budget: &mut Budget| match arguments.first() {
        Some(argument) => evaluate(argument, focus, context, budget),
        None => Ok(Vec::new()),
    };
    Ok(Some(match function {
        Function::Empty => Some(items.is_empty()),
        Function::Exists => match arguments.first() {
            None => Some(!items.is_empty()),
            Some(criterion) => {
                let mut found = false;
                for item in items.iter() {
                    found =
                        found || truth(criterion, std::slice::from_ref(item), context, budget)? == Some(true);
                }
                Some(found)
            }
        },
        Function::All => {
            let mut all = true;
            for item in items.iter() {
                all = all
                    && match arguments.first() {
                        Some(criterion) => {
                            truth(criterion, std::slice::from_ref(item), context, budget)? == Some(true)
                        }
                        None => false,
                    };
            }
            Some(all)
        }
        Function::AllTrue => Some(items.iter().all(|item| item.boolean() == Some(true))),
        Function::HasValue => Some(single(&items).and_then(Item::text).is_some()),
        Function::IsDistinct => {
            let count = items.len();
            Some(distinct(items.into_owned(), budget)?.len() == count)
        }
        _ => {
            let argument = argument(budget)?;
            match (single(&items).and_then(Item::text), single(&argument).and_then(Item::text)) {
                (Some(text), Some(part)) => {
                    budget.spend(text.len() / 16)?;
                    Some(match function {
                        Function::StartsWith => text.starts_with(part),
                        Function::EndsWith => text.ends_with(part),
                        _ => text.contains(part),
                    })
                }
                // As for `matches`.
                _ => Some(false),
            }
        }
    }))
}

fn call<'a>(
    of: Option<&'a Expr>,
    function: Function,
    arguments: &'a [Expr],
    focus: &[Item<'a>],
    context: &Context<'a>,
    budget: &mut Budget,
) -> Result<Items<'a>> {
    let items = source(of, focus, context, budget)?;
    budget.spend(items.len())?;
    let number = |index: usize, budget: &mut Budget| -> Result<Option<usize>> {
        let Some(argument) = arguments.get(index) else { return Ok(None) };
        let items = evaluate(argument, focus, context, budget)?;
        Ok(items.first().and_then(Item::text).and_then(|text| text.parse().ok()))
    };
    let text_of = |items: &[Item<'a>]| single(items).and_then(Item::text).map(str::to_owned);
    let text = |value: Option<String>| -> Items<'a> {
        value.map(|value| Item::Text(Cow::Owned(value))).into_iter().collect()
    };
    Ok(match function {
        Function::Count => vec![Item::Number(Cow::Owned(items.len().to_string()))],
        Function::First => items.first().cloned().into_iter().collect(),
        Function::Last => items.last().cloned().into_iter().collect(),
        Function::Single => single(&items).cloned().into_iter().collect(),
        Function::Tail => items.iter().skip(1).cloned().collect(),
        Function::Skip => {
            let count = number(0, budget)?.unwrap_or(0);
            items.iter().skip(count).cloned().collect()
        }
        Function::Take => {
            let count = number(0, budget)?.unwrap_or(0);
            items.iter().take(count).cloned().collect()
        }
        Function::Where => {
            let mut found = Vec::new();
            for item in items.iter() {
                let Some(criterion) = arguments.first() else { break };
                if truth(criterion, std::slice::from_ref(item), context, budget)? == Some(true) {
                    found.push(item.clone());
                }
            }
            found
        }
        Function::Select => {
            let mut found = Vec::new();
            for item in items.iter() {
                let Some(projection) = arguments.first() else { break };
                found.extend(evaluate(projection, std::slice::from_ref(item), context, budget)?);
            }
            found
        }
        Function::Children => items
            .iter()
            .filter_map(|item| match item {
                Item::Node(element, _) => Some(element.children()),
                _ => None,
            })
            .flatten()
            .map(|child| Item::Node(child, None))
            .collect(),
        Function::Descendants => {
            let mut found = Vec::new();
            for item in items.iter() {
                if let Item::Node(element, _) = item {
                    descendants(element, &mut found, budget)?;
                }
            }
            found
        }
        Function::Distinct => distinct(items.into_owned(), budget)?,
        Function::Combine | Function::Union => {
            let mut all = items.into_owned();
            for argument in arguments {
                all.extend(evaluate(argument, focus, context, budget)?);
            }
            if function == Function::Union { distinct(all, budget)? } else { all }
        }
        Function::Intersect => {
            let mut others = HashSet::new();
            for argument in arguments {
                others.extend(evaluate(argument, focus, context, budget)?.iter().map(Item::key));
            }
            distinct(items.iter().filter(|item| others.contains(&item.key())).cloned().collect(), budget)?
        }
        Function::Iif => {
            let [condition, then, otherwise @ ..] = arguments else { return Ok(Vec::new()) };
            if truth(condition, &items, context, budget)? == Some(true) {
                evaluate(then, &items, context, budget)?
            } else if let Some(otherwise) = otherwise.first() {
                evaluate(otherwise, &items, context, budget)?
            } else {
                Vec::new()
            }
        }
        Function::Extension => {
            let mut url = Vec::new();
            for argument in arguments {
                url.extend(evaluate(argument, focus, context, budget)?);
            }
            let url = text_of(&url);
            items
                .iter()
                .filter_map(|item| match item {
                    Item::Node(element, _) => Some(element.children()),
                    _ => None,
                })
                .flatten()
                .filter(|child| child.name() == "extension" && child.extension_url() == url.as_deref())
                .map(|child| Item::Node(child, None))
                .collect()
        }
        Function::Trace => items.into_owned(),
        Function::ToInteger => text_of(&items)
            .and_then(|text| text.parse::<i32>().ok())
            .map(|number| Item::Number(Cow::Owned(number.to_string())))
            .into_iter()
            .collect(),
        Function::ToStringText => text(text_of(&items)),
        Function::Trim => text(text_of(&items).map(|text| text.trim().to_owned())),
        Function::Upper => text(text_of(&items).map(|text| text.to_uppercase())),
        Function::Lower => text(text_of(&items).map(|text| text.to_lowercase())),
        Function::Length => text_of(&items)
            .map(|text| Item::Number(Cow::Owned(text.chars().count().to_string())))
            .into_iter()
            .collect(),
        Function::IndexOf => {
            let part = match arguments.first() {
                Some(argument) => text_of(&evaluate(argument, focus, context, budget)?),
                None => None,
            };
            text_of(&items)
                .zip(part)
                .map(|(text, part)| {
                    let index = text.find(&part).map(|at| text[..at].chars().count());
                    Item::Number(Cow::Owned(index.map_or_else(|| "-1".to_owned(), |index| index.to_string())))
                })
                .into_iter()
                .collect()
        }
        Function::Substring => {
            let start = number(0, budget)?;
            let length = number(1, budget)?;
            let Some((whole, start)) = text_of(&items).zip(start) else { return Ok(Vec::new()) };
            if start >= whole.chars().count() {
                return Ok(Vec::new());
            }
            let rest = whole.chars().skip(start);
            text(Some(match length {
                Some(length) => rest.take(length).collect(),
                None => rest.collect(),
            }))
        }
        // The rest gives truth values.
        _ => Vec::new(),
    })
}
