//! The engine in a process of its own, and the worker that replaces one that ends. The engine is this test program,
//! started again; that is why it has a `main` of its own.

use std::collections::HashMap;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use forecastd_model::{
    Artefact, Engine, EngineChoice, EngineError, EngineOptions, EngineProcess, EngineProgram, Inference,
    InferenceError, InferenceRequest, InferenceWorker, ProbeError, RestartPolicy, Runtime, WorkerObserver,
    serve_engine,
};
use forecastd_testkit::artefact::{manifest, spec, trend, trend_graph};
use forecastd_testkit::hostile;
use forecastd_testkit::patience::PATIENCE;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("engine") => serve_engine(),
        Some("orphan") => leave_an_orphan(),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

macro_rules! trials {
    ($($name:ident,)*) => {
        fn trials() -> Vec<Trial> {
            vec![$(Trial::test(stringify!($name), || { $name(); Ok(()) })),*]
        }
    };
}

trials![
    outputs_are_those_of_the_engine_in_this_process_bit_for_bit,
    more_windows_than_fit_a_frame_are_answered_in_their_order,
    a_panic_of_the_engine_is_an_error_that_quotes_it,
    a_model_that_fails_on_a_window_that_can_be_is_refused,
    a_model_that_gives_no_finite_numbers_is_refused,
    a_model_that_takes_all_memory_ends_its_own_process,
    a_model_that_is_too_slow_is_refused,
    windows_of_the_caller_are_tried_too,
    files_that_would_fill_the_memory_of_whoever_reads_them_are_refused_with_their_numbers,
    a_pipe_in_the_place_of_the_file_does_not_hold_whoever_reads_it,
    a_missing_library_is_told_from_a_bad_model,
    a_program_that_says_nothing_is_killed_after_the_time_limit,
    a_program_that_ends_at_once_is_quoted,
    a_program_that_says_something_else_is_killed,
    a_program_that_is_not_there_is_an_error,
    the_process_has_no_passwords_in_its_environment,
    the_process_has_limits,
    the_process_ends_with_the_one_that_started_it,
    an_engine_that_is_killed_while_idle_is_started_again_without_a_window,
    an_engine_that_is_killed_costs_no_window_its_outputs,
    an_engine_that_hangs_is_killed_and_costs_one_window_at_most,
    a_poisonous_window_costs_no_other_window_its_outputs,
    a_model_that_keeps_ending_its_engine_is_left_alone_and_tried_again,
    an_exchange_ends_the_pause_of_a_model_that_was_left_alone,
    a_window_of_another_model_is_answered_in_its_turn,
    a_sample_of_hostile_models_harms_nothing,
];

fn options() -> EngineOptions {
    EngineOptions::new(EngineChoice::Tract, None, EngineProgram::itself())
}

/// Options that start a line of the shell as the engine.
fn shell(line: &str) -> EngineOptions {
    let program = EngineProgram { path: "/bin/sh".into(), arguments: vec!["-c".into(), line.into()] };
    EngineOptions { program, ..options() }
}

fn parse(file: &[u8]) -> Arc<Artefact> {
    Arc::new(Artefact::parse(file).unwrap())
}

fn start(file: &[u8]) -> Result<EngineProcess, EngineError> {
    EngineProcess::start(parse(file), &options())
}

fn start_error(file: &[u8]) -> EngineError {
    start(file).err().expect("the model is refused")
}

/// An artefact that gives the first number of the window, and half a degree more for every lead.
fn echo() -> Arc<Artefact> {
    let manifest = manifest(spec(3));
    let mut model = trend_graph(&manifest, 0.5);
    let graph = model.graph.as_mut().unwrap();
    let mut weight = vec![0.0; manifest.window.len() * 24];
    weight[..24].fill(1.0);
    graph.initializer[0] =
        forecastd_model::onnx::Tensor::float("weight", &[manifest.window.len(), 24], &weight);
    parse(&Artefact::assemble(model, &manifest).unwrap())
}

/// A window whose first number is `number`.
fn window(number: f32) -> Vec<f32> {
    let mut window = vec![0.0; 9];
    window[0] = number;
    window
}

