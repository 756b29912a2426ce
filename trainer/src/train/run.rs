//! A run in its folder: steps, log, evaluations, pictures, checkpoints.

use super::card_check::check_card;
use super::events::Events;
use super::picture::{self, Picture};
use super::{
    Checkpoint, CheckpointError, Config, Files, Judgement, Log, NameMap, RunError, Step, Terms, TrainError,
    Trainer, UNFINISHED, read_weights, write_whole,
};
use crate::data::Dataset;
use crate::evaluate::{self, EvaluateError};
use crate::metrics::GaussianKernel;
use crate::model::Precision;
use crate::physics::Residual;
use picardy::Ddim;
use serde_json::json;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Coordinates up to which an evaluation takes the MMD: the kernel's width is for the plane.
const MMD_DIM: usize = 3;
/// The stream of nothing but an evaluation's samples.
const SAMPLE_SEED: u64 = 0x5341_4D50_4C45;

/// What a run tells of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// A step was taken.
    Step(Step),
    /// The mean of the last steps, as it is in the log.
    Logged(Step),
    /// An evaluation.
    Evaluated(Evaluation),
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The steps taken.
    pub step: u64,
    /// The loss's terms on the held-out items.
    pub held_out: Option<Terms>,
    /// Whether it is the lowest so far.
    pub best: bool,
    /// The samples' MMD to the held-out items (to those that are trained on where there are none), for data of up to three
    /// coordinates.
    pub mmd: Option<f64>,
}

/// A run in its folder.
///
/// # Examples
///
/// ```
/// use picardy_trainer::train::{Config, Run};
/// let folder = tempfile::tempdir()?;
/// let mut config = Config::parse("[run]\nsteps = 20\nbatch = 32\nevaluate-every = 10\n[data]\nheld-out = 0.1\n")?;
/// let mut run = Run::begin(config, folder.path(), false)?;
/// run.go_on(&Default::default(), |_| ())?;
/// assert!(run.trainer().is_finished() && run.files().checkpoint().exists() && run.files().picture(20).exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Run {
    checkpoint: Checkpoint,
    files: Files,
    log: Log,
    events: Option<Events>,
    /// Held as long as the run is.
    _lock: File,
}

impl Run {
    /// A run at its beginning, in a folder that is made for it. The folder then holds the configuration and a first checkpoint.
    ///
    /// # Errors
    /// [`RunError`]. Where the settings or the data are at fault, nothing is left.
    pub fn begin(config: Config, folder: &Path, overwrite: bool) -> Result<Self, RunError> {
        Self::begin_told(config, folder, overwrite, None)
    }

    /// [`Run::begin`] with physics of one's own in the loss, whatever `loss.physics.residual` says. Its checkpoint goes on with
    /// [`Run::resume_with_residual`], and not by the command.
    ///
    /// ```
    /// use picardy_trainer::physics::Circle; // or one's own
    /// use picardy_trainer::train::{Config, Run};
    /// use std::sync::Arc;
    /// let folder = tempfile::tempdir()?;
    /// let config = Config::parse("[run]\nsteps = 4\nbatch = 8\n[loss.physics]\nweight = 0.01\n")?;
    /// drop(Run::begin_with_residual(config, folder.path(), false, Arc::new(Circle))?);
    /// assert!(Run::resume(folder.path()).unwrap_err().to_string().contains("Run::resume_with_residual"));
    /// let mut run = Run::resume_with_residual(folder.path(), Arc::new(Circle))?;
    /// run.go_on(&Default::default(), |_| ())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Run::begin`]; a residual for items of another size.
    pub fn begin_with_residual(
        config: Config,
        folder: &Path,
        overwrite: bool,
        residual: Arc<dyn Residual<f32>>,
    ) -> Result<Self, RunError> {
        Self::begin_told(config, folder, overwrite, Some(residual))
    }

    fn begin_told(
        config: Config,
        folder: &Path,
        overwrite: bool,
        residual: Option<Arc<dyn Residual<f32>>>,
    ) -> Result<Self, RunError> {
        let files = Files { folder: folder.to_owned() };
        if !overwrite && files.checkpoint().exists() {
            return Err(RunError::Exists { folder: folder.to_owned() });
        }
        let (from, map) = (config.train.run.from.clone(), config.train.run.name_map.clone());
        let mut checkpoint = Checkpoint::build(config, residual)?;
        if !from.is_empty() {
            let trainer = &checkpoint.trainer;
            if !trainer.config().run.ignore_card {
                check_card(Path::new(&from), trainer.config(), trainer.data())?;
            }
            let map = if map.is_empty() { NameMap::default() } else { NameMap::read(Path::new(&map))? };
            let weights = read_weights(Path::new(&from), &map, checkpoint.trainer.layout())?;
            checkpoint.trainer = checkpoint.trainer.with_weights(&weights)?;
        }
        std::fs::create_dir_all(folder).map_err(|error| files.error(folder.to_owned(), error))?;
        let lock = lock(&files)?;
        let text = checkpoint.config().to_text()?;
        if overwrite {
            files.remove()?;
        }
        write_whole(&files.config(), text.as_bytes()).map_err(|error| files.error(files.config(), error))?;
        // A run that is killed before its first checkpoint could not be resumed.
        checkpoint.save(&files.checkpoint())?;
        Self::open(checkpoint, files, lock)
    }

