//! Elements that the recorded runs do not cover, each as a small model with commands and what is seen.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use bpmn::{
    CallBinding, Command, CompileOptions, Context, Definition, Effect, Options, StartAt, State, Status,
    StepError, Value, Variables,
};
use uuid::Uuid;

struct Play {
    definition: Definition,
    state: State,
    ids: u128,
    now: i64,
}

fn compile(body: &str) -> Result<Definition, String> {
    compile_with(body, &CompileOptions::default())
}

fn compile_with(body: &str, options: &CompileOptions) -> Result<Definition, String> {
    let xml = format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="urn:t">
        <error id="E1" errorCode="E1"/><error id="E2" errorCode="E2"/>
        <process id="a_p" isExecutable="true" camunda:versionTag="1.0">{body}</process></definitions>"#
    );
    let model = bpmn::parse(&xml).map_err(|error| error.to_string())?;
    bpmn::compile(&model, options).map_err(|errors| errors.to_string())
}

/// `a>b` becomes a sequence flow.
fn flows(text: &str) -> String {
    let flow = |pair: &str| {
        let (from, to) = pair.split_once('>').unwrap();
        format!(r#"<sequenceFlow id="f_{from}_{to}" sourceRef="{from}" targetRef="{to}"/>"#)
    };
    text.split_whitespace().map(flow).collect()
}

impl Play {
    fn new(body: &str, variables: &[(&str, Value)]) -> (Self, Vec<Effect>) {
        Self::begin(body, variables, false)
    }

    fn begin(body: &str, variables: &[(&str, Value)], called: bool) -> (Self, Vec<Effect>) {
        Self::start(compile(body).unwrap_or_else(|error| panic!("{error}")), variables, called)
    }

    fn start(definition: Definition, variables: &[(&str, Value)], called: bool) -> (Self, Vec<Effect>) {
        let make = if called { State::called } else { State::new };
        let state = make(&definition, Uuid::from_u128(7));
        let mut play = Self { definition, state, ids: 100, now: 0 };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let start =
            Command::Start { at: StartAt::None, business_key: Some("bk".into()), variables, source: None };
        let effects = play.step(start).unwrap();
        (play, effects)
    }

    fn step(&mut self, command: Command) -> Result<Vec<Effect>, StepError> {
        let ids = &mut self.ids;
        let mut make = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let mut context = Context { now: self.now, ids: &mut make, options: Options::default() };
        let (state, effects) = bpmn::step(&self.definition, self.state.clone(), command, &mut context)?;
        self.state = state;
        Ok(effects)
    }

    fn waiting(&self) -> Vec<String> {
        self.state.waiting(&self.definition)
    }

    /// Completes the only open job of an implementation.
    fn done(&mut self, implementation: &str, variables: &[(&str, Value)]) -> Vec<Effect> {
        let job = self.job(implementation);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.step(Command::JobDone { job, variables, local_variables: Variables::new() }).unwrap()
    }

    fn job(&self, implementation: &str) -> Uuid {
        let jobs = self.state.jobs(&self.definition);
        let job = jobs.iter().find(|job| job.implementation == implementation);
        job.unwrap_or_else(|| panic!("no job {implementation} among {jobs:?}")).id
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.state.process_variables().and_then(|variables| variables.get(name))
    }

    fn token(&self, activity: &str) -> Uuid {
        let tokens = self.state.tokens(&self.definition);
        tokens.iter().find(|token| token.activity == activity).and_then(|token| token.id).unwrap()
    }
}

const WORK: &str = r#"<startEvent id="s"/><serviceTask id="t" camunda:class="Work"/><endEvent id="e"/>"#;

#[test]
fn a_standard_loop_goes_round_while_its_condition_holds() {
    for (attributes, condition, start, rounds) in [
        ("", "${again}", false, 3),
        (r#"testBefore="true""#, "${again}", true, 3),
        (r#"testBefore="true""#, "${again}", false, 0),
        (r#"loopMaximum="2""#, "${again}", false, 2),
        (r#"loopMaximum="2""#, "", false, 2),
    ] {
        let condition = if condition.is_empty() {
            String::new()
        } else {
            format!("<loopCondition>{condition}</loopCondition>")
        };
        let body = format!(
            r#"<startEvent id="s"/><serviceTask id="t" camunda:class="Work">
               <standardLoopCharacteristics {attributes}>{condition}</standardLoopCharacteristics></serviceTask>
               <endEvent id="e"/>{}"#,
            flows("s>t t>e")
        );
        let (mut play, _) = Play::new(&body, &[("again", Value::Boolean(start))]);
        let mut seen = 0;
        while play.state.is_active() {
            seen += 1;
            play.done("Work", &[("again", Value::Boolean(seen < 3))]);
        }
        assert_eq!(seen, rounds, "{attributes} {condition} from {start}");
    }
    let endless = r#"<startEvent id="s"/><task id="t"><standardLoopCharacteristics/></task>"#;
    assert!(compile(endless).unwrap_err().contains("loopMaximum"));
}

#[test]
fn execution_listeners_are_jobs_before_and_after_and_on_the_flow() {
    let listener = |class: &str, event: &str| {
        format!(
            r#"<camunda:executionListener class="{class}" event="{event}"><camunda:field name="x" stringValue="1"/></camunda:executionListener>"#
        )
    };
    let body = format!(
        r#"<startEvent id="s"/><serviceTask id="t" camunda:class="Work"><extensionElements>{}{}</extensionElements></serviceTask>
           <endEvent id="e"/>{}<sequenceFlow id="f" sourceRef="t" targetRef="e"><extensionElements>{}</extensionElements></sequenceFlow>"#,
        listener("Before", "start"),
        listener("After", "end"),
        flows("s>t"),
        listener("Taken", "take"),
    );
    let (mut play, effects) = Play::new(&body, &[]);
    assert_eq!(play.definition.implementations(), ["After", "Before", "Taken", "Work"]);
    let fields = effects.iter().find_map(|effect| match effect {
        Effect::CreateJob { implementation, fields, .. } if implementation == "Before" => {
            Some(fields.clone())
        }
        _ => None,
    });
    assert_eq!(fields.unwrap()["x"], Value::from("1"));
    for class in ["Before", "Work", "After", "Taken"] {
        assert_eq!(play.waiting(), ["t"], "before {class}");
        let stored = serde_json::to_string(&play.state).unwrap();
        play.state = serde_json::from_str(&stored).unwrap();
        play.done(class, &[]);
    }
    assert_eq!(*play.state.status(), Status::Completed);
}

#[test]
fn listeners_of_the_process_are_jobs_around_everything() {
    let body = format!(
        r#"<extensionElements><camunda:executionListener class="First" event="start"/>
           <camunda:executionListener class="Second" event="start"/><camunda:executionListener class="Last" event="end"/></extensionElements>
           <startEvent id="s"/><serviceTask id="t" camunda:class="Work"/><endEvent id="e"/>{}
           <subProcess id="es" triggeredByEvent="true"><startEvent id="caught"><errorEventDefinition/></startEvent>
           <serviceTask id="mend" camunda:class="Mend"/><sequenceFlow id="f" sourceRef="caught" targetRef="mend"/></subProcess>"#,
        flows("s>t t>e"),
    );
    for (script, ended) in [
        (["First", "Second", "Work", "Last"].as_slice(), true),
        (&["First", "Second", "!Work", "Mend", "Last"], true),
        // Event subprocesses catch nothing before the process has begun or after it is over.
        (&["!First"], false),
        (&["First", "Second", "Work", "!Last"], false),
    ] {
        let (mut play, _) = Play::new(&body, &[]);
        for class in script {
            assert_eq!(play.state.jobs(&play.definition).len(), 1, "{script:?} before {class}");
            play.state = serde_json::from_str(&serde_json::to_string(&play.state).unwrap()).unwrap();
            match class.strip_prefix('!') {
                None => play.done(class, &[("seen", Value::from(*class))]),
                Some(class) => {
                    let job = play.job(class);
                    let error = Command::JobBpmnError {
                        job,
                        code: "E1".into(),
                        message: None,
                        variables: Variables::new(),
                    };
                    play.step(error).unwrap()
                }
            };
        }
        assert_eq!(*play.state.status() == Status::Completed, ended, "{script:?}");
        if !ended {
            // The job waits for an operator: it cannot be moved, skipping it goes on.
            let job = play.state.jobs(&play.definition)[0].id;
            assert!(play.step(Command::Move { token: job, to: "t".into() }).is_err());
            let kept = play.state.clone();
            let effects = play.step(Command::Cancel { reason: "stop".into() }).unwrap();
            assert!(effects.contains(&Effect::CancelJob { id: job }), "{effects:?}");
            play.state = kept;
            play.step(Command::Skip { token: job }).unwrap();
            assert_eq!(play.state.is_active(), script == ["!First"], "{script:?} skipped");
        }
    }
}

#[test]
fn hooks_of_a_user_task_are_jobs_before_it_is_seen_and_after_it_is_done() {
    let body = format!(
        r#"<startEvent id="s"/><userTask id="ask" camunda:formKey="${{form}}"><extensionElements>
           <camunda:taskListener class="Prepare" event="create"><camunda:field name="practitionerRole" expression="${{role}}"/></camunda:taskListener>
           <camunda:taskListener class="dev.dsf.DefaultUserTaskListener" event="create"/>
           <camunda:taskListener class="Read" event="complete"/></extensionElements></userTask><endEvent id="e"/>{}"#,
        flows("s>ask ask>e"),
    );
    let hooks = ["Prepare".to_owned()].into();
    let definition = compile_with(&body, &CompileOptions { hooks, ..CompileOptions::default() }).unwrap();
    assert_eq!(definition.implementations(), ["Prepare", "Read"]);
    let (mut play, effects) = Play::start(definition, &[("role", Value::from("DIC"))], false);
    let asked = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::CreateUserTask { id, form_key, listeners, .. } => {
                Some((*id, form_key.clone(), listeners.clone()))
            }
            _ => None,
        })
    };
    assert_eq!(asked(&effects), None, "nobody sees the task before its hook is done");
    let effects = play.done("Prepare", &[("form", Value::from("http://a.test/f|1.0"))]);
    let (task, form_key, listeners) = asked(&effects).unwrap();
    assert_eq!(form_key.as_deref(), Some("http://a.test/f|1.0"), "what the hook has set counts");
    assert_eq!(listeners[0].fields["practitionerRole"], Value::from("DIC"));
    play.step(Command::UserTaskCompleted { task, variables: Variables::new(), source: None }).unwrap();
    assert_eq!(play.waiting(), ["ask"]);
    play.done("Read", &[]);
    assert_eq!(*play.state.status(), Status::Completed);

    let unmapped = compile(&body.replace("complete", "other")).unwrap_err();
    assert!(unmapped.contains("task listeners for 'other' are not supported"), "{unmapped}");
}

#[test]
fn a_call_says_which_version_and_takes_back_what_is_mapped() {
    for (attributes, expected) in [
        ("", CallBinding::Latest),
        (r#"camunda:calledElementBinding="deployment""#, CallBinding::Deployment),
        (
            r#"camunda:calledElementBinding="version" camunda:calledElementVersion="${v}""#,
            CallBinding::Version("3".into()),
        ),
        (
            r#"camunda:calledElementBinding="versionTag" camunda:calledElementVersionTag="1.${v}""#,
            CallBinding::VersionTag("1.3".into()),
        ),
    ] {
        let body = format!(
            r#"<startEvent id="s"/><callActivity id="c" calledElement="a_${{v}}" {attributes}><extensionElements>
               <camunda:in variables="all"/><camunda:in businessKey="${{execution.processBusinessKey}}-c"/>
               <camunda:out variables="all"/></extensionElements></callActivity>
               <userTask id="u"/>{}"#,
            flows("s>c c>u")
        );
        let (mut play, effects) = Play::new(&body, &[("v", Value::Integer(3))]);
        let Some(Effect::StartCall { id, called, binding, business_key, variables, .. }) =
            effects.into_iter().find(|effect| matches!(effect, Effect::StartCall { .. }))
        else {
            panic!("no call");
        };
        assert_eq!((called.as_str(), business_key.as_deref()), ("a_3", Some("bk-c")));
        assert_eq!(binding, expected);
        assert_eq!(variables["v"], Value::Integer(3));
        let back = Variables::from([("r".to_owned(), Value::Integer(1))]);
        play.step(Command::CallDone { call: id, variables: back }).unwrap();
        assert_eq!(play.waiting(), ["u"]);
        assert_eq!(play.variable("r"), Some(&Value::Integer(1)));
    }
    assert!(compile(r#"<startEvent id="s"/><callActivity id="c" calledElement="x" camunda:calledElementBinding="version"/>"#).is_err());
}

#[test]
fn what_a_called_instance_does_not_catch_goes_to_the_caller() {
    let body = format!("{WORK}{}", flows("s>t t>e"));
    let (mut called, _) = Play::begin(&body, &[], true);
    let job = called.state.jobs(&called.definition)[0].id;
    let error = Command::JobBpmnError { job, code: "E1".into(), message: None, variables: Variables::new() };
    let effects = called.step(error).unwrap();
    assert!(
        matches!(&effects[..], [Effect::ThrowToCaller { token: Some(token), job: true, code, .. }] if *token == job && code == "E1"),
        "{effects:?}"
    );
    assert_eq!(called.waiting(), ["t"], "the job waits until the caller has decided");

    let caller = |boundary: &str| {
        format!(
            r#"<startEvent id="s"/><callActivity id="c" calledElement="x"/>
               <boundaryEvent id="b" attachedToRef="c"><errorEventDefinition errorRef="{boundary}"/></boundaryEvent>
               <userTask id="u"/>{}"#,
            flows("s>c c>u b>u")
        )
    };
    let threw = |play: &Play| Command::CallThrew {
        call: play.state.calls()[0],
        escalation: false,
        code: "E1".into(),
        message: None,
        variables: Variables::new(),
    };
    let (mut play, _) = Play::new(&caller("E1"), &[]);
    let call = play.state.calls()[0];
    let effects = play.step(threw(&play)).unwrap();
    assert!(effects.contains(&Effect::CancelCall { id: call }), "the called instance ends");
    assert_eq!(play.waiting(), ["u"]);
    let (mut play, _) = Play::new(&caller("E2"), &[]);
    assert_eq!(play.step(threw(&play)), Err(StepError::NotCaught));
    assert_eq!(play.waiting(), ["c"], "nothing has happened");
}

#[test]
fn an_operator_skips_moves_retries_and_edits() {
    let body = format!("{WORK}<userTask id=\"u\"/>{}", flows("s>t t>u u>e"));
    let (mut play, _) = Play::new(&body, &[("x", Value::Integer(1))]);
    let job = play.token("t");
    let effects = play.step(Command::Skip { token: job }).unwrap();
    assert!(effects.contains(&Effect::CancelJob { id: job }));
    assert_eq!(play.waiting(), ["u"]);
    let task = play.token("u");
    let effects = play.step(Command::Move { token: task, to: "t".into() }).unwrap();
    assert!(effects.contains(&Effect::CancelUserTask { id: task }));
    assert_eq!(play.waiting(), ["t"]);
    for wrong in ["nothing", "a_p"] {
        let token = play.token("t");
        assert!(matches!(play.step(Command::Move { token, to: wrong.into() }), Err(StepError::Model { .. })));
    }
    let token = Some(play.token("t"));
    play.step(Command::EditVariable { token, name: "x".into(), value: Some(Value::Integer(2)) }).unwrap();
    assert_eq!(play.variable("x"), Some(&Value::Integer(2)));
    play.step(Command::EditVariable { token: None, name: "x".into(), value: None }).unwrap();
    assert_eq!(play.variable("x"), None);
    assert_eq!(play.step(Command::Skip { token: Uuid::nil() }), Err(StepError::NotWaiting));

    // A token at an error end event that nobody catches: tried again, or skipped.
    let body = format!(
        r#"<startEvent id="s"/><endEvent id="e"><errorEventDefinition errorRef="E1"/></endEvent>{}"#,
        flows("s>e")
    );
    let (mut play, effects) = Play::new(&body, &[]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::UncaughtError { job: None, .. })));
    let token = play.token("e");
    let effects = play.step(Command::Retry { token }).unwrap();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::UncaughtError { .. })), "still uncaught");
    let token = play.token("e");
    play.step(Command::Skip { token }).unwrap();
    assert_eq!(*play.state.status(), Status::Completed);
}

#[test]
fn timers_with_a_cron_expression_repeat() {
    let body = format!(
        r#"<startEvent id="s"/><userTask id="u"/><boundaryEvent id="b" attachedToRef="u" cancelActivity="false">
           <timerEventDefinition><timeCycle>0 0/5 * * * ?</timeCycle></timerEventDefinition></boundaryEvent>
           <serviceTask id="t" camunda:class="Work"/><endEvent id="e"/>{}"#,
        flows("s>u u>e b>t t>e")
    );
    let (mut play, _) = Play::new(&body, &[]);
    for minutes in [5, 10, 15] {
        let timer = play.state.timers(&play.definition).pop().unwrap();
        assert_eq!(timer.due, minutes * 60_000);
        play.now = timer.due;
        play.step(Command::TimerFired { timer: timer.id }).unwrap();
    }
    assert_eq!(play.state.jobs(&play.definition).len(), 3, "each firing is a token of its own");
}
