//! Runs: matchings whose filters lie in the memory of this replica, within a budget.
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use linkage::{
    dice::Threshold,
    encode::wire_header,
    filters::{FilterSet, Header},
    matching::{
        Blocking, Group, MAX_CANDIDATES, MatchError, Options, Record, Strategy, Watch, compatible_watched,
        site_unique,
    },
    profile::WireProfile,
    pseudonym::{MedicId, StudyKeys},
};
use messaging::{
    bulk::{RunLoaded, RunRecords},
    engine::Reply,
    linkage::{
        FilterHeader, GroupsPage, Matcher, RunCommand, RunGroup, RunReply, RunRequest, RunSite, RunStatus,
        RunSummary, StartRequest, Started,
    },
    subject,
};
use rand::{TryRngCore, rngs::OsRng};
use telemetry::metrics::{Counter, Histogram, KeyValue, meter};
use uuid::Uuid;

use crate::memory::{Memory, Reserved};

/// Most sites of a run.
const MAX_SITES: usize = 1000;
/// Bytes of a record beside its filter: its place in several orders, and its group.
const RECORD: u64 = 96;
/// Bytes of an encrypted id, and of its share in a pseudonym.
const ID: u64 = 1024;
/// Bytes of a pair at or above the threshold, and of one that shares a block, with its share of the room that
/// sorting takes.
const CANDIDATE: u64 = 24;
const SHARED: u64 = 12;
/// Longest encrypted id, in bytes.
const MAX_ID: usize = 1024;
/// Bytes of a page of groups, about; far below the limit of a message.
const PAGE: usize = 512 * 1024;

/// Who may run how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) runs: usize,
    pub(crate) idle: Duration,
    pub(crate) threads: NonZeroUsize,
}

/// All runs of this replica.
pub(crate) struct Runs {
    bounds: Bounds,
    memory: Memory,
    subject: String,
    records: String,
    all: Mutex<HashMap<String, Run>>,
    /// Matchings use all threads: one after the other.
    turn: tokio::sync::Semaphore,
    matched: Counter<u64>,
    seconds: Histogram<f64>,
}

struct Run {
    request_id: String,
    sites: Vec<RunSite>,
    matcher: Matcher,
    keys: Option<StudyKeys>,
    input: Input,
    loaded: u64,
    stage: Stage,
    watch: Arc<Watch>,
    touched: Instant,
    /// What it may need at most; a matching that is cancelled keeps it until it ends.
    reserved: Arc<Reserved>,
}

/// Records as they came.
#[derive(Default)]
struct Input {
    sets: Vec<FilterSet>,
    ids: Vec<Vec<String>>,
}

enum Stage {
    Loading,
    Matching,
    Done(RunSummary, Vec<RunGroup>),
    Failed(String),
}

/// Groups and numbers of a matching.
type Outcome = Result<(RunSummary, Vec<RunGroup>), String>;

impl Runs {
    pub(crate) fn new(replica: &str, memory: Memory, bounds: Bounds) -> Self {
        Self {
            bounds,
            memory,
            subject: subject::rbf_run(replica),
            records: subject::rbf_records(replica),
            all: Mutex::default(),
            turn: tokio::sync::Semaphore::new(1),
            matched: meter().u64_counter("dsf.linkage.runs").build(),
            seconds: meter().f64_histogram("dsf.linkage.match.duration").with_unit("s").build(),
        }
    }

