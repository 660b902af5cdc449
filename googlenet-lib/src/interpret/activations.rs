//! What a network has learned to see, and what it sees in an image.

use std::borrow::Borrow;

use tch::{Device, Kind, Tensor, no_grad};
use vision_data::Image;

use super::Lens;
use crate::model::GoogLeNet;
use crate::spec::{BranchSpec, Layer};
use crate::{Error, Result};

/// The filters of the first convolution, which look at colours: Figure 3 of Krizhevsky et al. 2012
/// made this picture known.
#[derive(Debug)]
pub struct Filters {
    /// Name of the layer.
    pub layer: String,
    /// Weights, (filters, 3, H, W).
    pub weights: Tensor,
}

/// The filters of the first layer of a network.
///
/// # Errors
/// A network that does not begin with a convolution over three colours.
pub fn filters(net: &GoogLeNet) -> Result<Filters> {
    let (Some(Layer::Conv(conv)), 3) = (net.spec().layers.first(), net.spec().input.channels)
    else {
        return Err(Error::invalid(
            "network",
            &net.spec().name,
            "its first layer must be a convolution over three colours for its filters to be seen",
        ));
    };
    let weights = &net.variables().variables()[&format!("{}.weight", conv.name)];
    let weights = weights.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    Ok(Filters { layer: conv.name.to_string(), weights: weights.f_detach_copy()? })
}

/// What an inception block answers to one image, branch by branch.
#[derive(Debug)]
pub struct FeatureMaps {
    /// The image, as far as the network saw it.
    pub image: Image,
    /// Name of the block.
    pub layer: String,
    /// The branches, in the order of their concatenation.
    pub branches: Vec<Branch>,
}

/// The answer of one branch.
#[derive(Debug)]
pub struct Branch {
    /// Its last convolution, such as `conv_3x3`, or `pool`.
    pub name: String,
    /// Rows (and columns) of the network's input that one value of a map depends on. Padding counts, so that
    /// it can be more than there are.
    pub receptive_field: i64,
    /// Its maps, (C, H, W).
    pub maps: Tensor,
}

impl FeatureMaps {
    /// The branch of this name.
    ///
    /// # Errors
    /// A name that no branch of the block has.
    pub fn branch(&self, name: &str) -> Result<&Branch> {
        self.branches.iter().find(|branch| branch.name == name).ok_or_else(|| {
            let names: Vec<_> = self.branches.iter().map(|branch| branch.name.as_str()).collect();
            let remedy = format!("{} has {}", self.layer, names.join(", "));
            Error::invalid("branch", format!("'{name}'"), remedy)
        })
    }
}

impl<N: Borrow<GoogLeNet>> Lens<N> {
    /// The feature maps of each branch of an inception block for one image.
    ///
    /// ```
    /// use googlenet_lib::{data::Normalize, prelude::*};
    ///
    /// let data = Shapes10::generate(0, 10, 0)?;
    /// let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
    /// let classifier = Classifier::new(&net, Normalize::CIFAR10, &data.classes)?;
    /// let maps = classifier.feature_maps(&data.test.image(0)?, "inception_3a")?;
    /// let branch = maps.branch("conv_3x3")?;
    /// assert_eq!((branch.maps.size(), branch.receptive_field), (vec![64, 8, 8], 21));
    /// // The strongest maps of each branch, or all maps of one.
    /// let (_some, _all) = (maps.picture()?, maps.branch_picture("conv_3x3")?);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// A name that no inception block has; an image that the network cannot take.
    pub fn feature_maps(&self, image: &Image, block: &str) -> Result<FeatureMaps> {
        let (image, xs) = self.input(image)?;
        let maps = no_grad(|| self.net().activations(&xs, block))?;
        let maps = maps.f_squeeze_dim(0)?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let branches = self.branches(block)?;
        let layers = self.net().spec().cost()?.layers;
        let parts: Vec<_> = layers.iter().flat_map(|layer| &layer.parts).collect();
        let mut start = 0;
        let named = branches.into_iter().map(|(name, channels)| {
            // The pool branch of a naive block has as many as are left.
            let channels = channels.unwrap_or(maps.size()[0] - start);
            let full_name = format!("{block}.{name}");
            let part = parts.iter().find(|part| part.name == full_name);
            let receptive_field = part.map_or(1, |part| part.receptive_field);
            let maps = maps.f_narrow(0, start, channels)?;
            start += channels;
            Ok(Branch { name, receptive_field, maps })
        });
        let branches = named.collect::<Result<_>>()?;
        Ok(FeatureMaps { image, layer: block.into(), branches })
    }

    /// Name and number of channels of each branch of a block.
    fn branches(&self, block: &str) -> Result<Vec<(String, Option<i64>)>> {
        let mut layers = self.net().spec().layers.iter();
        let branches = layers.find(|layer| layer.name() == Some(block)).map(Layer::branches);
        let branches = branches.filter(|branches| !branches.is_empty()).ok_or_else(|| {
            Error::invalid("layer", format!("'{block}'"), "give the name of an inception block")
        })?;
        let of = |branch: BranchSpec| match branch.convs.last() {
            Some(conv) => (conv.name.to_string(), Some(conv.out_channels)),
            None => ("pool".to_string(), None),
        };
        Ok(branches.into_iter().map(of).collect())
    }
}
