//! Checks of a plugin folder for authors: everything at once, each with place and remedy.
use std::{collections::BTreeMap, path::Path};

use fhir::{Format, ParseError, Resource, generation};

use crate::{
    Frame, LoadError, Options, PluginResource, files, frame,
    manifest::{self, line_at},
    model,
    placeholder::Placeholders,
    resource::Identity,
};

pub use bpmn::Severity;

/// One result of [`lint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the rule.
    pub rule: &'static str,
    /// Path below the plugin folder.
    pub file: String,
    /// Line in the file, from 1, where it is known.
    pub line: Option<u32>,
    /// Id of the model element, or element of the resource.
    pub element: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        write!(f, "{severity}[{}] {}", self.rule, self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(element) = &self.element {
            write!(f, " {element}")?;
        }
        write!(f, ": {}", self.message)?;
        match self.remedy.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.remedy),
        }
    }
}

/// Checks the sources of a plugin. Placeholders without a value are left as they are. Errors come first,
/// then warnings; within that by file and line.
pub fn lint(folder: &Path, options: &Options) -> Vec<Finding> {
    let frame = match frame(folder, options) {
        Ok(frame) => frame,
        Err(error) => return vec![of_error("plugin", &error)],
    };
    let placeholders = Placeholders { tolerant: true, ..frame.placeholders(options) };
    let mut check = Check { frame: &frame, placeholders, findings: Vec::new(), resources: Vec::new() };
    match files::resources(folder) {
        Ok(files) => files.iter().for_each(|(file, text)| check.resource(file, text)),
        Err(error) => check.findings.push(of_error("fhir-files", &error)),
    }
    match files::models(folder) {
        Ok(files) => {
            files.iter().for_each(|(file, text)| check.model(file, text));
            check.unused_jobs(&files);
        }
        Err(error) => check.findings.push(of_error("model-files", &error)),
    }
    check.across();
    let mut findings = check.findings;
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| (&a.file, a.line, &a.message).cmp(&(&b.file, b.line, &b.message)))
    });
    findings
}

fn of_error(rule: &'static str, error: &LoadError) -> Finding {
    let (file, message) = match error {
        LoadError::File { file, reason } => (file.clone(), reason.clone()),
        other => (".".to_owned(), other.to_string()),
    };
    Finding {
        severity: Severity::Error,
        rule,
        file,
        line: None,
        element: None,
        message,
        remedy: String::new(),
    }
}

/// The line of the first place where a text stands in a source.
fn line_of(text: &str, needle: &str) -> Option<u32> {
    text.find(needle).map(|byte| line_at(text, byte))
}

struct Check<'a> {
    frame: &'a Frame,
    placeholders: Placeholders<'a>,
    findings: Vec<Finding>,
    resources: Vec<PluginResource>,
}

