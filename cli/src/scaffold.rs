//! `dsf plugin new`: a folder with one process that runs and lints clean, and a test that plays it without
//! servers, to be changed from there.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The crate process-test of the sources this program was built from, where they are.
pub fn own_kit() -> Option<&'static Path> {
    let kit = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/process-test"));
    kit.join("Cargo.toml").is_file().then_some(kit)
}

/// Makes the folder. `name` is the plugin's (letters, digits, `-`), `domain` that of its author. The test
/// needs `kit`, the folder of the crate process-test; without it none is made.
///
/// # Errors
/// When the folder exists, a name cannot be used, there is no kit in the folder named, or a file cannot
/// be written.
pub fn create(folder: &Path, name: &str, domain: &str, kit: Option<&Path>) -> Result<()> {
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
    let kit: Option<PathBuf> = kit
        .map(|kit| match kit.join("Cargo.toml").is_file() {
            true => kit.canonicalize().with_context(|| kit.display().to_string()),
            false => bail!("{} is not the folder of the crate process-test", kit.display()),
        })
        .transpose()?;
    let process: String = name.chars().filter(|c| *c != '-').collect();
    let key = format!("{}_{process}", domain.replace('.', ""));
    let test = kit.is_some().then_some(TEST_FILES).into_iter().flatten();
    let kit = kit.map(|kit| kit.display().to_string()).unwrap_or_default();
    for (file, template) in FILES.into_iter().chain(test) {
        let path = folder.join(file.replace("NAME", name));
        let text = template
            .replace("@NAME@", name)
            .replace("@PROCESS@", &process)
            .replace("@KEY@", &key)
            .replace("@DOMAIN@", domain)
            .replace("@KIT@", &kit);
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

const TEST_FILES: [(&str, &str); 3] =
    [("Cargo.toml", PACKAGE), (".gitignore", "/target\n"), ("tests/process.rs", TEST)];

const PACKAGE: &str = r##"# Only for the test of the process: `cargo test`. The plugin itself needs no Rust.
[package]
name = "@NAME@"
version = "1.0.0"
edition = "2024"
publish = false
# There is no library, only tests.
autolib = false

[[test]]
name = "process"

[dev-dependencies]
process-test = { path = "@KIT@" }

[workspace]
"##;

/// The constants of a plugin, then what is the same for all; that part runs in the test below, too.
const TEST: &str = concat!(
    r##"//! Plays the process without servers: a virtual clock, scripted workers, any number of sites.
use std::time::Duration;

use process_test::{Job, Network, Outcome, answer};

const PROCESS: &str = "http://@DOMAIN@/bpe/Process/@PROCESS@|1.0";
const MESSAGE: &str = "@PROCESS@Message";
const JOB: &str = "@NAME@/1.0/work";

fn folder() -> &'static str {
    env!("CARGO_MANIFEST_DIR")
}

"##,
    include_str!("scaffold/process.rs")
);

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
    use super::*;

    /// A folder that goes with the test.
    struct Made(PathBuf);

    impl Made {
        fn new(what: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("dsf-scaffold-{what}-{}", std::process::id()));
            create(&folder, "my-plugin", "hospital.example", own_kit()).unwrap();
            Self(folder)
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            // Nothing is left behind; a folder that cannot be removed fails no test.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_new_plugin_lints_clean() {
        let made = Made::new("lint");
        let options = plugin::Options {
            name: None,
            version: None,
            date: None,
            organization: "organization.example".to_owned(),
            environment: std::collections::BTreeMap::new(),
        };
        let findings = plugin::lint(&made.0, &options);
        assert!(
            findings.is_empty(),
            "{}",
            findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        );
        let manifest = std::fs::read_to_string(made.0.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("/crates/process-test\" }"), "{manifest}");
        assert!(create(&made.0, "my-plugin", "hospital.example", None).is_err(), "nothing is overwritten");
        for (name, domain) in [("a b", "hospital.example"), ("a", "hospital"), ("", "hospital.example")] {
            assert!(create(Path::new("/nowhere"), name, domain, None).is_err(), "{name} {domain}");
        }
    }

    /// The test that a new plugin has, on a new plugin.
    mod its_test {
        use std::{
            sync::atomic::{AtomicU32, Ordering},
            time::Duration,
        };

        use process_test::{Job, Network, Outcome, answer};

        const PROCESS: &str = "http://hospital.example/bpe/Process/myplugin|1.0";
        const MESSAGE: &str = "mypluginMessage";
        const JOB: &str = "my-plugin/1.0/work";

        fn folder() -> super::Made {
            static RUNS: AtomicU32 = AtomicU32::new(0);
            super::Made::new(&format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed)))
        }

        impl AsRef<std::path::Path> for super::Made {
            fn as_ref(&self) -> &std::path::Path {
                &self.0
            }
        }

        include!("scaffold/process.rs");
    }
}
