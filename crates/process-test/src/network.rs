//! The sites, their clock and what a test can do and see.
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bpmn::{Command, Context, Options, StepError, SubscriptionKind, Value, Variables};
use messaging::job::{Job as WorkerJob, Outcome};
use plugin::Plugin;
use uuid::Uuid;

use crate::{
    call::Work,
    error::Error,
    instance::{Deployed, Instance, InstanceId, Stage, Visit, Visited},
    message::{self, Message, MessageId, MessageStatus, Post},
};

/// Where every clock starts: 2030-01-01T00:00:00Z in milliseconds since the epoch.
pub const START: i64 = 1_893_456_000_000;
/// How long a message nobody waits for yet is held, in milliseconds; the engine's default.
pub(crate) const HOLD: i64 = 10_000;
/// After this time a send to a site that is down reports its error, in milliseconds; the engine's default.
pub(crate) const SEND_GIVE_UP: i64 = 10_000;
/// Pieces of work of one [`Network::run`]; processes that need more keep each other busy for ever.
pub(crate) const MAX_WORK: usize = 100_000;

/// How the others reach a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Messages arrive and are looked at.
    Open,
    /// Messages do not arrive: sends to it fail after ten seconds.
    Down,
    /// Messages arrive and nobody ever looks at them: no answer comes.
    Silent,
}

/// An instance that needs an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The instance.
    pub instance: InstanceId,
    /// Element id; empty where none is known.
    pub activity: String,
    /// Why.
    pub reason: String,
}

type Handler = Box<dyn FnMut(&WorkerJob) -> Outcome>;

/// A scripted worker, for one site or all, for one job type or all.
struct Worker {
    site: Option<String>,
    kind: Option<String>,
    handler: Handler,
}

struct Site {
    reach: Reach,
    /// Oldest first.
    definitions: Vec<Arc<Deployed>>,
    /// Timer start events of the newest definition of each key and tag.
    starts: Vec<StartTimer>,
}

/// A definition that starts by itself.
struct StartTimer {
    definition: Arc<Deployed>,
    event: String,
    deployed: i64,
    due: i64,
}

/// Sites with processes, messages between them, and one clock.
pub struct Network {
    now: i64,
    ids: u128,
    sites: BTreeMap<String, Site>,
    workers: Vec<Worker>,
    incidents: Vec<Incident>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) messages: Vec<Message>,
    pub(crate) work: VecDeque<Work>,
}

impl Network {
    /// Sites without processes. Their names are the identifiers of their organizations.
    pub fn new<const N: usize>(sites: [&str; N]) -> Self {
        let site = |name: &str| {
            (name.to_owned(), Site { reach: Reach::Open, definitions: Vec::new(), starts: Vec::new() })
        };
        Self {
            now: START,
            ids: 0,
            sites: sites.into_iter().map(site).collect(),
            workers: Vec::new(),
            incidents: Vec::new(),
            instances: Vec::new(),
            messages: Vec::new(),
            work: VecDeque::new(),
        }
    }

    // ---- Setting the scene ----

    /// Loads a plugin folder and deploys it at every site, with the site's name as `#{organization}`.
    ///
    /// # Errors
    /// When the plugin does not load.
    pub fn deploy_folder(&mut self, folder: impl AsRef<Path>) -> Result<(), Error> {
        for site in self.sites.keys().cloned().collect::<Vec<_>>() {
            let options = plugin::Options { organization: site.clone(), ..plugin::Options::default() };
            self.deploy(&site, &plugin::load(folder.as_ref(), &options)?)?;
        }
        Ok(())
    }

    /// Deploys a plugin at one site. Running instances keep what they started with.
    ///
    /// # Errors
    /// When there is no such site or a model does not compile.
    pub fn deploy(&mut self, site: &str, plugin: &Plugin) -> Result<(), Error> {
        let jobs = Arc::new(plugin.jobs.clone());
        let models = plugin.definitions()?;
        let deployed = self.now;
        let place = self.sites.get_mut(site).ok_or_else(|| Error::Site(site.to_owned()))?;
        for model in models {
            let tag = model.version_tag().unwrap_or_default().to_owned();
            let definition = Arc::new(Deployed { model, tag, jobs: Arc::clone(&jobs) });
            let (key, tag) = (definition.model.key(), &definition.tag);
            place.starts.retain(|start| start.definition.model.key() != key || start.definition.tag != *tag);
            for event in definition.model.start_events() {
                if let Some(due) = definition.model.start_due(&event.id, deployed, None) {
                    let definition = Arc::clone(&definition);
                    place.starts.push(StartTimer { definition, event: event.id, deployed, due });
                }
            }
            place.definitions.push(definition);
        }
        Ok(())
    }