impl Check<'_> {
    fn resource(&mut self, file: &str, source: &str) {
        let mut findings = Vec::new();
        let mut found = |severity, rule, needle: &str, message: &str, remedy: &str| {
            findings.push(Finding {
                severity,
                rule,
                file: file.to_owned(),
                line: line_of(source, needle),
                element: None,
                message: message.to_owned(),
                remedy: remedy.to_owned(),
            });
        };
        let json = file.ends_with(".json");
        // Tolerant replacing cannot fail; should it ever, the source itself is checked.
        let text = self.placeholders.in_resource(source, json).unwrap_or_else(|_| source.to_owned());
        let format = if json { Format::Json } else { Format::Xml };
        let resource = match fhir::parse(text.as_bytes(), format) {
            Ok(resource) => resource,
            Err(error) => {
                let line = match &error {
                    ParseError::Syntax { offset, .. } | ParseError::DuplicateMember { offset } => {
                        Some(line_at(&text, *offset))
                    }
                    _ => None,
                };
                let finding =
                    Finding { line, ..of_error("fhir-form", &LoadError::file(file, error.to_string())) };
                return self.findings.push(finding);
            }
        };
        let identity = Identity::of(&resource);
        if let Err(reason) = &identity {
            found(Severity::Error, "fhir-identity", "<", reason, "");
        }
        if resource.resource_type() == "Task" {
            if resource.text("status") != Some("draft") {
                found(
                    Severity::Error,
                    "task-template",
                    "status",
                    "a Task template must be a draft",
                    "set status to draft",
                );
            }
        } else {
            metadata(&resource, source, &self.frame.version.resource, &mut found);
        }
        if resource.resource_type() == "ActivityDefinition" {
            authorizations(&resource, &mut found);
            if model::process_key(&resource).is_none() {
                let remedy = "write http://<domain>/bpe/Process/<name>";
                found(Severity::Error, "process-url", "<url", "the url does not name a process", remedy);
            }
        }
        self.findings.append(&mut findings);
        if let Ok(identity) = identity {
            self.resources.push(PluginResource { file: file.to_owned(), identity, resource });
        }
    }

    fn model(&mut self, file: &str, source: &str) {
        let text = self.placeholders.in_model(source).unwrap_or_else(|_| source.to_owned());
        let finding = |severity, rule, line, element: &str, message: String, remedy: String| Finding {
            severity,
            rule,
            file: file.to_owned(),
            line,
            element: Some(element.to_owned()).filter(|element| !element.is_empty()),
            message,
            remedy,
        };
        let model = match bpmn::parse(&text) {
            Ok(model) => model,
            Err(error) => {
                let form = finding(
                    Severity::Error,
                    "model-form",
                    Some(error.line),
                    "",
                    error.message,
                    String::new(),
                );
                return self.findings.push(form);
            }
        };
        for found in bpmn::lint(&model) {
            let (line, element) = (Some(found.line), found.element.as_str());
            self.findings.push(finding(
                found.severity,
                found.rule,
                line,
                element,
                found.message,
                found.remedy,
            ));
        }
        let definition = match bpmn::compile(&model, &model::compile_options(&self.frame.manifest.jobs)) {
            Ok(definition) => definition,
            Err(errors) => {
                for error in errors.0 {
                    // The rules above may have said it better.
                    let known = self.findings.iter().any(|known| {
                        known.file == file
                            && known.severity == Severity::Error
                            && known.line == Some(error.line)
                    });
                    if !known {
                        let line = Some(error.line);
                        let rule = "model-compiles";
                        self.findings.push(finding(
                            Severity::Error,
                            rule,
                            line,
                            &error.element,
                            error.message,
                            String::new(),
                        ));
                    }
                }
                return;
            }
        };
        let key = definition.key();
        let line = line_of(source, key);
        if definition.version_tag() != Some(self.frame.version.resource.as_str()) {
            let message = "camunda:versionTag is not the resource version".to_owned();
            self.findings.push(finding(
                Severity::Error,
                "version-tag",
                line,
                key,
                message,
                "write #{version}".to_owned(),
            ));
        }
        if !model::is_key(key) {
            let message = "the process id is not <domain without dots>_<name>".to_owned();
            self.findings.push(finding(Severity::Error, "process-id", line, key, message, String::new()));
        }
        let of_process: Vec<&PluginResource> = self
            .resources
            .iter()
            .filter(|known| known.resource.resource_type() == "ActivityDefinition")
            .filter(|known| model::process_key(&known.resource).as_deref() == Some(key))
            .collect();
        if of_process.len() != 1 {
            let message = format!("there are {} ActivityDefinitions for this process", of_process.len());
            let remedy = "add one whose url names the process".to_owned();
            self.findings.push(finding(Severity::Error, "activity-definition", line, key, message, remedy));
            return;
        }
        let allowed: Vec<&str> = of_process.iter().flat_map(|known| message_names(&known.resource)).collect();
        for name in definition.start_messages() {
            if !allowed.contains(&name.as_str()) {
                let message = format!("nobody may send the start message '{name}'");
                let remedy = "add it to the ActivityDefinition".to_owned();
                self.findings.push(finding(
                    Severity::Warning,
                    "start-message",
                    line_of(source, &name),
                    key,
                    message,
                    remedy,
                ));
            }
        }
    }

    /// A mapping that no model uses is a misspelt class.
    fn unused_jobs(&mut self, models: &[(String, String)]) {
        for class in self.frame.manifest.jobs.keys() {
            let quoted = format!("\"{class}\"");
            if !models.iter().any(|(_, text)| text.contains(&quoted)) {
                self.findings.push(Finding {
                    severity: Severity::Warning,
                    rule: "unused-job",
                    file: manifest::FILE.to_owned(),
                    line: None,
                    element: Some(class.clone()),
                    message: "no model uses this class or topic".to_owned(),
                    remedy: "correct the name or remove the entry".to_owned(),
                });
            }
        }
    }

    fn across(&mut self) {
        let mut files: BTreeMap<&Identity, &str> = BTreeMap::new();
        let mut findings = Vec::new();
        let mut found = |severity, rule, file: &str, message: String, remedy: &str| {
            let file = file.to_owned();
            findings.push(Finding {
                severity,
                rule,
                file,
                line: None,
                element: None,
                message,
                remedy: remedy.to_owned(),
            });
        };
        for known in &self.resources {
            if let Some(other) = files.insert(&known.identity, &known.file) {
                let message = format!("{} stands in {other} too", known.identity);
                found(Severity::Error, "fhir-identity", &known.file, message, "keep one");
            }
        }
        let urls: Vec<&str> = self.resources.iter().filter_map(|known| known.resource.text("url")).collect();
        for known in
            self.resources.iter().filter(|known| known.resource.resource_type() == "ActivityDefinition")
        {
            for profile in
                known.resource.at("extension.extension.valueCanonical").iter().filter_map(|e| e.value())
            {
                let (url, _) = fhir::reference::canonical(profile);
                if !urls.contains(&url) {
                    let message = format!("the plugin does not bring the Task profile {url}");
                    found(
                        Severity::Warning,
                        "task-profile",
                        &known.file,
                        message,
                        "add it, or name the plugin that does",
                    );
                }
            }
        }
        self.findings.append(&mut findings);
    }
}

