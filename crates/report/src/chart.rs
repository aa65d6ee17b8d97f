//! A chart as an SVG picture with its legend, in colours that a style sheet gives.

use std::fmt::{self, Write};

use super::ticks::{Tick, of_numbers, of_times};

/// Colours, light and dark, and what is in a picture.
pub(crate) const CHART_STYLE: &str = include_str!("chart.css");

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
/// The middle of the legend.
const LEGEND: f64 = 9.0;
/// About how wide a letter of a label is.
const LETTER: f64 = 6.0;
/// Room for labels, and for the name of what is counted.
const BOTTOM: f64 = 38.0;
/// The share of the height that is left free above and below what is drawn.
const AIR: f64 = 0.04;

/// What the horizontal axis counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Horizontal {
    /// Whole numbers of something.
    Numbers(&'static str),
    /// Seconds since 1970, UTC.
    Time,
    /// Names, one after the other; their positions are 0, 1, ….
    Names(Vec<&'static str>),
}

/// A colour: a class of the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hue {
    /// That of text: what was measured.
    Ink,
    /// The model.
    Blue,
    /// What it is compared with first.
    Orange,
    /// Another.
    Violet,
    /// And another.
    Green,
}

impl Hue {
    fn class(self) -> &'static str {
        match self {
            Hue::Ink => "ink",
            Hue::Blue => "blue",
            Hue::Orange => "orange",
            Hue::Violet => "violet",
            Hue::Green => "green",
        }
    }
}

/// How numbers are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mark {
    /// A line.
    Line,
    /// A dashed line.
    Dashed,
    /// The area up to these heights.
    Band(Vec<f64>),
    /// Columns from zero; those of several series stand side by side.
    Columns,
}

/// Numbers that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Their name in the legend; without one they are not in it.
    pub name: String,
    /// Their colour.
    pub hue: Hue,
    /// How they are drawn.
    pub mark: Mark,
    /// Positions and heights; a height that is no number interrupts a line.
    pub points: Vec<(f64, f64)>,
}

/// A vertical line with a name, such as where a part of a record begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Divider {
    /// Where.
    pub at: f64,
    /// What begins there.
    pub label: String,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// The horizontal axis.
    pub horizontal: Horizontal,
    /// What the vertical axis measures.
    pub vertical: &'static str,
    /// Whether the vertical axis begins at zero.
    pub from_zero: bool,
    /// What is drawn, the first at the back.
    pub series: Vec<Series>,
    /// Vertical lines.
    pub dividers: Vec<Divider>,
}

/// From numbers to places in the picture.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let (low, high) = self.x;
        LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.y;
        HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    }
}

/// The smallest and largest of the numbers that are some; never the same.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match high - low {
        extent if extent > 0.0 => Some((low, high)),
        0.0 => Some((low - 0.5, high + 0.5)),
        _ => None,
    }
}

