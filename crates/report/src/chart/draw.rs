//! Axes and series of a chart as SVG.

use std::fmt::{self, Write};

use super::frame::Scale;
use super::{Chart, Escaped, Horizontal, Mark};
use crate::ticks::{Tick, of_hours, of_numbers, of_times};

impl Chart {
    fn horizontal_ticks(&self, scale: &Scale) -> Vec<Tick> {
        let (low, high) = scale.x;
        let frame = &scale.frame;
        match &self.horizontal {
            Horizontal::Numbers(_) => of_numbers(low, high, frame.marks.min((high - low) as usize)),
            Horizontal::Hours(_) => of_hours(low, high, frame.marks),
            Horizontal::Time => of_times(low, high, frame.marks),
            Horizontal::Names(names) => {
                let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
                let room = frame.drawn_width() / names.len().max(1) as f64;
                let every = ((widest + 0.7) * frame.letter / room).ceil().max(1.0) as usize;
                let tick =
                    |(index, name): (usize, &&str)| Tick { value: index as f64, label: (*name).to_owned() };
                names.iter().enumerate().step_by(every).map(tick).collect()
            }
        }
    }

    pub(super) fn axes(&self, scale: &Scale, svg: &mut String) -> fmt::Result {
        let frame = &scale.frame;
        let (left, right, bottom) = (frame.left, frame.width - frame.right, frame.height - frame.bottom);
        for tick in of_numbers(scale.y.0, scale.y.1, 6) {
            let y = scale.y(tick.value);
            write!(svg, r#"<line class="grid" x1="{left}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#)?;
            write!(
                svg,
                r#"<text class="tick end" x="{}" y="{:.1}">{}</text>"#,
                left - 6.0,
                y + 3.5,
                tick.label
            )?;
        }
        for tick in self.horizontal_ticks(scale) {
            let x = scale.x(tick.value);
            write!(
                svg,
                r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="{bottom}" y2="{}"/>"#,
                bottom + 4.0
            )?;
            // A label at an end stays within the picture.
            let half = frame.letter * tick.label.chars().count() as f64 / 2.0;
            let x = x.min(frame.width - half - 1.0);
            write!(
                svg,
                r#"<text class="tick middle" x="{x:.1}" y="{}">{}</text>"#,
                bottom + 16.0,
                tick.label
            )?;
        }
        if let Horizontal::Numbers(label) | Horizontal::Hours(label) = self.horizontal {
            let x = f64::midpoint(left, right);
            write!(svg, r#"<text class="tick middle" x="{x}" y="{}">{label}</text>"#, frame.height - 6.0)?;
        }
        // Where heights go below zero and count from there, zero is what the eye looks for.
        let zero = if self.from_zero && scale.y.0 < 0.0 { scale.y(0.0) } else { bottom };
        write!(svg, r#"<line class="axis" x1="{left}" x2="{right}" y1="{zero:.1}" y2="{zero:.1}"/>"#)?;
        for divider in &self.dividers {
            let (x, top) = (scale.x(divider.at), frame.top);
            write!(svg, r#"<line class="divider" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}"/>"#)?;
            let label = Escaped(&divider.label);
            let room = frame.letter * divider.label.chars().count() as f64 + 6.0;
            let (class, x) = if x + room < right { ("tick", x + 4.0) } else { ("tick end", x - 4.0) };
            write!(svg, r#"<text class="{class}" x="{x:.1}" y="{}">{label}</text>"#, top + 10.0)?;
        }
        Ok(())
    }

    pub(super) fn draw(&self, scale: &Scale, svg: &mut String) -> fmt::Result {
        let columns = self.series.iter().filter(|series| series.mark == Mark::Columns).count();
        let mut column = 0;
        for series in &self.series {
            let class = series.hue.class();
            match &series.mark {
                Mark::Line => {
                    write!(svg, r#"<path class="line {class}" d="{}"/>"#, line(scale, &series.points))?;
                }
                Mark::Dashed => {
                    write!(
                        svg,
                        r#"<path class="line dashed {class}" d="{}"/>"#,
                        line(scale, &series.points)
                    )?;
                }
                Mark::Band(tops) => {
                    write!(svg, r#"<path class="band {class}" d="{}"/>"#, band(scale, &series.points, tops))?;
                }
                Mark::Columns => {
                    let slot = (scale.x(1.0) - scale.x(0.0)) * 0.8;
                    let width = slot / columns as f64;
                    for &(x, y) in series.points.iter().filter(|(_, y)| y.is_finite()) {
                        let left = scale.x(x) - slot / 2.0 + width * f64::from(column);
                        let (top, bottom) = (scale.y(y.max(0.0)), scale.y(y.min(0.0)));
                        let height = bottom - top;
                        let name = Escaped(&series.name);
                        write!(
                            svg,
                            r#"<rect class="column {class}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{height:.1}"><title>{name}: {y:.2}</title></rect>"#,
                            width - 0.5
                        )?;
                    }
                    column += 1;
                }
            }
        }
        Ok(())
    }
}

/// A path through the points; it is interrupted where a height is no number.
fn line(scale: &Scale, points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for &(x, y) in points {
        if y.is_finite() {
            let _ = write!(path, "{pen}{:.1} {:.1}", scale.x(x), scale.y(y));
            pen = 'L';
        } else {
            pen = 'M';
        }
    }
    path
}

/// The outline of each stretch without a hole.
fn band(scale: &Scale, points: &[(f64, f64)], tops: &[f64]) -> String {
    let corners: Vec<(f64, f64, f64)> =
        points.iter().zip(tops).map(|(&(x, bottom), &top)| (x, bottom, top)).collect();
    let mut path = String::new();
    for stretch in corners.split(|(_, bottom, top)| !(bottom.is_finite() && top.is_finite())) {
        if stretch.is_empty() {
            continue;
        }
        let there = stretch.iter().map(|&(x, _, top)| (x, top));
        let back = stretch.iter().rev().map(|&(x, bottom, _)| (x, bottom));
        path += &line(scale, &there.chain(back).collect::<Vec<_>>());
        path.push('Z');
    }
    path
}
