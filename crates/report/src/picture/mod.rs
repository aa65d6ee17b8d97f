//! The pictures of a page: each turns what was summed up into a chart.

mod calibration;
mod fan;
mod hours_and_months;
mod leads;
mod loss;
mod part;
mod record;
mod weeks;

pub(crate) use hours_and_months::MONTHS;
pub(crate) use record::Overview;
