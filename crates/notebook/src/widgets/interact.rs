//! A picture that follows its knobs.

use std::sync::Arc;

use super::control::Knob;
use super::group::Column;
use super::model::{Model, VIEW};
use super::runner::Listener;
use super::shown::Html;
use crate::display::{Show, display, escape};

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
/// the newest values. A page that is loaded anew shows the newest picture and goes on; where a notebook
/// that was saved is read without widgets, the first one stands.
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
    let first = picture(read()).content();
    let page = Html::new(&on_a_page(&first));
    display(&Still { page: &page, first });
    if models.iter().all(|model| model.hub().is_none()) {
        return;
    }
    let listener = Listener::new(move |_| {
        let newest = changes(&spots);
        if newest != drawn {
            drawn = newest;
            page.set(&on_a_page(&picture(read()).content()));
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

/// The picture as a widget, whose state a page that is loaded anew asks for, and as it was at first for those
/// who have no widgets.
struct Still<'page> {
    page: &'page Html,
    first: Vec<(&'static str, String)>,
}

impl Show for Still<'_> {
    fn content(&self) -> Vec<(&'static str, String)> {
        let page = self.page.content().into_iter().filter(|(kind, _)| *kind == VIEW);
        page.chain(self.first.iter().cloned()).collect()
    }
}

/// Content as HTML, the richest of it that a page can show.
fn on_a_page(content: &[(&'static str, String)]) -> String {
    let of = |wanted: &str| content.iter().find(|(kind, _)| *kind == wanted).map(|(_, body)| body);
    let png = |body: &String| format!("<img src=\"data:image/png;base64,{body}\">");
    // An SVG document may begin with a declaration, which is none of a page's.
    let svg = |body: &String| body.find("<svg").map_or(String::new(), |at| body[at..].to_owned());
    of("text/html")
        .cloned()
        .or_else(|| of("image/svg+xml").map(svg))
        .or_else(|| of("image/png").map(png))
        .or_else(|| of("text/plain").map(|text| format!("<pre>{}</pre>", escape(text))))
        .unwrap_or_default()
}

/// When each value changed last.
fn changes(spots: &[Spot]) -> Vec<u64> {
    spots.iter().map(|spot| spot.model.changed(spot.attribute)).collect()
}
