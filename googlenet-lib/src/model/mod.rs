//! The networks as tensors: Szegedy et al., *Going Deeper with Convolutions*, 2014
//! (<https://arxiv.org/abs/1409.4842>).
//!
//! ```
//! use googlenet_lib::prelude::*;
//!
//! let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
//! let images = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
//! let logits = net.forward_t(&images, false)?;
//! assert_eq!(logits.size(), [2, 10]);
//! # Ok::<(), Error>(())
//! ```

mod conv;
mod head;
mod inception;
pub mod torchvision;

use std::collections::HashMap;
use std::path::Path;

use devices::let_cudnn_choose;
use tch::{Device, Kind, Reduction, Tensor, nn};

use crate::cost::NetworkCost;
use crate::spec::{HeadPool, Layer, LocalResponseNormSpec, NetworkSpec, PoolSpec, Shape};
use crate::{Error, Result, file};
use conv::{Conv, local_response_norm, max_pool};
use head::{Auxiliary, Head};
use inception::Inception;

/// A network built from a [`NetworkSpec`], with its weights.
///
/// Weights and activations lie in memory channels-last; shapes are (N, C, H, W) all the same.
#[derive(Debug)]
pub struct GoogLeNet {
    spec: NetworkSpec,
    variables: nn::VarStore,
    body: Vec<Block>,
    head: Head,
}

#[derive(Debug)]
enum Block {
    Conv(Conv),
    MaxPool(PoolSpec),
    LocalResponseNorm(LocalResponseNormSpec),
    Inception(Inception),
    Auxiliary(Auxiliary),
}

/// What a network returns in training.
#[derive(Debug)]
pub struct Outputs {
    /// Logits of the head, (N, classes).
    pub logits: Tensor,
    /// The auxiliary classifiers in order: weight in the loss, and logits (N, classes).
    pub auxiliary: Vec<(f64, Tensor)>,
}

impl Outputs {
    /// Mean cross-entropy of the head, plus that of every auxiliary classifier times its weight
    /// (0.3 in section 5 of the paper).
    ///
    /// `labels` is (N), 64-bit integers, or the share of each class, (N, classes); `label_smoothing` is from
    /// 0 to 1.
    ///
    /// # Errors
    /// Labels that do not go with the logits.
    pub fn loss(&self, labels: &Tensor, label_smoothing: f64) -> Result<Tensor> {
        let mut loss = cross_entropy(&self.logits, labels, label_smoothing)?;
        for (weight, logits) in &self.auxiliary {
            loss += cross_entropy(logits, labels, label_smoothing)? * *weight;
        }
        Ok(loss)
    }
}

/// Mean cross-entropy of logits (N, classes) for labels (N), or for the share of each class (N, classes),
/// with label smoothing from 0 to 1.
///
/// # Errors
/// Labels that do not go with the logits.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    Ok(logits.f_cross_entropy_loss(
        labels,
        None::<Tensor>,
        Reduction::Mean,
        -100,
        label_smoothing,
    )?)
}

impl GoogLeNet {
    /// Builds the network with random weights, as PyTorch draws them by default; set the seed
    /// before it with [`tch::manual_seed`].
    ///
    /// # Errors
    /// A spec that cannot be built; the message names the layer and the number.
    pub fn new(spec: &NetworkSpec, device: Device) -> Result<GoogLeNet> {
        spec.check()?;
        let_cudnn_choose(device);
        let variables = nn::VarStore::new(device);
        let root = variables.root();
        let mut body = Vec::with_capacity(spec.layers.len());
        let mut input = spec.input;
        for (layer, (name, output)) in spec.layers.iter().zip(spec.shapes()?) {
            let path = &root / &name;
            body.push(match layer {
                Layer::Conv(conv) => {
                    Block::Conv(Conv::new(&path, input.channels, conv, spec.norm)?)
                }
                Layer::MaxPool(pool) => Block::MaxPool(*pool),
                Layer::LocalResponseNorm(norm) => Block::LocalResponseNorm(*norm),
                Layer::Inception(_) | Layer::NaiveInception(_) => {
                    let branches = layer.branches();
                    Block::Inception(Inception::new(&path, input.channels, &branches, spec.norm)?)
                }
                Layer::Auxiliary(auxiliary) => Block::Auxiliary(Auxiliary::new(
                    &path,
                    input,
                    spec.head.classes,
                    auxiliary,
                    spec.norm,
                )?),
            });
            input = output;
        }
        let head = Head::new(&(&root / "head"), spec.head_features()?, spec.head)?;
        Ok(GoogLeNet { spec: spec.clone(), variables, body, head })
    }

