//! Stored instances of earlier versions are read and go on. A file here is never changed: a new form
//! of the state gets a new file beside the old ones. `BLESS=1` writes files that are missing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};

use bpmn::{Command, CompileOptions, Context, Definition, Options, StartAt, State, Status, Value, Variables};
use uuid::Uuid;

/// A model in which a token waits in every way there is.
const MODEL: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="urn:t">
<message id="m" name="m"/><signal id="si" name="si"/><error id="er" errorCode="E"/>
<process id="a_p" isExecutable="true" camunda:versionTag="1.0">
<startEvent id="s"/><parallelGateway id="fork"/><sequenceFlow id="f0" sourceRef="s" targetRef="fork"/>
<serviceTask id="job" camunda:class="W"/><sequenceFlow id="f1" sourceRef="fork" targetRef="job"/>
<userTask id="user"/><sequenceFlow id="f2" sourceRef="fork" targetRef="user"/>
<boundaryEvent id="cron" attachedToRef="user" cancelActivity="false"><timerEventDefinition><timeCycle>0 0/5 * * * ?</timeCycle></timerEventDefinition></boundaryEvent>
<callActivity id="call" calledElement="x"/><sequenceFlow id="f3" sourceRef="fork" targetRef="call"/>
<intermediateCatchEvent id="timer"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></intermediateCatchEvent><sequenceFlow id="f4" sourceRef="fork" targetRef="timer"/>
<intermediateCatchEvent id="message"><messageEventDefinition messageRef="m"/></intermediateCatchEvent><sequenceFlow id="f5" sourceRef="fork" targetRef="message"/>
<intermediateCatchEvent id="signal"><signalEventDefinition signalRef="si"/></intermediateCatchEvent><sequenceFlow id="f6" sourceRef="fork" targetRef="signal"/>
<endEvent id="failed"><errorEventDefinition errorRef="er"/></endEvent><sequenceFlow id="f7" sourceRef="fork" targetRef="failed"/>
<subProcess id="many"><multiInstanceLoopCharacteristics camunda:collection="items" camunda:elementVariable="item"/>
  <startEvent id="ms"/><serviceTask id="later" camunda:class="L" camunda:asyncBefore="true"/><sequenceFlow id="mf" sourceRef="ms" targetRef="later"/></subProcess>
<sequenceFlow id="f8" sourceRef="fork" targetRef="many"/>
<serviceTask id="heard" camunda:class="H"><extensionElements><camunda:executionListener class="B" event="start"/></extensionElements></serviceTask>
<sequenceFlow id="f9" sourceRef="fork" targetRef="heard"/>
</process></definitions>"#;

fn definition() -> Definition {
    bpmn::compile(&bpmn::parse(MODEL).unwrap(), &CompileOptions::default()).unwrap()
}

struct Ids(u128);

impl Ids {
    fn step(&mut self, definition: &Definition, state: State, command: Command) -> State {
        let mut make = || {
            self.0 += 1;
            Uuid::from_u128(self.0)
        };
        let mut context = Context { now: 1_893_456_000_000, ids: &mut make, options: Options::default() };
        bpmn::step(definition, state, command, &mut context).unwrap().0
    }
}

fn started() -> State {
    let definition = definition();
    let variables = Variables::from([
        ("items".to_owned(), Value::Json(serde_json::json!(["a", "b"]))),
        ("date".to_owned(), Value::Date("2030-01-01".to_owned())),
    ]);
    let start = Command::Start {
        at: StartAt::None,
        business_key: Some("bk".to_owned()),
        variables,
        source: Some("start".to_owned()),
    };
    Ids(0).step(&definition, State::new(&definition, Uuid::from_u128(1)), start)
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let newest = folder.join("state-1.json");
    if std::env::var_os("BLESS").is_some() && !newest.exists() {
        std::fs::write(&newest, serde_json::to_string_pretty(&started()).unwrap() + "\n").unwrap();
    }
    let all = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files: Vec<PathBuf> = all.filter(|path| path.is_file()).collect();
    assert!(!files.is_empty(), "golden states");
    files
}

#[test]
fn stored_instances_are_read_and_go_on() {
    let definition = definition();
    for file in files() {
        let name = file.display();
        let mut state: State = serde_json::from_str(&std::fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(state.tokens(&definition).len(), 10, "{name}");
        let mut ids = Ids(1000);
        let mut rounds = 0;
        while *state.status() == Status::Active {
            let jobs = state.jobs(&definition).into_iter().map(|job| Command::JobDone {
                job: job.id,
                variables: Variables::new(),
                local_variables: Variables::new(),
            });
            let mut next: Vec<Command> = jobs.collect();
            next.extend(state.async_jobs(&definition).iter().map(|open| Command::AsyncDue { job: open.id }));
            let tokens = state.tokens(&definition);
            next.extend(tokens.iter().filter_map(|token| Some(Command::Skip { token: token.id? })));
            assert!(rounds < 50, "{name}: no end");
            state = ids.step(&definition, state, next.remove(0));
            rounds += 1;
        }
        assert_eq!(*state.status(), Status::Completed, "{name}");
    }
}

#[test]
fn the_stored_form_is_the_newest_golden_one() {
    let files = files();
    let text = std::fs::read_to_string(files.iter().max().unwrap()).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let now = serde_json::to_value(started()).unwrap();
    assert_eq!(now, golden, "the stored form has changed: keep reading the old one, and add a golden file");
}
