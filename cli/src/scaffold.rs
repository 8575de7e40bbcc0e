//! `dsf plugin new`: a folder with one process that runs and lints clean, to be changed from there.
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Makes the folder. `name` is the plugin's (letters, digits, `-`), `domain` that of its author.
///
/// # Errors
/// When the folder exists, a name cannot be used, or a file cannot be written.
pub fn create(folder: &Path, name: &str, domain: &str) -> Result<()> {
    let plain = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !text.starts_with('-')
    };
    if !plain(name) {
        bail!("'{name}' is no plugin name: use letters, digits and '-'");
    }
    if domain.split('.').count() < 2 || !domain.split('.').all(|label| label.len() > 1 && plain(label)) {
        bail!("'{domain}' is no domain: use for example hospital.example");
    }
    if folder.exists() {
        bail!("{} exists already", folder.display());
    }
    let process: String = name.chars().filter(|c| *c != '-').collect();
    let key = format!("{}_{process}", domain.replace('.', ""));
    for (file, template) in FILES {
        let path = folder.join(file.replace("NAME", name));
        let text = template
            .replace("@NAME@", name)
            .replace("@PROCESS@", &process)
            .replace("@KEY@", &key)
            .replace("@DOMAIN@", domain);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

const FILES: [(&str, &str); 5] = [
    ("plugin.toml", MANIFEST),
    ("bpe/NAME.bpmn", MODEL),
    ("fhir/ActivityDefinition/NAME.xml", ACTIVITY),
    ("fhir/StructureDefinition/task-NAME.xml", PROFILE),
    ("fhir/Task/task-NAME.xml", TASK),
];

const MANIFEST: &str = r#"# Which class of the models is done by which job; docs/workers.md says how a worker does it.
name = "@NAME@"
version = "1.0.0.0"
release-date = "2026-01-01"

[jobs."@NAME@/work"]
job = "@NAME@/1.0/work"
inputs = []
"#;

const MODEL: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" id="definitions" targetNamespace="http://@DOMAIN@/bpmn">
  <bpmn:message id="start-message" name="@PROCESS@Message" />
  <bpmn:process id="@KEY@" name="@NAME@" isExecutable="true" camunda:versionTag="#{version}" camunda:historyTimeToLive="P30D">
    <bpmn:startEvent id="requested" name="requested">
      <bpmn:messageEventDefinition id="start-definition" messageRef="start-message" />
    </bpmn:startEvent>
    <bpmn:serviceTask id="work" name="Work" camunda:class="@NAME@/work" />
    <bpmn:endEvent id="done" name="done" />
    <bpmn:sequenceFlow id="requested_to_work" sourceRef="requested" targetRef="work" />
    <bpmn:sequenceFlow id="work_to_done" sourceRef="work" targetRef="done" />
  </bpmn:process>
</bpmn:definitions>
"##;

const ACTIVITY: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<ActivityDefinition xmlns="http://hl7.org/fhir">
  <meta>
    <tag>
      <system value="http://dsf.dev/fhir/CodeSystem/read-access-tag" />
      <code value="ALL" />
    </tag>
  </meta>
  <extension url="http://dsf.dev/fhir/StructureDefinition/extension-process-authorization">
    <extension url="message-name">
      <valueString value="@PROCESS@Message" />
    </extension>
    <extension url="task-profile">
      <valueCanonical value="http://@DOMAIN@/fhir/StructureDefinition/task-@NAME@|#{version}" />
    </extension>
    <extension url="requester">
      <valueCoding>
        <system value="http://dsf.dev/fhir/CodeSystem/process-authorization" />
        <code value="LOCAL_ALL" />
      </valueCoding>
    </extension>
    <extension url="recipient">
      <valueCoding>
        <system value="http://dsf.dev/fhir/CodeSystem/process-authorization" />
        <code value="LOCAL_ALL" />
      </valueCoding>
    </extension>
  </extension>
  <url value="http://@DOMAIN@/bpe/Process/@PROCESS@" />
  <version value="#{version}" />
  <name value="@PROCESS@" />
  <title value="@NAME@" />
  <status value="unknown" />
  <experimental value="false" />
  <date value="#{date}" />
  <kind value="Task" />
</ActivityDefinition>
"##;

const PROFILE: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<StructureDefinition xmlns="http://hl7.org/fhir">
  <meta>
    <tag>
      <system value="http://dsf.dev/fhir/CodeSystem/read-access-tag" />
      <code value="ALL" />
    </tag>
  </meta>
  <url value="http://@DOMAIN@/fhir/StructureDefinition/task-@NAME@" />
  <version value="#{version}" />
  <name value="Task@PROCESS@" />
  <status value="unknown" />
  <experimental value="false" />
  <date value="#{date}" />
  <fhirVersion value="4.0.1" />
  <kind value="resource" />
  <abstract value="false" />
  <type value="Task" />
  <baseDefinition value="http://dsf.dev/fhir/StructureDefinition/task-base" />
  <derivation value="constraint" />
  <differential>
    <element id="Task.instantiatesCanonical">
      <path value="Task.instantiatesCanonical" />
      <fixedCanonical value="http://@DOMAIN@/bpe/Process/@PROCESS@|#{version}" />
    </element>
    <element id="Task.input">
      <path value="Task.input" />
      <max value="2" />
    </element>
    <element id="Task.input:message-name">
      <path value="Task.input" />
      <sliceName value="message-name" />
    </element>
    <element id="Task.input:message-name.value[x]">
      <path value="Task.input.value[x]" />
      <fixedString value="@PROCESS@Message" />
    </element>
    <element id="Task.input:correlation-key">
      <path value="Task.input" />
      <sliceName value="correlation-key" />
      <max value="0" />
    </element>
  </differential>
</StructureDefinition>
"##;

const TASK: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<Task xmlns="http://hl7.org/fhir">
  <meta>
    <profile value="http://@DOMAIN@/fhir/StructureDefinition/task-@NAME@|#{version}" />
  </meta>
  <identifier>
    <system value="http://dsf.dev/sid/task-identifier" />
    <value value="http://@DOMAIN@/bpe/Process/@PROCESS@/#{version}/task-@NAME@" />
  </identifier>
  <instantiatesCanonical value="http://@DOMAIN@/bpe/Process/@PROCESS@|#{version}" />
  <status value="draft" />
  <intent value="order" />
  <authoredOn value="#{date}" />
  <requester>
    <type value="Organization" />
    <identifier>
      <system value="http://dsf.dev/sid/organization-identifier" />
      <value value="#{organization}" />
    </identifier>
  </requester>
  <restriction>
    <recipient>
      <type value="Organization" />
      <identifier>
        <system value="http://dsf.dev/sid/organization-identifier" />
        <value value="#{organization}" />
      </identifier>
    </recipient>
  </restriction>
  <input>
    <type>
      <coding>
        <system value="http://dsf.dev/fhir/CodeSystem/bpmn-message" />
        <code value="message-name" />
      </coding>
    </type>
    <valueString value="@PROCESS@Message" />
  </input>
</Task>
"##;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    #[test]
    fn a_new_plugin_lints_clean() {
        let folder = std::env::temp_dir().join(format!("dsf-scaffold-{}", std::process::id()));
        super::create(&folder, "my-plugin", "hospital.example").unwrap();
        let options = plugin::Options {
            name: None,
            version: None,
            date: None,
            organization: "organization.example".to_owned(),
            environment: std::collections::BTreeMap::new(),
        };
        let findings = plugin::lint(&folder, &options);
        let again = super::create(&folder, "my-plugin", "hospital.example");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(
            findings.is_empty(),
            "{}",
            findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        );
        assert!(again.is_err(), "nothing is overwritten");
        for (name, domain) in [("a b", "hospital.example"), ("a", "hospital"), ("", "hospital.example")] {
            assert!(super::create(&folder, name, domain).is_err(), "{name} {domain}");
        }
    }
}
