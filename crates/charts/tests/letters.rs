//! Letters that can be read: in every kind of picture, at the width of a notebook's page.

use charts::{
    Across, Cell, Corner, Down, Grid, Line, Panel, Picture, Pixels, Rect, Row, Scene, Style, WIDTH,
    palette,
};

/// Font size of the smallest letters that may be, in pixels.
const SMALLEST: f64 = 11.0;

fn points() -> Vec<(f64, f64)> {
    vec![(1.0, 2.0), (2.0, 1.0)]
}

fn image() -> Pixels {
    Pixels::new(8, 8, vec![100; 192]).unwrap()
}

fn panel() -> Panel {
    Panel {
        x: ("epoch".into(), 0.0..3.0),
        y: ("loss".into(), 0.0..3.0),
        legend: Some(Corner::UpperRight),
        bars: Vec::new(),
        lines: vec![Line::new("training", palette::TRAINING, points()), Line::mark("lr x2", 1.5)],
    }
}

fn scene() -> Scene {
    let mut scene = Scene::new(200, "title", "note");
    let lines = ["3a".to_string(), "28x28".to_string()];
    scene.labelled(Rect::new(20, 60, 100, 60), palette::BLUE_BOX, &lines);
    let tiny = Style { size: 6, ..Style::new(Across::Left, Down::Top) };
    scene.text("as small as can be", (200, 100), tiny);
    scene
}

fn pictures() -> Vec<(&'static str, Picture)> {
    let classes =
        |count: usize| -> Vec<String> { (0..count).map(|n| format!("class {n}")).collect() };
    let counts = |count: usize| vec![vec![12; count]; count];
    let groups = [("batch 32".to_string(), vec![Some((1.0, "1 s".to_string())), None])];
    let rows = [("conv_1".to_string(), vec![1e-3, 2e-2]), ("head".to_string(), vec![0.5])];
    let shares = [("crescent".to_string(), 0.8), ("ring".to_string(), 0.2)];
    let cells = (0..20).map(|_| Cell::new(image(), "crescent,\ntaken for ring")).collect();
    let labelled = Row { label: "conv_1x1".into(), cells: vec![Cell::new(image(), "1")] };
    let grid = Grid { rows: vec![labelled], ..Grid::of("title", 10, Vec::new()) };
    let marks = [(1.5, "yours")];
    let drawn = [
        (
            "line_chart",
            charts::line_chart_with_marks("title", "note", ("x", "y"), &[("a", points())], &marks),
        ),
        ("bar_chart", charts::bar_chart("title", "note", &["new", "old"], &groups)),
        ("log_bars", charts::log_bars("title", "note", &["head", "all"], &rows)),
        ("share_bars", charts::share_bars("title", "note", &image(), &shares)),
        ("panels", charts::panels("title", "note", 400, &[panel(), panel()])),
        ("matrix of 10", charts::matrix("title", "note", &classes(10), &counts(10))),
        ("matrix of 30", charts::matrix("title", "note", &classes(30), &counts(30))),
        ("grid", Grid::of("title", 10, cells).picture()),
        ("grid with labels", grid.picture()),
        ("scene", scene().picture()),
        ("fine scene", scene().fine().picture()),
    ];
    drawn.into_iter().map(|(name, picture)| (name, picture.unwrap())).collect()
}

/// The font sizes of a document, in pixels where it is as wide as it was drawn.
fn sizes(svg: &str) -> Vec<f64> {
    let after = svg.split("font-size=\"").skip(1);
    after.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn no_letter_is_too_small_to_be_read() {
    let (names, pictures): (Vec<_>, Vec<_>) = pictures().into_iter().unzip();
    for (name, picture) in names.iter().zip(&pictures) {
        let sizes = sizes(picture.svg());
        assert!(sizes.len() > 1, "{name} has no words");
        let smallest = sizes.into_iter().fold(f64::INFINITY, f64::min);
        assert!(smallest >= SMALLEST, "{name} has letters of {smallest} px");
        assert_eq!(picture.size().0, WIDTH, "{name} is scaled to the page");
    }
    let all = charts::stacked(&pictures).unwrap();
    assert!(sizes(all.svg()).into_iter().all(|size| size >= SMALLEST));
}
