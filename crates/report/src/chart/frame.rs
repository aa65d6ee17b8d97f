//! The size of a picture, and from numbers to places in it.

/// How large a picture is, in units of its own, and what is left free at its edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    /// The class of the style sheet.
    pub(super) class: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Room for the labels of the vertical axis.
    pub(super) left: f64,
    pub(super) right: f64,
    /// Room above, where there is no legend.
    pub(super) top: f64,
    /// Room for labels, and for the name of what is counted.
    pub(super) bottom: f64,
    /// About how wide a letter of a label is.
    pub(super) letter: f64,
    /// At most about so many marks on the horizontal axis.
    pub(super) marks: usize,
}

/// For a page as wide as a desk's, and for a file of its own.
pub(super) const WIDE: Frame = Frame {
    class: "large",
    width: 760.0,
    height: 270.0,
    left: 48.0,
    right: 12.0,
    top: 12.0,
    bottom: 38.0,
    letter: 6.0,
    marks: 12,
};

/// For a phone held upright: about as many units as it has pixels, so that letters keep their size.
pub(super) const NARROW: Frame = Frame {
    class: "small",
    width: 330.0,
    height: 230.0,
    left: 34.0,
    right: 8.0,
    top: 10.0,
    bottom: 38.0,
    letter: 6.6,
    marks: 5,
};

impl Frame {
    /// The same with `more` room above.
    pub(super) fn with_room_above(self, more: f64) -> Frame {
        Frame { height: self.height + more, top: self.top + more, ..self }
    }

    /// How wide what is drawn is.
    pub(super) fn drawn_width(&self) -> f64 {
        self.width - self.left - self.right
    }
}

/// From numbers to places in the picture.
pub(super) struct Scale {
    pub(super) frame: Frame,
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
}

impl Scale {
    pub(super) fn x(&self, value: f64) -> f64 {
        let (low, high) = self.x;
        self.frame.left + (value - low) / (high - low) * self.frame.drawn_width()
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let ((low, high), frame) = (self.y, &self.frame);
        frame.height - frame.bottom - (value - low) / (high - low) * (frame.height - frame.top - frame.bottom)
    }
}

/// The smallest and largest of the numbers that are some; never the same.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match high - low {
        extent if extent > 0.0 => Some((low, high)),
        0.0 => Some((low - 0.5, high + 0.5)),
        _ => None,
    }
}