    /// The subject of this replica's runs.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Its subject for their records.
    pub(crate) fn records_subject(&self) -> &str {
        &self.records
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run. A request that is repeated gives the same one.
    pub(crate) fn start(&self, request: StartRequest, keys: Option<StudyKeys>) -> Reply<Started> {
        let (mut sets, reserved) = match plan(&request) {
            Ok(plan) => plan,
            Err(reason) => return Reply::Invalid(reason),
        };
        if reserved > self.memory.limit() {
            return Reply::Invalid(format!(
                "the run may need {reserved} bytes, DSF_RBF_MEMORY allows {}: raise it, or link in parts",
                self.memory.limit()
            ));
        }
        let mut all = self.lock();
        let known = all.iter().find(|(_, run)| run.request_id == request.request_id);
        if let Some((run, _)) = known {
            return Reply::Ok(self.started(run.clone()));
        }
        let room = (all.len() < self.bounds.runs).then(|| self.memory.reserve(reserved)).flatten();
        let Some(reserved) = room else {
            return Reply::Unavailable(
                "other runs and data sets take the room of this worker; try again later".to_owned(),
            );
        };
        // Sets that grow would need more than was reserved for them.
        for (set, site) in sets.iter_mut().zip(&request.sites) {
            set.reserve(usize::try_from(site.records).unwrap_or(usize::MAX));
        }
        // Whoever knows the id may read the result.
        let run = Uuid::new_v4().simple().to_string();
        let ids = request.sites.iter().map(|_| Vec::new()).collect();
        all.insert(
            run.clone(),
            Run {
                request_id: request.request_id,
                sites: request.sites,
                matcher: request.matcher,
                keys,
                input: Input { sets, ids },
                loaded: 0,
                stage: Stage::Loading,
                watch: Arc::default(),
                touched: Instant::now(),
                reserved: Arc::new(reserved),
            },
        );
        Reply::Ok(self.started(run))
    }

    fn started(&self, run: String) -> Started {
        Started { run, subject: self.subject.clone(), records: self.records.clone() }
    }

    /// Adds records to a run.
    pub(crate) fn load(&self, records: RunRecords) -> Reply<RunLoaded> {
        let mut all = self.lock();
        let Some(run) = all.get_mut(&records.run) else {
            return Reply::Ok(RunLoaded { records: None });
        };
        run.touched = Instant::now();
        match run.add(records) {
            Ok(()) => Reply::Ok(RunLoaded { records: Some(run.loaded) }),
            Err(reason) => Reply::Invalid(reason),
        }
    }

    /// Does what a message to a run says.
    pub(crate) fn command(self: &Arc<Self>, request: RunRequest) -> Reply<RunReply> {
        let mut all = self.lock();
        let Some(run) = all.get_mut(&request.run) else {
            return Reply::Ok(RunReply::Status(RunStatus::Ended));
        };
        run.touched = Instant::now();
        match request.command {
            RunCommand::Match => {
                if matches!(run.stage, Stage::Loading) {
                    if let Some(missing) = run.missing() {
                        return Reply::Invalid(missing);
                    }
                    run.stage = Stage::Matching;
                    self.launch(&request.run, run);
                }
            }
            RunCommand::Status => {}
            RunCommand::Groups { offset } => {
                return match &run.stage {
                    Stage::Done(_, groups) => Reply::Ok(RunReply::Groups(page(groups, offset))),
                    _ => Reply::Invalid("the run has no groups yet: ask for its state first".to_owned()),
                };
            }
            RunCommand::End => {
                run.watch.stop();
                all.remove(&request.run);
                return Reply::Ok(RunReply::Status(RunStatus::Ended));
            }
        }
        Reply::Ok(RunReply::Status(run.status()))
    }

    /// Matches on threads of its own.
    fn launch(self: &Arc<Self>, id: &str, run: &mut Run) {
        let (runs, id) = (Arc::clone(self), id.to_owned());
        let input = std::mem::take(&mut run.input);
        let (sites, matcher, keys) = (run.sites.clone(), run.matcher, run.keys.take());
        let (watch, threads) = (Arc::clone(&run.watch), self.bounds.threads);
        let reserved = Arc::clone(&run.reserved);
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(_turn) = runs.turn.acquire().await else { return };
            let started = Instant::now();
            let work = move || {
                let outcome = outcome(&input, &sites, matcher, keys.as_ref(), threads, &watch);
                drop((input, reserved));
                outcome
            };
            let outcome = tokio::task::spawn_blocking(work).await;
            let outcome = outcome.unwrap_or_else(|_| Err("the matching broke off".to_owned()));
            let label = [KeyValue::new("outcome", if outcome.is_ok() { "ok" } else { "failed" })];
            runs.matched.add(1, &label);
            runs.seconds.record(started.elapsed().as_secs_f64(), &label);
            // An ended run is not there any more.
            if let Some(run) = runs.lock().get_mut(&id) {
                run.stage = match outcome {
                    Ok((summary, groups)) => Stage::Done(summary, groups),
                    Err(reason) => Stage::Failed(reason),
                };
            }
        });
    }

    /// Cancels and forgets runs that nobody asks about.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|_, run| {
            let keep = run.touched.elapsed() < self.bounds.idle;
            if !keep {
                run.watch.stop();
                tracing::warn!("a run was forgotten: nobody asked about it");
            }
            keep
        });
    }

    /// Cancels everything.
    pub(crate) fn stop(&self) {
        self.lock().drain().for_each(|(_, run)| run.watch.stop());
    }
}