    /// The spec it was built from.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.variables.device()
    }

    /// Converts all variables to another kind of floating point number: `Kind::Double` for
    /// comparisons in which rounding must not matter.
    ///
    /// # Errors
    /// A kind that is not floating point.
    pub fn set_kind(&mut self, kind: Kind) -> Result<()> {
        if !matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16) {
            return Err(Error::invalid(
                "kind of the weights",
                format!("{kind:?}"),
                "give Float, Double, Half or BFloat16",
            ));
        }
        self.variables.set_kind(kind);
        Ok(())
    }

    /// Its weights by name, and the running statistics of its normalisations.
    pub fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    /// Its layers with shapes, parameters, multiply-adds and activations, as a table that shows
    /// itself in a notebook and prints in a terminal.
    ///
    /// # Errors
    /// Counts of 2^63 or more.
    pub fn summary(&self) -> Result<NetworkCost> {
        self.spec.cost()
    }

    /// Number of learned values: weights, biases, scales and shifts, auxiliary classifiers
    /// included.
    pub fn parameters(&self) -> i64 {
        self.variables.trainable_variables().iter().map(|t| t.numel() as i64).sum()
    }

    /// Logits (N, classes) of images (N, C, H, W). With `train`, dropout is on and normalisation
    /// uses the batch; auxiliary classifiers are left out either way.
    ///
    /// # Errors
    /// Images of the wrong shape or device.
    pub fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        self.check_images(images)?;
        let mut xs = images.shallow_clone();
        for block in &self.body {
            xs = block.forward(&xs, train)?;
        }
        self.head.forward(&xs, train)
    }

    /// The network as it is in evaluation, for many batches of this kind: normalisations are folded into
    /// the convolutions once. Weights that change later do not reach it.
    ///
    /// # Errors
    /// A device that fails.
    pub(crate) fn folded(&self, kind: Kind) -> Result<Folded<'_>> {
        let blocks = self.body.iter().map(|block| block.folded(kind));
        Ok(Folded { net: self, body: blocks.filter_map(Result::transpose).collect::<Result<_>>()? })
    }

    /// Training mode: logits of the head and of every auxiliary classifier.
    ///
    /// # Errors
    /// Images of the wrong shape or device.
    pub fn outputs(&self, images: &Tensor) -> Result<Outputs> {
        self.check_images(images)?;
        let mut xs = images.shallow_clone();
        let mut auxiliary = Vec::new();
        for block in &self.body {
            if let Block::Auxiliary(classifier) = block {
                auxiliary.push((classifier.weight(), classifier.forward(&xs)?));
            } else {
                xs = block.forward(&xs, true)?;
            }
        }
        Ok(Outputs { logits: self.head.forward(&xs, true)?, auxiliary })
    }

    /// Activations (N, C, H, W) after a layer of the body, in evaluation mode. Layers are named as
    /// [`NetworkSpec::shapes`] names them.
    ///
    /// # Errors
    /// Images of the wrong shape or device; a name that no layer has.
    pub fn activations(&self, images: &Tensor, layer: &str) -> Result<Tensor> {
        self.check_images(images)?;
        let mut xs = images.shallow_clone();
        for block in &self.body[..=self.position(layer)?] {
            xs = block.forward(&xs, false)?;
        }
        Ok(xs)
    }

    /// Logits (N, classes) from the activations after a layer, in evaluation mode: what
    /// [`GoogLeNet::activations`] leaves to do.
    ///
    /// # Errors
    /// A name that no layer has; activations of another shape than that layer's.
    pub fn logits_from(&self, activations: &Tensor, layer: &str) -> Result<Tensor> {
        let mut xs = activations.shallow_clone();
        for block in &self.body[self.position(layer)? + 1..] {
            xs = block.forward(&xs, false)?;
        }
        self.head.forward(&xs, false)
    }

    /// Place of a layer in the body.
    fn position(&self, layer: &str) -> Result<usize> {
        let names: Vec<String> = self.spec.shapes()?.into_iter().map(|(name, _)| name).collect();
        names.iter().position(|name| name == layer).ok_or_else(|| {
            Error::invalid(
                format!("layer of {}", self.spec.name),
                format!("'{layer}'"),
                format!("choose one of {}", names.join(", ")),
            )
        })
    }

    /// Writes all variables to a safetensors file. It is written beside and renamed, so that a
    /// file of this name is always whole.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_as(path.as_ref(), str::to_string)
    }

    /// [`GoogLeNet::save`] with other names.
    fn save_as(&self, path: &Path, name: impl Fn(&str) -> String) -> Result<()> {
        let mut named = Vec::new();
        for (ours, tensor) in self.variables.variables() {
            let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
            named.push((name(&ours), tensor));
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));
        file::write_beside(path, |temporary| {
            Tensor::write_safetensors(&named, temporary).map_err(Error::from)
        })
    }

    /// Reads all variables from a safetensors file with the same names and shapes.
    ///
    /// # Errors
    /// A file that is missing, cut, or of another network: nothing is changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.assign(path, read_safetensors(path, &self.spec.name)?, str::to_string)
    }

    /// Takes over the tensors of a file, in which a variable has another name.
    fn assign(
        &mut self,
        path: &Path,
        loaded: HashMap<String, Tensor>,
        name: impl Fn(&str) -> String,
    ) -> Result<()> {
        let problem = |problem: String| not_of(&self.spec.name, path, problem);
        let variables: HashMap<String, Tensor> =
            self.variables.variables().into_iter().map(|(ours, t)| (name(&ours), t)).collect();
        if let Some(name) = loaded.keys().filter(|name| !variables.contains_key(*name)).min() {
            return Err(problem(format!("{name} is not a variable of {}", self.spec.name)));
        }
        for (name, variable) in &variables {
            let tensor = loaded.get(name).ok_or_else(|| problem(format!("{name} is missing")))?;
            if tensor.size() != variable.size() {
                let (found, wanted) = (tensor.size(), variable.size());
                return Err(problem(format!("{name} has shape {found:?}, not {wanted:?}")));
            }
        }
        tch::no_grad(|| {
            for (name, mut variable) in variables {
                variable.f_copy_(&loaded[&name])?;
            }
            Ok(())
        })
    }

    /// Whether the network takes images of this height and width.
    ///
    /// # Errors
    /// A size that its windows or its linear layers do not fit.
    pub fn check_size(&self, height: i64, width: i64) -> Result<()> {
        let input = self.spec.input;
        if (height, width) == (input.height, input.width) {
            return Ok(());
        }
        let one_size = self.spec.head.pool != HeadPool::GlobalAverage
            || self.spec.auxiliaries().next().is_some();
        if one_size {
            return Err(Error::invalid(
                format!("image size for {}", self.spec.name),
                format!("{height}x{width}"),
                format!("this network takes {}x{} only", input.height, input.width),
            ));
        }
        self.spec.shapes_for(Shape { height, width, ..input })?;
        Ok(())
    }

    /// Shape and device of images, checked before libtorch sees them.
    fn check_images(&self, images: &Tensor) -> Result<()> {
        let input = self.spec.input;
        match *images.size() {
            [_, channels, height, width] if channels == input.channels => {
                self.check_size(height, width)?;
            }
            ref shape => {
                return Err(Error::invalid(
                    format!("shape of the images for {}", self.spec.name),
                    format!("{shape:?}"),
                    format!("give (N, {}, {}, {})", input.channels, input.height, input.width),
                ));
            }
        }
        if images.device() != self.device() {
            return Err(Error::invalid(
                "device of the images",
                format!("{:?}", images.device()),
                format!("the network is on {:?}: move them with to_device", self.device()),
            ));
        }
        Ok(())
    }
}

