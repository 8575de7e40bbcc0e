//! Generated type table access.
use std::borrow::Cow;
pub(crate) fn name(name: &str) -> Cow<'static, str> { Cow::Owned(name.to_owned()) }
