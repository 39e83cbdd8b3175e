//! The command blocks of docs/install.md. A command in the text between them must be in a block.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The heading above it, of the second level: `## Upgrade`.
    pub(super) heading: String,
    /// The word after the fence, such as `sh`.
    pub(super) language: String,
    pub(super) text: String,
}

/// All fenced blocks of a page.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut heading, mut inside) = (String::new(), false);
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                let (heading, language) = (heading.clone(), language.to_owned());
                found.push(Block { heading, language, text: String::new() });
            }
        } else if let Some(block) = found.last_mut().filter(|_| inside) {
            block.text.push_str(line);
            block.text.push('\n');
        } else if line.starts_with("## ") {
            line.clone_into(&mut heading);
        }
    }
    found
}

/// The commands of a block with prompts, and what they print.
pub(super) fn commands(console: &str) -> (String, String) {
    let (mut commands, mut printed) = (String::new(), String::new());
    let mut continues = false;
    for line in console.lines() {
        let prompted = line.strip_prefix("$ ").or_else(|| line.strip_prefix("> "));
        let command = prompted.or(continues.then_some(line));
        let to = if command.is_some() { &mut commands } else { &mut printed };
        let line = command.unwrap_or(line);
        to.push_str(line);
        to.push('\n');
        continues = command.is_some() && line.ends_with(['\\', '|']);
    }
    (commands, printed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::install::source;

    const GUIDE: &str = "the_installation_guide_works_as_written";
    const EKS: &str = "the_commands_for_eks_start_a_member";
    const EKS_GONE: &str = "the_commands_for_eks_remove_everything";
    const EXAMPLES: &str = "each_example_works_unmodified";
    const OBSERVE: &str = "helm_installs_upgrades_rolls_back_and_uninstalls_all_but_the_records";
    const NONE: &str = "";
    /// Programs whose commands the page names.
    const PROGRAMS: [&str; 9] =
        ["make", "docker", "skopeo", "aws", "ctr", "eksctl", "firecamp", "helm", "kubectl"];
    /// How many of them may be in blocks that no test runs: nothing here has Docker or a registry.
    const UNTESTED: usize = 3;

    /// Every block in its order, with the test that runs it. `NONE`: it has only commands of
    /// untested programs, or none of these programs; why.
    const RUN: [(&str, &str, &str, &str); 41] = [
        ("## On EKS", "bash", EKS, ""),
        ("## On EKS", "bash", EKS, ""),
        ("## On EKS", "bash", EKS, ""),
        ("## On EKS", "bash", EKS_GONE, ""),
        ("## On EKS", "console", EKS, ""),
        ("## On another cluster on EC2", "yaml", NONE, "`make test-cloudformation` checks it"),
        ("## On another cluster on EC2", "sh", GUIDE, ""),
        ("## 1. AWS", "sh", GUIDE, ""),
        ("## 1. AWS", "yaml", NONE, "a part of a pool"),
        ("## 1. AWS", "console", EKS, ""),
        ("## 1. AWS", "sh", GUIDE, ""),
        ("## 1. AWS", "sh", GUIDE, ""),
        ("## 2. The agents", "sh", GUIDE, ""),
        ("## 3. The addresses", "sh", GUIDE, ""),
        ("## 4. The first member", "sh", GUIDE, ""),
        ("## 4. The first member", "console", GUIDE, ""),
        ("## 4. The first member", "console", GUIDE, ""),
        ("## One machine", "sh", EXAMPLES, ""),
        ("## One machine", "sh", EXAMPLES, ""),
        ("## Direct mode", "sh", EXAMPLES, ""),
        ("## Direct mode", "sh", EXAMPLES, ""),
        ("## Autoscaling", "console", GUIDE, ""),
        ("## Observe", "console", OBSERVE, ""),
        ("## The images", "console", GUIDE, ""),
        ("## The images", "console", NONE, "`make test-images` builds them; there is no registry"),
        ("## The images", "console", NONE, "there is no Docker"),
        // Each node of a cluster in a box imports its images by this command.
        ("## The images", "console", GUIDE, ""),
        ("## The images", "console", NONE, "there is no Docker"),
        ("## The command", "console", NONE, "tests build the command with their own profile"),
        ("## Upgrade", "sh", GUIDE, ""),
        ("## Upgrade", "console", GUIDE, ""),
        ("## Upgrade", "console", GUIDE, ""),
        ("## Remove", "sh", GUIDE, ""),
        ("## Remove", "sh", GUIDE, ""),
        ("## Remove", "sh", GUIDE, ""),
        ("## Remove", "console", GUIDE, ""),
        ("## Remove", "sh", GUIDE, ""),
        ("## Remove", "sh", GUIDE, ""),
        ("## Without Helm", "sh", GUIDE, ""),
        ("## Without Helm", "console", GUIDE, ""),
        ("## Without Helm", "sh", GUIDE, ""),
    ];

    /// Does one of these programs get arguments here, perhaps in a pipe?
    fn is_of(programs: &[&str], command: &str) -> bool {
        let mut parts = command.split('|').map(|part| part.trim_start_matches(['$', '>', ' ']));
        parts.any(|part| {
            let part = part.strip_prefix("sudo ").unwrap_or(part);
            part.split_once(' ').is_some_and(|(program, _rest)| programs.contains(&program))
        })
    }

    fn in_one_line(text: &str) -> String {
        text.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn script(block: &Block) -> String {
        let prompted = block.language == "console";
        in_one_line(&if prompted { commands(&block.text).0 } else { block.text.clone() })
    }

    /// The commands between backticks outside of the blocks.
    fn inline_commands(page: &str) -> Vec<String> {
        let texts = page.split("```").step_by(2);
        let spans = texts.flat_map(|text| text.split('`').skip(1).step_by(2)).map(in_one_line);
        spans.filter(|span| is_of(&PROGRAMS, span)).collect()
    }

    #[test]
    fn every_command_block_of_the_page_is_run_by_a_test() {
        let page = fs::read_to_string(source("docs/install.md")).unwrap();
        let all = blocks(&page);
        let found: Vec<(&str, &str)> =
            all.iter().map(|one| (&*one.heading, &*one.language)).collect();
        assert_eq!(found, RUN.map(|(heading, language, ..)| (heading, language)));
        let scenarios = fs::read_to_string(source("tests/cluster/src/e2e.rs")).unwrap();
        let checks = fs::read_to_string(source("tests/apiserver/src/checks.rs")).unwrap();
        for (heading, _language, test, why) in RUN {
            assert_eq!(test == NONE, !why.is_empty(), "{heading}");
            assert!(scenarios.contains(test) || checks.contains(test), "{heading}: {test}");
        }
        for (block, (_heading, _language, test, _why)) in all.iter().zip(RUN) {
            let command = block.text.lines().find(|line| is_of(&PROGRAMS[UNTESTED..], line));
            assert!(test != NONE || command.is_none(), "no test runs {command:?}");
        }
    }

    #[test]
    fn every_command_in_the_text_is_one_of_a_block() {
        let page = fs::read_to_string(source("docs/install.md")).unwrap();
        let scripts: Vec<String> = blocks(&page).iter().map(script).collect();
        let mut inline = inline_commands(&page);
        assert!(inline.len() > 5, "{inline:?}");
        inline.retain(|command| scripts.iter().all(|script| !script.contains(command)));
        assert!(inline.is_empty(), "move to a block that a test runs: {inline:#?}");
    }

    #[test]
    fn inline_commands_have_arguments_and_may_be_in_a_pipe() {
        let page = "`kubectl`, `git log` and `kubectl get\npods`:\n\n```sh\nhelm list\n```\n\n\
                    | `sed x y | kubectl apply -f -` | `sudo make it` |\n";
        let wanted = ["kubectl get pods", "sed x y | kubectl apply -f -", "sudo make it"];
        assert_eq!(inline_commands(page), wanted);
    }

    #[test]
    fn prompts_and_continued_lines_are_commands() {
        let block =
            "$ aws x \\\n    --query y\nm5.large\t10\n$ for part in a b; do\n>   echo\n> done\n";
        let (asked, printed) = commands(block);
        assert_eq!(asked, "aws x \\\n    --query y\nfor part in a b; do\n  echo\ndone\n");
        assert_eq!(printed, "m5.large\t10\n");
    }
}
