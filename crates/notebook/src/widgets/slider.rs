//! Numbers: sliders, and what plays through them.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::control::{control, knob, named, number, plain, style, text};
use super::model::{Attributes, Kind, Model, Snapshot, Words};
use crate::{Error, Result};

static SLIDER: Kind = control("FloatSliderModel", "FloatSliderView", |state| {
    slider_in_words(state, number(state, "min"), number(state, "max"))
});
static LOG_SLIDER: Kind = control("FloatLogSliderModel", "FloatLogSliderView", |state| {
    let bound = |name| 10_f64.powf(number(state, name));
    slider_in_words(state, bound("min"), bound("max"))
});
static INT_SLIDER: Kind = control("IntSliderModel", "IntSliderView", |state| {
    slider_in_words(state, number(state, "min"), number(state, "max"))
});
static PLAY: Kind = control("PlayModel", "PlayView", |state| {
    let [value, low, high] = ["value", "min", "max"].map(|name| plain(number(state, name)));
    Words {
        value: format!("{}: {value}", text(state, "description")),
        what: Some(format!("plays from {low} to {high}")),
    }
});
static SLIDER_STYLE: Kind = style("SliderStyleModel");
static PLAY_STYLE: Kind = style("DescriptionStyleModel");

fn slider_in_words(state: &Attributes, low: f64, high: f64) -> Words {
    Words {
        value: format!("{}: {}", text(state, "description"), plain(number(state, "value"))),
        what: Some(format!("a slider from {} to {}", plain(low), plain(high))),
    }
}

/// What the sliders for numbers that need not be whole have in common; how far a step and what a format is, is
/// said for each.
macro_rules! slider {
    ($slider:ident, $step:literal, $format:literal) => {
        knob!($slider, f64, "value");

        impl $slider {
            /// With this value: the nearest one that the slider can have.
            #[must_use]
            pub fn value(self, value: f64) -> $slider {
                self.set(value);
                self
            }

            #[doc = $step]
            #[must_use]
            pub fn step(self, step: f64) -> $slider {
                set_step(&self.model, step);
                self
            }

            #[doc = $format]
            #[must_use]
            pub fn format(self, format: &str) -> $slider {
                self.model.set(Snapshot::of([("readout_format", json!(format))]));
                self
            }

            /// Whether it changes while it is moved, as it does by itself, or only when it is let go.
            #[must_use]
            pub fn continuous(self, continuous: bool) -> $slider {
                self.model.set(Snapshot::of([("continuous_update", json!(continuous))]));
                self
            }

            /// Moves it to the nearest value that it can have. What is not a number moves nothing.
            pub fn set(&self, value: f64) {
                set_number(&self.model, value, self.low, self.high);
            }

            fn read(&self) -> impl Fn(&Value) -> f64 + Send + 'static {
                let (low, high) = (self.low, self.high);
                // Front ends compute that of a logarithm, which may end a little outside.
                move |value| value.as_f64().unwrap_or(low).clamp(low, high)
            }
        }
    };
}

/// A slider for a number.
///
/// ```
/// use notebook::Slider;
///
/// let width = Slider::new("width", 0.0..=1.0)?.value(0.5).step(0.05);
/// width.on_change(|width| println!("{width}"));
/// width.set(2.0);
/// assert_eq!(width.get(), 1.0);
/// # Ok::<(), notebook::Error>(())
/// ```
#[derive(Clone)]
pub struct Slider {
    model: Model,
    low: f64,
    high: f64,
}

slider!(
    Slider,
    "Moves by this much. Without it there are a hundred steps.",
    "Writes its value in this format, one of d3's: `.2f`, `.0%`. Without it, three digits."
);

impl Slider {
    /// A slider, at its low end. Bounds may come in either order.
    ///
    /// # Errors
    /// A bound that is infinite or not a number.
    pub fn new(name: &str, range: RangeInclusive<f64>) -> Result<Slider> {
        let (low, high) = bounds(name, &range, f64::is_finite, "give two finite numbers")?;
        let model = named(
            &SLIDER,
            &SLIDER_STYLE,
            name,
            [
                ("min", json!(low)),
                ("max", json!(high)),
                ("step", json!(hundredth(low, high))),
                ("value", json!(low)),
                ("readout_format", json!(".3~g")),
                ("continuous_update", json!(true)),
            ],
        );
        Ok(Slider { model, low, high })
    }
}

/// A slider for a number of which the magnitude counts: a learning rate.
///
/// ```
/// use notebook::LogSlider;
///
/// let rate = LogSlider::new("learning rate", 1e-4..=1.0)?.value(0.01);
/// assert_eq!(rate.get(), 0.01);
/// assert!(LogSlider::new("learning rate", 0.0..=1.0).is_err());
/// # Ok::<(), notebook::Error>(())
/// ```
#[derive(Clone)]
pub struct LogSlider {
    model: Model,
    low: f64,
    high: f64,
}

slider!(
    LogSlider,
    "Moves by this many powers of ten. Without it by 0.05.",
    "Writes its value in this format, one of d3's: `.1e`. Without it, three digits."
);

impl LogSlider {
    /// A slider, at its low end. Bounds may come in either order.
    ///
    /// # Errors
    /// A bound that is not above zero, infinite or not a number.
    pub fn new(name: &str, range: RangeInclusive<f64>) -> Result<LogSlider> {
        let usable = |bound: f64| bound.is_finite() && bound > 0.0;
        let (low, high) = bounds(name, &range, usable, "give two finite numbers above zero")?;
        let model = named(
            &LOG_SLIDER,
            &SLIDER_STYLE,
            name,
            [
                ("base", json!(10.0)),
                ("min", json!(low.log10())),
                ("max", json!(high.log10())),
                ("step", json!(0.05)),
                ("value", json!(low)),
                ("readout_format", json!(".3~g")),
                ("continuous_update", json!(true)),
            ],
        );
        Ok(LogSlider { model, low, high })
    }
}

