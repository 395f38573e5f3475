//! What the documents promise a reader who copies it.

use std::fs;
use std::path::Path;

use support::command::{run, shell};
use support::process::ORGANIZATION_KEY;

use crate::installation;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}

/// The text between the fences of the first block of shell lines that contains `part`.
fn shell_block(text: &str, part: &str) -> String {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter(|block| block.contains(part)).map(str::to_owned).next().expect("the block")
}

#[test]
fn the_lines_of_the_readme_admit_a_call_and_show_both_refusals() {
    let running = installation().start();
    let lines = shell_block(&document("README.md"), "/v1/calls/admit")
        .replace("http://127.0.0.1:7080", &format!("http://{}", running.control_plane))
        .replace("http://127.0.0.1:7070", &format!("http://{}", running.gateway));
    let said = shell(&lines, &[("RINGFENCE_ORGANIZATION_KEY", ORGANIZATION_KEY)]);
    let answers: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let expected = [
        "\"reason\":\"insufficient_balance\"",
        "\"balance\":\"100.00\"",
        "\"admitted\":true",
        "\"reason\":\"no_slot\"",
        "\"cost\":\"2.40\"",
        "\"available\":\"97.60\"",
    ];
    assert_eq!(answers.len(), expected.len(), "{said}");
    for (answer, part) in answers.iter().zip(expected) {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert!(answers[3].contains("\"sip_code\":486"), "{said}");
    running.stop();
}

#[test]
fn the_alarm_rules_and_the_scrape_configuration_are_valid() {
    let root = env!("CARGO_MANIFEST_DIR");
    for (what, file) in [("rules", "rules.yml"), ("config", "prometheus.yml")] {
        let file = format!("{root}/deploy/prometheus/{file}");
        let checked = run("promtool", &["check", what, &file], &[], "");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn every_alarm_has_its_heading_in_the_runbook_and_no_heading_is_without_one() {
    let rules = document("deploy/prometheus/rules.yml");
    let mut alarms: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let runbook = document("RUNBOOK.md");
    let mut headings: Vec<_> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    alarms.sort_unstable();
    headings.sort_unstable();
    assert_eq!(alarms, headings);
}
