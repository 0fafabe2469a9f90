//! Names of the images that hold an instance's repository.

use std::fmt;
use std::str::FromStr;

/// A pattern for image names, with the placeholders `{instance_id}` and `{id_1776}`.
///
/// Both stand for the id in lower case (image names have no upper case); in `{id_1776}` every `__`
/// is written `_1776_`, because Docker Hub refuses double underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTemplate(String);

/// Why a text is not an image template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid image template {template:?}: {problem}; the placeholders are {{instance_id}} and \
     {{id_1776}}"
)]
pub struct ImageTemplateError {
    template: String,
    problem: String,
}

impl ImageTemplate {
    /// The name of the published images.
    #[must_use]
    pub fn official() -> Self {
        Self("swebench/sweb.eval.x86_64.{id_1776}:latest".to_owned())
    }

    /// The image of an instance.
    #[must_use]
    pub fn image(&self, instance_id: &str) -> String {
        let id = instance_id.to_ascii_lowercase();
        self.0.replace("{id_1776}", &id.replace("__", "_1776_")).replace("{instance_id}", &id)
    }
}

impl FromStr for ImageTemplate {
    type Err = ImageTemplateError;

    fn from_str(template: &str) -> Result<Self, ImageTemplateError> {
        let wrong =
            |problem: String| Err(ImageTemplateError { template: template.to_owned(), problem });
        let rest = template.replace("{instance_id}", "").replace("{id_1776}", "");
        if rest.contains(['{', '}']) {
            return wrong("it has another brace or placeholder".to_owned());
        }
        if rest == template {
            return wrong("every instance would share one image".to_owned());
        }
        if let Some(bad) =
            rest.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-/:@".contains(*c)))
        {
            return wrong(format!("an image name cannot hold {bad:?}"));
        }
        Ok(Self(template.to_owned()))
    }
}

impl fmt::Display for ImageTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which image a row gets that names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ImageNaming {
    /// The official name for rows of the repositories that SWE-bench publishes images of, and no
    /// image for others.
    #[default]
    Official,
    /// This name, for every row.
    Template(ImageTemplate),
    /// No image: environments are made from the tree.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_name_is_lower_case_without_double_underscores() {
        assert_eq!(
            ImageTemplate::official().image("Foo__Bar-baz-12"),
            "swebench/sweb.eval.x86_64.foo_1776_bar-baz-12:latest"
        );
        let local: ImageTemplate = "sweb.eval.x86_64.{instance_id}:v2".parse().unwrap();
        assert_eq!(local.image("a__b-1"), "sweb.eval.x86_64.a__b-1:v2");
    }

    #[test]
    fn templates_are_checked_when_given() {
        for bad in ["", "img:latest", "img-{id}", "img {id_1776}", "{id_1776}}"] {
            assert!(bad.parse::<ImageTemplate>().is_err(), "{bad:?} was accepted");
        }
    }
}
