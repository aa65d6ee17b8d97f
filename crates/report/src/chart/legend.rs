//! What the vertical axis measures and the names of the series: as text of a page, which wraps, or within a picture that is a
//! file of its own.

use std::fmt::{self, Write};

use super::frame::Frame;
use super::{Chart, Escaped, Mark, Series};

/// How high a row is.
const ROW: f64 = 17.0;
/// How wide a key is.
const KEY: f64 = 18.0;

impl Chart {
    /// The series that have a name, the foremost first, each with how many bands of its colour lie behind it, its own among
    /// them: bands of one colour are drawn within each other, and the innermost is the darkest.
    fn named(&self) -> impl Iterator<Item = (&Series, usize)> {
        let depth = |index: usize| {
            let hue = self.series[index].hue;
            let is_same = |other: &&Series| matches!(other.mark, Mark::Band(_)) && other.hue == hue;
            self.series[..index].iter().filter(is_same).count() + 1
        };
        let named = self.series.iter().enumerate().rev().filter(|(_, series)| !series.name.is_empty());
        named.map(move |(index, series)| (series, depth(index)))
    }

    /// The legend as text of a page.
    pub(super) fn legend_of_page(&self, page: &mut String) -> fmt::Result {
        write!(page, r#"<p class="legend"><span class="measure">{}</span>"#, self.vertical)?;
        for (series, depth) in self.named() {
            write!(
                page,
                r#"<span class="entry"><svg class="key" width="{KEY}" height="10" aria-hidden="true">"#
            )?;
            key(page, series, depth, 0.0, 5.0)?;
            write!(page, "</svg>{}</span>", Escaped(&series.name))?;
        }
        write!(page, "</p>")
    }

    /// Where each entry of the legend stands in a picture, and how many rows they take.
    fn places(&self, frame: &Frame) -> (Vec<(f64, f64)>, usize) {
        let mut x = 8.0 + frame.letter * self.vertical.chars().count() as f64 + 20.0;
        let mut rows = 1;
        let mut places = Vec::new();
        for (series, _) in self.named() {
            let width = KEY + 4.0 + frame.letter * series.name.chars().count() as f64;
            if x + width > frame.width - frame.right {
                (x, rows) = (8.0, rows + 1);
            }
            places.push((x, ROW * (rows as f64 - 0.5)));
            x += width + 14.0;
        }
        (places, rows)
    }

    /// How much room the legend takes in a picture.
    pub(super) fn legend_height(&self, frame: &Frame) -> f64 {
        ROW * self.places(frame).1 as f64
    }

    /// The legend within a picture.
    pub(super) fn legend_of_picture(&self, frame: &Frame, svg: &mut String) -> fmt::Result {
        write!(svg, r#"<text class="tick" x="8" y="{}">{}</text>"#, ROW / 2.0 + 4.0, self.vertical)?;
        for ((series, depth), (x, y)) in self.named().zip(self.places(frame).0) {
            key(svg, series, depth, x, y)?;
            write!(
                svg,
                r#"<text class="name" x="{}" y="{}">{}</text>"#,
                x + KEY + 4.0,
                y + 4.0,
                Escaped(&series.name)
            )?;
        }
        Ok(())
    }
}

/// What a series looks like, with its left end at `x` and its middle at `y`.
fn key(svg: &mut String, series: &Series, depth: usize, x: f64, y: f64) -> fmt::Result {
    let class = series.hue.class();
    let top = y - 5.0;
    let mut block = |kind: &str| {
        write!(svg, r#"<rect class="{kind} {class}" x="{x}" y="{top}" width="{KEY}" height="10"/>"#)
    };
    match series.mark {
        Mark::Band(_) => (0..depth).try_for_each(|_| block("band")),
        Mark::Columns => block("column"),
        Mark::Line => write!(svg, r#"<path class="line {class}" d="M{x} {y}h{KEY}"/>"#),
        Mark::Dashed => write!(svg, r#"<path class="line dashed {class}" d="M{x} {y}h{KEY}"/>"#),
    }
}
