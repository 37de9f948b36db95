//! Widths for tensors of different sensitivity.

use crate::{Error, Result};

/// One way to store a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Bits a weight.
    pub bits: f64,
    /// What was measured to be lost, in any unit that adds up over tensors.
    pub damage: f64,
}

/// For each tensor the index of a choice, such that together they take at most `budget` bits a
/// weight and do as little damage as moves along the tensors' convex hulls find.
///
/// Starting at the smallest choices, the move that saves most damage for each bit it costs is made as
/// long as it can be paid. The result is optimal up to the last move that could not (Everett 1963).
///
/// # Errors
/// If a tensor has no choice, a number is not finite, or the smallest choices are over the budget.
#[expect(clippy::cast_precision_loss, reason = "sizes below 2^53")]
pub fn plan(tensors: &[(usize, Vec<Choice>)], budget: f64) -> Result<Vec<usize>> {
    for (position, (_, choices)) in tensors.iter().enumerate() {
        let bad = |c: &Choice| !(c.bits.is_finite() && c.bits >= 0.0 && c.damage.is_finite());
        let value = choices.iter().find(|c| bad(c)).map_or(0.0, |c| c.bits + c.damage);
        if choices.is_empty() || choices.iter().any(bad) {
            let expected = "at least one choice of finite bits and damage";
            return Err(Error::Statistic {
                what: "choices of a tensor",
                position,
                value,
                expected,
            });
        }
    }
    let smaller = |choices: &[Choice], a: usize, b: usize| {
        let key = |c: Choice| (c.bits, c.damage);
        key(choices[a]).partial_cmp(&key(choices[b])).unwrap_or(std::cmp::Ordering::Equal)
    };
    let mut chosen: Vec<usize> = tensors
        .iter()
        .map(|(_, c)| (0..c.len()).min_by(|&a, &b| smaller(c, a, b)).unwrap_or(0))
        .collect();
    let cost = |tensor: usize, choice: usize| {
        let (weights, choices) = &tensors[tensor];
        *weights as f64 * choices[choice].bits
    };
    let weights: f64 = tensors.iter().map(|(weights, _)| *weights as f64).sum();
    let mut spent: f64 = chosen.iter().enumerate().map(|(t, &c)| cost(t, c)).sum();
    // The tolerance is for sums of bits that are no binary fractions.
    let allowed = budget * weights * (1.0 + 1e-12);
    if spent.is_nan() || spent > allowed {
        return Err(Error::Budget { budget, smallest: spent / weights });
    }
    loop {
        let mut best: Option<(f64, usize, usize)> = None;
        for (t, (_, choices)) in tensors.iter().enumerate() {
            for (c, choice) in choices.iter().enumerate() {
                let saved = choices[chosen[t]].damage - choice.damage;
                let extra = cost(t, c) - cost(t, chosen[t]);
                if saved <= 0.0 || spent + extra > allowed {
                    continue;
                }
                let rate = if extra > 0.0 { saved / extra } else { f64::INFINITY };
                if best.is_none_or(|(most, ..)| rate > most) {
                    best = Some((rate, t, c));
                }
            }
        }
        let Some((_, t, c)) = best else { return Ok(chosen) };
        spent += cost(t, c) - cost(t, chosen[t]);
        chosen[t] = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choices() -> impl Strategy<Value = Vec<Choice>> {
        let choice = (1.0f64..8.0, 0.0f64..9.0).prop_map(|(bits, damage)| Choice { bits, damage });
        prop::collection::vec(choice, 1..4)
    }

    proptest! {
        /// Against all combinations: within the budget, and worse than the best by no more than
        /// the one move that could not be paid.
        #[test]
        fn plans_are_nearly_the_best(
            tensors in prop::collection::vec((1usize..100, choices()), 1..5), budget in 1.0f64..9.0,
        ) {
            let weights: usize = tensors.iter().map(|t| t.0).sum();
            let of = |chosen: &[usize]| {
                chosen.iter().zip(&tensors).fold((0.0, 0.0), |sum, (&c, (weights, choices))| {
                    (sum.0 + *weights as f64 * choices[c].bits, sum.1 + choices[c].damage)
                })
            };
            let mut all = vec![vec![]];
            for (_, choices) in &tensors {
                all = (0..choices.len())
                    .flat_map(|c| all.iter().map(move |a| [&a[..], &[c]].concat()))
                    .collect();
            }
            let fits = |chosen: &Vec<usize>| of(chosen).0 <= budget * weights as f64;
            let best = all.iter().filter(|c| fits(c)).map(|c| of(c).1).fold(f64::INFINITY, f64::min);
            match plan(&tensors, budget) {
                Err(_) => prop_assert!(best.is_infinite()),
                Ok(chosen) => {
                    let (bits, damage) = of(&chosen);
                    let spread = |c: &[Choice]| {
                        let most = c.iter().fold(0f64, |m, c| m.max(c.damage));
                        most - c.iter().fold(f64::INFINITY, |m, c| m.min(c.damage))
                    };
                    let one = tensors.iter().map(|t| spread(&t.1)).fold(0.0, f64::max);
                    prop_assert!(bits <= budget * weights as f64 * (1.0 + 1e-9));
                    prop_assert!(best <= damage + 1e-9 && damage <= best + one + 1e-9);
                }
            }
        }
    }

    #[test]
    fn bits_go_where_each_of_them_saves_most() {
        let of = |weights, damage| {
            let choice = |bits, damage| Choice { bits, damage };
            (weights, vec![choice(2.0, damage), choice(4.0, 0.0)])
        };
        let tensors = [of(4, 5.0), of(1, 3.0), of(1, 3.0), of(1, 3.0), of(1, 3.0)];

        assert_eq!(vec![0, 1, 1, 1, 1], plan(&tensors, 3.0).unwrap());
    }

    #[test]
    fn a_tensor_without_a_sound_choice_is_refused() {
        let nan = Choice { bits: 4.0, damage: f64::NAN };

        assert!(plan(&[(1, vec![])], 4.0).is_err());
        assert!(plan(&[(1, vec![nan])], 4.0).is_err());
        assert!(plan(&[], 4.0).is_ok_and(|chosen| chosen.is_empty()));
    }
}