/// What [`echo`] gives for it.
fn echoed(number: f32) -> Vec<f32> {
    (1..=24).map(|lead| number + 0.5 * lead as f32).collect()
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn outputs_are_those_of_the_engine_in_this_process_bit_for_bit() {
    let artefact = echo();
    let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
    let mut here = Engine::load(&runtime, &artefact).unwrap();
    let mut there = EngineProcess::start(Arc::clone(&artefact), &options()).unwrap();
    assert_eq!((there.kind(), there.max_batch()), (here.kind(), here.max_batch()));
    for number in [0.0, -0.0, 0.1, 1e-30, 1e30, -7.25] {
        let bits = |outputs: Vec<f32>| outputs.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let window = window(number);
        assert_eq!(bits(there.run(&window, 1).unwrap()), bits(here.run(&window, 1).unwrap()), "{number}");
    }
}

fn more_windows_than_fit_a_frame_are_answered_in_their_order() {
    let mut engine = EngineProcess::start(echo(), &options()).unwrap();
    // A frame of a megabyte holds 29,127 of them.
    let windows: Vec<Vec<f32>> = (0..60_000).map(|index| window(index as f32)).collect();
    let mut next = 0.0;
    engine
        .run_each(windows.iter().map(Vec::as_slice), |outputs| {
            assert_eq!(outputs.unwrap(), echoed(next));
            next += 1.0;
        })
        .unwrap();
    assert_eq!(next, 60_000.0);
}

fn a_panic_of_the_engine_is_an_error_that_quotes_it() {
    let error = start_error(&hostile::flatten_axis(5));
    let EngineError::Died { said: Some(said), .. } = &error else { panic!("{error}") };
    assert!(said.starts_with("panic: ") && said.contains(".rs:"), "{said}");
    let line = error.to_string();
    assert!(line.starts_with("the engine died while it loaded the model (signal: 6 (SIGABRT)"), "{line}");
}

fn a_model_that_fails_on_a_window_that_can_be_is_refused() {
    let error = start_error(&hostile::out_of_bounds());
    assert!(error.to_string().starts_with("the engine died while the model was tried"), "{error}");
}

fn a_model_that_gives_no_finite_numbers_is_refused() {
    let error = start_error(&hostile::constant(f32::NAN));
    assert!(error.to_string().contains("finite"), "{error}");
    // Of finite weights, and finite for zeros.
    let manifest = manifest(spec(3));
    let mut model = trend_graph(&manifest, 0.5);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer[0] = forecastd_model::onnx::Tensor::float("weight", &[9, 24], &[3e38; 216]);
    let error = start_error(&Artefact::assemble(model, &manifest).unwrap());
    assert_eq!(error.to_string(), "it gives a number that is not finite for a window that can be");
}

fn a_model_that_takes_all_memory_ends_its_own_process() {
    // 3.6 GB, of which the process may have half a one.
    let error = start_error(&hostile::tile(100_000_000));
    assert!(matches!(error, EngineError::Died { .. } | EngineError::Refused { .. }), "{error}");
}

fn a_model_that_is_too_slow_is_refused() {
    let options = EngineOptions { running: Duration::from_nanos(5), ..options() };
    let error = EngineProcess::start(trend(3, 0.5), &options).err().unwrap();
    let too_slow = matches!(&error, EngineError::Probe(ProbeError::TooSlow { .. }));
    assert!(too_slow || matches!(error, EngineError::TimedOut { .. }), "{error}");
}

fn windows_of_the_caller_are_tried_too() {
    let file = hostile::poisonous();
    let mut engine = start(&file).unwrap();
    engine.probe(&[window(1.0), window(2.0)].concat()).unwrap();
    let error = engine.probe(&[window(1.0), window(hostile::POISON + 1.0)].concat()).unwrap_err();
    assert!(error.to_string().starts_with("the engine died while the model was tried"), "{error}");
}

fn files_that_would_fill_the_memory_of_whoever_reads_them_are_refused_with_their_numbers() {
    let said = |file: &[u8]| Artefact::parse(file).unwrap_err().to_string();
    assert_eq!(said(&hostile::empty_nodes(1_000_000)), "a graph of 1000002 nodes, at most 10000 are read");
    assert_eq!(said(&hostile::chain(100_000)), "a graph of 100002 nodes, at most 10000 are read");
    let manifest = manifest(spec(3));
    let mut model = trend_graph(&manifest, 0.5);
    let numbers = forecastd_model::onnx::Tensor { int64_data: vec![0; 20_000_000], ..Default::default() };
    model.graph.as_mut().unwrap().initializer.push(numbers);
    let file = Artefact::assemble(model, &manifest).unwrap();
    let said = said(&file);
    assert!(said.starts_with(&format!("a file of {} bytes that takes 3200", file.len())), "{said}");
}

fn a_pipe_in_the_place_of_the_file_does_not_hold_whoever_reads_it() {
    let folder = std::env::temp_dir().join(format!("forecastd-pipe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pipe = folder.join("model.onnx");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = Artefact::read(&pipe).unwrap_err();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(error.to_string(), "not a regular file");
}

fn a_missing_library_is_told_from_a_bad_model() {
    let with = |choice, library: Option<&str>| {
        let options = EngineOptions::new(choice, library.map(Into::into), EngineProgram::itself());
        EngineProcess::start(trend(3, 0.5), &options).err().unwrap()
    };
    let error = with(EngineChoice::OnnxRuntime, Some("/nowhere/libonnxruntime.so"));
    assert!(matches!(error, EngineError::Library(_)), "{error}");
    let error = with(EngineChoice::Auto, Some("/etc/passwd"));
    assert!(matches!(error, EngineError::Library(_)), "{error}");
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        let error = with(EngineChoice::OnnxRuntime, None);
        assert!(matches!(error, EngineError::NoLibrary), "{error}");
    }
}

fn a_program_that_says_nothing_is_killed_after_the_time_limit() {
    let options = EngineOptions { loading: Duration::from_millis(200), ..shell("exec sleep 1000") };
    let error = EngineProcess::start(trend(3, 0.5), &options).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the engine was killed while it loaded the model: it took longer than 0.2 s"
    );
}

fn a_program_that_ends_at_once_is_quoted() {
    let error =
        EngineProcess::start(trend(3, 0.5), &shell("echo first >&2; echo last >&2; exit 3")).err().unwrap();
    let line = error.to_string();
    assert_eq!(line, "the engine died while it loaded the model (exit status: 3): last");
}

fn a_program_that_says_something_else_is_killed() {
    let error = EngineProcess::start(trend(3, 0.5), &shell("echo hello >&0; exec sleep 1000")).err().unwrap();
    let line = error.to_string();
    assert_eq!(line, "the engine was killed while it loaded the model: its answer cannot be understood");
}

fn a_program_that_is_not_there_is_an_error() {
    let program = EngineProgram { path: "/nowhere/forecastd".into(), arguments: Vec::new() };
    let options = EngineOptions { program, ..options() };
    let error = EngineProcess::start(trend(3, 0.5), &options).err().unwrap();
    assert!(error.to_string().starts_with("cannot start the process of the engine: No such file"), "{error}");
}

fn the_process_has_no_passwords_in_its_environment() {
    // What everybody's environment holds stands for what the daemon's may hold.
    assert!(std::env::var_os("PATH").is_some());
    let line = "tr '\\0' '\\n' </proc/$$/environ | grep -c PATH= >&2; exit 1";
    let program = EngineProgram {
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), format!("PATH=/usr/bin:/bin; {line}").into()],
    };
    let options = EngineOptions { program, ..options() };
    let error = EngineProcess::start(trend(3, 0.5), &options).err().unwrap();
    let passed_on = ["ORT_DYLIB_PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];
    let expected = passed_on.iter().filter(|name| std::env::var_os(name).is_some()).count();
    assert!(error.to_string().ends_with(&format!(": {expected}")), "{error}");
}