/// A network whose normalisations are part of its convolutions: see [`GoogLeNet::folded`].
#[derive(Debug)]
pub(crate) struct Folded<'a> {
    net: &'a GoogLeNet,
    body: Vec<Block>,
}

impl Folded<'_> {
    /// Logits (N, classes) of images (N, C, H, W), in evaluation mode.
    ///
    /// # Errors
    /// Images of the wrong shape or device.
    pub(crate) fn logits(&self, images: &Tensor) -> Result<Tensor> {
        self.net.check_images(images)?;
        let mut xs = images.shallow_clone();
        for block in &self.body {
            xs = block.forward(&xs, false)?;
        }
        self.net.head.forward(&xs, false)
    }
}

impl Block {
    /// None for what evaluation leaves out.
    fn folded(&self, kind: Kind) -> Result<Option<Block>> {
        Ok(Some(match self {
            Block::Conv(conv) => Block::Conv(conv.folded(kind)?),
            Block::Inception(block) => Block::Inception(block.folded(kind)?),
            Block::MaxPool(pool) => Block::MaxPool(*pool),
            Block::LocalResponseNorm(norm) => Block::LocalResponseNorm(*norm),
            Block::Auxiliary(_) => return Ok(None),
        }))
    }

    fn forward(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Block::Conv(conv) => conv.forward(xs, train),
            Block::MaxPool(pool) => max_pool(xs, *pool),
            Block::LocalResponseNorm(norm) => local_response_norm(xs, *norm),
            Block::Inception(block) => block.forward(xs, train),
            Block::Auxiliary(_) => Ok(xs.shallow_clone()),
        }
    }
}