fn message_names(definition: &Resource) -> Vec<&str> {
    let named = |rule: &&fhir::Element| rule.extension_url() == Some("message-name");
    let all = definition.at("extension.extension");
    all.into_iter().filter(named).filter_map(|rule| rule.text("valueString")).collect()
}

fn metadata(
    resource: &Resource,
    source: &str,
    version: &str,
    found: &mut impl FnMut(Severity, &'static str, &str, &str, &str),
) {
    let tags = resource.at("meta.tag.system");
    let readable = generation::all()
        .iter()
        .any(|generation| tags.iter().any(|system| system.value() == Some(generation.read_access_tag)));
    if !readable {
        let message = "there is no read access tag";
        found(
            Severity::Error,
            "read-access-tag",
            "<meta",
            message,
            "add the tag ALL of the read-access-tag code system",
        );
    }
    if resource.resource_type() != "NamingSystem" && resource.text("version") != Some(version) {
        found(
            Severity::Error,
            "resource-version",
            "<version",
            "version is not the resource version",
            "write #{version}",
        );
    } else if !source.contains("#{version}") && resource.resource_type() != "NamingSystem" {
        found(Severity::Warning, "resource-version", "<version", "the version is fixed", "write #{version}");
    }
    if !source.contains("#{date}") {
        found(Severity::Info, "resource-date", "<date", "the date is fixed", "write #{date}");
    }
    if resource.text("status") != Some("unknown") {
        let message = "the status is set when the plugin is uploaded";
        found(Severity::Info, "resource-status", "<status", message, "write unknown");
    }
}

fn authorizations(resource: &Resource, found: &mut impl FnMut(Severity, &'static str, &str, &str, &str)) {
    let mut rules = 0;
    for generation in generation::all() {
        for rule in resource.extensions(generation.process_authorization_extension) {
            rules += 1;
            for part in ["message-name", "task-profile", "requester", "recipient"] {
                if rule.extension(part).is_none() {
                    let message = format!("a process authorization has no {part}");
                    found(
                        Severity::Error,
                        "process-authorization",
                        "process-authorization",
                        &message,
                        "add it",
                    );
                }
            }
        }
    }
    if rules == 0 {
        let message = "no process authorization: nobody may send a message to this process";
        found(
            Severity::Error,
            "process-authorization",
            "<ActivityDefinition",
            message,
            "add one per message",
        );
    }
}
