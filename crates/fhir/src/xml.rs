//! XML codec.
use crate::{Limits, ParseError, Resource};
pub(crate) fn read_resource(_bytes: &[u8], _limits: &Limits) -> Result<Resource, ParseError> { Err(ParseError::Encoding) }
pub(crate) fn write_resource(_resource: &Resource) -> Vec<u8> { Vec::new() }
