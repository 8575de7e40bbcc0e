//! The type table is complete and says what the definitions say.

use super::*;

#[test]
fn table_knows_types_and_choices() {
    assert_eq!(all().filter(|t| t.kind() == Kind::Resource && !t.is_abstract()).count(), 146);
    let task = resource("Task").unwrap();
    assert!(
        matches!(task.member("input").unwrap().content, Content::Complex(index) if by_index(index).path() == "Task.input")
    );
    let input = definition("Task.input").unwrap();
    assert_eq!(input.member("valueString").unwrap().content, Content::Primitive(Primitive::String));
    assert!(input.member("value").is_none());
    assert_eq!(input.element("valueReference").unwrap().name, "value[x]");
    assert_eq!(task.element("partOf").unwrap().types[0].targets, ["Task"]);
    let link = definition("Bundle.entry").unwrap().member("link").unwrap();
    assert!(matches!(link.content, Content::Complex(index) if by_index(index).path() == "Bundle.link"));
    assert!(!is_resource("DomainResource") && !is_resource("Coding"));
    assert!(task.member("status").unwrap().codes.unwrap().contains(&"in-progress"));
}

#[test]
fn every_type_can_be_unpacked() {
    let members: usize = all().map(|definition| definition.parts().members.len()).sum();
    assert!(members > all().count());
    assert!(TABLE.value_sets.values().all(|set| set.codes().is_sorted()));
}
