//! A chart as an SVG picture with its legend, in colours that a style sheet gives.

mod draw;
mod frame;
mod legend;

use std::fmt::{self, Write};

use frame::{Frame, NARROW, Scale, WIDE, range};

/// Colours, light and dark, and what is in a picture.
pub(crate) const CHART_STYLE: &str = include_str!("chart.css");

/// The share of the height that is left free above and below what is drawn.
const AIR: f64 = 0.04;

/// What the horizontal axis counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Horizontal {
    /// Whole numbers of something.
    Numbers(&'static str),
    /// Hours of something: marks divide the day.
    Hours(&'static str),
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
    /// That of the model's forecast.
    Blue,
    /// What it is compared with first.
    Orange,
    /// That of a second reference forecast, or of the lowest quantile.
    Violet,
    /// That of a third reference forecast.
    Green,
    /// What lies behind everything.
    Faint,
}

impl Hue {
    fn class(self) -> &'static str {
        match self {
            Hue::Ink => "ink",
            Hue::Blue => "blue",
            Hue::Orange => "orange",
            Hue::Violet => "violet",
            Hue::Green => "green",
            Hue::Faint => "faint",
        }
    }
}

/// How numbers are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mark {
    /// A line through the points.
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
    /// The colour in which they are drawn.
    pub hue: Hue,
    /// How they are drawn.
    pub mark: Mark,
    /// Positions and heights; a height that is no number interrupts a line.
    pub points: Vec<(f64, f64)>,
}

/// A vertical line with a name, such as where a part of a record begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Divider {
    /// The position on the horizontal axis.
    pub at: f64,
    /// What begins there.
    pub label: String,
}

/// Series over one horizontal axis, drawn as SVG.
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
    /// Vertical lines with names, such as where a part begins.
    pub dividers: Vec<Divider>,
}

impl Chart {
    fn scale(&self, frame: Frame) -> Option<Scale> {
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
        Some(Scale { frame, x, y: (bottom, high + air) })
    }

    /// What is in a picture of that size; nothing where there is nothing to draw.
    fn inside(&self, frame: Frame) -> Option<String> {
        let scale = self.scale(frame)?;
        let mut svg = String::new();
        self.axes(&scale, &mut svg).ok()?;
        self.draw(&scale, &mut svg).ok()?;
        Some(svg)
    }

    /// The picture as a file of its own, with a style sheet; nothing where there is nothing to draw.
    pub(crate) fn file(&self, style: &str) -> Option<String> {
        let frame = WIDE.with_room_above(self.legend_height(&WIDE));
        let mut inside = self.inside(frame)?;
        self.legend_of_picture(&frame, &mut inside).ok()?;
        let (title, Frame { width, height, .. }) = (Escaped(&self.title), frame);
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n\
             <rect class=\"card\" width=\"{width}\" height=\"{height}\"/>\n{inside}\n</svg>\n"
        ))
    }

    /// Legend and pictures for a page that has the style sheet, which shows the one that fits.
    fn of_page(&self) -> Option<String> {
        let mut page = String::new();
        self.legend_of_page(&mut page).ok()?;
        for frame in [WIDE, NARROW] {
            let (inside, title) = (self.inside(frame)?, Escaped(&self.title));
            let Frame { class, width, height, .. } = frame;
            write!(
                page,
                r#"<svg class="chart {class}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{inside}</svg>"#
            )
            .ok()?;
        }
        Some(page)
    }
}

/// Legend and picture, for a page that has the style sheet; a sentence where there is nothing to draw.
impl fmt::Display for Chart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of_page() {
            Some(page) => formatter.write_str(&page),
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
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 0.0), (4.0, 4.0)];
        let svg = chart(points).inside(WIDE).unwrap();
        let stretches = places(&svg);
        assert_eq!(stretches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert!(stretches[0][1].1 < stretches[0][0].1);
        assert_eq!(stretches[0][0].0, WIDE.left);
        assert_eq!(stretches[1][1].0, WIDE.width - WIDE.right);
        assert_eq!(stretches[1][0].1, WIDE.height - WIDE.bottom, "zero is at the bottom");
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
