//! The parts of a `package.json` that matter here. It was written by a stranger: any shape is possible.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::DetectError;
use super::script_text::{calls_hosting_cli, runs};
use super::tree::{FileTree, join};

#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) dependencies: BTreeSet<String>,
    scripts: BTreeMap<String, String>,
    /// As written, e.g. `pnpm@9.1.0+sha512.abc`.
    pub(super) package_manager: Option<String>,
}

impl Package {
    /// `None`: there is none in this folder.
    pub(super) fn find(tree: &FileTree, folder: &str) -> Result<Option<Self>, DetectError> {
        let path = join(folder, "package.json");
        let failed = |reason: String| {
            DetectError(format!("`{path}` cannot be used: {reason}. Correct it and push again."))
        };
        let Some(text) = tree.read(&path).map_err(|reason| failed(reason.to_string()))? else {
            return Ok(None);
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => Ok(Some(Self::of(&fields))),
            Ok(_) => Err(failed("it is JSON, but no object".to_owned())),
            Err(error) => Err(failed(format!("it is not JSON ({error})"))),
        }
    }

    fn of(fields: &Map<String, Value>) -> Self {
        let object = |name: &str| fields.get(name).and_then(Value::as_object).into_iter().flatten();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let dependencies =
            object("dependencies").chain(object("devDependencies")).map(|(name, _)| name.clone());
        Self {
            dependencies: dependencies.collect(),
            scripts: object("scripts").filter_map(text).collect(),
            package_manager: fields.get("packageManager").and_then(Value::as_str).map(str::to_owned),
        }
    }

    pub(super) fn depends_on(&self, name: &str) -> bool {
        self.dependencies.contains(name)
    }

    /// The script that runs this command; of several, `build`, then the first `build…`, then the first of all.
    pub(super) fn script_that_runs(&self, command: &str) -> Option<&str> {
        let mut found: Vec<_> =
            self.usable_scripts().filter(|(_, text)| runs(text, command)).map(|(name, _)| name).collect();
        found.sort_by_key(|name| (*name != "build", !name.starts_with("build")));
        found.first().copied()
    }

    pub(super) fn build_script(&self) -> Option<&str> {
        self.usable_scripts().map(|(name, _)| name).find(|name| *name == "build")
    }

    /// What the `build` script says, whether it can be used or not.
    pub(super) fn script(&self, name: &str) -> Option<&str> {
        self.scripts.get(name).map(String::as_str)
    }

    /// Scripts that may be run here, whose names need no quoting.
    fn usable_scripts(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_plain = |name: &str| {
            !name.starts_with('-')
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_:.".contains(c))
        };
        self.scripts
            .iter()
            .filter(move |(name, text)| is_plain(name) && !text.trim().is_empty() && !calls_hosting_cli(text))
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }
}
