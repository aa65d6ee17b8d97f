//! Export: the best network is evaluated, refitted if that is wanted, and written; and the report.

use std::rc::Rc;

use forecastd_atomic_file as atomic_file;
use forecastd_core::Refit;
use forecastd_model::Artefact;
use forecastd_record::{DEFAULT_SPLIT, Part};
use forecastd_report::PartErrors;
use forecastd_report::{PartFigures, Report};

use super::TrainingRun;
use crate::candidate::{Candidate, check_gain};
use crate::error::TrainError;
use crate::options;
use crate::progress::TrainingEvent;
use crate::summary::{ExperimentResult, ReviewResult};

impl TrainingRun<'_> {
    /// Scores the best network, writes it if it is good for anything, and writes the report.
    pub(crate) fn finish(&mut self) -> Result<(), TrainError> {
        let candidate = self.candidate.take();
        let mut figures = Vec::new();
        let shipped = match &candidate {
            Some(candidate) => self.export(candidate, &mut figures),
            None => Ok(()),
        };
        // A model that is refused is one that its user wants to look at.
        if let Some(path) = self.options.report.as_ref().filter(|_| self.summary.report.is_none()) {
            let record = candidate.as_ref().map(|candidate| Rc::clone(&candidate.record));
            let record = record.or_else(|| self.record.as_ref().map(|(_, record)| Rc::clone(record)));
            let mut report = Report::new(record.as_deref());
            if let Some(record) = &record {
                let refit = self.options.refit.filter(|_| shipped.is_ok());
                report.mark_parts(record, DEFAULT_SPLIT, refit);
            }
            if let Some(candidate) = &candidate {
                report.describe_model(self.name(candidate));
            }
            report.experiments = self.summary.results.iter().map(ExperimentResult::report).collect();
            report.experiments.extend(self.summary.reviews.iter().map(ReviewResult::report));
            report.parts = figures;
            if let Some(own) = &self.summary.own {
                report.conclude(format!("What the station's own history adds: {own}."), own.is_gain());
            }
            atomic_file::write(path, report.to_string().as_bytes())?;
            self.summary.report = Some(path.clone());
        }
        shipped
    }

    /// The model's name: what the user says, the file's, or the experiment's.
    fn name(&self, candidate: &Candidate) -> String {
        let stem = self.options.out.as_deref().and_then(options::stem);
        self.options.name.clone().or(stem).unwrap_or_else(|| candidate.facts.experiment.to_owned())
    }

    /// Scores a network on a part of its record.
    fn score(
        &mut self,
        candidate: &Candidate,
        part: Part,
        figures: &mut Vec<PartFigures>,
    ) -> Result<PartErrors, TrainError> {
        self.check_interrupted()?;
        let (cases, fan) = candidate.cases(part)?;
        let errors = candidate.errors(part, &cases);
        if let Some(last) = errors.leads.last() {
            let (mae_c, persistence_c) = (last.model.mae(), last.persistence.mae());
            let evaluated = TrainingEvent::Evaluated {
                part: part.name(),
                refit: candidate.refit(),
                lead_h: last.lead_h,
                mae_c,
                persistence_c,
            };
            self.observer.event(&evaluated);
        }
        let quantiles = &candidate.facts.quantiles;
        let site = self.site(&candidate.record)?;
        let of_part = PartFigures::new(&candidate.record, site, &errors, &cases, quantiles);
        figures.push(of_part.with_fan(fan));
        Ok(errors)
    }

    fn export(&mut self, chosen: &Candidate, figures: &mut Vec<PartFigures>) -> Result<(), TrainError> {
        let refit = self.options.refit;
        let mut validation = self.score(chosen, Part::Validation, figures)?;
        let Some(out) = &self.options.out else { return Ok(()) };
        if !self.options.ship_anyway {
            check_gain(&validation)?;
        }
        let refitted = refit.map(|refit| self.refit(chosen, refit)).transpose()?;
        let shipped = refitted.as_ref().unwrap_or(chosen);
        // The test part is looked at for the model that is shipped alone, unless that was trained on it.
        let knows_test = refit == Some(Refit::Whole);
        let evaluated = if knows_test { chosen } else { shipped };
        let mut test = self.score(evaluated, Part::Test, figures)?;
        (validation.before_refit, test.before_refit) = (refit.is_some(), knows_test);
        for (figures, errors) in figures.iter_mut().zip([&validation, &test]) {
            figures.errors.before_refit = errors.before_refit;
        }
        let manifest = shipped.manifest(&self.name(shipped), vec![validation.scores(), test.scores()]);
        self.summary.parts = vec![validation, test];
        atomic_file::write(out, &Artefact::assemble(shipped.model.clone(), &manifest)?)?;
        self.observer.event(&TrainingEvent::Written { path: out });
        self.summary.written = Some(out.clone());
        Ok(())
    }
}
