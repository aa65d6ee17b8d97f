//! What is learned: windows, losses, and what the engines make of the weights.

use std::sync::Arc;
use std::time::Duration;

use std::collections::HashMap;

use burn::tensor::Device;
use forecastd_core::Refit;
use forecastd_core::Slot;
use forecastd_core::StationName;
use forecastd_core::{ModelWindow, Next, Station};
use forecastd_model::{Artefact, Engine, EngineChoice, Runtime};
use forecastd_record::CsvReader;
use forecastd_record::{Record, RecordSource};

use forecastd_testkit::needed;

use crate::{invented, shipped};

#[test]
#[ignore = "needs the real records: FORECASTD_DATA"]
fn a_record_gives_the_windows_of_the_live_station_bit_for_bit() {
    let path = needed::record("jena_2020_10min.csv");
    let artefact = std::sync::Arc::new(shipped());
    let spec = artefact.manifest.window.clone();
    let site = spec.site.unwrap();
    let source = RecordSource::new(path.clone(), None);
    let record = Record::read(&source, spec.grid(), &spec.quantities()).unwrap();
    let name = StationName::new("jena").unwrap();
    let mut station = Station::new(name, Arc::new(artefact.description()));
    let mut live: HashMap<Slot, Vec<f32>> = HashMap::new();
    for reading in CsvReader::open(&path, None).unwrap() {
        let (time, values) = reading.unwrap();
        if let Ok(observed) = station.observe(time, values, time, Duration::ZERO)
            && let Next::Infer(number, mut windows) = observed.next
            && let Some(ModelWindow { model, window }) = windows.pop()
        {
            live.insert(spec.grid().slot(time), window);
            station.answer(number, &model.id, None);
            station.next_completed();
        }
    }
    let mut window = vec![0.0; spec.len()];
    for (&slot, live) in &live {
        spec.fill(record.history(), site, slot, &mut window).unwrap();
        artefact.manifest.normalisation.apply(&mut window);
        assert!(window.iter().zip(live).all(|(a, b)| a.to_bits() == b.to_bits()), "slot {slot}");
    }
    assert!(live.len() > 50_000, "{} windows", live.len());
}

#[test]
#[ignore = "needs the real records: FORECASTD_DATA"]
fn burn_and_the_engine_agree_on_a_thousand_real_windows() {
    use forecastd_core::TargetKind;
    use forecastd_core::WindowSpec;
    use forecastd_record::DEFAULT_SPLIT;
    use forecastd_train::dataset::{Dataset, TargetSpec};
    use forecastd_train::fit::{FitSettings, Schedule, StopRule, fit};
    use forecastd_train::optimiser::OptimiserKind;
    use forecastd_train::pair::{BranchKind, BranchObjective, Pair, PairData, PairSettings};
    use forecastd_train::predictors;

    let shipped = shipped();
    // The year has the wind's direction, the eight years have not.
    for (name, with_direction) in [("jena_2009_2016_hourly.csv", false), ("jena_2020_10min.csv", true)] {
        let path = needed::record(name);
        let spec =
            WindowSpec { features: predictors::features(with_direction), ..shipped.manifest.window.clone() };
        let record = Record::read(&RecordSource::new(path, None), spec.grid(), &spec.quantities()).unwrap();
        let target = TargetSpec {
            kind: TargetKind::DifferenceToNewest,
            lead_h: (1..=24).collect(),
            windows_within_part: false,
        };
        let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &target, None).unwrap();
        let data = PairData::new(&dataset, &record);
        let settings =
            PairSettings { hidden: vec![128, 128], units: 48, dropout: 0.2, state_dropout: 0.1, noise: 0.3 };
        let fitting = FitSettings {
            epochs: 1,
            steps: Some(129),
            batch: 256,
            shards: 1,
            optimiser: OptimiserKind::AdamW { weight_decay: 0.01 },
            learning_rate: 4e-3,
            schedule: Schedule::Constant,
            clip_norm: Some(1.0),
            averaging: None,
            patience: None,
            seed: 1,
        };
        let device = Device::flex().autodiff();
        let objective = BranchObjective::new(&data, &settings, device.clone());
        // An untrained network has quantiles so close to each other that the interval's stretch is a thousandfold.
        let branches = [BranchKind::Dense, BranchKind::Recurrent].map(|kind| {
            let branch = data.branch(kind, &settings, &device, &mut fitting.initial_generator());
            fit(&objective, branch, &fitting, StopRule::Best, None, &Default::default(), &mut ())
                .unwrap()
                .model
        });
        let (pair, _) = Pair::calibrated(&data, branches);
        let mut manifest = shipped.manifest.clone();
        manifest.target = dataset.target.clone();
        manifest.window = spec.clone();
        manifest.normalisation = dataset.windows.normalisation().clone();
        let file = Artefact::assemble(pair.export(&dataset), &manifest).unwrap();
        let artefact = Artefact::parse(&file).unwrap();
        let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
        let mut engine = Engine::load(&runtime, &artefact).unwrap();
        let indices: Vec<usize> = (0..1000).map(|index| index * dataset.validation.len() / 1000).collect();
        let windows = dataset.gather(&dataset.validation, &indices);
        let by_burn = pair.forward(&windows, indices.len());
        let by_engine: Vec<f32> =
            windows.chunks_exact(spec.len()).flat_map(|window| engine.run(window, 1).unwrap()).collect();
        let unit_c = dataset.target.standard_deviation;
        let largest = by_burn.iter().zip(&by_engine).map(|(a, b)| (a - b).abs() * unit_c).fold(0.0, f32::max);
        assert!(largest < 1e-4, "{name}: {largest} °C apart");
    }
}