    /// A worker for one job type at every site. The newest worker wins among those that fit equally
    /// well; one for a site wins over one for all, one for a type over one for all types.
    pub fn worker(&mut self, kind: &str, handler: impl FnMut(&WorkerJob) -> Outcome + 'static) {
        self.workers.push(Worker { site: None, kind: Some(kind.to_owned()), handler: Box::new(handler) });
    }

    /// A worker for one job type at one site.
    pub fn worker_at(
        &mut self,
        site: &str,
        kind: &str,
        handler: impl FnMut(&WorkerJob) -> Outcome + 'static,
    ) {
        let (site, kind) = (Some(site.to_owned()), Some(kind.to_owned()));
        self.workers.push(Worker { site, kind, handler: Box::new(handler) });
    }

    /// A worker for all job types that have no other.
    pub fn worker_for_all(&mut self, handler: impl FnMut(&WorkerJob) -> Outcome + 'static) {
        self.workers.push(Worker { site: None, kind: None, handler: Box::new(handler) });
    }

    /// Says how the others reach a site from now on.
    ///
    /// # Errors
    /// When there is no such site.
    pub fn set_reach(&mut self, site: &str, reach: Reach) -> Result<(), Error> {
        let found = self.sites.get_mut(site).ok_or_else(|| Error::Site(site.to_owned()))?;
        found.reach = reach;
        Ok(())
    }

    // ---- Letting things happen ----

    /// Starts a process by a message of the site to itself, with a business key of its own.
    ///
    /// # Errors
    /// When no instance started.
    pub fn start(&mut self, site: &str, process: &str, message_name: &str) -> Result<InstanceId, Error> {
        let post = Post {
            from: site.to_owned(),
            to: site.to_owned(),
            process: process.to_owned(),
            message_name: message_name.to_owned(),
            ..Post::default()
        };
        let id = self.post(post)?;
        let message = &self.messages[id.0];
        message.instance.ok_or_else(|| Error::NotStarted {
            message: message_name.to_owned(),
            process: process.to_owned(),
            reason: match &message.status {
                MessageStatus::Failed(reason) => reason.clone(),
                _ => "it is no start message".to_owned(),
            },
        })
    }

    /// Delivers a message to its site.
    ///
    /// # Errors
    /// When the site or the process text is none. What its site makes of it is in the message.
    pub fn post(&mut self, post: Post) -> Result<MessageId, Error> {
        if !self.sites.contains_key(&post.to) {
            return Err(Error::Site(post.to));
        }
        let process = post.process.clone();
        let id = self.keep(post).ok_or(Error::Process(process))?;
        self.place(id, true);
        Ok(id)
    }

    /// Works until nothing can be done without a later clock or an answer from outside.
    ///
    /// # Errors
    /// When the processes never come to rest.
    pub fn run(&mut self) -> Result<(), Error> {
        for _ in 0..MAX_WORK {
            if let Some(work) = self.work.pop_front() {
                self.perform(work);
            } else if self.rematch() || self.due() {
                // Looks again from the front: what was led to comes first.
            } else if let Some((instance, job)) = self.ready_job() {
                self.attempt(instance, job);
            } else {
                return Ok(());
            }
        }
        Err(Error::Endless)
    }

