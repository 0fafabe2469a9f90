//! Looks up instances: their reference as a case, their base tree for edits.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::artifact::InstanceId;
use crate::base::Base;
use crate::dataset::{Dataset, Row};
use crate::patch::{self, BaseTree, FileState};
use crate::repo::{self, Checkout};
use crate::reward::{Case, Files, Input, Text};
use crate::serve::answer;
use crate::serve::item::{Failure, FailureKind, Outcome, Wrong};

/// Base trees kept open at one time.
const OPEN_TREES: usize = 128;

/// Instances by id, and where their repositories lie.
pub struct Oracles {
    dataset: Option<Arc<Dataset>>,
    repos: Option<PathBuf>,
    trees: Mutex<Trees>,
}

#[derive(Default)]
struct Trees {
    open: HashMap<InstanceId, Arc<Base>>,
    order: VecDeque<InstanceId>,
}

impl Oracles {
    /// Looks instances up in `dataset` and repositories in `repos`; without them only labels that
    /// hold the reference itself can be scored.
    #[must_use]
    pub fn new(dataset: Option<Arc<Dataset>>, repos: Option<PathBuf>) -> Self {
        Self { dataset, repos, trees: Mutex::default() }
    }

    /// The row of an instance.
    pub(super) fn row(&self, id: &InstanceId) -> Result<&Row, Outcome> {
        let Some(dataset) = &self.dataset else {
            let message =
                format!("names the instance {id}, but the server was started without --dataset");
            return Err(Outcome::Wrong(Wrong::new("", message)));
        };
        dataset.row(id).ok_or_else(|| {
            let near = dataset.nearest(id.as_str());
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let message = format!("{} has no instance {id}{hint}", dataset.source());
            Outcome::Wrong(Wrong::new("", message))
        })
    }

    /// The case that compares an answer with an instance's reference patch.
    ///
    /// With the repository at hand the answer holds SEARCH/REPLACE edits, which are applied to the
    /// base tree; without it, a diff.
    pub(super) fn case(&self, id: &InstanceId, answer: Text) -> Result<Case, Outcome> {
        let row = self.row(id)?;
        let Some(gold) = &row.gold else {
            let message = format!("the row of {id} holds no reference patch");
            return Err(not_gradable(message));
        };
        let input = match self.tree(row)? {
            Some(tree) => case(&tree, id, &gold.patch, answer)?,
            None => Input::Diffs {
                oracle_patches: vec![gold.patch.as_str().into()],
                pred_patches: vec![answer::diff_or_all(answer)],
            },
        };
        Ok(Case { id: None, input })
    }

    /// The patch that an answer stands for, and the key under which patches of one effect are the
    /// same: the class of the change, or the text's digest where the tree does not tell.
    pub(super) fn candidate(&self, id: &InstanceId, answer: &Text) -> Result<Candidate, Outcome> {
        let tree = self.tree(self.row(id)?)?;
        let base = tree.as_deref().map(|tree| tree as &dyn BaseTree);
        match answer::patch_in(&answer.to_str_lossy(), base) {
            Ok(patch) => {
                let class = base.and_then(|base| patch::apply_diff(&patch, base).ok());
                let key = match class {
                    Some(changes) => format!("class {}", patch::classify(&changes).digest),
                    None => format!("text {}", hex(&Sha256::digest(&patch))),
                };
                Ok(Candidate { patch, key })
            }
            Err(Some(error)) => {
                Err(Outcome::Judged { resolved: false, error: Some(error), cached: false })
            }
            Err(None) => {
                let message = format!(
                    "the answer holds SEARCH/REPLACE edits, and the repository of {id} is not on \
                     this machine: start the server with --repos"
                );
                Err(not_gradable(message))
            }
        }
    }

    /// The base tree of a row, if its repository is on this machine.
    fn tree(&self, row: &Row) -> Result<Option<Arc<Base>>, Outcome> {
        let instance = &row.instance;
        let id = &instance.id;
        let Some(path) = self.repos.as_deref().and_then(|dir| repo::find(dir, &instance.repo))
        else {
            return Ok(None);
        };
        if let Some(tree) = self.trees().open.get(id) {
            return Ok(Some(Arc::clone(tree)));
        }
        let checkout = Checkout::open(&path, &instance.base_commit).map_err(|error| {
            Outcome::Masked(Failure::new(FailureKind::Infra, error.to_string()))
        })?;
        let tree = Arc::new(Base::new(Arc::new(checkout)));
        let mut trees = self.trees();
        if trees.open.insert(id.clone(), Arc::clone(&tree)).is_none() {
            trees.order.push_back(id.clone());
        }
        if trees.order.len() > OPEN_TREES
            && let Some(oldest) = trees.order.pop_front()
        {
            trees.open.remove(&oldest);
        }
        Ok(Some(tree))
    }

    fn trees(&self) -> std::sync::MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_gradable(message: impl Into<String>) -> Outcome {
    Outcome::Masked(Failure::new(FailureKind::NotGradable, message))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A patch to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) patch: String,
    pub(super) key: String,
}

/// A case over the files that the reference changes and those that the answer names; no other
/// file can make a difference.
fn case(tree: &Base, id: &InstanceId, gold: &str, answer: Text) -> Result<Input, Outcome> {
    let changes = patch::apply_diff(gold, tree).map_err(|rejection| {
        not_gradable(format!("the reference patch of {id} does not apply: {rejection}"))
    })?;
    let text = |state: &FileState| Text::from(String::from_utf8_lossy(&state.content).as_ref());
    let mut code_context = Files::new();
    let mut oracle_new_content = Files::new();
    for change in &changes {
        let path = Text::from(change.path.as_str());
        if let Some(old) = &change.old {
            code_context.insert(path.clone(), text(old));
        }
        oracle_new_content.insert(path, change.new.as_ref().map(text).unwrap_or_default());
    }
    for line in answer.to_str_lossy().lines() {
        let Some(name) = line.strip_prefix("###") else { continue };
        let path = Text::from(name.trim());
        if !code_context.contains_key(&path)
            && let Some(state) = tree.read(name.trim())
        {
            code_context.insert(path, text(&state));
        }
    }
    Ok(Input::Output { code_context, oracle_new_content, output: answer })
}
