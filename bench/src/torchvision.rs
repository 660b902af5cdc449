//! Runs torchvision's `googlenet` on images, and writes its weights back under torchvision's names.
//!
//!     torchvision WEIGHTS.safetensors IN.safetensors OUT.safetensors BACK.safetensors
//!
//! WEIGHTS is a `state_dict`. IN holds `images` (N, 3, 224, 224). OUT gets `eval.logits` and, from
//! training mode without dropout, `train.logits`, `train.auxiliary.0` and `train.auxiliary.1`. BACK
//! gets the weights after that.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use googlenet_lib::model::torchvision;
use googlenet_lib::prelude::*;

#[derive(Parser)]
struct Args {
    weights: PathBuf,
    input: PathBuf,
    output: PathBuf,
    back: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let trained = torchvision::load(&args.weights, Device::Cpu)?;
    let (_, images) = Tensor::read_safetensors(&args.input)?
        .into_iter()
        .find(|(name, _)| name == "images")
        .with_context(|| format!("{} has no images", args.input.display()))?;
    let mut output =
        vec![("eval.logits".to_string(), no_grad(|| trained.forward_t(&images, false))?)];

    let without_dropout = args.output.with_extension("weights.safetensors");
    trained.save(&without_dropout)?;
    let mut net = GoogLeNet::new(&trained.spec().without_dropout(), Device::Cpu)?;
    net.load(&without_dropout)?;
    let outputs = no_grad(|| net.outputs(&images))?;
    output.push(("train.logits".into(), outputs.logits));
    for (index, (_, logits)) in outputs.auxiliary.into_iter().enumerate() {
        output.push((format!("train.auxiliary.{index}"), logits));
    }
    Tensor::write_safetensors(&output, &args.output)?;
    torchvision::save(&net, &args.back)?;
    Ok(())
}