/// The loss that is trained on, as tensors, is the one that is validated by, written down as in the definition of the
/// pinball loss (Koenker and Bassett 1978).
#[test]
fn a_branch_learns_by_the_loss_that_it_is_validated_by() {
    use burn::module::Module;
    use forecastd_core::TargetKind;
    use forecastd_record::DEFAULT_SPLIT;
    use forecastd_train::dataset::{Dataset, Examples, TargetSpec};
    use forecastd_train::fit::Objective;
    use forecastd_train::pair::{BranchKind, BranchObjective, PairData, PairSettings};
    use rand::SeedableRng;

    let folder = tempfile::tempdir().unwrap();
    let source = RecordSource::new(invented(folder.path()), None);
    let spec = shipped().manifest.window;
    let record = Record::read(&source, spec.grid(), &spec.quantities()).unwrap();
    let target = TargetSpec {
        kind: TargetKind::DifferenceToNewest,
        lead_h: (1..=24).collect(),
        windows_within_part: false,
    };
    let mut dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &target, None).unwrap();
    // The first hundred examples, which have all their targets, are both trained on and validated by.
    let first = Examples {
        origins: dataset.train.origins[..100].to_vec(),
        newest_c: dataset.train.newest_c[..100].to_vec(),
        targets: dataset.train.targets[..100 * 24].to_vec(),
    };
    assert!(first.targets.iter().all(|target| !target.is_nan()));
    (dataset.train, dataset.validation) = (first.clone(), first);
    let data = PairData::new(&dataset, &record);
    let settings = PairSettings { hidden: vec![16], units: 8, dropout: 0.0, state_dropout: 0.0, noise: 0.0 };
    let device = Device::flex().autodiff();
    let objective = BranchObjective::new(&data, &settings, device.clone());
    let all: Vec<usize> = (0..100).collect();
    for kind in [BranchKind::Dense, BranchKind::Recurrent] {
        let mut generator = rand_pcg::Pcg64::seed_from_u64(3);
        let branch = data.branch(kind, &settings, &device, &mut generator);
        let learned: f32 = objective.loss(&branch, &all, &mut generator).into_scalar();
        let validated = objective.validate(&branch.valid()).loss;
        assert!((f64::from(learned) - validated).abs() < 1e-5 * validated, "{learned}, {validated}");
    }
}

