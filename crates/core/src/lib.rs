//! The pure middle of forecastd: what a weather station measures, what a model is given of it, what is forecast, and how
//! good that was. No clock, no file, no socket, no thread: time and readings come in as values.
//!
//! | module | contents |
//! | --- | --- |
//! | `weather` | quantities and their units, thermodynamics, the sun, readings and the names of stations |
//! | `intake` | readings merged into slots, and what is believed of them |
//! | `window` | the time grid, the ring buffer of a station, features, the input of a model |
//! | `model` | what the numbers of a model mean: the manifest and its statistics |
//! | `forecast` | forecasts, reference forecasts, scores, verification |
//! | `station` | one station as a state machine |
//! | `service` | all stations as one state machine: what is journalled, forecast, published, acknowledged and told |
//! | `journal` | what is made durable, and what a restart gets back |

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod forecast;
pub mod intake;
mod journal;
mod model;
mod number;
mod service;
mod station;
mod weather;
mod window;

/// The name of the program, by which model files and reports say what made them.
pub const PROGRAM: &str = "forecastd";

pub use forecast::baseline::{Climatology, same_time_yesterday};
pub use forecast::cholesky::Cholesky;
pub use forecast::day_ahead::{Below, DayAhead, Extreme, from_thousandths, to_thousandths};
pub use forecast::day_scores::{BelowTotals, DayScore, DayScores, DayTotals, ExtremeTotals};
pub use forecast::day_verification::DayVerification;
pub use forecast::experts::{
    Advice, Combination, CombinedLead, Distances, Experts, LEVELS, LeadAdvice, LeadStanding, MODEL_PRIOR,
    QUANTILES, REFERENCES, References, Spread, Standing,
};
pub use forecast::lead_scores::{LeadScores, LeadTotals, ROLLING_DAYS, Score, Scores};
pub use forecast::past::{DailyScore, Observations, PastForecast, daily_scores};
pub use forecast::quantiles::probability_below;
pub use forecast::score::{Coverage, ErrorSum};
pub use forecast::verification::Verification;
pub use forecast::{Forecast, LeadForecast, Source, from_centidegrees, to_centidegrees};
pub use intake::merge::OpenSlot;
pub use intake::screening::{Dropped, Implausible, Screening};
pub use journal::{Batch, Entry, Recall, Restored};
pub use model::Model;
pub use model::excerpt::excerpt;
pub use model::manifest::{FORMAT_VERSION, MANIFEST_KEY, Manifest, ManifestError};
pub use model::normalisation::Normalisation;
pub use model::outputs::{DecodedLead, decode_outputs};
pub use model::ranges::{Measure, Ranges};
pub use model::set::{Models, SpecialistError};
pub use model::target::{Target, TargetKind};
pub use model::training::{LeadScore, PartScores, Refit, Split, TrainedRecord, Training};
pub use number::to_single;
pub use service::{
    Discovery, DiscoverySettings, Effect, Event, ForNobody, Input, Now, Publication, Service, Settings,
    StationList, StationQuery, StationState, StationView, Token, VerificationView,
};
pub use station::{
    Completed, EARLIEST_READING_S, ModelWindow, Next, Observed, Oddity, Readiness, Rejected, ReportedPlace,
    Setup, Sighting, Station, humanize,
};
pub use weather::place::{Place, PlaceError, Places, Precision};
pub use weather::pressure::{
    ReducedPressure, Reduction, pressure_from_altimeter_setting_hpa, station_pressure_hpa,
};
pub use weather::quantity::{Quantity, UnknownQuantity, Values};
pub use weather::reading::{Reading, StationName, StationNameError};
pub use weather::site::{Site, SiteError};
pub use weather::solar::year_phase;
pub use weather::thermodynamics;
pub use weather::units::{Unit, UnitError};
pub use window::feature::{Feature, UnknownFeature, Wave};
pub use window::grid::{Grid, Slot};
pub use window::history::{History, Inserted};
pub use window::spec::{Missing, MissingValues, WindowSpec, WindowSpecError};
