//! What the command line says of itself, and what `check` says of configurations: recorded, as in `characterisation`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use forecastd_testkit::artefact;

/// Exit code and both outputs of the program in `folder`, whose path is left out.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forecastd"));
    let output = command.args(arguments).env_clear().current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let folder = folder.display().to_string();
    let said = format!(
        "{}--- standard error\n{}--- exit code {}\n",
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap()
    );
    said.replace(&folder, "FOLDER")
}

fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    compare("help", &said(folder.path(), &["--help"]));
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    let mut explained = 0;
    while let Some(line) = lines.pop() {
        for command in commands(folder.path(), &line) {
            let line = [line.clone(), vec![command]].concat();
            let words: Vec<&str> = line.iter().map(String::as_str).chain(["--help"]).collect();
            compare(&format!("help_{}", line.join("_")), &said(folder.path(), &words));
            explained += 1;
            lines.push(line);
        }
    }
    assert!(explained > 15, "{explained}");
}

#[test]
fn check_says_every_fault_in_one_go_and_what_works_but_should_not_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8], mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let check = |configuration: &str| {
        write("forecastd.toml", configuration.as_bytes(), 0o644);
        said(folder.path(), &["check", "--config", "forecastd.toml"])
    };
    write("model.onnx", &artefact::trend_file(3, 0.5), 0o644);
    let model = "[model]\npath = \"model.onnx\"\nengine = \"tract\"\n";
    compare("check_good", &check(model));

    write("password", b"hunter2\n", 0o644);
    let open = "[mqtt]\nusername = \"weather\"\npassword_file = \"password\"\n";
    compare("check_with_a_password_for_everybody", &check(&format!("{model}{open}")));

    compare(
        "check_many_faults",
        &check(
            "[mqtt]\nprot = 1883\nport = 99999\nca_file = 7\n\n[topics]\nreading = \"weather/#\"\n\n[stations]\nmax = 0\n\
             max_reading_ahead_s = \"soon\"\n\n[journal]\nkeep_days = -1\n",
        ),
    );
    compare("check_no_toml", &check("[mqtt\nport = 1883\n"));
    write("model.onnx", b"no model", 0o644);
    compare("check_bad_model", &check(&format!("{model}[mqtt]\ntls = true\nca_file = \"nowhere.pem\"\n")));
    compare("check_no_file", &said(folder.path(), &["check", "--config", "nowhere.toml"]));
}

/// As of `forecastd check | head -c 0`: there is nobody to tell, and nothing is wrong.
#[test]
fn check_warns_of_a_latitude_that_the_model_was_never_trained_at() {
    let folder = tempfile::tempdir().unwrap();
    let check = |latitude_deg: f64| {
        let place = format!("latitude_deg = {latitude_deg}\nlongitude_deg = 20.0\n");
        let configuration = format!(
            "[model]\nengine = \"tract\"\n[site]\n{place}[station.far]\n{}",
            place.replace("= ", "= -")
        );
        std::fs::write(folder.path().join("forecastd.toml"), configuration).unwrap();
        said(folder.path(), &["check", "--config", "forecastd.toml"])
    };
    let is_doubted = |said: &str, key: &str| {
        said.contains(&format!("warning: {key}: latitude"))
            && said.contains("outside of what the model was trained on")
    };
    // The model that is built in knows latitudes from 34° S to 60° N.
    let middle = check(30.0);
    assert!(!middle.contains("latitude") && middle.contains("configuration is good"), "{middle}");
    let south = check(50.0);
    assert!(!is_doubted(&south, "site") && is_doubted(&south, "station.far"), "{south}");
    let polar = check(70.0);
    assert!(is_doubted(&polar, "site") && is_doubted(&polar, "station.far"), "{polar}");
}

#[test]
fn an_answer_that_nobody_reads_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), artefact::trend_file(3, 0.5)).unwrap();
    let configuration = folder.path().join("forecastd.toml");
    let site = "[site]\nlatitude_deg = 50.91\nlongitude_deg = 11.57\n";
    let model = "[model]\npath = \"model.onnx\"\nengine = \"tract\"\n";
    std::fs::write(&configuration, format!("{site}{model}")).unwrap();
    let (reader, unread) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_forecastd"));
    let command = command.args(["check", "--config"]).arg(configuration).env_clear().current_dir(&folder);
    let output = command.stdout(unread).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{}: {told}", output.status);
}

/// The commands that `--help` lists behind some words of a command line; none where it lists no commands.
fn commands(folder: &Path, words: &[String]) -> Vec<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let help = said(folder, &words);
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let list = list.split_once("\n\n").map_or(list, |(list, _)| list);
    // What a command is for may go on below it.
    let lines = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let first_words = lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    first_words.filter(|command| command != "help").collect()
}

#[test]
fn every_command_and_the_configuration_have_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let answer = said(folder.path(), &["man", "pages"]);
    assert_eq!(answer, "--- standard error\n--- exit code 0\n");
    let page = |name: &str| std::fs::read_to_string(folder.path().join("pages").join(name)).expect(name);
    for command in commands(folder.path(), &[]) {
        let help = said(folder.path(), &[&command, "--help"]);
        let page = page(&format!("forecastd-{command}.1"));
        assert!(page.contains(".SH NAME\n"), "{page}");
        // What the page leaves out of a command, nobody finds.
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        let is_name =
            |option: &&str| option.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
        for option in options.filter(is_name).filter(|option| !option.is_empty()) {
            assert!(page.contains(&option.replace('-', "\\-")), "forecastd-{command}(1) has no --{option}");
        }
    }
    assert!(!folder.path().join("pages/forecastd-engine.1").exists(), "it is nobody's command");
    let configuration = page("forecastd.toml.5");
    for group in forecastd::config::reference() {
        for (key, _) in &group.keys {
            assert!(configuration.contains(&format!("\\fB{key}\\fR = ")), "forecastd.toml(5) has no {key}");
        }
    }
    let printed = said(folder.path(), &["man"]);
    assert!(printed.starts_with(&page("forecastd.1")), "{printed}");
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        Command::new(env!("CARGO_BIN_EXE_forecastd")).args(["completions", "bash"]).output().unwrap();
    std::fs::write(folder.path().join("completions"), script.stdout).unwrap();
    let completed = |words: &str| {
        let place = words.split(' ').count() - 1;
        let (_, last) = words.rsplit_once(' ').unwrap();
        let asks = format!(
            "source ./completions; COMP_WORDS=({words}) COMP_CWORD={place}; _forecastd forecastd '{last}' ''; \
             echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &asks]).current_dir(folder.path()).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("forecastd che"), "check");
    assert_eq!(completed("forecastd check --con"), "--config");
    for command in commands(folder.path(), &[]) {
        assert!(
            completed(&format!("forecastd {command}")).split(' ').any(|word| word == command),
            "{command}"
        );
    }
}

#[test]
fn a_program_alone_has_a_model_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
    let shipped = said(folder.path(), &["inspect", shipped.to_str().unwrap()]);
    assert_eq!(said(folder.path(), &["inspect"]), shipped);
    let probed = said(folder.path(), &["probe", "--engine", "tract"]);
    assert!(probed.contains("finite for every window") && probed.ends_with("exit code 0\n"), "{probed}");
    std::fs::write(
        folder.path().join("forecastd.toml"),
        "[site]\nlatitude_deg = 50.9\nlongitude_deg = 11.6\n",
    )
    .unwrap();
    let checked = said(folder.path(), &["check", "--config", "forecastd.toml"]);
    assert_eq!(checked, "configuration is good\n--- standard error\n--- exit code 0\n");
}