fn the_process_has_limits() {
    let engine = EngineProcess::start(trend(3, 0.5), &options()).unwrap();
    let of_process = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", engine.process_id()));
    let limits = of_process("limits").unwrap();
    let soft_and_hard = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(|limit| limit.parse().unwrap()).collect::<Vec<u64>>()
    };
    let memory = 512 * 1024 * 1024 + 8 * trend(3, 0.5).bytes().len() as u64;
    assert_eq!(soft_and_hard("Max data size"), [memory; 2]);
    assert_eq!(soft_and_hard("Max core file size"), [0; 2]);
    assert_eq!(soft_and_hard("Max open files"), [64; 2]);
    assert_eq!(of_process("oom_score_adj").unwrap().trim(), "1000");
    let (now, peak) = engine.resident_bytes().unwrap();
    assert!(0 < now && now <= peak);
}

/// Starts an engine, says which process it is, and dies without a farewell.
#[expect(clippy::print_stdout, reason = "the test that started this process reads it")]
fn leave_an_orphan() -> ExitCode {
    let engine = EngineProcess::start(trend(3, 0.5), &options()).unwrap();
    println!("{}", engine.process_id());
    signal(std::process::id(), "KILL");
    unreachable!("it was killed")
}

fn the_process_ends_with_the_one_that_started_it() {
    let mut parent = Command::new(std::env::current_exe().unwrap());
    let output = parent.arg("orphan").stderr(Stdio::inherit()).output().unwrap();
    assert!(!output.status.success());
    let process: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    until("the end of the engine", || {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Nobody may have asked how it ended.
        (status.is_empty() || status.contains(") Z ") || status.contains(") X ")).then_some(())
    });
}

