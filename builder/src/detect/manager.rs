//! Which package manager a project uses, and how it installs exactly what the lock file says.

use loggia_types::Problem;

use super::DetectError;
use super::package::Package;
use super::tree::{FileTree, join, upwards};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

/// By the order in which they are looked for; the lock file of npm comes last, since other managers import it.
const LOCK_FILES: [(&str, Manager); 6] = [
    ("pnpm-lock.yaml", Manager::Pnpm),
    ("yarn.lock", Manager::Yarn),
    ("bun.lock", Manager::Bun),
    ("bun.lockb", Manager::Bun),
    ("package-lock.json", Manager::Npm),
    ("npm-shrinkwrap.json", Manager::Npm),
];

#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) manager: Manager,
    pub(super) setup: Option<String>,
    pub(super) install: String,
    /// The install that may change the lock file, when `install` may not.
    pub(super) unfrozen_install: Option<String>,
    /// The folder with the lock file, or the project's own.
    pub(super) workdir: String,
    pub(super) because: String,
    pub(super) problem: Option<Problem>,
}

impl Manager {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Npm, Self::Pnpm, Self::Yarn, Self::Bun].into_iter().find(|manager| manager.name() == name)
    }

    fn frozen_install(self, yarn_is_classic: bool) -> &'static str {
        match self {
            Self::Npm => "npm ci",
            Self::Pnpm => "pnpm install --frozen-lockfile",
            Self::Yarn if yarn_is_classic => "yarn install --frozen-lockfile",
            Self::Yarn => "yarn install --immutable",
            Self::Bun => "bun install --frozen-lockfile",
        }
    }

    /// With `CI` set, pnpm and yarn freeze unless they are told not to.
    fn unfrozen_install(self, yarn_is_classic: bool) -> &'static str {
        match self {
            Self::Npm => "npm install",
            Self::Pnpm => "pnpm install --no-frozen-lockfile",
            Self::Yarn if yarn_is_classic => "yarn install --no-lockfile",
            Self::Yarn => "yarn install --no-immutable",
            Self::Bun => "bun install --no-save",
        }
    }

    /// Only npm comes with Node. The version is the one that the project names, exactly.
    fn setup(self, version: Option<&str>, yarn_is_classic: bool) -> Option<String> {
        let (package, default) = match self {
            Self::Npm => return None,
            Self::Pnpm => ("pnpm", "10"),
            Self::Yarn if yarn_is_classic => ("yarn", "1"),
            Self::Yarn => ("@yarnpkg/cli-dist", "4"),
            Self::Bun => ("bun", "1"),
        };
        let install = format!("npm install --global --silent {package}@{}", version.unwrap_or(default));
        // Yarn 1, which Node images have, gives up when a project asks for a later one.
        let is_needed_always = version.is_some() || (self == Self::Yarn && !yarn_is_classic);
        Some(match is_needed_always {
            true => install,
            false => format!("command -v {name} >/dev/null 2>&1 || {install}", name = self.name()),
        })
    }
}

/// The `packageManager` field of the nearest `package.json`, then the nearest lock file, then npm.
pub(super) fn choose(tree: &FileTree, root: &str) -> Result<Chosen, DetectError> {
    let lock = upwards(root).find_map(|folder| {
        let in_folder = |(file, _): &&(&'static str, Manager)| tree.has_file(&join(folder, file));
        LOCK_FILES.iter().find(in_folder).map(|(file, manager)| (folder, *file, *manager))
    });
    let (named, version) = named_manager(tree, root)?;
    let manager = named.or(lock.map(|(_, _, manager)| manager)).unwrap_or(Manager::Npm);
    let own_lock = match lock {
        Some((folder, _, found)) if found == manager => Some(folder),
        _ => upwards(root).find(|folder| {
            LOCK_FILES.iter().any(|(file, of)| *of == manager && tree.has_file(&join(folder, file)))
        }),
    };
    let is_classic = manager == Manager::Yarn && is_yarn_classic(tree, own_lock, version.as_deref());
    let because = match (named, lock) {
        (Some(_), _) => format!("{}, because package.json names it as packageManager", manager.name()),
        (None, Some((_, file, _))) => format!("{}, because of {file}", manager.name()),
        (None, None) => "npm, since no lock file names another".to_owned(),
    };
    let install = match own_lock {
        Some(_) => manager.frozen_install(is_classic).to_owned(),
        None => format!("{} install", manager.name()),
    };
    let problem = own_lock.is_none().then(|| {
        let what = "There is no lock file: every build may install other versions. Commit the one that";
        Problem::in_file("package.json", format!("{what} `{} install` writes.", manager.name()))
    });
    Ok(Chosen {
        manager,
        setup: manager.setup(version.as_deref(), is_classic),
        install,
        unfrozen_install: own_lock.map(|_| manager.unfrozen_install(is_classic).to_owned()),
        workdir: own_lock.unwrap_or(root).to_owned(),
        because,
        problem,
    })
}

/// `pnpm@9.1.0+sha512.abc` of the nearest `package.json` that has the field.
fn named_manager(tree: &FileTree, root: &str) -> Result<(Option<Manager>, Option<String>), DetectError> {
    for folder in upwards(root) {
        // A broken file above the project's root is not the project's own trouble.
        let package = match Package::find(tree, folder) {
            Err(error) if folder == root => return Err(error),
            found => found.ok().flatten(),
        };
        let Some(text) = package.and_then(|package| package.package_manager) else {
            continue;
        };
        let (name, version) = text.split_once('@').unwrap_or((&text, ""));
        let version = version.split('+').next().unwrap_or_default();
        let is_version = version.starts_with(|c: char| c.is_ascii_digit())
            && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
        return Ok((Manager::from_name(name), is_version.then(|| version.to_owned())));
    }
    Ok((None, None))
}

/// Yarn 1 and its successors share a name and nothing else.
fn is_yarn_classic(tree: &FileTree, lock_folder: Option<&str>, version: Option<&str>) -> bool {
    if let Some(version) = version {
        return version.starts_with("1.") || version == "1";
    }
    // The successors begin their lock file with `__metadata:`.
    let start = lock_folder.map(|folder| tree.start_of(&join(folder, "yarn.lock"))).unwrap_or_default();
    !start.contains("__metadata:")
}
