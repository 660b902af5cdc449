//! The training loop.

use std::borrow::Borrow;
use std::ops::ControlFlow;
use std::time::Instant;

use devices::describe;
use fused_ops::{KeptMemory, Optimizer, Repeated};
use tch::{Device, Kind, Tensor, no_grad};
use vision_data::{DataLoader, Dataset, EpochPlan, ImageSet, Normalize, random_number};

use super::callback::{Callback, StepReport};
use super::control::Control;
use super::evaluator::{Computed, Evaluator};
use super::history::{Epoch, History, Step};
use super::recipe::Recipe;
use super::turns::{Heeded, Script};
use crate::model::{GoogLeNet, cross_entropy};
use crate::{Error, Result};

/// Steps between two looks at the loss. Each look waits for the device.
const LOOK_EVERY: usize = 20;

/// A number of epochs, for [`Trainer::fit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs(pub u32);

/// A network in training: it, its data, its recipe, and what has happened so far.
///
/// Everything lives on the network's device. Within an epoch the loop waits for the device only
/// to look at the loss, every 20 steps.
#[derive(Debug)]
pub struct Trainer {
    pub(super) net: GoogLeNet,
    pub(super) recipe: Recipe,
    pub(super) optimizer: Optimizer,
    train: DataLoader,
    pub(crate) test: DataLoader,
    pub(crate) classes: Vec<String>,
    pub(crate) normalize: Normalize,
    /// Size of the images if it is not the data set's own.
    pub(super) size: Option<i64>,
    /// Forward and backward pass of a step.
    passes: Repeated,
    pub(super) running: Option<Running>,
    pub(super) history: History,
    pub(super) control: Control,
    /// The factor of the learning rate that is in force; the one of the control is wanted.
    pub(super) learning_rate_factor: f64,
    /// What is done again of another run.
    pub(super) script: Script,
}

/// An epoch that has begun. It outlives a stop, and the next `fit` goes on in it.
#[derive(Debug)]
pub(super) struct Running {
    plan: EpochPlan,
    pub(super) next: usize,
    /// Loss of every step, on the device.
    losses: Tensor,
    /// Number of images that were classified rightly, on the device.
    pub(super) correct: Tensor,
    pub(super) learning_rates: Vec<f32>,
    /// Size of the images of the last step, if not the data set's own.
    size: Option<i64>,
    pub(super) seconds: f64,
}

impl Running {
    /// Number of steps of the whole epoch.
    pub(super) fn steps(&self) -> usize {
        self.plan.batches()
    }
}

/// How well a network does on images that it did not learn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of the images that are classified rightly, from 0 to 1.
    pub accuracy: f64,
    /// Number of images.
    pub images: usize,
}

impl std::fmt::Display for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Evaluation { loss, accuracy, images } = self;
        write!(f, "{:.2} % of {images} images right, loss {loss:.4}", 100.0 * accuracy)
    }
}

impl Trainer {
    /// Prepares a training run of `net` on `data`, on the network's device.
    ///
    /// The order of the images, their augmentation and dropout follow from the recipe's seed. For
    /// dropout, every step of a network that has some sets libtorch's own generator.
    ///
    /// # Errors
    /// A recipe, a number of classes or an image size that does not go with the network, and more
    /// images in a batch than in the training set.
    pub fn new(net: GoogLeNet, data: impl Borrow<Dataset>, recipe: Recipe) -> Result<Trainer> {
        let data = data.borrow();
        let recipe = Recipe { precision: recipe.precision.on(net.device()), ..recipe };
        recipe.check()?;
        let classes = net.spec().head.classes;
        if data.classes.len() as i64 != classes {
            return Err(Error::invalid(
                format!("number of classes of {}", data.name),
                data.classes.len(),
                format!("the network has {classes}: build it from spec.with_classes(..)"),
            ));
        }
        let input = net.spec().input;
        let size = (data.train.image_size() != (input.height, input.width)).then_some(input.height);
        for step in &recipe.sizes {
            net.check_size(step.size, step.size)?;
        }
        if data.train.len() < recipe.batch as usize {
            return Err(Error::invalid(
                format!("batch of recipe {}", recipe.name),
                recipe.batch,
                format!("{} has only {} training images", data.name, data.train.len()),
            ));
        }
        let normalize = Normalize::of(&data.train)?;
        let data = data.to_device(net.device())?;
        let prepare = |set: &ImageSet| DataLoader::new(set, &normalize, recipe.augment);
        let history = History {
            network: net.spec().name.to_string(),
            parameters: net.parameters(),
            dataset: data.name.clone(),
            device: describe(net.device()),
            recipe: recipe.clone(),
            steps_per_epoch: data.train.len() / recipe.batch as usize,
            steps: Vec::new(),
            epochs: Vec::new(),
            turns: Vec::new(),
        };
        Ok(Trainer {
            train: prepare(&data.train)?,
            test: prepare(&data.test)?,
            optimizer: Optimizer::new(
                net.variables(),
                recipe.optimizer.rule(),
                recipe.weight_decay,
            )?,
            passes: Repeated::default(),
            running: None,
            classes: data.classes,
            normalize,
            net,
            recipe,
            size,
            history,
            control: Control::new(),
            learning_rate_factor: 1.0,
            script: Script::default(),
        })
    }