/// What a worker told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Ended(String),
    Restarted,
    Unusable(String),
}

/// A worker, and all that comes from it.
struct Watched {
    worker: InferenceWorker<usize>,
    answers: mpsc::Receiver<Inference<usize>>,
    told: Arc<Mutex<Vec<Told>>>,
    /// The engine that runs now.
    process: u32,
}

struct Observer(Arc<Mutex<Vec<Told>>>);

impl WorkerObserver for Observer {
    fn batch(&self, _: usize, _: Duration) {}

    fn alive(&self) {}

    fn engine_ended(&self, error: &EngineError) {
        self.0.lock().unwrap().push(Told::Ended(error.to_string()));
    }

    fn engine_restarted(&self) {
        self.0.lock().unwrap().push(Told::Restarted);
    }

    fn model_unusable(&self, artefact: &Arc<Artefact>, _: &EngineError) {
        self.0.lock().unwrap().push(Told::Unusable(artefact.sha256.clone()));
    }
}

impl Watched {
    fn start(artefact: Arc<Artefact>, options: &EngineOptions, policy: RestartPolicy) -> Watched {
        let engine = EngineProcess::start(artefact, options).unwrap();
        let process = engine.process_id();
        let (sender, answers) = mpsc::channel();
        let told = Arc::new(Mutex::new(Vec::new()));
        let answer = move |inference| drop(sender.send(inference));
        let worker =
            InferenceWorker::start_with(policy, engine, Observer(Arc::clone(&told)), answer).unwrap();
        Watched { worker, answers, told, process }
    }

    fn infer(&self, key: usize, window: Vec<f32>) {
        self.worker.infer(InferenceRequest { key, window });
    }

    fn answer(&self) -> (usize, Result<Vec<f32>, InferenceError>) {
        let inference = self.answers.recv_timeout(PATIENCE).unwrap();
        (inference.key, inference.outputs)
    }

    fn told<T>(&self, look: impl Fn(&[Told]) -> T) -> T {
        look(&self.told.lock().unwrap())
    }
}

/// Windows wait for a restart for as long as it takes.
fn patient() -> RestartPolicy {
    RestartPolicy { patience: PATIENCE, ..RestartPolicy::default() }
}

fn an_engine_that_is_killed_while_idle_is_started_again_without_a_window() {
    let watched = Watched::start(echo(), &options(), patient());
    signal(watched.process, "KILL");
    until("another engine", || watched.told(|told| (told.last() == Some(&Told::Restarted)).then_some(())));
    watched.told(|told| {
        let Told::Ended(error) = &told[0] else { panic!("{told:?}") };
        assert_eq!(error, "the engine died while there was nothing to do (signal: 9 (SIGKILL))");
    });
    watched.infer(1, window(4.0));
    assert_eq!(watched.answer(), (1, Ok(echoed(4.0))));
}

fn an_engine_that_is_killed_costs_no_window_its_outputs() {
    let watched = Watched::start(echo(), &options(), patient());
    // It is killed with windows in its hands.
    signal(watched.process, "STOP");
    for key in 0..100 {
        watched.infer(key, window(key as f32));
    }
    signal(watched.process, "KILL");
    for key in 0..100 {
        assert_eq!(watched.answer(), (key, Ok(echoed(key as f32))));
    }
    watched.told(|told| assert!(matches!(told, [Told::Ended(_), Told::Restarted]), "{told:?}"));
}

fn an_engine_that_hangs_is_killed_and_costs_one_window_at_most() {
    // Long enough for a machine that is busy.
    let options = EngineOptions { running: Duration::from_secs(5), ..options() };
    let watched = Watched::start(echo(), &options, patient());
    signal(watched.process, "STOP");
    for key in 0..10 {
        watched.infer(key, window(key as f32));
    }
    for expected in 0..10 {
        let (key, outputs) = watched.answer();
        assert_eq!(key, expected);
        match (key, outputs) {
            // The first may have been sent alone, before the others were there.
            (0, Err(InferenceError::Engine(message))) => {
                assert_eq!(message, "the engine was killed in a forecast: it took longer than 5 s");
            }
            (_, outputs) => assert_eq!(outputs, Ok(echoed(key as f32))),
        }
    }
    watched.told(|told| assert!(matches!(told, [Told::Ended(_), Told::Restarted]), "{told:?}"));
}

