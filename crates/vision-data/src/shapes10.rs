//! Ten drawn shapes: a data set that needs no download.

use crate::{Dataset, Error, ImageSet, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

/// Ten shapes, drawn: the data set for where there is no network.
///
/// An image is 32x32 pixels and shows one shape in a random colour, place, size and slant, on a
/// background of two colours that run into each other, under coloured noise. It takes the place of
/// CIFAR-10 in a lesson, but it is far easier: a network gets nearly all of it right.
#[derive(Clone, Copy, Debug)]
pub struct Shapes10;

impl Shapes10 {
    /// Draws `train` training and `test` test images. Image i of a split has class i mod 10, and
    /// depends only on `seed` and i: the same on every machine, and however many are drawn.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than ten million images in a split.
    pub fn generate(train: usize, test: usize, seed: u64) -> Result<Dataset> {
        let classes = SHAPES.map(|(name, _)| name);
        let train = draw_split(train, seed, 0)?;
        let test = draw_split(test, seed, MOST as u64)?;
        Dataset::new("Shapes10 (built-in drawings, not CIFAR-10)", &classes, train, test)
    }
}

const SIDE: usize = 32;
const BYTES: usize = SIDE * SIDE * 3;

/// Images in a split: the random streams of the test images begin behind those for training.
const MOST: usize = 10_000_000;

/// Whether a point lies in a shape. The shape fills the square from -1 to 1; y goes down.
type Inside = fn(f32, f32) -> bool;

/// The classes. None is the mirror image of another, nor another one slanted.
const SHAPES: [(&str, Inside); 10] = [
    ("circle", |x, y| x * x + y * y < 0.8),
    ("square", |x, y| x.abs() < 0.75 && y.abs() < 0.75),
    ("triangle", |x, y| polygon(&TRIANGLE, x, y)),
    ("diamond", |x, y| x.abs() / 0.6 + y.abs() < 1.0),
    ("star", |x, y| polygon(&STAR, x, y)),
    ("cross", |x, y| x.abs().min(y.abs()) < 0.3 && x.abs().max(y.abs()) < 0.95),
    ("ring", |x, y| (0.3..0.9).contains(&(x * x + y * y))),
    ("crescent", |x, y| x * x + y * y < 0.9 && (x - 0.45) * (x - 0.45) + y * y > 0.55),
    ("heart", heart),
    ("arrow", |x, y| polygon(&ARROW, x, y)),
];

const TRIANGLE: [(f32, f32); 3] = [(0.0, -0.95), (0.95, 0.7), (-0.95, 0.7)];

/// Five points on the unit circle, and five between them at 0.42 of it.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.247, -0.340),
    (0.951, -0.309),
    (0.399, 0.130),
    (0.588, 0.809),
    (0.0, 0.42),
    (-0.588, 0.809),
    (-0.399, 0.130),
    (-0.951, -0.309),
    (-0.247, -0.340),
];

const ARROW: [(f32, f32); 7] = [
    (0.0, -1.0),
    (0.85, -0.05),
    (0.33, -0.05),
    (0.33, 0.95),
    (-0.33, 0.95),
    (-0.33, -0.05),
    (-0.85, -0.05),
];

/// (x^2 + y^2 - 1)^3 < x^2 y^3, the usual heart curve, with y up and drawn to fill the square.
fn heart(x: f32, y: f32) -> bool {
    let (x, y) = (x * 1.2, 0.1 - y * 1.15);
    let a = x * x + y * y - 1.0;
    a * a * a < x * x * y * y * y
}

/// Whether a ray from the point to the right crosses the outline an odd number of times.
fn polygon(corners: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        if (from.1 > y) != (to.1 > y)
            && x < from.0 + (y - from.1) / (to.1 - from.1) * (to.0 - from.0)
        {
            inside = !inside;
        }
        from = to;
    }
    inside
}

/// `n` images; image i comes from stream `first` + i of the generator.
fn draw_split(n: usize, seed: u64, first: u64) -> Result<ImageSet> {
    if n > MOST {
        return Err(Error::invalid("the number of images", n, format!("give {MOST} at most")));
    }
    let mut bytes = vec![0; n * BYTES];
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = n.div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (part, bytes) in bytes.chunks_mut(share * BYTES).enumerate() {
            scope.spawn(move || {
                for (k, image) in bytes.chunks_exact_mut(BYTES).enumerate() {
                    let i = part * share + k;
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    rng.set_stream(first + i as u64);
                    draw(SHAPES[i % SHAPES.len()].1, &mut rng, image);
                }
            });
        }
    });
    let side = SIDE as i64;
    let images = Tensor::f_from_data_size(&bytes, &[n as i64, side, side, 3], Kind::Uint8)?;
    let labels: Vec<i64> = (0..n).map(|i| (i % SHAPES.len()) as i64).collect();
    ImageSet::new(images, Tensor::f_from_slice(&labels)?)
}

