//! How good a model is on a record: scores beside reference forecasts, charts, and a page of them.

mod chart;
mod experiment;
mod fan;
mod figures;
mod page;
mod picture;
mod report;
mod scoring;
mod ticks;
mod verdict;

pub use experiment::{Experiment, TrainingCurve};
pub use fan::{Fan, FanLead};
pub use figures::{Beside, Calibration, PartFigures};
pub use report::Report;
pub use scoring::cases::{Case, cases};
pub use scoring::comparison::{ComparedLead, Comparison};
pub use scoring::error::EvaluateError;
pub use scoring::kinship::{Kinship, common_cases, evaluation_parts};
pub use scoring::lead_errors::{LeadErrors, PartErrors, finite};
pub use scoring::others::{OtherForecast, OtherForecasts, OtherForecastsError};
