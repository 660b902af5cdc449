//! Widgets beside and below each other.

use serde_json::json;

use super::control::{Widget, control, layout, widget};
use super::model::{Kind, Model, Snapshot, Words};

/// What is in a group is put into words by itself.
const fn group(model: &'static str, view: &'static str) -> Kind {
    control(model, view, |_| Words { value: String::new(), what: None })
}

static ROW: Kind = group("HBoxModel", "HBoxView");
static COLUMN: Kind = group("VBoxModel", "VBoxView");
static TABS: Kind = group("TabModel", "TabView");

/// Several widgets: a tuple of up to eight, or an array or a vector of one kind.
pub trait Widgets {
    /// Their models.
    #[doc(hidden)]
    fn models(&self) -> Vec<super::control::Handle>;
}

impl<W: Widget> Widgets for Vec<W> {
    fn models(&self) -> Vec<super::control::Handle> {
        self.iter().map(W::model).collect()
    }
}

impl<W: Widget, const N: usize> Widgets for [W; N] {
    fn models(&self) -> Vec<super::control::Handle> {
        self.iter().map(W::model).collect()
    }
}

macro_rules! widgets {
    ($($($name:ident)+;)+) => {$(
        impl<$($name: Widget),+> Widgets for ($($name,)+) {
            fn models(&self) -> Vec<super::control::Handle> {
                #[expect(non_snake_case, reason = "each is named as its type")]
                let ($($name,)+) = self;
                vec![$($name.model()),+]
            }
        }
    )+};
}
widgets! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

/// Widgets beside each other.
///
/// ```
/// use notebook::{IntSlider, Row, Slider};
///
/// let width = Slider::new("width", 0.0..=1.0)?;
/// let depth = IntSlider::new("depth", 1..=9);
/// Row::new((&width, &depth)).evcxr_display();
/// # Ok::<(), notebook::Error>(())
/// ```
#[derive(Clone)]
pub struct Row {
    model: Model,
}

widget!(Row);

impl Row {
    /// These widgets, from left to right.
    pub fn new(widgets: impl Widgets) -> Row {
        Row { model: group_of(&ROW, models(&widgets)) }
    }
}

/// Widgets below each other.
#[derive(Clone)]
pub struct Column {
    model: Model,
}

widget!(Column);

impl Column {
    /// These widgets, from top to bottom.
    pub fn new(widgets: impl Widgets) -> Column {
        Column::of(models(&widgets))
    }

    pub(super) fn of(models: Vec<Model>) -> Column {
        Column { model: group_of(&COLUMN, models) }
    }
}

/// Widgets of which one is seen at a time.
///
/// ```
/// use notebook::{IntSlider, Slider, Tabs};
///
/// Tabs::new()
///     .tab("network", IntSlider::new("depth", 1..=9))
///     .tab("training", Slider::new("dropout", 0.0..=1.0)?)
///     .evcxr_display();
/// # Ok::<(), notebook::Error>(())
/// ```
#[derive(Clone)]
pub struct Tabs {
    model: Model,
    tabs: Vec<(String, Model)>,
}

widget!(Tabs);

impl Tabs {
    /// No tabs yet.
    #[expect(clippy::new_without_default, reason = "nothing to show is no use by itself")]
    pub fn new() -> Tabs {
        Tabs::of(Vec::new())
    }

    /// With one more, behind the others.
    #[must_use]
    pub fn tab(mut self, title: &str, widget: impl Widget) -> Tabs {
        self.tabs.push((title.to_owned(), widget.model().0));
        // What a group holds is fixed: this is another one.
        Tabs::of(self.tabs)
    }

    fn of(tabs: Vec<(String, Model)>) -> Tabs {
        let (titles, models): (Vec<_>, Vec<_>) = tabs.iter().cloned().unzip();
        let state = Snapshot::of([("titles", json!(titles)), ("selected_index", json!(0))]);
        Tabs { model: Model::new(&TABS, state, vec![layout([])], models), tabs }
    }
}

fn models(widgets: &impl Widgets) -> Vec<Model> {
    widgets.models().into_iter().map(|handle| handle.0).collect()
}

fn group_of(kind: &'static Kind, models: Vec<Model>) -> Model {
    Model::new(kind, Snapshot::default(), vec![layout([])], models)
}