    /// A run where its last checkpoint left it.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn resume(folder: &Path) -> Result<Self, RunError> {
        Self::resume_told(folder, None, None)
    }

    /// [`Run::resume`] on another device, as [`RunConfig::device`](super::RunConfig::device) names it.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn resume_on(folder: &Path, device: Option<&str>) -> Result<Self, RunError> {
        Self::resume_told(folder, None, device)
    }

    /// [`Run::resume`] of a run of [`Run::begin_with_residual`], with the residual that it was begun with.
    ///
    /// # Errors
    /// As there, and as [`Trainer::resume_with_residual`].
    pub fn resume_with_residual(folder: &Path, residual: Arc<dyn Residual<f32>>) -> Result<Self, RunError> {
        Self::resume_told(folder, Some(residual), None)
    }

    fn resume_told(
        folder: &Path,
        residual: Option<Arc<dyn Residual<f32>>>,
        device: Option<&str>,
    ) -> Result<Self, RunError> {
        let files = Files { folder: folder.to_owned() };
        if !files.checkpoint().exists() {
            return Err(CheckpointError::Missing { path: files.checkpoint() }.into());
        }
        let lock = lock(&files)?;
        Self::open(Trainer::take_up(&files.checkpoint(), residual, device)?, files, lock)
    }

    fn open(checkpoint: Checkpoint, files: Files, lock: File) -> Result<Self, RunError> {
        remove_unfinished(&files.folder);
        let (step, run) = (checkpoint.trainer.steps(), &checkpoint.trainer.config().run);
        let log = Log::open(&files.log(), step, run.log_every, checkpoint.log);
        let log = log.map_err(|error| files.error(files.log(), error))?;
        let events = run.tensorboard.then(|| Events::create(&files.folder, step)).transpose();
        let events =
            events.map_err(|error| files.error(files.folder.join("events.out.tfevents.*"), error))?;
        Ok(Self { checkpoint, files, log, events, _lock: lock })
    }

    /// The run's state.
    pub const fn trainer(&self) -> &Trainer {
        &self.checkpoint.trainer
    }

    /// Its files.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Steps between checkpoints, in place of the configuration's, from here on.
    pub const fn checkpoint_every(&mut self, steps: u64) {
        self.checkpoint.trainer.config.run.checkpoint_every = if steps == 0 { 1 } else { steps };
    }

    /// Trains to the end, or until `stop` is true, and leaves a checkpoint.
    ///
    /// # Errors
    /// [`RunError`]; the last good state is in the checkpoint, and the items of a step that failed are in `failed.json`.
    pub fn go_on(&mut self, stop: &AtomicBool, mut watch: impl FnMut(Report)) -> Result<(), RunError> {
        let outcome = loop {
            if self.trainer().is_finished() || stop.load(Ordering::Relaxed) {
                break Ok(());
            }
            if let Err(error) = self.step(&mut watch) {
                break Err(error);
            }
        };
        let saved = self.save();
        match (outcome, saved) {
            (Ok(()), saved) => saved,
            (outcome, Ok(())) => outcome,
            (Err(first), Err(unsaved)) => {
                Err(RunError::Unsaved { first: Box::new(first), unsaved: Box::new(unsaved) })
            }
        }
    }

    /// A step, and what is due after it.
    fn step(&mut self, watch: &mut impl FnMut(Report)) -> Result<(), RunError> {
        let step = self.checkpoint.trainer.step().map_err(|error| self.failed(error))?;
        let logged = self.log.step(&step);
        self.checkpoint.log = self.log.state();
        watch(Report::Step(step));
        let run = &self.trainer().config().run;
        let (every, checkpoints) = (run.evaluate_every, run.checkpoint_every);
        let due = every > 0 && (step.step.is_multiple_of(every) || step.step == run.steps);
        // Before anything is written: a disk that is full loses a line, and not which weights were the best.
        let judgement = if due { self.checkpoint.trainer.judge()? } else { None };
        if let Some(line) = logged.map_err(|error| self.files.error(self.files.log(), error))? {
            watch(Report::Logged(line));
            let mut numbers: Vec<_> = line.terms.iter().collect();
            numbers.extend([("norm", line.norm), ("rate", line.rate)]);
            self.record(|events| events.numbers(line.step, &numbers))?;
        }
        if due {
            let evaluation = self.evaluate(judgement)?;
            watch(Report::Evaluated(evaluation));
        }
        if step.step.is_multiple_of(checkpoints.max(1)) {
            self.save()?;
        }
        Ok(())
    }

    /// Draws samples, their MMD and their picture, and writes them with the held-out loss.
    fn evaluate(&mut self, judgement: Option<Judgement>) -> Result<Evaluation, RunError> {
        let trainer = self.trainer();
        let step = trainer.steps();
        let mut evaluation = Evaluation {
            step,
            held_out: judgement.map(|judgement| judgement.terms),
            best: judgement.is_some_and(|judgement| judgement.best),
            mmd: None,
        };
        let (samples, data) = (samples(trainer)?, trainer.held_out().unwrap_or(trainer.data()));
        evaluation.mmd = mmd(&samples, data, trainer.config().run.samples)?;
        let picture = picture::draw(&samples, data).map_err(|reason| RunError::Picture { step, reason })?;
        let mut line = json!({ "step": step });
        let mut numbers = Vec::new();
        if let Some(terms) = &evaluation.held_out {
            line["held-out"] = json!(terms);
            line["best"] = evaluation.best.into();
            numbers.push(("held-out", terms.total()));
        }
        if let Some(mmd) = evaluation.mmd {
            line["mmd"] = mmd.into();
            numbers.push(("mmd", mmd));
        }
        self.log.line(&line).map_err(|error| self.files.error(self.files.log(), error))?;
        self.record(|events| events.numbers(step, &numbers))?;
        if let Some(Picture { width, height, png }) = picture {
            let path = self.files.picture(step);
            write_whole(&path, &png).map_err(|error| self.files.error(path, error))?;
            self.record(|events| events.picture(step, "samples", [width, height], &png))?;
        }
        Ok(evaluation)
    }

    fn record(&mut self, write: impl FnOnce(&mut Events) -> std::io::Result<()>) -> Result<(), RunError> {
        let Some(events) = &mut self.events else { return Ok(()) };
        write(events)
            .map_err(|error| self.files.error(self.files.folder.join("events.out.tfevents.*"), error))
    }

    fn save(&self) -> Result<(), RunError> {
        if self.trainer().diverged {
            // The last one is the last good state.
            return Ok(());
        }
        // A checkpoint whose log is not on the disk would go on without its last lines.
        self.log.sync().map_err(|error| self.files.error(self.files.log(), error))?;
        Ok(self.checkpoint.save(&self.files.checkpoint())?)
    }

    /// Notes which items a step failed on.
    fn failed(&self, error: TrainError) -> RunError {
        let said = error.to_string();
        if let TrainError::NotFinite { step, items, .. }
        | TrainError::Diverged { step, items, .. }
        | TrainError::Step { step, items, .. } = &error
        {
            let (source, items) = (self.trainer().data().name(), &items.0);
            let note = json!({ "step": step, "error": said, "data": source, "items": items });
            let path = self.files.failed();
            if let Err(unwritten) = write_whole(&path, note.to_string().as_bytes()) {
                let first = Box::new(error.into());
                return RunError::Unsaved { first, unsaved: Box::new(self.files.error(path, unwritten)) };
            }
        }
        error.into()
    }
}

