//! Slices: which slice of its element each child belongs to.

use std::sync::Arc;

use super::super::fhirpath::{self, type_suffix};
use super::super::lexical::is_absolute;
use super::super::node::{Criterion, Node, Rules, Slicing, Test};
use super::super::path::Path;
use super::super::terminology::{Coded, Membership};
use super::{Frame, Walk, is_present, suffix, type_of};
use crate::element::Element;
use crate::outcome::Severity;

impl Walk<'_> {
    pub(super) fn slices<'r>(
        &mut self,
        node: &Node,
        slicing: &Slicing,
        element: &'r Element,
        code: &'static str,
        path: &Path<'_>,
        frame: Frame<'r, '_>,
    ) {
        let mut counts = vec![0u32; slicing.slices.len()];
        let mut any = false;
        let mut index = 0;
        for child in element.children() {
            let Some(child_code) = type_of(node, child) else { continue };
            let position = index;
            index += 1;
            if !is_present(child) {
                continue;
            }
            any = true;
            let path = path.child(&node.name, suffix(node, position, child_code));
            if !self.step(slicing.slices.len()) {
                return;
            }
            let slice = slicing.slices.iter().position(|slice| {
                !slice.criteria.is_empty()
                    && slice.criteria.iter().all(|criterion| self.meets(criterion, child, child_code))
            });
            match slice {
                Some(slice) => {
                    counts[slice] += 1;
                    self.value(&slicing.slices[slice].node, child, child_code, &path, frame);
                }
                None => {
                    if slicing.undecidable {
                        let text = "cannot be told which slice the element belongs to";
                        self.warning("slice-undecidable", &path, text);
                    } else if slicing.rules == Rules::Closed {
                        self.error(
                            "slice-closed",
                            &path,
                            "the element belongs to none of the slices allowed",
                        );
                    } else if code == "Extension"
                        && child_code == "Extension"
                        && child.extension_url().is_some_and(|url| !is_absolute(url))
                    {
                        let location =
                            format!("{}[url='{}']", path.text(), child.extension_url().unwrap_or_default());
                        self.report_at(
                            Severity::Error,
                            "sub-extension-unknown",
                            location,
                            "the extension has no part of this name",
                        );
                    }
                    self.value(node, child, child_code, &path, frame);
                }
            }
        }
        if slicing.undecidable && any {
            return;
        }
        for (slice, count) in slicing.slices.iter().zip(counts) {
            if count < slice.node.min {
                let text = format!(
                    "{}:{} is missing or too few: at least {}",
                    node.name, slice.name, slice.node.min
                );
                self.error("slice-minimum", path, &text);
            }
            if let Some(max) = slice.node.max
                && count > max
            {
                let text = format!("{}:{} too often: at most {max}", node.name, slice.name);
                self.error("slice-maximum", path, &text);
            }
        }
    }

    fn meets(&self, criterion: &Criterion, element: &Element, code: &'static str) -> bool {
        if let Test::Exists(expected) = criterion.test {
            return reach(element, &criterion.path, &mut |_| true) == expected;
        }
        if let (Test::Type(codes), []) = (&criterion.test, criterion.path.as_slice()) {
            return codes.contains(&code);
        }
        reach(element, &criterion.path, &mut |found| match &criterion.test {
            Test::Text(text) => found.value() == Some(&**text),
            Test::Value(fixed) => fixed.fits(found),
            Test::Member(set) => self.any_member(set, found),
            Test::Type(codes) => fhirpath::element_type(found).is_some_and(|code| codes.contains(&code)),
            Test::Exists(_) => true,
        })
    }

    /// Whether some code of an element is in a set.
    fn any_member(&self, set: &str, element: &Element) -> bool {
        let terminology = self.validator.terminology();
        if let Some(code) = element.value() {
            let coded = Coded { system: None, version: None, code };
            return terminology.member(set, coded) == Membership::Member;
        }
        let one = |coding: &Element| {
            coding.text("code").is_some_and(|code| {
                let coded = Coded { system: coding.text("system"), version: coding.text("version"), code };
                terminology.member(set, coded) == Membership::Member
            })
        };
        if element.child("coding").is_some() { element.each("coding").any(one) } else { one(element) }
    }
}

/// Whether a test holds for some element at a path.
fn reach(element: &Element, path: &[Arc<str>], test: &mut dyn FnMut(&Element) -> bool) -> bool {
    let [name, rest @ ..] = path else { return test(element) };
    let mut any = false;
    for child in element.children() {
        if *child.name() == **name || type_suffix(child.name(), name).is_some() {
            any = true;
            if reach(child, rest, test) {
                return true;
            }
        }
    }
    // `value` of a primitive is the primitive itself.
    !any && &**name == "value" && rest.is_empty() && element.value().is_some() && test(element)
}