    /// Lets time pass: everything that becomes due happens at its own time.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn advance(&mut self, by: Duration) -> Result<(), Error> {
        let until = self.now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        self.run()?;
        while let Some(next) = self.next_due().filter(|next| *next <= until) {
            self.now = next;
            self.run()?;
        }
        self.now = until;
        Ok(())
    }

    /// Answers an open job that no worker takes.
    ///
    /// # Errors
    /// When the instance has no such job.
    pub fn answer(&mut self, instance: InstanceId, activity: &str, outcome: Outcome) -> Result<(), Error> {
        let jobs = self.instances.get(instance.0).map(|found| &found.jobs).into_iter().flatten();
        let open = jobs
            .filter(|(_, job)| job.activity == activity && matches!(job.stage, Stage::Worker { .. }))
            .map(|(id, _)| *id)
            .next();
        let id = open.ok_or_else(|| self.not_open(instance, activity))?;
        self.answered(instance, id, outcome);
        self.run()
    }

    /// Completes a user task.
    ///
    /// # Errors
    /// When the instance has no such user task or the model fails.
    pub fn complete_user_task(
        &mut self,
        instance: InstanceId,
        activity: &str,
        variables: Variables,
    ) -> Result<(), Error> {
        let open = self.instances.get(instance.0).map(|i| i.state.user_tasks(&i.definition.model));
        let task = open.into_iter().flatten().find(|task| task.activity == activity).map(|task| task.id);
        let task = task.ok_or_else(|| self.not_open(instance, activity))?;
        self.command(instance, Command::UserTaskCompleted { task, variables, source: None })?;
        self.run()
    }

    // ---- Looking at it ----

    /// The clock, milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// When something happens next by itself; `None`: never.
    pub fn next_due(&self) -> Option<i64> {
        let jobs = self.instances.iter().flat_map(|instance| {
            instance.jobs.values().filter(|job| self.is_played(instance, job)).map(|job| job.due)
        });
        let timers = self.instances.iter().flat_map(|instance| instance.timers.values().copied());
        let starts = self.sites.values().flat_map(|site| site.starts.iter().map(|start| start.due));
        jobs.chain(timers)
            .chain(starts)
            .chain(self.messages.iter().filter_map(|message| message.expires))
            .min()
    }

    /// Ids of the activities that ended, in order, without the process and bodies of multi-instance
    /// activities.
    pub fn path(&self, instance: InstanceId) -> Vec<&str> {
        let ended = |visit: &&Visit| {
            visit.what == Visited::Left && visit.kind != "process" && visit.kind != "multiInstanceBody"
        };
        self.visits(instance).iter().filter(ended).map(|visit| visit.activity.as_str()).collect()
    }

    /// Everything that happened in an instance.
    pub fn visits(&self, instance: InstanceId) -> &[Visit] {
        self.instances.get(instance.0).map(|found| found.visits.as_slice()).unwrap_or_default()
    }

    /// Ids of the elements where tokens of an instance wait, oldest first.
    pub fn waiting(&self, instance: InstanceId) -> Vec<String> {
        let tokens = self.instances.get(instance.0).map(|found| found.state.tokens(&found.definition.model));
        tokens.into_iter().flatten().map(|token| token.activity).collect()
    }

    /// Messages an instance waits for, oldest first: name and correlation key.
    pub fn awaited(&self, instance: InstanceId) -> Vec<(String, Option<String>)> {
        let Some(found) = self.instances.get(instance.0).filter(|found| found.state.is_active()) else {
            return Vec::new();
        };
        let open = found.state.subscriptions(&found.definition.model).into_iter();
        open.filter(|open| open.kind == SubscriptionKind::Message)
            .map(|open| (open.name, open.correlation_key))
            .collect()
    }

    /// Element ids of the open user tasks of an instance, oldest first.
    pub fn user_tasks(&self, instance: InstanceId) -> Vec<String> {
        let open = self.instances.get(instance.0).map(|i| i.state.user_tasks(&i.definition.model));
        open.into_iter().flatten().map(|task| task.activity).collect()
    }

    /// Business key of an instance.
    pub fn business_key(&self, instance: InstanceId) -> Option<&str> {
        self.instances.get(instance.0).map(|found| found.business_key.as_str())
    }

    /// True when the last token of the instance ended, or it was ended by a decision.
    pub fn has_ended(&self, instance: InstanceId) -> bool {
        self.instances.get(instance.0).is_some_and(|found| !found.state.is_active())
    }

    /// A variable of the instance itself, without those of inner scopes. Kept after its end.
    pub fn variable(&self, instance: InstanceId, name: &str) -> Option<&Value> {
        self.instances.get(instance.0)?.state.process_variables()?.get(name)
    }

    /// All instances, oldest first: number, site and process key.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, &str, &str)> {
        self.instances.iter().enumerate().map(|(index, instance)| {
            (InstanceId(index), instance.site.as_str(), instance.definition.model.key())
        })
    }

    /// All messages that reached their sites, oldest first; those that start a process by
    /// [`Network::start`] among them.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Messages between different sites, one line each: `<from> -> <to>: <message name>`.
    pub fn sent(&self) -> Vec<String> {
        let between = |message: &&Message| message.post.from != message.post.to;
        self.messages.iter().filter(between).map(Message::line).collect()
    }

    /// What needs an operator.
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    // ---- For the other modules ----

    pub(crate) fn command(&mut self, id: InstanceId, command: Command) -> Result<(), StepError> {
        let Self { now, ids, instances, .. } = self;
        let Some(instance) = instances.get_mut(id.0) else { return Err(StepError::NotActive) };
        let mut fresh = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let mut context = Context { now: *now, ids: &mut fresh, options: Options::default() };
        let model = &instance.definition.model;
        let (state, effects) = bpmn::step(model, instance.state.clone(), command, &mut context)?;
        instance.state = state;
        for crossing in instance.carry_out(effects, *now) {
            self.cross(id, crossing);
        }
        Ok(())
    }

    /// Starts, timers and held messages whose time has come; false: none.
    fn due(&mut self) -> bool {
        let now = self.now;
        for (name, site) in &mut self.sites {
            let Some(index) = site.starts.iter().position(|start| start.due <= now) else { continue };
            let start = &mut site.starts[index];
            let (definition, event) = (Arc::clone(&start.definition), start.event.clone());
            match definition.model.start_due(&event, start.deployed, Some(now)) {
                Some(due) => start.due = due,
                None => {
                    site.starts.remove(index);
                }
            }
            let (site, variables) = (name.clone(), Variables::new());
            self.work.push_back(Work::StartAt { site, definition, event, variables });
            return true;
        }
        let timers = self.instances.iter().enumerate().flat_map(|(index, instance)| {
            instance.timers.iter().map(move |(id, due)| (*due, *id, InstanceId(index)))
        });
        if let Some((_, timer, instance)) = timers.filter(|(due, ..)| *due <= self.now).min() {
            self.instances[instance.0].timers.remove(&timer);
            let result = self.command(instance, Command::TimerFired { timer });
            self.note(instance, result);
            return true;
        }
        let over = |message: &Message| message.expires.is_some_and(|expires| expires <= self.now);
        let Some(index) = self.messages.iter().position(over) else { return false };
        self.messages[index].expires = None;
        self.place(MessageId(index), false);
        true
    }

    /// Makes a failed step an incident.
    pub(crate) fn note(&mut self, instance: InstanceId, result: Result<(), StepError>) {
        match result {
            Ok(()) | Err(StepError::NotWaiting | StepError::NotActive) => {}
            Err(StepError::Model { activity, message }) => self.incident(instance, &activity, message),
            Err(error) => self.incident(instance, "", error.to_string()),
        }
    }

    pub(crate) fn incident(&mut self, instance: InstanceId, activity: &str, reason: String) {
        self.incidents.push(Incident { instance, activity: activity.to_owned(), reason });
    }

    pub(crate) fn add(&mut self, instance: Instance) -> InstanceId {
        self.instances.push(instance);
        InstanceId(self.instances.len() - 1)
    }

    /// Keeps a message; `None` when its process text is none.
    pub(crate) fn keep(&mut self, mut post: Post) -> Option<MessageId> {
        let (target, generation) = message::process(&post.process)?;
        if post.business_key.is_empty() {
            post.business_key = format!("key-{}", self.messages.len());
        }
        self.messages.push(Message {
            post,
            sent: self.now,
            status: MessageStatus::Requested,
            instance: None,
            outputs: Vec::new(),
            target,
            generation,
            expires: None,
        });
        Some(MessageId(self.messages.len() - 1))
    }

    pub(crate) fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub(crate) fn reach_of(&self, site: &str) -> Option<Reach> {
        self.sites.get(site).map(|site| site.reach)
    }

    pub(crate) fn deployed(&self, site: &str) -> &[Arc<Deployed>] {
        self.sites.get(site).map(|site| site.definitions.as_slice()).unwrap_or_default()
    }

    pub(crate) fn newest(&self, site: &str, key: &str, tag: &str) -> Option<Arc<Deployed>> {
        self.deployed(site).iter().rev().find(|known| known.model.key() == key && known.tag == tag).cloned()
    }

    /// The newest definition of each key and tag.
    pub(crate) fn newest_of_all(&self, site: &str) -> Vec<Arc<Deployed>> {
        let mut newest: BTreeMap<(&str, &str), &Arc<Deployed>> = BTreeMap::new();
        for known in self.deployed(site) {
            newest.insert((known.model.key(), known.tag.as_str()), known);
        }
        newest.into_values().cloned().collect()
    }

    pub(crate) fn worker_of(&self, site: &str, kind: &str) -> Option<usize> {
        let fits = |worker: &Worker| {
            worker.site.as_deref().is_none_or(|wanted| wanted == site)
                && worker.kind.as_deref().is_none_or(|wanted| wanted == kind)
        };
        let fitting = self.workers.iter().enumerate().filter(|(_, worker)| fits(worker));
        fitting
            .max_by_key(|(index, worker)| (worker.kind.is_some(), worker.site.is_some(), *index))
            .map(|(index, _)| index)
    }

    pub(crate) fn ask_worker(&mut self, worker: usize, job: &WorkerJob) -> Outcome {
        (self.workers[worker].handler)(job)
    }

    fn not_open(&self, instance: InstanceId, what: &str) -> Error {
        Error::NotOpen { what: what.to_owned(), waiting: self.waiting(instance) }
    }
}