/// The tensors of a safetensors file for the network of this name.
fn read_safetensors(path: &Path, network: &str) -> Result<HashMap<String, Tensor>> {
    let tensors = Tensor::read_safetensors(path).map_err(|error| {
        not_of(network, path, format!("not a whole safetensors file ({error})"))
    })?;
    Ok(tensors.into_iter().collect())
}

/// The error of a file that does not hold the weights of the network of this name.
fn not_of(network: &str, path: &Path, problem: String) -> Error {
    Error::Data {
        path: path.to_path_buf(),
        problem,
        remedy: format!("give a file with the weights of {network}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::no_grad;

    /// Folded once, for all batches: what changes in the network afterwards does not show.
    #[test]
    fn a_folded_network_answers_as_the_network_did_when_it_was_folded() {
        let net = GoogLeNet::new(&crate::spec::COMPACT, Device::Cpu).unwrap();
        let angles = Tensor::arange(2 * 3 * 32 * 32, (Kind::Float, Device::Cpu));
        let images = angles.sin().view([2, 3, 32, 32]);
        no_grad(|| {
            for (name, mut variable) in net.variables().variables() {
                // Small variances: the images then show in the logits.
                if name.ends_with("running_var") {
                    let _ = variable.fill_(0.02);
                } else if name.ends_with("running_mean") {
                    let _ = variable.fill_(0.1);
                }
            }
        });
        no_grad(|| {
            let expected = net.forward_t(&images, false).unwrap();
            let folded = net.folded(Kind::Float).unwrap();
            for (_, mut variable) in net.variables().variables() {
                if variable.size().len() == 4 {
                    let _ = variable.fill_(0.0);
                }
            }
            let far = |logits: Tensor| (logits - &expected).abs().max().double_value(&[]);
            let scale = expected.abs().max().double_value(&[]);
            let same = far(folded.logits(&images).unwrap());
            assert!(same < 1e-5 * scale, "{same} of {scale}");
            let changed = far(net.forward_t(&images, false).unwrap());
            assert!(changed > 0.01 * scale, "{changed} of {scale}");
        });
    }
}