impl Run {
    fn status(&self) -> RunStatus {
        match &self.stage {
            Stage::Loading => RunStatus::Loading(self.loaded),
            Stage::Matching => {
                let (done, total) = self.watch.progress();
                RunStatus::Matching(done, total)
            }
            Stage::Done(summary, _) => RunStatus::Done(*summary),
            Stage::Failed(reason) => RunStatus::Failed(reason.clone()),
        }
    }

    fn missing(&self) -> Option<String> {
        let sets = self.sites.iter().zip(&self.input.sets).enumerate();
        let mut short = sets.filter(|(_, (site, set))| (set.len() as u64) < site.records);
        short.next().map(|(at, (site, set))| {
            format!("site {at} has {} records of {}: add the others first", set.len(), site.records)
        })
    }

    /// Adds records, all or none.
    fn add(&mut self, records: RunRecords) -> Result<(), String> {
        let RunRecords { run: _, site, from, filters, ids } = records;
        if !matches!(self.stage, Stage::Loading) {
            return Err("the matching has begun: start another run".to_owned());
        }
        let at = site as usize;
        let (Some(of), Some(set), Some(known)) =
            (self.sites.get(at), self.input.sets.get_mut(at), self.input.ids.get_mut(at))
        else {
            return Err(format!("there is no site {site}"));
        };
        let there = set.len() as u64;
        if from > there {
            return Err(format!("site {site} has {there} records: pieces come in order"));
        }
        let bytes = set.words_per_filter() * size_of::<u64>();
        if !filters.0.len().is_multiple_of(bytes) {
            return Err(format!("a filter of site {site} has {bytes} bytes, these are {}", filters.0.len()));
        }
        let count = filters.0.len() / bytes;
        if self.keys.is_some() && ids.len() != count {
            return Err("a run of a study needs an id for each filter".to_owned());
        }
        if from.saturating_add(count as u64) > of.records {
            return Err(format!("site {site} was announced with {} records", of.records));
        }
        if ids.iter().any(|id| id.len() > MAX_ID) {
            return Err(format!("an id is longer than {MAX_ID} bytes"));
        }
        // Those that came before come again.
        let skip = usize::try_from(there - from).unwrap_or(usize::MAX).min(count);
        set.extend_from_bytes(&filters.0[skip * bytes..])
            .map_err(|error| format!("filters of site {site} from record {there} on: {error}"))?;
        self.loaded += (count - skip) as u64;
        if self.keys.is_some() {
            known.extend(ids.into_iter().skip(skip));
        }
        Ok(())
    }
}

/// Sets to fill, and the bytes that the run may need at most.
fn plan(request: &StartRequest) -> Result<(Vec<FilterSet>, u64), String> {
    if request.sites.is_empty() || request.sites.len() > MAX_SITES {
        return Err(format!("a run has 1 to {MAX_SITES} sites"));
    }
    let threshold = match request.matcher {
        Matcher::Compatible { threshold } | Matcher::SiteUnique { threshold, .. } => Some(threshold),
        Matcher::Unlinked => None,
    };
    if let Some(Err(error)) = threshold.map(Threshold::new) {
        return Err(error.to_string());
    }
    let mut sets = Vec::new();
    let (mut records, mut bytes, mut pairs) = (0_u64, 0_u64, 0_u64);
    for site in &request.sites {
        if site.records > linkage::filters::MAX_FILTERS as u64 {
            return Err(format!("more than {} records of a site", linkage::filters::MAX_FILTERS));
        }
        let set = FilterSet::new(header(site, &request.profile)?);
        // As they came, and once more in the order of comparison.
        let filter = 2 * 8 * set.words_per_filter() as u64;
        let id = if request.study.is_some() { ID } else { 0 };
        bytes = bytes.saturating_add(site.records.saturating_mul(filter + RECORD + id));
        pairs = pairs.saturating_add(records.saturating_mul(site.records));
        records += site.records;
        sets.push(set);
    }
    FilterSet::check(&sets).map_err(|error| error.to_string())?;
    if let Matcher::SiteUnique { blocking, .. } = request.matcher {
        bytes = bytes.saturating_add(pairs.min(MAX_CANDIDATES as u64) * CANDIDATE);
        if blocking.is_some() {
            bytes = bytes.saturating_add(pairs.min(linkage::matching::MAX_PAIRS as u64) * SHARED);
        }
    }
    Ok((sets, bytes))
}

/// Longest filter of a run, in bits: that of a record filter in `crates/linkage`.
const MAX_BITS: u32 = 1 << 20;