fn a_poisonous_window_costs_no_other_window_its_outputs() {
    let watched = Watched::start(parse(&hostile::poisonous()), &options(), patient());
    for key in 0..20 {
        watched.infer(key, window(if key == 7 { hostile::POISON + 1.0 } else { 1.0 }));
    }
    let trend: Vec<f32> = (1..=24).map(|lead| 0.5 * lead as f32).collect();
    for expected in 0..20 {
        let (key, outputs) = watched.answer();
        assert_eq!(key, expected);
        match (key, outputs) {
            (7, Err(InferenceError::Engine(message))) => assert!(message.contains("panic"), "{message}"),
            (_, outputs) => assert_eq!(outputs, Ok(trend.clone()), "{key}"),
        }
    }
    // Once among others, once alone.
    watched.told(|told| {
        let ended = told.iter().filter(|told| matches!(told, Told::Ended(_))).count();
        let unusable = told.iter().filter(|told| matches!(told, Told::Unusable(_))).count();
        assert_eq!((ended, unusable), (2, 0), "{told:?}");
    });
}

fn a_model_that_keeps_ending_its_engine_is_left_alone_and_tried_again() {
    let policy = RestartPolicy {
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_millis(400),
        within: PATIENCE,
        ..patient()
    };
    let artefact = parse(&hostile::poisonous());
    let watched = Watched::start(Arc::clone(&artefact), &options(), policy);
    for key in 0..10 {
        watched.infer(key, window(hostile::POISON + 1.0));
    }
    for expected in 0..10 {
        let (key, outputs) = watched.answer();
        assert_eq!(key, expected);
        assert!(outputs.is_err());
    }
    watched.told(|told| {
        let unusable: Vec<&Told> = told.iter().filter(|told| matches!(told, Told::Unusable(_))).collect();
        assert_eq!(unusable, [&Told::Unusable(artefact.sha256.clone())]);
    });
    until("outputs again", || {
        watched.infer(10, window(1.0));
        watched.answer().1.ok()
    });
}

fn an_exchange_ends_the_pause_of_a_model_that_was_left_alone() {
    let watched = Watched::start(parse(&hostile::poisonous()), &options(), patient());
    for key in 0..3 {
        watched.infer(key, window(hostile::POISON + 1.0));
    }
    for key in 0..3 {
        assert_eq!(watched.answer().0, key);
    }
    watched.worker.exchange(EngineProcess::start(echo(), &options()).unwrap());
    watched.infer(3, window(1.0));
    assert_eq!(watched.answer(), (3, Ok(echoed(1.0))));
}

fn a_window_of_another_model_is_answered_in_its_turn() {
    let watched = Watched::start(echo(), &options(), patient());
    watched.infer(0, window(0.0));
    watched.infer(1, vec![0.0; 8]);
    watched.infer(2, window(2.0));
    assert_eq!(watched.answer(), (0, Ok(echoed(0.0))));
    assert_eq!(watched.answer(), (1, Err(InferenceError::OtherModel)));
    assert_eq!(watched.answer(), (2, Ok(echoed(2.0))));
}

fn a_sample_of_hostile_models_harms_nothing() {
    // Everything, in a few minutes: cargo run --example hostile -- 1000
    let options = EngineOptions { loading: Duration::from_secs(5), ..options() };
    let mut found: HashMap<&str, usize> = HashMap::new();
    for (name, file) in hostile::models(800).into_iter().step_by(13) {
        let outcome = match Artefact::parse(&file) {
            Err(_) => "refused unseen",
            Ok(artefact) => match EngineProcess::start(Arc::new(artefact), &options) {
                Ok(mut engine) => {
                    engine.run(&window(1.0), 1).unwrap_or_else(|error| panic!("{name}: {error}"));
                    "runs"
                }
                Err(EngineError::Refused { .. } | EngineError::Probe(_)) => "refused",
                Err(EngineError::Died { .. }) => "died",
                Err(EngineError::TimedOut { .. }) => "hung",
                Err(error) => panic!("{name}: {error}"),
            },
        };
        *found.entry(outcome).or_default() += 1;
    }
    // They are hostile in earnest: each of these came.
    for outcome in ["refused unseen", "runs", "refused", "died"] {
        assert!(found.contains_key(outcome), "{found:?}");
    }
}
