//! A stored instance for each kind of wait, continued to its end as the version that stored it would have.
//!
//! Each file of `golden/waits` holds all of it: the model, the stored state, what is done to it from there
//! and which activities must end. A file is never changed: when the stored form changes, `BLESS=1` writes
//! new files `<case>-<n>.json` beside the old ones, and the old ones still have to pass.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use std::path::{Path, PathBuf};

use bpmn::{
    Command, CompileOptions, Context, Definition, Effect, HistoryKind, Options, StartAt, State, Status,
    Value, Variables,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A kind of wait: how an instance comes to it, and how it goes on.
struct Case {
    name: &'static str,
    /// What is declared beside the process.
    beside: &'static str,
    /// Elements of the process; the start event is `s`.
    elements: &'static str,
    /// Flows of the process: `from>to`, separated by spaces.
    flows: &'static str,
    /// Commands until it is stored, see [`command`].
    before: &'static [&'static str],
    /// Commands from there to the end.
    after: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "timer-cycle",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W"/><endEvent id="e"/><endEvent id="t"/>
            <boundaryEvent id="again" attachedToRef="work" cancelActivity="false"><timerEventDefinition><timeCycle>R3/PT10M</timeCycle></timerEventDefinition></boundaryEvent>"#,
        flows: "s>work work>e again>t",
        before: &["timer again"],
        after: &["timer again", "job work"],
    },
    Case {
        name: "timer-date",
        beside: "",
        elements: r#"<intermediateCatchEvent id="then"><timerEventDefinition><timeDate>2031-01-01T00:00:00Z</timeDate></timerEventDefinition></intermediateCatchEvent><endEvent id="e"/>"#,
        flows: "s>then then>e",
        before: &[],
        after: &["timer then"],
    },
    Case {
        name: "message-by-key",
        beside: r#"<message id="m" name="answer"/>"#,
        elements: r#"<subProcess id="each"><multiInstanceLoopCharacteristics camunda:collection="items" camunda:elementVariable="item"/>
            <startEvent id="es"/><receiveTask id="answer" messageRef="m"><extensionElements><camunda:inputOutput><camunda:inputParameter name="correlationKey">key-${item}</camunda:inputParameter></camunda:inputOutput></extensionElements></receiveTask><endEvent id="ee"/>
            <sequenceFlow id="ef1" sourceRef="es" targetRef="answer"/><sequenceFlow id="ef2" sourceRef="answer" targetRef="ee"/></subProcess><endEvent id="e"/>"#,
        flows: "s>each each>e",
        before: &["message answer key-b"],
        after: &["message answer key-c", "message answer key-a"],
    },
    Case {
        name: "signal",
        beside: r#"<signal id="si" name="go"/>"#,
        elements: r#"<intermediateCatchEvent id="hear"><signalEventDefinition signalRef="si"/></intermediateCatchEvent><endEvent id="e"/>"#,
        flows: "s>hear hear>e",
        before: &[],
        after: &["signal go"],
    },
    Case {
        name: "event-gateway",
        beside: r#"<message id="m" name="answer"/><signal id="si" name="go"/>"#,
        elements: r#"<eventBasedGateway id="first"/><intermediateCatchEvent id="message"><messageEventDefinition messageRef="m"/></intermediateCatchEvent>
            <intermediateCatchEvent id="signal"><signalEventDefinition signalRef="si"/></intermediateCatchEvent>
            <intermediateCatchEvent id="timer"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></intermediateCatchEvent>
            <intermediateCatchEvent id="condition"><conditionalEventDefinition><condition>${ready}</condition></conditionalEventDefinition></intermediateCatchEvent><endEvent id="e"/>"#,
        flows: "s>first first>message first>signal first>timer first>condition message>e signal>e timer>e condition>e",
        before: &[],
        after: &["timer timer"],
    },
    Case {
        name: "condition",
        beside: "",
        elements: r#"<intermediateCatchEvent id="until"><conditionalEventDefinition><condition>${ready}</condition></conditionalEventDefinition></intermediateCatchEvent><endEvent id="e"/>"#,
        flows: "s>until until>e",
        before: &[],
        after: &["set ready"],
    },
    Case {
        name: "multi-sequential",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W"><multiInstanceLoopCharacteristics isSequential="true" camunda:collection="items" camunda:elementVariable="item"/></serviceTask><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &["job work"],
        after: &["job work", "job work"],
    },
    Case {
        name: "multi-completion",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W"><multiInstanceLoopCharacteristics camunda:collection="items" camunda:elementVariable="item"><completionCondition>${nrOfCompletedInstances >= 2}</completionCondition></multiInstanceLoopCharacteristics></serviceTask><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &["job work"],
        after: &["job work"],
    },
    Case {
        name: "loop",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W"><standardLoopCharacteristics loopMaximum="3"><loopCondition>${!ready}</loopCondition></standardLoopCharacteristics></serviceTask><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &["job work"],
        after: &["job work", "job work"],
    },
    Case {
        name: "call",
        beside: "",
        elements: r#"<callActivity id="call" calledElement="x"><extensionElements><camunda:out source="result" target="result"/></extensionElements></callActivity><endEvent id="e"/>"#,
        flows: "s>call call>e",
        before: &[],
        after: &["call call"],
    },
    Case {
        name: "user-task",
        beside: r#"<message id="m" name="stop"/>"#,
        elements: r#"<userTask id="decide" camunda:formKey="http://x/Questionnaire/q|1.0"/><boundaryEvent id="stopped" attachedToRef="decide"><messageEventDefinition messageRef="m"/></boundaryEvent><endEvent id="e"/><endEvent id="x"/>"#,
        flows: "s>decide decide>e stopped>x",
        before: &[],
        after: &["user decide"],
    },
    Case {
        name: "process-listeners",
        beside: "",
        elements: r#"<extensionElements><camunda:executionListener class="A" event="start"/><camunda:executionListener class="B" event="start"/><camunda:executionListener class="C" event="end"/></extensionElements><serviceTask id="work" camunda:class="W"/><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &["job a_p"],
        after: &["job a_p", "job work", "job a_p"],
    },
    Case {
        name: "user-task-hook",
        beside: "",
        elements: r#"<userTask id="ask"><extensionElements><camunda:taskListener class="A" event="complete"/><camunda:taskListener class="B" event="complete"/></extensionElements></userTask><endEvent id="e"/>"#,
        flows: "s>ask ask>e",
        before: &["user ask", "job ask"],
        after: &["job ask"],
    },
    Case {
        name: "listeners",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W"><extensionElements><camunda:executionListener class="A" event="start"/><camunda:executionListener class="B" event="end"/><camunda:executionListener class="C" event="end"/></extensionElements></serviceTask><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &["job work", "job work", "job work"],
        after: &["job work"],
    },
    Case {
        name: "async-before",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W" camunda:asyncBefore="true"/><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &[],
        after: &["async work", "job work"],
    },
    Case {
        name: "async-after",
        beside: "",
        elements: r#"<serviceTask id="work" camunda:class="W" camunda:asyncAfter="true"/><endEvent id="e"/>"#,
        flows: "s>work work>e",
        before: &["job work"],
        after: &["async work"],
    },
    Case {
        name: "parallel-join",
        beside: "",
        elements: r#"<parallelGateway id="fork"/><serviceTask id="a" camunda:class="A"/><serviceTask id="b" camunda:class="B"/><parallelGateway id="join"/><endEvent id="e"/>"#,
        flows: "s>fork fork>a fork>b a>join b>join join>e",
        before: &["job a"],
        after: &["job b"],
    },
    Case {
        name: "inclusive-join",
        beside: "",
        elements: r#"<inclusiveGateway id="fork"/><serviceTask id="a" camunda:class="A"/><serviceTask id="b" camunda:class="B"/><inclusiveGateway id="join"/><endEvent id="e"/>"#,
        flows: "s>fork fork>a fork>b a>join b>join join>e",
        before: &["job b"],
        after: &["job a"],
    },
    Case {
        name: "error-boundary",
        beside: r#"<error id="er" errorCode="E"/>"#,
        elements: r#"<subProcess id="inner"><startEvent id="is"/><serviceTask id="work" camunda:class="W"/><endEvent id="ie"/><sequenceFlow id="i1" sourceRef="is" targetRef="work"/><sequenceFlow id="i2" sourceRef="work" targetRef="ie"/></subProcess>
            <boundaryEvent id="caught" attachedToRef="inner"><errorEventDefinition errorRef="er"/></boundaryEvent><serviceTask id="repair" camunda:class="R"/><endEvent id="e"/>"#,
        flows: "s>inner inner>e caught>repair repair>e",
        before: &[],
        after: &["error work E", "job repair"],
    },
    Case {
        name: "uncaught-error",
        beside: r#"<error id="er" errorCode="E"/>"#,
        elements: r#"<endEvent id="e"><errorEventDefinition errorRef="er"/></endEvent>"#,
        flows: "s>e",
        before: &[],
        after: &["skip e"],
    },
    Case {
        name: "escalation",
        beside: r#"<escalation id="es" escalationCode="X"/>"#,
        elements: r#"<subProcess id="inner"><startEvent id="is"/><intermediateThrowEvent id="raise"><escalationEventDefinition escalationRef="es"/></intermediateThrowEvent><serviceTask id="work" camunda:class="W"/><endEvent id="ie"/>
            <sequenceFlow id="i1" sourceRef="is" targetRef="raise"/><sequenceFlow id="i2" sourceRef="raise" targetRef="work"/><sequenceFlow id="i3" sourceRef="work" targetRef="ie"/></subProcess>
            <boundaryEvent id="told" attachedToRef="inner" cancelActivity="false"><escalationEventDefinition escalationRef="es"/></boundaryEvent><serviceTask id="tell" camunda:class="T"/><endEvent id="e"/>"#,
        flows: "s>inner inner>e told>tell tell>e",
        before: &[],
        after: &["job work", "job tell"],
    },
    Case {
        name: "compensation",
        beside: "",
        elements: r#"<serviceTask id="book" camunda:class="B"/><boundaryEvent id="undo-book" attachedToRef="book"><compensateEventDefinition/></boundaryEvent><serviceTask id="unbook" isForCompensation="true" camunda:class="U"/>
            <serviceTask id="pay" camunda:class="P"/><boundaryEvent id="undo-pay" attachedToRef="pay"><compensateEventDefinition/></boundaryEvent><serviceTask id="refund" isForCompensation="true" camunda:class="R"/>
            <association id="a1" associationDirection="One" sourceRef="undo-book" targetRef="unbook"/><association id="a2" associationDirection="One" sourceRef="undo-pay" targetRef="refund"/>
            <intermediateThrowEvent id="undo"><compensateEventDefinition/></intermediateThrowEvent><endEvent id="e"/>"#,
        flows: "s>book book>pay pay>undo undo>e",
        before: &["job book", "job pay"],
        after: &["job refund", "job unbook"],
    },
    Case {
        name: "compensation-to-come",
        beside: "",
        elements: r#"<serviceTask id="book" camunda:class="B"/><boundaryEvent id="undo-book" attachedToRef="book"><compensateEventDefinition/></boundaryEvent><serviceTask id="unbook" isForCompensation="true" camunda:class="U"/>
            <association id="a1" associationDirection="One" sourceRef="undo-book" targetRef="unbook"/>
            <serviceTask id="work" camunda:class="W"/><endEvent id="e"><compensateEventDefinition activityRef="book"/></endEvent>"#,
        flows: "s>book book>work work>e",
        before: &["job book"],
        after: &["job work", "job unbook"],
    },
    Case {
        name: "transaction",
        beside: "",
        elements: r#"<transaction id="deal"><startEvent id="ds"/><serviceTask id="book" camunda:class="B"/><boundaryEvent id="undo" attachedToRef="book"><compensateEventDefinition/></boundaryEvent><serviceTask id="unbook" isForCompensation="true" camunda:class="U"/>
            <association id="a1" associationDirection="One" sourceRef="undo" targetRef="unbook"/><serviceTask id="check" camunda:class="C"/><endEvent id="dc"><cancelEventDefinition/></endEvent>
            <sequenceFlow id="d1" sourceRef="ds" targetRef="book"/><sequenceFlow id="d2" sourceRef="book" targetRef="check"/><sequenceFlow id="d3" sourceRef="check" targetRef="dc"/></transaction>
            <boundaryEvent id="cancelled" attachedToRef="deal"><cancelEventDefinition/></boundaryEvent><endEvent id="e"/><endEvent id="c"/>"#,
        flows: "s>deal deal>e cancelled>c",
        before: &["job book"],
        after: &["job check", "job unbook"],
    },
    Case {
        name: "event-subprocess",
        beside: r#"<message id="m" name="more"/><message id="q" name="quit"/>"#,
        elements: r#"<serviceTask id="work" camunda:class="W"/><endEvent id="e"/>
            <subProcess id="beside" triggeredByEvent="true"><startEvent id="more" isInterrupting="false"><messageEventDefinition messageRef="m"/></startEvent><serviceTask id="extra" camunda:class="X"/><endEvent id="be"/>
              <sequenceFlow id="b1" sourceRef="more" targetRef="extra"/><sequenceFlow id="b2" sourceRef="extra" targetRef="be"/></subProcess>
            <subProcess id="instead" triggeredByEvent="true"><startEvent id="quit"><messageEventDefinition messageRef="q"/></startEvent><serviceTask id="clean" camunda:class="C"/><endEvent id="ce"/>
              <sequenceFlow id="c1" sourceRef="quit" targetRef="clean"/><sequenceFlow id="c2" sourceRef="clean" targetRef="ce"/></subProcess>"#,
        flows: "s>work work>e",
        before: &["message more"],
        after: &["message more", "job extra", "message quit", "job clean"],
    },
    Case {
        name: "failed-attempt-in-scope",
        beside: "",
        elements: r#"<subProcess id="inner"><startEvent id="is"/><serviceTask id="work" camunda:class="W"><extensionElements><camunda:inputOutput><camunda:inputParameter name="local">${items}</camunda:inputParameter><camunda:outputParameter name="kept">${local}</camunda:outputParameter></camunda:inputOutput></extensionElements></serviceTask><endEvent id="ie"/>
            <sequenceFlow id="i1" sourceRef="is" targetRef="work"/><sequenceFlow id="i2" sourceRef="work" targetRef="ie"/></subProcess><endEvent id="e"/>"#,
        flows: "s>inner inner>e",
        before: &[],
        after: &["job work"],
    },
];

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    model: String,
    state: serde_json::Value,
    after: Vec<String>,
    ended: Vec<String>,
}

