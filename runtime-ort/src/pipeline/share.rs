//! Which rows go into the next call: its places are shared fairly over the runs.

/// A run that waits for rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Which run.
    pub(super) place: usize,
    /// The rows it waits for.
    pub(super) rows: usize,
    /// When it last had rows in a call; the smaller, the longer ago.
    pub(super) served: u64,
    /// Its rows may not be in a call with others: such a call failed.
    pub(super) alone: bool,
}

/// How many rows each run has in a call of up to `most` rows, as (place, rows).
///
/// Every run gets an equal share, and what a run does not need goes to those with more rows. Where there are more runs than
/// rows, those that have waited longest come first.
pub(super) fn share(mut claims: Vec<Claim>, most: usize) -> Vec<(usize, usize)> {
    claims.retain(|claim| claim.rows > 0);
    claims.sort_by_key(|claim| claim.served);
    match claims.first() {
        None => return Vec::new(),
        Some(first) if first.alone || claims.len() == 1 => {
            // One run's rows: as few calls as may be, and nearly equal ones.
            return vec![(first.place, first.rows.div_ceil(first.rows.div_ceil(most)))];
        }
        Some(_) => {}
    }
    claims.retain(|claim| !claim.alone);
    claims.truncate(most);
    claims.sort_by_key(|claim| claim.rows);
    let (mut left, mut runs) = (most, claims.len());
    let give = |claim: Claim| {
        let rows = claim.rows.min(left / runs);
        left -= rows;
        runs -= 1;
        (claim.place, rows)
    };
    claims.into_iter().map(give).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[usize]) -> Vec<Claim> {
        let claim = |(place, &rows)| Claim { place, rows, served: 0, alone: false };
        rows.iter().enumerate().map(claim).collect()
    }

    #[test]
    fn small_runs_have_all_their_rows_and_wide_ones_the_rest() {
        assert_eq!(share(of(&[6400, 1, 0, 2]), 8), [(1, 1), (3, 2), (0, 5)]);
        assert_eq!(share(of(&[6400, 6400, 1]), 8), [(2, 1), (0, 3), (1, 4)]);
        assert_eq!(share(of(&[3, 2]), 8), [(1, 2), (0, 3)]);
        assert_eq!(share(of(&[9]), 8), [(0, 5)]);
        assert_eq!(share(of(&[]), 8), []);
    }

    #[test]
    fn with_more_runs_than_rows_all_have_their_turn() {
        let mut claims = of(&[50; 7]);
        let mut had = [0; 7];
        let mut shares = 0;
        for _ in 0..70 {
            for (place, rows) in share(claims.clone(), 3) {
                had[place] += rows;
                shares += 1;
                claims[place].served = shares;
            }
        }
        assert_eq!(had, [30; 7]);
    }

    #[test]
    fn runs_of_a_failed_call_are_alone() {
        let mut claims = of(&[4, 4, 4]);
        claims[1].alone = true;
        assert_eq!(share(claims.clone(), 8), [(0, 4), (2, 4)]);
        (claims[0].served, claims[2].served) = (1, 1);
        assert_eq!(share(claims, 8), [(1, 4)]);
    }
}