/// A slider for a whole number.
///
/// ```
/// use notebook::IntSlider;
///
/// let channels = IntSlider::new("channels", 1..=64).value(16);
/// assert_eq!(channels.get(), 16);
/// ```
#[derive(Clone)]
pub struct IntSlider {
    model: Model,
    low: i64,
    high: i64,
}

knob!(IntSlider, i64, "value");

impl IntSlider {
    /// A slider, at its low end. Bounds may come in either order.
    pub fn new(name: &str, range: RangeInclusive<i64>) -> IntSlider {
        let (low, high) = ordered(&range);
        let model = named(
            &INT_SLIDER,
            &SLIDER_STYLE,
            name,
            [
                ("min", json!(low)),
                ("max", json!(high)),
                ("step", json!(1)),
                ("value", json!(low)),
                ("readout_format", json!("d")),
                ("continuous_update", json!(true)),
            ],
        );
        IntSlider { model, low, high }
    }

    /// With this value: the nearest one that the slider can have.
    #[must_use]
    pub fn value(self, value: i64) -> IntSlider {
        self.set(value);
        self
    }

    /// Moves by this much, at least by 1. Without it by 1.
    #[must_use]
    pub fn step(self, step: i64) -> IntSlider {
        self.model.set(Snapshot::of([("step", json!(step.max(1)))]));
        self
    }

    /// Whether it changes while it is moved, as it does by itself, or only when it is let go.
    #[must_use]
    pub fn continuous(self, continuous: bool) -> IntSlider {
        self.model.set(Snapshot::of([("continuous_update", json!(continuous))]));
        self
    }

    /// Moves it to the nearest value that it can have.
    pub fn set(&self, value: i64) {
        self.model.set(Snapshot::of([("value", json!(value.clamp(self.low, self.high)))]));
    }

    fn read(&self) -> impl Fn(&Value) -> i64 + Send + 'static {
        whole(self.low, self.high)
    }
}

/// Buttons that play through whole numbers: a film of epochs.
///
/// ```
/// use std::time::Duration;
///
/// let epoch = notebook::Play::new("epoch", 1..=30).interval(Duration::from_millis(200));
/// assert_eq!(epoch.get(), 1);
/// ```
#[derive(Clone)]
pub struct Play {
    model: Model,
    low: i64,
    high: i64,
}

knob!(Play, i64, "value");

impl Play {
    /// Buttons that play from the low end of a range to the high one, ten a second. Bounds may come in
    /// either order.
    pub fn new(name: &str, range: RangeInclusive<i64>) -> Play {
        let (low, high) = ordered(&range);
        let model = named(
            &PLAY,
            &PLAY_STYLE,
            name,
            [
                ("min", json!(low)),
                ("max", json!(high)),
                ("step", json!(1)),
                ("value", json!(low)),
                ("interval", json!(100)),
                ("playing", json!(false)),
                ("repeat", json!(false)),
            ],
        );
        Play { model, low, high }
    }

    /// With this value: the nearest one that it can have.
    #[must_use]
    pub fn value(self, value: i64) -> Play {
        self.set(value);
        self
    }

    /// The time from one number to the next, at least a millisecond.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Play {
        let milliseconds = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        self.model.set(Snapshot::of([("interval", json!(milliseconds))]));
        self
    }

    /// Whether it begins anew at its end.
    #[must_use]
    pub fn repeat(self, repeat: bool) -> Play {
        self.model.set(Snapshot::of([("repeat", json!(repeat))]));
        self
    }

    /// Goes to the nearest number that it can have.
    pub fn set(&self, value: i64) {
        self.model.set(Snapshot::of([("value", json!(value.clamp(self.low, self.high)))]));
    }

    fn read(&self) -> impl Fn(&Value) -> i64 + Send + 'static {
        whole(self.low, self.high)
    }
}

fn bounds(
    name: &str,
    range: &RangeInclusive<f64>,
    usable: impl Fn(f64) -> bool,
    remedy: &'static str,
) -> Result<(f64, f64)> {
    let (low, high) = (*range.start(), *range.end());
    if usable(low) && usable(high) {
        return Ok((low.min(high), low.max(high)));
    }
    let value = format!("{low}..={high}");
    Err(Error::Control { control: name.to_owned(), what: "range", value, remedy })
}

/// A hundredth of a range; of one that is a single number, something that is a step.
fn hundredth(low: f64, high: f64) -> f64 {
    if low < high { high / 100.0 - low / 100.0 } else { 1.0 }
}

fn ordered(range: &RangeInclusive<i64>) -> (i64, i64) {
    (*range.start().min(range.end()), *range.start().max(range.end()))
}

fn set_number(model: &Model, value: f64, low: f64, high: f64) {
    if !value.is_nan() {
        model.set(Snapshot::of([("value", json!(value.clamp(low, high)))]));
    }
}

/// A step that is none would stop the slider, or its front end: it keeps the one it has.
fn set_step(model: &Model, step: f64) {
    if step.is_finite() && step > 0.0 {
        model.set(Snapshot::of([("step", json!(step))]));
    }
}

fn whole(low: i64, high: i64) -> impl Fn(&Value) -> i64 + Send + 'static {
    move |value| {
        let value = value.as_i64().or_else(|| value.as_f64().map(|value| value as i64));
        value.unwrap_or(low).clamp(low, high)
    }
}