/// Where the penalised sum of squares is smallest, its gradient is zero: the residuals' products with each term are the
/// penalty times the term's coefficient.
#[test]
fn the_ridge_regression_is_where_the_gradient_is_zero() {
    use burn::tensor::{Tensor, TensorData};
    use forecastd_core::Quantity;
    use forecastd_core::Site;
    use forecastd_record::DEFAULT_SPLIT;
    use forecastd_train::dataset::Dataset;
    use forecastd_train::experiment::{Method, by_name};
    use forecastd_train::ridge::Ridge;

    let folder = tempfile::tempdir().unwrap();
    let source = RecordSource::new(invented(folder.path()), None);
    let Method::Ridge(recipe) = by_name("ridge").unwrap().method else { panic!("ridge is another method") };
    let grid = forecastd_core::Grid::new(600).unwrap();
    let record = Record::read(&source, grid, &recipe.task.quantities(&Quantity::ALL)).unwrap();
    let spec = recipe.task.window(&record, Site::new(50.9, 11.6));
    let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &recipe.task.target(), None).unwrap();
    let penalty = 0.01;
    let ridge = Ridge::fit(&dataset, &[penalty]).unwrap();
    let leads = dataset.lead_h.len();
    let targets = |example: usize| &dataset.train.targets[example * leads..][..leads];
    let examples: Vec<usize> = (0..dataset.train.len())
        .filter(|&example| targets(example).iter().all(|target| !target.is_nan()))
        .collect();
    let windows = dataset.gather(&dataset.train, &examples);
    let shape = [examples.len(), spec.samples, spec.features.len()];
    let x = Tensor::<3>::from_data(TensorData::new(windows.clone(), shape), &Device::flex());
    let outputs: Vec<f32> = ridge.network.forward(x, None).into_data().try_to_vec().unwrap();
    let numbers = ridge.network.output.numbers();
    let residual = |row: usize, lead: usize| {
        f64::from(targets(examples[row])[lead]) - f64::from(outputs[row * leads + lead])
    };
    let count = examples.len() as f64;
    let mut terms = 0;
    for lead in [0, leads - 1] {
        for position in 0..spec.len() {
            let coefficient = f64::from(numbers.weight[position * leads + lead]);
            if coefficient == 0.0 {
                continue;
            }
            let products = (0..examples.len())
                .map(|row| residual(row, lead) * f64::from(windows[row * spec.len() + position]));
            let gradient = products.sum::<f64>() / count - penalty * coefficient;
            assert!(gradient.abs() < 1e-4, "lead {lead}, term {position}: {gradient}");
            terms += 1;
        }
        let mean = (0..examples.len()).map(|row| residual(row, lead)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-4, "the constant is free of the penalty: {mean}");
    }
    // 72 samples of five quantities, and seven features of the newest sample, for two leads.
    assert_eq!(terms, 2 * (72 * 5 + 7));
}

#[test]
fn what_is_trained_on_shares_no_outcome_with_the_block_that_is_left_out() {
    use forecastd_core::TargetKind;
    use forecastd_record::DEFAULT_SPLIT;
    use forecastd_train::dataset::{Dataset, TargetSpec};

    let folder = tempfile::tempdir().unwrap();
    let source = RecordSource::new(invented(folder.path()), None);
    let spec = shipped().manifest.window;
    let record = Record::read(&source, spec.grid(), &spec.quantities()).unwrap();
    let target =
        TargetSpec { kind: TargetKind::DifferenceToNewest, lead_h: vec![1, 24], windows_within_part: false };
    let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &target, Some(Refit::Validation)).unwrap();
    let hour = 3600 / i64::from(spec.grid_step_s);
    let mut left_out = Vec::new();
    for block in 0..4 {
        let rest = dataset.without_block(block, 4);
        let outcomes = |origins: &[Slot]| -> std::collections::BTreeSet<Slot> {
            origins.iter().flat_map(|origin| (1..=24).map(move |lead| origin + lead * hour)).collect()
        };
        let held = outcomes(&rest.validation.origins);
        assert!(held.is_disjoint(&outcomes(&rest.train.origins)), "block {block}");
        // All else is trained on: what is far enough away on either side.
        let near = dataset.train.len() - rest.train.len() - rest.validation.len();
        assert!(near <= 2 * 24, "{near} examples of block {block} are in neither");
        left_out.extend_from_slice(&rest.validation.origins);
        // Each example keeps its own targets.
        let at = dataset.train.origins.binary_search(&rest.validation.origins[0]).unwrap();
        assert_eq!(rest.validation.targets[..2], dataset.train.targets[2 * at..][..2], "block {block}");
    }
    assert_eq!(left_out, dataset.train.origins, "every example is left out once");
}