/// Samples of the averaged weights [n, dim], told conditions of the data, the same noise every time.
fn samples(trainer: &Trainer) -> Result<Vec<f32>, RunError> {
    let (config, network) = (trainer.config(), trainer.averaged()?);
    let bytes = network.to_safetensors(&trainer.card(), Precision::F32)?;
    let schedule = config.noise_schedule()?;
    let steps = config.run.sample_steps.min(schedule.most_steps());
    let seed = config.run.seed ^ SAMPLE_SEED;
    // Told what the items of the data are, from all over it.
    let (data, width) = (trainer.held_out().unwrap_or(trainer.data()), network.condition());
    let conditions = evaluate::conditions_of(data, width, config.run.samples)?;
    let count = (config.run.samples, seed);
    let draw = || evaluate::sample_told(&bytes, schedule, &Ddim::default(), steps, &conditions, count);
    Ok(trainer.on_threads(draw)?)
}

fn mmd(samples: &[f32], data: &Dataset, most: usize) -> Result<Option<f64>, RunError> {
    let count = data.len().min(most);
    if data.dim() > MMD_DIM || count < 3 {
        return Ok(None);
    }
    let mut items = vec![0.0; count * data.dim()];
    for (index, slot) in items.chunks_exact_mut(data.dim()).enumerate() {
        // From all over the data, which may be sorted.
        data.copy_item((index as u128 * data.len() as u128 / count as u128) as usize, slot);
    }
    let mmd = GaussianKernel::default().mmd(samples, &items, data.dim()).map_err(EvaluateError::from)?;
    Ok(Some(mmd.value))
}

/// Keeps other processes out of the folder until it is dropped, or the process ends in any way.
fn lock(files: &Files) -> Result<File, RunError> {
    let path = files.folder.join(".lock");
    let file = File::create(&path).map_err(|error| files.error(path.clone(), error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(RunError::Busy { folder: files.folder.clone() }),
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Removes what a process that was killed had not finished; the folder is locked.
fn remove_unfinished(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // One that stays does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