fn header(site: &RunSite, profile: &str) -> Result<Header, String> {
    match &site.header {
        Some(FilterHeader { profile, encoding, bits, key_check }) => {
            if !(1..=MAX_BITS).contains(bits) {
                return Err(format!("filters have 1 to {MAX_BITS} bits"));
            }
            Ok(Header {
                profile: profile.parse().map_err(|error| format!("{error}"))?,
                encoding: encoding.clone(),
                bits: *bits,
                key_check: key_check.clone(),
            })
        }
        None => {
            let wire = [WireProfile::Stub1, WireProfile::JavaPdq1];
            let wire = wire.into_iter().find(|wire| wire.id().to_string() == profile);
            wire.map(wire_header).ok_or_else(|| {
                format!("profile {profile} is not one of the HiGHmed wire: its filters come with a header")
            })
        }
    }
}

fn outcome(
    input: &Input,
    sites: &[RunSite],
    matcher: Matcher,
    keys: Option<&StudyKeys>,
    threads: NonZeroUsize,
    watch: &Arc<Watch>,
) -> Outcome {
    let failed = |error: MatchError| error.to_string();
    let sets = &input.sets;
    let mut summary = RunSummary {
        sites: sets.iter().filter(|set| !set.is_empty()).count() as u64,
        ..RunSummary::default()
    };
    let groups: Vec<Group> = match matcher {
        Matcher::Compatible { threshold } => {
            let groups = compatible_watched(sets, Strategy::Min, threshold, watch).map_err(failed)?;
            (_, summary.pairs) = watch.progress();
            summary.compared = summary.pairs;
            groups
        }
        Matcher::SiteUnique { threshold, blocking } => {
            let threshold = Threshold::new(threshold).map_err(|error| error.to_string())?;
            let mut options = Options::new(threshold);
            options.threads = threads;
            options.watch = Arc::clone(watch);
            options.blocking = blocking.map(|blocking| Blocking {
                tables: blocking.tables as usize,
                sample: blocking.sample as usize,
                seed: blocking.seed,
            });
            let names: Vec<&str> = sites.iter().map(|site| site.organization.as_str()).collect();
            let matches = site_unique(sets, &names, &options).map_err(failed)?;
            summary.pairs = matches.report.pairs;
            summary.compared = matches.report.compared;
            summary.expected_loss = matches.report.blocking.map_or(0.0, |blocking| blocking.expected_loss);
            matches.groups
        }
        Matcher::Unlinked => (0..sets.len())
            .flat_map(|site| (0..sets[site].len()).map(move |index| vec![Record { site, index }]))
            .collect(),
    };
    summary.groups = groups.len() as u64;
    Ok((summary, named(&groups, input, sites, keys)?))
}

/// Groups as they are told, with pseudonyms where there are keys.
fn named(
    groups: &[Group],
    input: &Input,
    sites: &[RunSite],
    keys: Option<&StudyKeys>,
) -> Result<Vec<RunGroup>, String> {
    let records = |group: &Group| {
        let pair = |record: &Record| (u32::try_from(record.site).unwrap_or(u32::MAX), record.index as u64);
        group.iter().map(pair).collect::<Vec<_>>()
    };
    let Some(keys) = keys else {
        return Ok(groups
            .iter()
            .map(|group| RunGroup { pseudonym: None, records: records(group) })
            .collect());
    };
    let id = |record: &Record| MedicId {
        organization: sites[record.site].organization.clone(),
        value: input.ids[record.site].get(record.index).cloned(),
    };
    let persons: Vec<Vec<MedicId>> = groups.iter().map(|group| group.iter().map(id).collect()).collect();
    let mut random = OsRng.unwrap_err();
    let pseudonyms = keys.create(&persons, &mut random).map_err(|error| error.to_string())?;
    let group = |(place, pseudonym): (usize, String)| RunGroup {
        pseudonym: Some(pseudonym),
        records: records(&groups[place]),
    };
    Ok(pseudonyms.into_iter().map(group).collect())
}

fn page(groups: &[RunGroup], offset: u64) -> GroupsPage {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(groups.len());
    let (mut size, mut to) = (0, from);
    while let Some(group) = groups.get(to) {
        size += 64 + group.pseudonym.as_ref().map_or(0, String::len) + 32 * group.records.len();
        if size > PAGE && to > from {
            break;
        }
        to += 1;
    }
    GroupsPage { groups: groups[from..to].to_vec(), next: (to < groups.len()).then_some(to as u64) }
}
