//! One truth in four dialects: what is written through one is read through each other one, and is
//! what a model of plain maps says.

mod model;
mod random;
mod speak;
mod table;

pub(crate) use model::{Model, Object};
pub(crate) use speak::{Dialect, Spoken, Version};