impl Case {
    fn model(&self) -> String {
        let mut flows = String::new();
        for flow in self.flows.split(' ') {
            let (from, to) = flow.split_once('>').unwrap();
            let id = format!("{from}-{to}");
            flows += &format!(r#"<sequenceFlow id="{id}" sourceRef="{from}" targetRef="{to}"/>"#);
        }
        format!(
            r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="urn:t">{}<process id="a_p" isExecutable="true" camunda:versionTag="1.0"><startEvent id="s"/>{}{flows}</process></definitions>"#,
            self.beside, self.elements
        )
    }
}

/// An instance on its way.
struct Play {
    definition: Definition,
    state: State,
    ids: u128,
    ended: Vec<String>,
}

impl Play {
    fn new(model: &str, state: impl FnOnce(&Definition) -> State, ids: u128) -> Play {
        let definition = bpmn::compile(&bpmn::parse(model).unwrap(), &CompileOptions::default()).unwrap();
        let state = state(&definition);
        Play { definition, state, ids, ended: Vec::new() }
    }

    fn step(&mut self, command: Command) {
        let mut ids = || {
            self.ids += 1;
            Uuid::from_u128(self.ids)
        };
        let mut context = Context { now: 1_893_456_000_000, ids: &mut ids, options: Options::default() };
        let (state, effects) =
            bpmn::step(&self.definition, self.state.clone(), command, &mut context).unwrap();
        self.state = state;
        for effect in effects {
            if let Effect::History { what: HistoryKind::End, activity, .. } = effect {
                self.ended.push(activity);
            }
        }
    }

