//! Puts a plan together: the owner's settings, then what was found.

use loggia_types::build::BuildSettings;

use super::frameworks::{FRAMEWORKS, Framework, Project};
use super::manager::{self, Chosen};
use super::package::Package;
use super::tree::{FileTree, join};
use super::{BuildPlan, DetectError, Output};

/// Where a build script without a known framework usually writes to, the likeliest first.
const USUAL_OUTPUTS: [&str; 5] = ["dist", "build", "public", "out", "_site"];

const PLAIN_FILES: &str = "plain files";

/// Longer ones are scripts, and belong in the repository.
const COMMAND_LEN_MAX: usize = 4096;

/// What was found out, before the owner's settings are laid over it.
struct Guess {
    framework: String,
    build: Option<String>,
    output: Output,
    why: String,
}

/// How the repository is built, or why that cannot be told.
pub fn plan(tree: &FileTree, settings: &BuildSettings) -> Result<BuildPlan, DetectError> {
    let root = folder("root folder", &settings.root)?;
    if !tree.has_folder(&root) {
        return Err(refused(format!(
            "The root folder `{root}` is not in the repository. Correct it in the settings."
        )));
    }
    let own_install = command("install command", settings.install_command.as_deref())?;
    let own_build = command("build command", settings.build_command.as_deref())?;
    let own_output = settings.output.as_deref().map(|text| folder("output folder", text)).transpose()?;

    let package = Package::find(tree, &root)?;
    let project = Project { tree, root: &root, package: package.as_ref() };
    let manager = package.as_ref().map(|_| manager::choose(tree, &root)).transpose()?;
    let is_fixed = own_build.is_some() || own_output.is_some();
    let guess = guess(&project, manager.as_ref(), is_fixed)?;
    let is_plain_but_built = guess.build.is_none() && own_build.as_ref().is_some_and(Option::is_some);

    let build = own_build.clone().unwrap_or(guess.build);
    let install = match own_install {
        Some(own) => own,
        // Plain files need no packages, even when there is a package.json beside them.
        None => build.as_ref().and(manager.as_ref()).map(|manager| manager.install.clone()),
    };
    let used = manager.filter(|_| install.is_some() || build.is_some());
    let install_is_ours = settings.install_command.is_none();
    Ok(BuildPlan {
        explanation: explain(&guess.why, own_build.is_some(), used.as_ref()),
        setup: used.as_ref().and_then(|manager| manager.setup.clone()),
        install_workdir: used
            .as_ref()
            .filter(|_| install_is_ours)
            .map_or(root.clone(), |manager| manager.workdir.clone()),
        unfrozen_install: used
            .as_ref()
            .filter(|_| install_is_ours)
            .and_then(|manager| manager.unfrozen_install.clone()),
        problems: used.filter(|_| install_is_ours).and_then(|manager| manager.problem).into_iter().collect(),
        framework: guess.framework,
        install,
        build,
        output: match own_output {
            Some(name) if name.is_empty() => Output::folder("."),
            Some(name) => Output::folder(name),
            // A command of the owner's writes to one of the usual folders.
            None if is_plain_but_built => Output::first_of(&USUAL_OUTPUTS),
            None => guess.output,
        },
        workdir: root,
    })
}

fn guess(project: &Project<'_>, manager: Option<&Chosen>, is_fixed: bool) -> Result<Guess, DetectError> {
    for framework in FRAMEWORKS {
        if let Some(signal) = framework.signal.find(project) {
            return framework_guess(framework, &signal, project, manager, is_fixed);
        }
    }
    if let (Some(package), Some(manager)) = (project.package, manager)
        && let Some(script) = package.build_script()
    {
        return Ok(Guess {
            framework: "Node.js".to_owned(),
            build: Some(format!("{} run {script}", manager.manager.name())),
            output: Output::first_of(&USUAL_OUTPUTS),
            why: "No known framework, but package.json has a `build` script".to_owned(),
        });
    }
    if is_fixed || project.tree.has_file(&join(project.root, "index.html")) {
        let why = if is_fixed { "No known framework" } else { "Plain files, because there is an index.html" };
        let output = Output::folder(".");
        return Ok(Guess { framework: PLAIN_FILES.to_owned(), build: None, output, why: why.to_owned() });
    }
    Err(nothing_found(project))
}

fn framework_guess(
    framework: &Framework,
    signal: &str,
    project: &Project<'_>,
    manager: Option<&Chosen>,
    is_fixed: bool,
) -> Result<Guess, DetectError> {
    if let Some(reason) = framework.refusal(project).filter(|_| !is_fixed) {
        return Err(refused(reason.to_owned()));
    }
    let script = project
        .package
        .and_then(|package| package.script_that_runs(framework.command).or_else(|| package.build_script()));
    let (build, by) = match (script, manager) {
        (Some(script), Some(manager)) => {
            (format!("{} run {script}", manager.manager.name()), format!("; build script `{script}`"))
        }
        _ => (framework.command.to_owned(), String::new()),
    };
    Ok(Guess {
        framework: framework.name.to_owned(),
        build: Some(build),
        output: Output::folder(framework.output(project)),
        why: format!("{}, because {signal}{by}", framework.name),
    })
}

fn nothing_found(project: &Project<'_>) -> DetectError {
    let place = if project.root.is_empty() {
        "the repository's root".to_owned()
    } else {
        format!("`{}`", project.root)
    };
    refused(match project.package {
        Some(_) => format!(
            "The package.json in {place} names no known framework and has no `build` script that can be run here. \
             Add one, or set the build command and the output folder in the settings."
        ),
        None => format!(
            "There is no known framework, no package.json and no index.html in {place}. If the site is in another \
             folder, set the root folder; otherwise set the build command and the output folder."
        ),
    })
}

fn explain(why: &str, has_own_build: bool, manager: Option<&Chosen>) -> String {
    let own = if has_own_build { "; build command from the settings" } else { "" };
    let manager = manager.map(|manager| format!("; {}", manager.because)).unwrap_or_default();
    format!("{why}{own}{manager}.")
}

/// A folder inside the repository, without `.` segments and slashes at its ends.
fn folder(what: &str, text: &str) -> Result<String, DetectError> {
    let reason = if text.starts_with('-') {
        "begins with `-`, as an option does"
    } else if text.starts_with('/') {
        "is absolute"
    } else if text.split('/').any(|part| part == "..") {
        "leads out of the repository"
    } else if text.contains('\\') || text.chars().any(char::is_control) || text.len() > 1024 {
        "is not the name of a folder"
    } else {
        let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
        return Ok(parts.collect::<Vec<_>>().join("/"));
    };
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    Err(refused(format!(
        "The {what} `{shown}` {reason}. Write it like `packages/site`, relative to the repository."
    )))
}

/// `Some(None)`: the owner says that there is nothing to run.
fn command(what: &str, text: Option<&str>) -> Result<Option<Option<String>>, DetectError> {
    let Some(text) = text.map(str::trim) else {
        return Ok(None);
    };
    if text.starts_with('-') {
        return Err(refused(format!("The {what} begins with `-`: that is an option and no command.")));
    }
    if text.contains('\0') || text.len() > COMMAND_LEN_MAX {
        return Err(refused(format!(
            "The {what} is longer than {COMMAND_LEN_MAX} bytes or holds a NUL character."
        )));
    }
    Ok(Some((!text.is_empty()).then(|| text.to_owned())))
}

fn refused(reason: String) -> DetectError {
    DetectError(reason)
}
