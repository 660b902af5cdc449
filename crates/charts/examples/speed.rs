//! How long pictures take.
use std::time::Instant;
use charts::{Cell, Grid, Pixels};
fn main() {
    let line = |n: usize| -> Vec<(f64, f64)> { (0..n).map(|i| (i as f64, (i as f64 / 20.0).sin())).collect() };
    let time = |name: &str, f: &dyn Fn() -> charts::Picture| {
        f();
        let began = Instant::now();
        for _ in 0..20 { std::hint::black_box(f()); }
        let all = began.elapsed().as_secs_f64() * 50.0;
        println!("{name}: {all:.1} ms, svg {} KB", f().svg().len() / 1024);
    };
    time("line chart, 2 x 50", &|| charts::line_chart("title", "note", ("x", "y"), &[("a", line(50)), ("b", line(50))]).unwrap());
    time("line chart, 2 x 400", &|| charts::line_chart("title", "note", ("x", "y"), &[("a", line(400)), ("b", line(400))]).unwrap());
    let cells: Vec<Cell> = (0..40u32).map(|k| {
        let bytes = (0..32 * 32 * 3u32).map(|i| (i * (k + 7) * 31 % 251) as u8).collect();
        Cell::new(Pixels::new(32, 32, bytes).unwrap(), "crescent")
    }).collect();
    time("grid of 40", &|| Grid::of("title", 10, cells.clone()).picture().unwrap());
}