impl Chart {
    fn scale(&self) -> Option<Scale> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = match &self.horizontal {
            Horizontal::Names(names) => (-0.5, names.len() as f64 - 0.5),
            _ => range(points().filter(|(_, y)| y.is_finite()).map(|(x, _)| *x))?,
        };
        let tops = self.series.iter().filter_map(|series| match &series.mark {
            Mark::Band(tops) => Some(tops),
            _ => None,
        });
        let heights = points().map(|(_, y)| *y).chain(tops.flatten().copied());
        let zero = self.from_zero.then_some(0.0);
        let (low, high) = range(heights.chain(zero))?;
        let air = AIR * (high - low);
        let bottom = if self.from_zero && low >= 0.0 { 0.0 } else { low - air };
        Some(Scale { x, y: (bottom, high + air) })
    }

    fn horizontal_ticks(&self, scale: &Scale) -> Vec<Tick> {
        let (low, high) = scale.x;
        match &self.horizontal {
            Horizontal::Numbers(_) => of_numbers(low, high, 12.min((high - low) as usize)),
            Horizontal::Time => of_times(low, high, 10),
            Horizontal::Names(names) => {
                let tick =
                    |(index, name): (usize, &&str)| Tick { value: index as f64, label: (*name).to_owned() };
                names.iter().enumerate().map(tick).collect()
            }
        }
    }

    fn axes(&self, scale: &Scale, svg: &mut String) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in of_numbers(scale.y.0, scale.y.1, 6) {
            let y = scale.y(tick.value);
            write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#)?;
            write!(
                svg,
                r#"<text class="tick end" x="{}" y="{:.1}">{}</text>"#,
                LEFT - 6.0,
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
            write!(
                svg,
                r#"<text class="tick middle" x="{x:.1}" y="{}">{}</text>"#,
                bottom + 16.0,
                tick.label
            )?;
        }
        if let Horizontal::Numbers(label) = self.horizontal {
            let x = f64::midpoint(LEFT, right);
            write!(svg, r#"<text class="tick middle" x="{x}" y="{}">{label}</text>"#, HEIGHT - 6.0)?;
        }
        write!(svg, r#"<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>"#)?;
        for divider in &self.dividers {
            let x = scale.x(divider.at);
            write!(svg, r#"<line class="divider" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/>"#)?;
            let label = Escaped(&divider.label);
            let (class, x) = if x < 0.8 * WIDTH { ("tick", x + 4.0) } else { ("tick end", x - 4.0) };
            write!(svg, r#"<text class="{class}" x="{x:.1}" y="{}">{label}</text>"#, TOP + 10.0)?;
        }
        Ok(())
    }

    fn draw(&self, scale: &Scale, svg: &mut String) -> fmt::Result {
        let columns = self.series.iter().filter(|series| series.mark == Mark::Columns).count();
        let mut column = 0;
        for series in &self.series {
            let class = series.hue.class();
            match &series.mark {
                Mark::Line => {
                    write!(svg, r#"<path class="line {class}" d="{}"/>"#, line(scale, &series.points))?
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

impl Chart {
    /// What the vertical axis measures, and the names of the series.
    fn legend(&self, svg: &mut String) -> fmt::Result {
        write!(svg, r#"<text class="tick" x="8" y="{}">{}</text>"#, LEGEND + 4.0, self.vertical)?;
        let mut right = WIDTH - RIGHT;
        for series in self.series.iter().rev().filter(|series| !series.name.is_empty()) {
            let (class, name) = (series.hue.class(), Escaped(&series.name));
            let left = right - LETTER * series.name.chars().count() as f64 - 24.0;
            match series.mark {
                Mark::Line | Mark::Dashed => {
                    let dashed = if series.mark == Mark::Dashed { " dashed" } else { "" };
                    write!(svg, r#"<path class="line{dashed} {class}" d="M{left} {LEGEND}h18"/>"#)?;
                }
                Mark::Band(_) | Mark::Columns => {
                    let kind = if series.mark == Mark::Columns { "column" } else { "band" };
                    let top = LEGEND - 5.0;
                    write!(
                        svg,
                        r#"<rect class="{kind} {class}" x="{left}" y="{top}" width="18" height="10"/>"#
                    )?;
                }
            }
            write!(svg, r#"<text class="name" x="{}" y="{}">{name}</text>"#, left + 22.0, LEGEND + 4.0)?;
            right = left - 12.0;
        }
        Ok(())
    }

    /// What is in the picture; nothing where there is nothing to draw.
    fn inside(&self) -> Option<String> {
        let scale = self.scale()?;
        let mut svg = String::new();
        self.axes(&scale, &mut svg).ok()?;
        self.draw(&scale, &mut svg).ok()?;
        self.legend(&mut svg).ok()?;
        Some(svg)
    }

    /// The picture as a file of its own, with a style sheet; nothing where there is nothing to draw.
    pub(crate) fn file(&self, style: &str) -> Option<String> {
        let (inside, title) = (self.inside()?, Escaped(&self.title));
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n\
             <rect class=\"card\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n{inside}\n</svg>\n"
        ))
    }
}

/// The picture, for a page that has the style sheet; a sentence where there is nothing to draw.
impl fmt::Display for Chart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inside() {
            Some(inside) => write!(
                formatter,
                r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">{inside}</svg>"#,
                Escaped(&self.title)
            ),
            None => write!(formatter, r#"<p class="nothing">Nothing to draw.</p>"#),
        }
    }
}

/// Text that stands for itself in HTML.
pub(crate) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "heights".to_owned(),
            horizontal: Horizontal::Numbers("hours"),
            vertical: "°C",
            from_zero: true,
            series: vec![Series { name: "a < b".to_owned(), hue: Hue::Blue, mark: Mark::Line, points }],
            dividers: Vec::new(),
        }
    }

    /// Places of a path, one list for each stretch.
    fn places(svg: &str) -> Vec<Vec<(f64, f64)>> {
        let path = svg.split("<path class=\"line blue\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        path.split('M')
            .skip(1)
            .map(|stretch| {
                stretch
                    .split('L')
                    .map(|place| {
                        let (x, y) = place.split_once(' ').unwrap();
                        (x.parse().unwrap(), y.parse().unwrap())
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn lines_are_interrupted_where_nothing_is_known_and_higher_numbers_stand_higher() {
        let svg = chart(vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 0.0), (4.0, 4.0)]).to_string();
        let stretches = places(&svg);
        assert_eq!(stretches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert!(stretches[0][1].1 < stretches[0][0].1);
        assert_eq!(stretches[0][0].0, LEFT);
        assert_eq!(stretches[1][1].0, WIDTH - RIGHT);
        assert_eq!(stretches[1][0].1, HEIGHT - BOTTOM, "zero is at the bottom");
    }

    #[test]
    fn names_cannot_break_the_page() {
        let svg = chart(vec![(0.0, 1.0), (1.0, 2.0)]).to_string();
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
    }

    #[test]
    fn nothing_infinite_is_drawn() {
        for points in [vec![], vec![(0.0, f64::NAN)], vec![(f64::NAN, 1.0)]] {
            assert!(chart(points).to_string().contains("Nothing to draw"));
        }
        let one = chart(vec![(5.0, 0.0)]).to_string();
        assert!(!one.contains("NaN") && !one.contains("inf"), "{one}");
    }
}
