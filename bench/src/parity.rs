//! Runs a network on given weights and images, for comparison with another implementation.
//!
//!     parity SPEC IN.safetensors OUT.safetensors
//!
//! IN holds `images` (N, 3, H, W), `labels` (N) and one tensor `weights.NAME` for each variable. The
//! network computes in the precision of the images.
//! OUT holds `eval.logits`; from a training step without dropout `train.loss`, `train.logits` and
//! `train.auxiliary.0` and on; `gradients.NAME` of the loss; and `after.NAME`, the variables after
//! that step's forward pass.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use googlenet_lib::prelude::*;

#[derive(Parser)]
struct Args {
    /// Network: paper, seed, cifar or compact.
    spec: String,
    input: PathBuf,
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut input: HashMap<String, Tensor> =
        Tensor::read_safetensors(&args.input)?.into_iter().collect();
    let mut take = |name: &str| {
        input.remove(name).with_context(|| format!("{} has no {name}", args.input.display()))
    };
    let (images, labels) = (take("images")?, take("labels")?);

    let spec = spec::by_name(&args.spec)?.without_dropout();
    let mut net = GoogLeNet::new(&spec, Device::Cpu)?;
    net.set_kind(images.kind())?;
    let weights: Vec<(String, Tensor)> = input
        .into_iter()
        .filter_map(|(name, t)| Some((name.strip_prefix("weights.")?.to_string(), t)))
        .collect();
    let weights_file = args.output.with_extension("weights.safetensors");
    Tensor::write_safetensors(&weights, &weights_file)?;
    net.load(&weights_file)?;

    let mut output = vec![("eval.logits".to_string(), no_grad(|| net.forward_t(&images, false))?)];
    let outputs = net.outputs(&images)?;
    let loss = outputs.loss(&labels, 0.0)?;
    loss.backward();
    output.push(("train.loss".into(), loss.view([1])));
    output.push(("train.logits".into(), outputs.logits));
    for (index, (_, logits)) in outputs.auxiliary.into_iter().enumerate() {
        output.push((format!("train.auxiliary.{index}"), logits));
    }
    for (name, variable) in net.variables().variables() {
        if variable.requires_grad() {
            output.push((format!("gradients.{name}"), variable.grad()));
        }
        output.push((format!("after.{name}"), variable));
    }
    let output: Vec<_> =
        output.into_iter().map(|(name, t)| (name, t.detach().contiguous())).collect();
    Tensor::write_safetensors(&output, &args.output)?;
    Ok(())
}
