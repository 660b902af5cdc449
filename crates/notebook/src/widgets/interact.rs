//! A picture that follows its knobs.

use std::sync::Arc;

use super::control::Knob;
use super::group::Column;
use super::model::Model;
use super::runner::Listener;
use crate::display::{Show, display};

/// One knob, or a tuple of up to six: the values by which a picture is drawn.
pub trait Knobs {
    /// The value of the knob, or the tuple of the values.
    type Values;

    /// Where the values are, and what reads them from any thread.
    #[doc(hidden)]
    fn split(self) -> (Vec<Spot>, Box<dyn Fn() -> Self::Values + Send>);
}

/// Where a knob's value is.
#[doc(hidden)]
#[derive(Clone)]
pub struct Spot {
    model: Model,
    attribute: &'static str,
}

impl Spot {
    fn of(knob: &impl Knob) -> Spot {
        Spot { model: knob.model().0, attribute: knob.attribute() }
    }
}

impl<K: Knob> Knobs for K {
    type Values = K::Value;

    fn split(self) -> (Vec<Spot>, Box<dyn Fn() -> K::Value + Send>) {
        (vec![Spot::of(&self)], self.reader())
    }
}

macro_rules! knobs {
    ($($($name:ident)+;)+) => {$(
        impl<$($name: Knob<Value: 'static>),+> Knobs for ($($name,)+) {
            type Values = ($($name::Value,)+);

            #[expect(non_snake_case, reason = "each is named as its type")]
            fn split(self) -> (Vec<Spot>, Box<dyn Fn() -> Self::Values + Send>) {
                let ($($name,)+) = self;
                let spots = vec![$(Spot::of(&$name)),+];
                $(let $name = $name.reader();)+
                (spots, Box::new(move || ($($name(),)+)))
            }
        }
    )+};
}
knobs! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

/// Shows knobs and beneath them what `picture` makes of their values, and draws it anew in its place
/// when one of them has changed. Changes that come while it is drawn are one: the next picture is that of
/// the newest values. The picture is part of the notebook that is saved.
///
/// The first picture is drawn here, the others on the thread that all widgets have together. Where there
/// are no widgets, the first one is the only one.
///
/// ```
/// use notebook::{Html, IntSlider, Slider, interact};
///
/// let width = Slider::new("width", 0.0..=1.0)?.value(0.5);
/// let count = IntSlider::new("count", 1..=9);
/// interact((&width, &count), |(width, count)| {
///     Html(format!("<hr style='width:{}%'>", 100.0 * width).repeat(count as usize))
/// });
/// # Ok::<(), notebook::Error>(())
/// ```
pub fn interact<K: Knobs, S: Show>(
    knobs: K,
    mut picture: impl FnMut(K::Values) -> S + Send + 'static,
) where
    K::Values: 'static,
{
    let (spots, read) = knobs.split();
    let models: Vec<Model> = spots.iter().map(|spot| spot.model.clone()).collect();
    display(&Column::of(models.clone()));
    let mut drawn = changes(&spots);
    let shown = display(&picture(read()));
    if models.iter().all(|model| model.hub().is_none()) {
        return;
    }
    let listener = Listener::new(move |_| {
        let newest = changes(&spots);
        if newest != drawn {
            drawn = newest;
            shown.update(&picture(read()));
        }
    });
    for model in &models {
        model.listen(Arc::clone(&listener));
    }
    // A knob may have been moved while the first picture was drawn.
    if let Some(model) = models.first() {
        listener.hear(model);
    }
}

/// When each value changed last.
fn changes(spots: &[Spot]) -> Vec<u64> {
    spots.iter().map(|spot| spot.model.changed(spot.attribute)).collect()
}
