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

/// Commands that are the same in every build.
const COMMANDS: [&str; 10] =
    ["run", "check", "healthcheck", "forget", "replay", "evaluate", "windows", "inspect", "probe", "data"];

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let all = said(folder.path(), &["--help"]);
    for command in COMMANDS {
        assert!(all.contains(&format!("  {command} ")), "{all}");
        compare(&format!("help_{command}"), &said(folder.path(), &[command, "--help"]));
    }
    compare("help_import_weewx", &said(folder.path(), &["import", "weewx", "--help"]));
    if cfg!(feature = "train") {
        compare("help_train", &said(folder.path(), &["train", "--help"]));
    }
    if cfg!(feature = "demo") {
        compare("help_demo", &said(folder.path(), &["demo", "--help"]));
    }
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
