//! What a Task profile says of inputs: which there are, how often, of which type.
use fhir::Resource;

/// An input that a profile names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) system: String,
    pub(super) code: String,
    pub(super) min: u32,
    /// None: any number.
    pub(super) max: Option<u32>,
    /// Type of the value, `string`.
    pub(super) value_type: Option<String>,
    /// The value may not be chosen.
    pub(super) fixed: bool,
    pub(super) about: Option<String>,
}

/// Inputs of a StructureDefinition, in its order; from the snapshot, else from the differential.
pub(super) fn slices(definition: &Resource) -> Vec<Slice> {
    let part =
        if definition.child("snapshot").is_some() { "snapshot.element" } else { "differential.element" };
    let elements = definition.at(part);
    let at = |id: &str| {
        elements
            .iter()
            .copied()
            .find(|element| element.id_attr() == Some(id) || element.text("id") == Some(id))
    };
    elements
        .iter()
        .filter(|element| element.text("path") == Some("Task.input"))
        .filter_map(|element| {
            let name = element.text("sliceName")?;
            let below = |path: &str| at(&format!("Task.input:{name}.{path}"));
            let fixed = |path: &str| {
                let element = below(path)?;
                element.choice("fixed").or_else(|| element.choice("pattern"))?.value().map(str::to_owned)
            };
            let max = element.text("max").unwrap_or("1");
            let value = below("value[x]");
            Some(Slice {
                system: fixed("type.coding.system")?,
                code: fixed("type.coding.code")?,
                min: element.text("min").and_then(|min| min.parse().ok()).unwrap_or(0),
                max: if max == "*" { None } else { Some(max.parse().unwrap_or(1)) },
                value_type: value.and_then(|value| value.text("type.code")).map(str::to_owned),
                fixed: value.is_some_and(|value| value.choice("fixed").is_some()),
                about: element.text("short").or_else(|| element.text("definition")).map(str::to_owned),
            })
        })
        .filter(|slice| slice.max != Some(0))
        .collect()
}
