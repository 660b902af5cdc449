//! Weights from and to torchvision's `googlenet`
//! (<https://github.com/pytorch/vision/blob/v0.26.0/torchvision/models/googlenet.py>).
//!
//! In Python, once:
//!
//! ```python
//! from safetensors.torch import save_file
//! from torchvision.models import googlenet
//! save_file(googlenet(weights="DEFAULT").state_dict(), "googlenet.safetensors")
//! ```
//!
//! Here [`load`] makes a network of [`spec::TORCHVISION`] of it, with as many classes and auxiliary
//! classifiers as the file has; [`save`] goes the other way, for `load_state_dict(load_file(..))`.
//!
//! torchvision's trained weights (`transform_input=True`) want images normalised by [`NORMALIZE`].
//! torchvision itself is given ImageNet's mean and deviation and converts within the network; a
//! network here has no such step, and equals `googlenet(transform_input=False)`.
//!
//! | torchvision | here |
//! | --- | --- |
//! | `conv1`, `conv2`, `conv3` | `conv_1`, `conv_2_reduce`, `conv_2` |
//! | `inception3a` to `inception5b` | `inception_3a` to `inception_5b` |
//! | `.branch1` | `.conv_1x1` |
//! | `.branch2.0`, `.branch2.1` | `.reduce_3x3`, `.conv_3x3` |
//! | `.branch3.0`, `.branch3.1` | `.reduce_5x5`, `.conv_5x5` (a 3x3 kernel) |
//! | `.branch4.1` | `.pool_proj` |
//! | `.conv.weight`, `.bn.` | `.weight`, `.norm.` |
//! | `aux1`, `aux2` | `aux_4a`, `aux_4d` |
//! | `.fc1`, `.fc2` | `.hidden`, `.classifier` |
//! | `fc` | `head.classifier` |
//!
//! `num_batches_tracked` has no part in any result: it is passed over, and PyTorch puts it back.
//!
//! ```
//! use googlenet_lib::model::torchvision;
//! use googlenet_lib::prelude::*;
//!
//! let net = GoogLeNet::new(&spec::TORCHVISION.without_auxiliary().with_classes(3)?, Device::Cpu)?;
//! assert_eq!(net.parameters(), 6_624_904 - 1025 * 997); // as torchvision counts, for 1000 classes
//!
//! let path = std::env::temp_dir().join(format!("{}.safetensors", std::process::id()));
//! torchvision::save(&net, &path)?;
//! assert_eq!(torchvision::load(&path, Device::Cpu)?.spec(), net.spec());
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<(), Error>(())
//! ```

use std::path::Path;

use tch::Device;

use super::{GoogLeNet, not_of, read_safetensors};
use vision_data::Normalize;

use crate::spec::{self, NetworkSpec};
use crate::{Error, Result};

/// What torchvision's trained weights want: bytes from -1 to 1.
pub const NORMALIZE: Normalize = Normalize { mean: [0.5; 3], std: [0.5; 3] };

/// torchvision's name of a layer, and ours.
const LAYERS: [(&str, &str); 6] = [
    ("conv1", "conv_1"),
    ("conv2", "conv_2_reduce"),
    ("conv3", "conv_2"),
    ("aux1", "aux_4a"),
    ("aux2", "aux_4d"),
    ("fc", "head"),
];

/// torchvision's name of a part of a block, and ours.
const PARTS: [(&str, &str); 6] = [
    ("branch1", "conv_1x1"),
    ("branch2.0", "reduce_3x3"),
    ("branch2.1", "conv_3x3"),
    ("branch3.0", "reduce_5x5"),
    ("branch3.1", "conv_5x5"),
    ("branch4.1", "pool_proj"),
];

/// The network whose weights torchvision's `state_dict` holds, from a safetensors file.
///
/// # Errors
/// A file that is missing, cut, or of another network; the message names the file and the tensor.
pub fn load(path: impl AsRef<Path>, device: Device) -> Result<GoogLeNet> {
    let path = path.as_ref();
    let mut tensors = read_safetensors(path, "torchvision's googlenet")?;
    tensors.retain(|name, _| !name.ends_with(".num_batches_tracked"));
    let classes = tensors.get("fc.weight").and_then(|weight| weight.size().first().copied());
    let Some(classes) = classes else {
        let problem = "fc.weight is missing".to_string();
        return Err(not_of("torchvision's googlenet", path, problem));
    };
    let mut spec = spec::TORCHVISION.with_classes(classes)?;
    if !tensors.keys().any(|name| name.starts_with("aux")) {
        spec = spec.without_auxiliary();
    }
    let mut net = GoogLeNet::new(&spec, device)?;
    net.assign(path, tensors, theirs)?;
    Ok(net)
}

/// Writes the weights under torchvision's names, in a safetensors file. It is written beside and
/// renamed.
///
/// # Errors
/// Another network than [`spec::TORCHVISION`], whatever its number of classes, with or without
/// auxiliary classifiers; a place that cannot be written.
pub fn save(net: &GoogLeNet, path: impl AsRef<Path>) -> Result<()> {
    // Dropout has no weights.
    let layers = |spec: &NetworkSpec| (spec.norm, spec.without_dropout().layers, spec.head.pool);
    let (whole, found) = (&spec::TORCHVISION, layers(net.spec()));
    if found != layers(whole) && found != layers(&whole.without_auxiliary()) {
        return Err(Error::invalid(
            "network",
            &net.spec().name,
            "torchvision's names go with spec::TORCHVISION only; GoogLeNet::save writes any network",
        ));
    }
    net.save_as(path.as_ref(), theirs)
}

/// torchvision's name of one of our variables.
fn theirs(ours: &str) -> String {
    let (layer, rest) = ours.split_once('.').unwrap_or((ours, ""));
    let layer = match LAYERS.iter().find(|(_, ours)| *ours == layer) {
        Some((theirs, _)) => theirs.to_string(),
        None => layer.replace("inception_", "inception"),
    };
    // What is left is `weight`, `norm.*` or, in classifiers, `part.weight` and `part.bias`.
    let (part, variable) = match rest.split_once('.') {
        Some((part, variable)) if part != "norm" => (part, variable),
        _ => ("", rest),
    };
    let linear = match (layer.as_str(), part) {
        ("fc", _) => return format!("fc.{variable}"),
        (_, "hidden") => Some("fc1"),
        (_, "classifier") => Some("fc2"),
        _ => None,
    };
    if let Some(linear) = linear {
        return format!("{layer}.{linear}.{variable}");
    }
    let part = PARTS.iter().find(|(_, ours)| *ours == part).map_or(part, |(theirs, _)| theirs);
    let variable = match variable.strip_prefix("norm.") {
        Some(variable) => format!("bn.{variable}"),
        None => format!("conv.{variable}"),
    };
    match part {
        "" => format!("{layer}.{variable}"),
        part => format!("{layer}.{part}.{variable}"),
    }
}
