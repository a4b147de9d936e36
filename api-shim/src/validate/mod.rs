//! The 422 list form: what is wrong with a body, where, and in which words (contract, section 2.4).
//!
//! The checks are small functions `(&Value, &Place, &mut Problems) -> Option<T>`; a dialect lists its
//! fields in table order through a [`Fields`] reader. Nothing here knows which dialect it serves.

mod checks;
mod fields;
mod number;
mod problem;

pub use checks::{boolean, each_member, list, nullable, object_with_fields, text};
pub use fields::{Fields, Names};
pub use number::{Bounds, lax_integer, number, strict_integer};
/// What a check gives: nothing when it has told a problem.
pub type Checked<T> = Option<T>;

pub use problem::{Context, Place, Problem, Problems, Step};
