//! The levels chosen for one run.

use crate::{Level, ScheduleError};

/// The levels of a run, from noise to data: `steps + 1` of them, over the caller's slice.
///
/// A [`Betas`](crate::Betas) or [`Sigmas`](crate::Sigmas) makes one; [`Grid::new`] takes any other levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid<'a> {
    levels: &'a [Level],
}

impl<'a> Grid<'a> {
    /// Takes levels that run from noise to data.
    ///
    /// # Errors
    /// Fewer than two levels, a level that is no level, or one that is not cleaner than the one before. The
    /// last may equal the one before it: DDIM's final step under `set_alpha_to_one = false` stands still.
    pub fn new(levels: &'a [Level]) -> Result<Self, ScheduleError> {
        if levels.len() < 2 {
            return Err(ScheduleError::NoSteps);
        }
        if let Some(index) = levels.iter().position(|level| !level.is_sound()) {
            return Err(ScheduleError::Level { index });
        }
        for (i, (from, to)) in levels.iter().zip(levels.iter().skip(1)).enumerate() {
            let still = i + 2 == levels.len() && from == to;
            if !still && !to.is_cleaner_than(from) {
                return Err(ScheduleError::NotDecreasing { index: i + 1 });
            }
        }
        Ok(Self { levels })
    }

    /// The levels, noisiest first.
    pub const fn levels(&self) -> &'a [Level] {
        self.levels
    }

    /// The steps between them: one less than the levels.
    pub const fn steps(&self) -> usize {
        self.levels.len() - 1
    }

    /// Its last `steps` steps: where a run starts from data that are near the sample, noised to the first of these levels
    /// ([`horizon::renoise`](crate::horizon::renoise)).
    ///
    /// # Errors
    /// [`ScheduleError::NoSteps`] for 0, [`ScheduleError::Buffer`] for more than there are.
    pub const fn tail(&self, steps: usize) -> Result<Self, ScheduleError> {
        if steps == 0 {
            return Err(ScheduleError::NoSteps);
        }
        if steps > self.steps() {
            return Err(ScheduleError::Buffer { needed: steps.saturating_add(1), given: self.levels.len() });
        }
        let (_, levels) = self.levels.split_at(self.steps() - steps);
        Ok(Self { levels })
    }
}
