//! The trained ranker: a weighted sum of features plus small decision trees, read from
//! `ranker.json`, which `evaluation/localization/train` writes.
//!
//! The weights are those of a softmax over the candidates of an issue, none negative; the trees
//! are LightGBM's LambdaMART (Burges, "From RankNet to LambdaRank to LambdaMART", 2010).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::retrieval::features;

/// The file's form. Features go by name, so that a changed table of lists cannot be misread.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    /// What trained it, for the reader.
    #[serde(rename = "about")]
    _about: String,
    /// Names of all features at the time of training, in order.
    features: Vec<String>,
    /// Weight of each feature in the sum; others weigh nothing.
    weights: HashMap<String, f64>,
    /// What the trees' sum is multiplied with.
    trees_scale: f64,
    /// The trees.
    trees: Vec<TreeFile>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TreeFile {
    Leaf(f64),
    Split {
        /// Name of the feature.
        feature: String,
        /// At most this goes to `low`, more to `high`.
        at: f64,
        low: Box<TreeFile>,
        high: Box<TreeFile>,
    },
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
enum ModelError {
    #[error("ranker.json is not a model")]
    Form(#[source] serde_json::Error),
    #[error("ranker.json names the feature {0:?}, which does not exist")]
    Feature(String),
    #[error("ranker.json was trained on other features; train it again")]
    Features,
}

struct Model {
    weights: Vec<(usize, f64)>,
    scale: f64,
    trees: Vec<Tree>,
}

/// Nodes in one vector, the root first.
struct Tree(Vec<Node>);

#[derive(Clone, Copy)]
enum Node {
    Leaf(f64),
    Split { feature: usize, at: f64, low: usize, high: usize },
}

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    Model::parse(include_str!("ranker.json"), &names())
        .expect("a compiled-in model that a test loads")
});

fn names() -> Vec<String> {
    features::feature_names().into_iter().map(|feature| feature.name).collect()
}

/// The score of one row of features; only the order within one issue is meaningful.
pub(crate) fn score(row: &[f32]) -> f64 {
    MODEL.score(row)
}

impl Model {
    fn parse(text: &str, names: &[String]) -> Result<Self, ModelError> {
        let file = serde_json::from_str::<ModelFile>(text).map_err(ModelError::Form)?;
        if file.features != names {
            return Err(ModelError::Features);
        }
        let places = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let mut weights = Vec::new();
        for (name, weight) in &file.weights {
            weights.push((place(&places, name)?, *weight));
        }
        // In one order always: sums of floats depend on it.
        weights.sort_by_key(|(feature, _)| *feature);
        let trees = file.trees.iter().map(|tree| Tree::of(tree, &places));
        let trees = trees.collect::<Result<_, _>>()?;
        Ok(Self { weights, scale: file.trees_scale, trees })
    }

    fn score(&self, row: &[f32]) -> f64 {
        let sum = self.weights.iter().map(|(at, weight)| weight * f64::from(row[*at])).sum::<f64>();
        sum + self.scale * self.trees.iter().map(|tree| tree.value(row)).sum::<f64>()
    }
}

fn place(places: &HashMap<&str, usize>, name: &str) -> Result<usize, ModelError> {
    places.get(name).copied().ok_or_else(|| ModelError::Feature(name.to_owned()))
}

impl Tree {
    fn of(file: &TreeFile, places: &HashMap<&str, usize>) -> Result<Self, ModelError> {
        let mut nodes = Vec::new();
        Self::add(file, places, &mut nodes)?;
        Ok(Self(nodes))
    }

    fn add(
        file: &TreeFile,
        places: &HashMap<&str, usize>,
        nodes: &mut Vec<Node>,
    ) -> Result<usize, ModelError> {
        let own = nodes.len();
        match file {
            TreeFile::Leaf(value) => nodes.push(Node::Leaf(*value)),
            TreeFile::Split { feature, at, low, high } => {
                nodes.push(Node::Leaf(0.0));
                let feature = place(places, feature)?;
                let low = Self::add(low, places, nodes)?;
                let high = Self::add(high, places, nodes)?;
                nodes[own] = Node::Split { feature, at: *at, low, high };
            }
        }
        Ok(own)
    }

    fn value(&self, row: &[f32]) -> f64 {
        let mut node = 0;
        loop {
            match self.0[node] {
                Node::Leaf(value) => return value,
                Node::Split { feature, at, low, high } => {
                    node = if f64::from(row[feature]) <= at { low } else { high };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        row: Vec<f32>,
        /// Sum of weights, as numpy has it.
        linear: f64,
        /// LightGBM's prediction.
        trees: f64,
    }

    #[test]
    fn scores_are_those_of_the_training() {
        let model = Model::parse(include_str!("ranker.json"), &names()).unwrap();
        let cases = serde_json::from_str::<Vec<Case>>(include_str!("ranker_cases.json")).unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let trees = model.trees.iter().map(|tree| tree.value(&case.row)).sum::<f64>();
            assert!((trees - case.trees).abs() < 1e-9, "{trees} {}", case.trees);
            let expected = case.linear + model.scale * case.trees;
            let score = model.score(&case.row);
            assert!((score - expected).abs() < 1e-6, "{score} {expected}");
        }
    }

    #[test]
    fn a_model_of_other_features_is_refused() {
        let names = ["a".to_owned(), "b".to_owned()];
        let text = |features: &str, weights: &str| {
            format!(
                r#"{{"about": "", "features": {features}, "weights": {weights},
                "trees_scale": 2.0, "trees": [{{"feature": "b", "at": 0.5, "low": -1.0, "high": 3}}]}}"#
            )
        };
        let model = Model::parse(&text(r#"["a", "b"]"#, r#"{"a": 10.0}"#), &names).unwrap();
        assert_eq!(model.score(&[0.5, 0.5]), 3.0);
        assert_eq!(model.score(&[0.5, 0.6]), 11.0);
        for (features, weights) in [(r#"["b", "a"]"#, "{}"), (r#"["a", "b"]"#, r#"{"c": 1.0}"#)] {
            assert!(Model::parse(&text(features, weights), &names).is_err());
        }
        assert!(Model::parse("{}", &names).is_err());
    }
}
