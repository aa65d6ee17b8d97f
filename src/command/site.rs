//! Where the station of a record stands, as options say it.

use forecastd_core::{Site, SiteError};

/// The options that say where the station of a record stands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SiteOptions {
    /// Where the station stands, degrees north; else what the file or its mapping says. The readings must agree with it.
    #[arg(long, value_name = "DEGREES", requires = "longitude", allow_negative_numbers = true)]
    pub latitude: Option<f64>,
    /// Where the station stands, degrees east.
    #[arg(long, value_name = "DEGREES", requires = "latitude", allow_negative_numbers = true)]
    pub longitude: Option<f64>,
    /// Where the station stands, metres above sea level.
    #[arg(long, value_name = "METRES", requires = "latitude", allow_negative_numbers = true)]
    pub elevation: Option<f64>,
}

impl SiteOptions {
    /// The site that they say, if they do.
    ///
    /// # Errors
    /// [`SiteError`] when it is not on earth.
    pub fn site(&self) -> Result<Option<Site>, SiteError> {
        Site::given(self.latitude, self.longitude, self.elevation)
    }
}