    /// Does what a line says: `<what> <name> [<more>]`, to the first that fits.
    fn line(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (what, name) = (words.next().unwrap(), words.next().unwrap());
        let more = words.next();
        let (definition, state) = (&self.definition, &self.state);
        let none = Variables::new;
        let open = |found: Option<Uuid>| found.unwrap_or_else(|| panic!("'{line}': not open: {state:?}"));
        let job = || open(state.jobs(definition).iter().find(|job| job.activity == name).map(|job| job.id));
        let subscription = || {
            let all = state.subscriptions(definition);
            let fits = |open: &&bpmn::OpenSubscription| {
                open.name == name && (more.is_none() || open.correlation_key.as_deref() == more)
            };
            open(all.iter().find(fits).map(|open| open.id))
        };
        let command = match what {
            "job" => Command::JobDone { job: job(), variables: none(), local_variables: none() },
            "error" => {
                let code = more.unwrap().to_owned();
                Command::JobBpmnError { job: job(), code, message: None, variables: none() }
            }
            "async" => {
                let all = state.async_jobs(definition);
                Command::AsyncDue { job: open(all.iter().find(|job| job.activity == name).map(|job| job.id)) }
            }
            "timer" => {
                let all = state.timers(definition);
                let timer = open(all.iter().find(|timer| timer.activity == name).map(|timer| timer.id));
                Command::TimerFired { timer }
            }
            "message" => {
                let source = Some(line.to_owned());
                Command::Message { subscription: subscription(), variables: none(), source }
            }
            "signal" => Command::Signal { subscription: subscription(), variables: none() },
            "user" => {
                let all = state.user_tasks(definition);
                let task = open(all.iter().find(|task| task.activity == name).map(|task| task.id));
                Command::UserTaskCompleted { task, variables: none(), source: None }
            }
            "call" => {
                let variables = [("result".to_owned(), Value::from("r"))].into();
                Command::CallDone { call: open(state.calls().first().copied()), variables }
            }
            "skip" => {
                let all = state.tokens(definition);
                let token = all.iter().find(|token| token.activity == name).and_then(|token| token.id);
                Command::Skip { token: open(token) }
            }
            "set" => Command::SetVariables { variables: [(name.to_owned(), Value::from(true))].into() },
            other => panic!("'{other}' is no command"),
        };
        self.step(command);
    }
}

/// The instance of a case at the moment it is stored.
fn stored(case: &Case) -> Play {
    let mut play = Play::new(&case.model(), |definition| State::new(definition, Uuid::from_u128(1)), 0);
    play.step(Command::Start {
        at: StartAt::None,
        business_key: Some("bk".to_owned()),
        variables: [
            ("items".to_owned(), Value::Json(serde_json::json!(["a", "b", "c"]))),
            ("ready".to_owned(), Value::from(false)),
        ]
        .into(),
        source: Some("start".to_owned()),
    });
    case.before.iter().for_each(|line| play.line(line));
    play
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/waits")
}

/// The newest file of a case.
fn newest(case: &Case) -> Option<PathBuf> {
    (1..100).rev().map(|n| folder().join(format!("{}-{n}.json", case.name))).find(|path| path.exists())
}

#[test]
fn stored_instances_of_every_version_go_on_as_they_would_have() {
    let mut seen = 0;
    for file in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.display();
        let golden: Golden = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let state: State = serde_json::from_value(golden.state)
            .unwrap_or_else(|error| panic!("{name}: the stored state cannot be read: {error}"));
        let mut play = Play::new(&golden.model, |_| state, 1000);
        for line in &golden.after {
            assert_eq!(*play.state.status(), Status::Active, "{name}: ended before '{line}'");
            play.line(line);
        }
        assert_eq!(*play.state.status(), Status::Completed, "{name}: {:?}", play.state);
        assert_eq!(play.ended, golden.ended, "{name}: it goes another way");
        seen += 1;
    }
    assert!(seen >= CASES.len(), "golden files: {seen}");
}

#[test]
fn the_stored_form_is_that_of_the_newest_files() {
    for case in CASES {
        let play = stored(case);
        assert_eq!(*play.state.status(), Status::Active, "{}: it waits when it is stored", case.name);
        let now = serde_json::to_value(&play.state).unwrap();
        let newest = newest(case);
        let golden = newest.as_ref().map(|path| {
            serde_json::from_str::<Golden>(&std::fs::read_to_string(path).unwrap()).unwrap().state
        });
        if golden.as_ref() == Some(&now) {
            continue;
        }
        assert!(
            std::env::var_os("BLESS").is_some(),
            "{}: the stored form has changed; keep reading the old one, and add a file with BLESS=1",
            case.name
        );
        let after: Vec<String> = case.after.iter().map(|line| (*line).to_owned()).collect();
        let mut rest = Play::new(&case.model(), |_| play.state.clone(), 1000);
        after.iter().for_each(|line| rest.line(line));
        let golden = Golden { model: case.model(), state: now, after, ended: rest.ended };
        let free = (1..100).map(|n| folder().join(format!("{}-{n}.json", case.name)));
        let path = free.into_iter().find(|path| !path.exists()).unwrap();
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(path, serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
    }
}
