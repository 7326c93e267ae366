//! A drawing of what came of the loads.

use std::fmt::Write;

use crate::load::Measured;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;

/// Around the axes.
const MARGIN: u32 = 60;

/// The loads from left to right, and upwards what part of what can be done was done in time.
pub(crate) fn svg(
    capacity: u32,
    queue: &[(u32, Measured)],
    admission: &[(u32, Measured)],
) -> String {
    let (right, bottom) = (WIDTH - MARGIN, HEIGHT - MARGIN);
    let mut lines = String::new();
    for percent in [0, 25, 50, 75, 100] {
        let y = height(percent);
        lines += &format!("<path d=\"M{MARGIN} {y}H{right}\" stroke=\"#ddd\"/>\n");
        lines += &format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{percent} %</text>\n",
            MARGIN - 8,
            y + 4
        );
    }
    for (at, (load, _)) in admission.iter().enumerate() {
        let x = place(at, admission.len());
        lines += &format!(
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{load}×</text>\n",
            bottom + 20
        );
    }
    lines += &curve("queue", "#c44", capacity, queue);
    lines += &curve("admission", "#282", capacity, admission);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#333\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"30\">answered in time, of the {capacity} calls/s that can be</text>\n\
         {lines}\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">calls that come, as a multiple of that</text>\n\
         </svg>\n",
        HEIGHT - 15
    )
}

fn curve(name: &str, colour: &str, capacity: u32, rows: &[(u32, Measured)]) -> String {
    let points: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, (_, row))| (place(at, rows.len()), height(row.in_time * 100 / capacity)))
        .collect();
    let mut path = String::new();
    let mut marks = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        // A string takes whatever is written to it.
        let _ = write!(path, "{}{x} {y}", if at == 0 { 'M' } else { 'L' });
        let _ = writeln!(
            marks,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>"
        );
    }
    let (x, y) = points.last().copied().unwrap_or_default();
    format!(
        "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"2\" fill=\"none\"/>\n{marks}\
         <text x=\"{x}\" y=\"{}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>\n",
        y.saturating_sub(10)
    )
}

fn place(at: usize, of: usize) -> u32 {
    let step = (WIDTH - 2 * MARGIN) as usize / of.saturating_sub(1).max(1);
    MARGIN + u32::try_from(at * step).unwrap_or(0)
}

/// Where a part of what can be done stands, in percent.
fn height(percent: u32) -> u32 {
    let whole = HEIGHT - 2 * MARGIN;
    HEIGHT - MARGIN - (whole * percent / 105).min(whole)
}
