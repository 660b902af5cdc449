//! What a network says to a whole set of images: where it is wrong, and whether it knows.

use vision_data::{Image, ImageSet};

use crate::{Error, Result};

/// What a network said to every image of a set.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// For each image, the class that it is labelled with.
    pub labels: Vec<usize>,
    /// For each image, the probability of each class.
    pub probabilities: Vec<Vec<f64>>,
    images: ImageSet,
}

/// How many images of each class were taken for which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `counts[label][predicted]`.
    pub counts: Vec<Vec<u64>>,
}

/// The mistakes that a network was surest of, surest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistakes {
    /// Some of the mistakes.
    pub shown: Vec<Mistake>,
    /// How many there are in all.
    pub mistakes: usize,
    /// Of how many images.
    pub images: usize,
}

/// An image that was taken for another class.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Its place in the set.
    pub index: usize,
    /// The image.
    pub image: Image,
    /// Name of its class.
    pub label: String,
    /// Name of the class that it was taken for.
    pub predicted: String,
    /// Probability that the network gave to that class.
    pub confidence: f64,
}

/// How far a network's confidence, the probability of its likeliest class, can be trusted (Guo et
/// al. 2017, <https://arxiv.org/abs/1706.04599>): of all images with confidence 0.8, 80 % should
/// be right.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Bins of equal width over the confidence, from 0 to 1.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean over all images of the distance between accuracy and
    /// mean confidence in their bin (equation 3).
    pub error: f64,
}

/// The images within one range of confidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Bin {
    /// Above this confidence, except in the first bin, which has 0 too.
    pub from: f64,
    /// Up to and with this one.
    pub to: f64,
    /// Number of images.
    pub images: usize,
    /// Mean confidence; 0 without images.
    pub confidence: f64,
    /// Share that is right, from 0 to 1; 0 without images.
    pub accuracy: f64,
}

impl Predictions {
    /// Puts together predictions of your own: for each image of `images` one row of `probabilities`
    /// with one number for each class.
    ///
    /// # Errors
    /// Another number of rows or of columns; a label without a class; a number that is none.
    pub fn new(
        classes: Vec<String>,
        images: ImageSet,
        probabilities: Vec<Vec<f64>>,
    ) -> Result<Predictions> {
        let labels = Vec::<i64>::try_from(images.labels().f_to_device(tch::Device::Cpu)?)?;
        let labels: Vec<usize> = labels.into_iter().map(|label| label as usize).collect();
        if probabilities.is_empty() || probabilities.len() != labels.len() {
            let remedy = format!("give one for each of the {} images, one at least", labels.len());
            return Err(Error::invalid("number of predictions", probabilities.len(), remedy));
        }
        if let Some(row) = probabilities.iter().find(|row| row.len() != classes.len()) {
            let remedy = format!("give one for each of the {} classes", classes.len());
            return Err(Error::invalid("number of probabilities", row.len(), remedy));
        }
        if let Some(label) = labels.iter().find(|label| **label >= classes.len()) {
            let remedy = format!("there are {} classes, counted from 0", classes.len());
            return Err(Error::invalid("a label", label, remedy));
        }
        if let Some(value) = probabilities.iter().flatten().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::invalid("a probability", value, "it must be from 0 to 1"));
        }
        Ok(Predictions { classes, labels, probabilities, images })
    }

    /// Label, likeliest class and its probability, for each image.
    fn best(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        self.labels.iter().zip(&self.probabilities).map(|(&label, row)| {
            let first = (0, row.first().copied().unwrap_or(0.0));
            // The first of equals, as argmax has it.
            let (class, confidence) =
                row.iter().copied().enumerate().fold(first, |a, b| if b.1 > a.1 { b } else { a });
            (label, class, confidence)
        })
    }

    /// Share of the images whose likeliest class is their label, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        let right = self.best().filter(|(label, class, _)| label == class).count();
        right as f64 / self.labels.len() as f64
    }

    /// How many images of each class were taken for which.
    pub fn confusion(&self) -> ConfusionMatrix {
        let mut counts = vec![vec![0; self.classes.len()]; self.classes.len()];
        for (label, class, _) in self.best() {
            counts[label][class] += 1;
        }
        ConfusionMatrix { classes: self.classes.clone(), counts }
    }

    /// The `n` mistakes that the network was surest of; all if there are fewer.
    ///
    /// # Errors
    /// A device that fails.
    pub fn mistakes(&self, n: usize) -> Result<Mistakes> {
        let mut wrong: Vec<_> =
            self.best().enumerate().filter(|(_, (label, class, _))| label != class).collect();
        wrong.sort_by(|a, b| b.1.2.total_cmp(&a.1.2));
        let shown = wrong.iter().take(n).map(|&(index, (label, class, confidence))| {
            Ok(Mistake {
                index,
                image: self.images.image(index)?,
                label: self.classes[label].clone(),
                predicted: self.classes[class].clone(),
                confidence,
            })
        });
        Ok(Mistakes {
            shown: shown.collect::<Result<_>>()?,
            mistakes: wrong.len(),
            images: self.labels.len(),
        })
    }

    /// How far the network's confidence can be trusted, in `bins` ranges; 15 is usual.
    ///
    /// # Errors
    /// No bin, or more than 1000.
    pub fn calibration(&self, bins: usize) -> Result<Calibration> {
        if !(1..=1000).contains(&bins) {
            return Err(Error::invalid("number of bins", bins, "give 1 to 1000; 15 is usual"));
        }
        let (mut images, mut sure, mut right) = (vec![0; bins], vec![0.0; bins], vec![0.0; bins]);
        for (label, class, confidence) in self.best() {
            let bin = ((confidence * bins as f64).ceil() as usize).clamp(1, bins) - 1;
            images[bin] += 1;
            sure[bin] += confidence;
            right[bin] += f64::from(u8::from(label == class));
        }
        let total = self.labels.len() as f64;
        let error = sure.iter().zip(&right).map(|(sure, right)| (sure - right).abs() / total).sum();
        let mean = |sum: f64, n: usize| if n == 0 { 0.0 } else { sum / n as f64 };
        let bins = (0..bins)
            .map(|bin| Bin {
                from: bin as f64 / bins as f64,
                to: (bin + 1) as f64 / bins as f64,
                images: images[bin],
                confidence: mean(sure[bin], images[bin]),
                accuracy: mean(right[bin], images[bin]),
            })
            .collect();
        Ok(Calibration { bins, error })
    }
}