/// Draws one image over `image`, (32, 32, 3).
fn draw(inside: Inside, rng: &mut ChaCha8Rng, image: &mut [u8]) {
    let background = Background::draw(rng);
    let colour = background.contrasting(rng);
    let place = Place::draw(rng);
    let noise: f32 = rng.random_range(8.0..40.0);
    for (k, pixel) in image.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((k % SIDE) as f32, (k / SIDE) as f32);
        let covered = place.coverage(inside, x, y);
        let behind = background.at(x, y);
        // One draw a pixel: three numbers of ten bits.
        let random: u32 = rng.random();
        for c in 0..3 {
            let uniform = (random >> (10 * c) & 1023) as f32 / 511.5 - 1.0;
            let clean = behind[c] + covered * (colour[c] - behind[c]);
            pixel[c] = (clean + noise * uniform).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Red, green and blue, 0 to 255.
type Colour = [f32; 3];

fn any_colour(rng: &mut ChaCha8Rng) -> Colour {
    std::array::from_fn(|_| rng.random_range(0.0..255.0))
}

fn squared_distance(a: Colour, b: Colour) -> f32 {
    (0..3).map(|c| (a[c] - b[c]) * (a[c] - b[c])).sum()
}

/// Two colours that run into each other along a line in any direction.
struct Background {
    from: Colour,
    to: Colour,
    /// Part of the way from one to the other in the middle, and more of it a pixel along x and y.
    middle: f32,
    slope: (f32, f32),
}

impl Background {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let slope = 1.0 / SIDE as f32;
        Background {
            from: any_colour(rng),
            to: any_colour(rng),
            middle: rng.random_range(0.2..0.8),
            slope: (rng.random_range(-slope..slope), rng.random_range(-slope..slope)),
        }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let middle = SIDE as f32 / 2.0;
        let part = self.middle + (x - middle) * self.slope.0 + (y - middle) * self.slope.1;
        let part = part.clamp(0.0, 1.0);
        std::array::from_fn(|c| self.from[c] + part * (self.to[c] - self.from[c]))
    }

    /// A colour that can be told from the background everywhere.
    fn contrasting(&self, rng: &mut ChaCha8Rng) -> Colour {
        let corners = [(0.0, 0.0), (31.0, 0.0), (0.0, 31.0), (31.0, 31.0), (15.5, 15.5)];
        loop {
            let colour = any_colour(rng);
            if corners.iter().all(|&(x, y)| squared_distance(colour, self.at(x, y)) > 90.0 * 90.0) {
                return colour;
            }
        }
    }
}

/// Where a shape stands, how large, and how slanted.
struct Place {
    centre: (f32, f32),
    /// Half the side of its square, in pixels.
    radius: f32,
    cos: f32,
    sin: f32,
}

impl Place {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let radius: f32 = rng.random_range(7.0..13.0);
        let free = SIDE as f32 / 2.0 - radius;
        let mut centre = || SIDE as f32 / 2.0 + rng.random_range(-free..free);
        let centre = (centre(), centre());
        // The tangent of half the angle, up to 20 degrees to each side: with it cosine and sine are
        // plain fractions, the same on every machine.
        let t: f32 = rng.random_range(-0.176..0.176);
        let below = 1.0 + t * t;
        Place { centre, radius, cos: (1.0 - t * t) / below, sin: 2.0 * t / below }
    }

    /// The part of pixel (`x`, `y`) that lies in the shape, by four points of it.
    fn coverage(&self, inside: Inside, x: f32, y: f32) -> f32 {
        let hits = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
            .into_iter()
            .filter(|(dx, dy)| {
                let (x, y) = (x + dx - self.centre.0, y + dy - self.centre.1);
                let u = (self.cos * x + self.sin * y) / self.radius;
                let v = (self.cos * y - self.sin * x) / self.radius;
                u.abs() <= 1.0 && v.abs() <= 1.0 && inside(u, v)
            })
            .count();
        hits as f32 / 4.0
    }
}