    /// The network.
    pub fn net(&self) -> &GoogLeNet {
        &self.net
    }

    /// What has happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How it computes in evaluation.
    pub(crate) fn computed(&self) -> Computed {
        let Recipe { test_flip: flip, test_batch: batch, precision, .. } = self.recipe;
        Computed { flip, batch, precision }
    }

    /// Trains for this many epochs; the callback and the control may stop it. An epoch that was stopped
    /// is finished first by the next call, and counts as one of its epochs. Whether it was stopped before
    /// its last epoch was complete.
    ///
    /// # Errors
    /// A loss that is not a number any more; a device that fails, for want of memory for example.
    pub(crate) fn run(&mut self, epochs: Epochs, callback: &mut dyn Callback) -> Result<bool> {
        let _fitting = self.control.begin();
        let kept = KeptMemory::new()?;
        let last = self.history.epochs.len() as u32 + epochs.0;
        while (self.history.epochs.len() as u32) < last {
            let mut running = match self.running.take() {
                Some(running) => running,
                None => self.begin_epoch()?,
            };
            let flow = self.run_epoch(&mut running, last, callback);
            if running.next < running.plan.batches() {
                self.running = Some(running);
                let _stopped = flow?;
                return Ok(true);
            }
            let flow = flow?;
            self.end_epoch(running)?;
            // Images may have grown in it.
            kept.free_old();
            callback.epoch(&self.history);
            if flow.is_break() && (self.history.epochs.len() as u32) < last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Loss and accuracy on the test images, at the network's own size.
    ///
    /// # Errors
    /// A device that fails.
    pub fn evaluate(&self) -> Result<Evaluation> {
        self.evaluate_at(self.size)
    }

    fn evaluate_at(&self, size: Option<i64>) -> Result<Evaluation> {
        self.evaluate_first(self.test.len(), size)
    }

    /// Loss and accuracy on so many of the test images.
    pub(super) fn evaluate_first(&self, images: usize, size: Option<i64>) -> Result<Evaluation> {
        let _kept = KeptMemory::new()?;
        let on_device = (Kind::Float, self.net.device());
        let mut loss = Tensor::f_zeros([1], on_device)?;
        let mut correct = Tensor::f_zeros([1], on_device)?;
        no_grad(|| -> Result<()> {
            let mut evaluator = Evaluator::new(&self.net, self.computed())?;
            for (start, len) in evaluator.batches(images as i64) {
                let (xs, labels) = self.test.eval(start, len, size)?;
                let logits = evaluator.logits(&xs)?;
                loss += cross_entropy(&logits, &labels, 0.0)? * len as f64;
                correct += count_correct(&logits, &labels)?;
            }
            Ok(())
        })?;
        // One copy: each waits for the device.
        let sums = Tensor::f_cat(&[loss, correct], 0)?.f_to_device(Device::Cpu)?;
        let mean = |sum: i64| -> Result<f64> { Ok(sums.f_double_value(&[sum])? / images as f64) };
        Ok(Evaluation { loss: mean(0)?, accuracy: mean(1)?, images })
    }

    /// What the recipe computes in. Images are given to the network in this kind, and what is
    /// computed from them follows.
    fn kind(&self) -> Kind {
        self.recipe.precision.kind(self.net.device())
    }

    pub(super) fn begin_epoch(&self) -> Result<Running> {
        let device = self.net.device();
        let plan = EpochPlan::new(
            self.train.len(),
            self.recipe.batch,
            self.recipe.augment,
            self.recipe.seed,
            self.history.epochs.len() as u64,
            device,
        )?;
        Ok(Running {
            losses: Tensor::f_zeros([plan.batches() as i64], (Kind::Float, device))?,
            correct: Tensor::f_zeros([1], (Kind::Float, device))?,
            learning_rates: Vec::with_capacity(plan.batches()),
            size: self.size,
            seconds: 0.0,
            next: 0,
            plan,
        })
    }

    /// Trains to the end of the epoch or until the callback or the control stops it.
    fn run_epoch(
        &mut self,
        running: &mut Running,
        last: u32,
        callback: &mut dyn Callback,
    ) -> Result<ControlFlow<()>> {
        self.recipe.precision.choose(self.net.device())?;
        // A pause moves it on, so that no rate counts one.
        let mut began = Instant::now();
        let seconds_before = running.seconds;
        let steps = running.plan.batches();
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && running.next < steps {
            let Heeded { flow: heeded, waited } = self.heed(running, callback)?;
            began += waited;
            if heeded.is_break() {
                flow = heeded;
                break;
            }
            self.step(running)?;
            let end = running.next == steps;
            let loss = if running.next.is_multiple_of(LOOK_EVERY) || end {
                let loss = self.look(running)?;
                callback.look(&self.history);
                Some(loss)
            } else {
                None
            };
            running.seconds = seconds_before + began.elapsed().as_secs_f64();
            flow = callback.step(&StepReport {
                epoch: self.history.epochs.len() as u32 + 1,
                epochs: last,
                step: running.next,
                steps,
                loss,
                images_per_second: (running.next as i64 * self.recipe.batch) as f64
                    / running.seconds,
            });
        }
        self.look(running)?;
        running.seconds = seconds_before + began.elapsed().as_secs_f64();
        Ok(flow)
    }

    /// One step of the optimizer. Nothing in it waits for the device.
    fn step(&mut self, running: &mut Running) -> Result<()> {
        let cycle = f64::from(self.recipe.epochs);
        let epoch = self.history.epochs.len() as f64;
        let done = epoch + running.next as f64 / running.plan.batches() as f64;
        let progress = (done % cycle) / cycle;
        let scheduled = self.recipe.learning_rate * self.recipe.schedule.factor(progress);
        let learning_rate = scheduled * self.learning_rate_factor;

        running.size = self.recipe.size(progress).or(self.size);
        let batch = self.train.train(&running.plan, running.next, running.size)?;
        if self.net.spec().has_dropout() {
            // Set at every step, the generator needs no place in a checkpoint: libtorch has no way
            // to read its state from Rust.
            let step = self.history.epochs.len() * running.plan.batches() + running.next;
            tch::manual_seed(random_number(self.recipe.seed, step as u64 + 1) as i64);
        }
        let targets = batch.targets(self.net.spec().head.classes)?;
        let inputs = [batch.images.f_to_kind(self.kind())?, targets];
        let Trainer { net, optimizer, recipe, passes, .. } = self;
        let outputs = passes.run(&inputs, |inputs| {
            let outputs = net.outputs(&inputs[0])?;
            let loss = outputs.loss(&inputs[1], recipe.label_smoothing)?;
            let gradient = optimizer.gradient(&loss)?;
            Ok::<_, Error>(vec![loss.f_detach()?, outputs.logits.f_detach()?, gradient])
        })?;
        let [loss, logits, gradient] = &outputs[..] else { unreachable!("three were returned") };
        no_grad(|| -> Result<()> {
            optimizer.step(gradient, learning_rate)?;
            running.losses.f_narrow(0, running.next as i64, 1)?.f_copy_(loss)?;
            running.correct += count_correct(logits, &inputs[1])?;
            Ok(())
        })?;
        running.learning_rates.push(learning_rate as f32);
        running.next += 1;
        Ok(())
    }

    /// Moves the losses since the last look into the history and returns their mean, or that of
    /// the last step if there are none.
    pub(super) fn look(&mut self, running: &Running) -> Result<f64> {
        let seen = self.history.steps.len() - self.history.epochs.len() * running.plan.batches();
        let new = running.next - seen;
        if new == 0 {
            return Ok(self.history.steps.last().map_or(f64::NAN, |step| f64::from(step.loss)));
        }
        let losses = running.losses.f_narrow(0, seen as i64, new as i64)?;
        let losses: Vec<f32> = Vec::try_from(&losses.f_to_device(Device::Cpu)?)?;
        for (loss, &learning_rate) in losses.iter().zip(&running.learning_rates[seen..]) {
            self.history.steps.push(Step { loss: *loss, learning_rate });
        }
        if let Some(bad) = losses.iter().position(|loss| !loss.is_finite()) {
            return Err(Error::Diverged {
                step: self.history.steps.len() - new + bad + 1,
                loss: losses[bad],
                learning_rate: running.learning_rates[seen + bad],
            });
        }
        Ok(losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / new as f64)
    }

    fn end_epoch(&mut self, running: Running) -> Result<()> {
        let steps = running.plan.batches();
        let images = (steps as i64 * self.recipe.batch) as f64;
        let recent = &self.history.steps[self.history.steps.len() - steps..];
        let train_loss = recent.iter().map(|step| f64::from(step.loss)).sum::<f64>() / steps as f64;
        let train_accuracy = running.correct.f_double_value(&[0])? / images;
        let test = self.evaluate_at(running.size)?;
        self.history.epochs.push(Epoch {
            epoch: self.history.epochs.len() as u32 + 1,
            train_loss,
            train_accuracy,
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            seconds: running.seconds,
            images_per_second: images / running.seconds,
        });
        Ok(())
    }
}

/// How many of these logits (N, classes) are highest at their label (N), or at the class that has the largest
/// share (N, classes); shape (1), on the device.
fn count_correct(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let labels = match targets.dim() {
        1 => targets.shallow_clone(),
        _ => targets.f_argmax(1, false)?,
    };
    let right = logits.f_detach()?.f_argmax(1, false)?.f_eq_tensor(&labels)?;
    Ok(right.f_sum(Kind::Float)?.f_view([1])?)
}
