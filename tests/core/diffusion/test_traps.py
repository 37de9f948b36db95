"""Where each known trap of discrete diffusion, and each known fault of other projects, is tested.

The numbers are those that docstrings name: oracle (T1 to T6), precision (T7 to T11), structure (T12
to T28). Names that begin with a kind are of its contract suite, which all that is registered runs.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import aios_core
from aios_core.kinds import KINDS

TESTS = Path(__file__).parents[2]

TRAPS = """\
T1 the bound integrates to -log p
    noise::test_nelbo_is_the_likelihood
    corruption::test_bound_is_the_likelihood
    objective::test_is_a_bound_where_it_says_so
T2 slopes, weights and inverses of schedules
    noise::test_slope
    noise::test_weight
    noise::test_inverse
    noise::test_decreases
T3 samplers reach the joint, or say that they do not
    sampler::test_follows_the_joint
    sampler::test_follows_the_joint_under_other_noise
    plugins/samplers/test_samplers::test_maskgit_is_biased
T4 times that leave the beginning out
    test_objective::test_bias_of_leaving_out_small_times
    test_objective::test_times_keep_their_distance_from_zero
T5 estimators agree
    test_objective::test_estimators_agree_with_the_likelihood
    test_objective::test_estimators_agree_with_the_chain_rule
T6 losses are sums over all tokens
    test_objective::test_loss_is_a_sum_over_all_tokens
T7 float32 loses rare tokens
    test_random::test_rare_tokens_can_be_drawn
    test_random::test_gumbel_in_float32_loses_what_float64_keeps
T8 low precision of logits and levels
    test_denoiser::test_certainty_is_no_nan
    test_denoiser::test_low_precision_is_raised_before_normalising
    plugins/noise/test_schedules::test_mask_rate_does_not_cancel_near_zero
T9 confidence is not tempered, ties are random
    test_core::test_confidence_is_not_tempered
    plugins/samplers/test_samplers::test_ties_fall_at_random
T10 entropy
    test_core::test_answers_in_single_precision_lose_no_entropy
    plugins/metrics/test_metrics::test_entropy_of_each_sample_then_the_mean
T11 logarithms of a uniform
    test_random::test_both_ends_of_the_uniform_are_tokens
T12 what is not masked stays
    plugins/samplers/test_properties::test_fills_in_masks_and_nothing_else
    corruption::test_tells_whether_it_is_absorbing
T13 no mask is left or drawn
    sampler::test_fills_in_every_mask
    test_denoiser::test_substitution
    test_core::test_fills_in_what_a_sampler_left
T14 what is fixed stays
    sampler::test_what_is_given_stays
    core/inference/test_engine::test_what_is_fixed_stays
T15 reuse changes no text
    sampler::test_reuse_changes_nothing
    plugins/samplers/test_samplers::test_calls_of_ancestral_sampling
T16 rows do not depend on their batch
    sampler::test_rows_are_independent
    backbone::test_padding_is_invisible
    core/inference/test_behaviour::test_rows_do_not_depend_on_their_batch
    core/inference/test_processes::test_rows_do_not_depend_on_their_batch_under_other_noise
T17 quotas add up, row by row
    plugins/samplers/test_samplers::test_quota_is_each_rows_own
    core/inference/test_behaviour::test_steps_may_be_more_than_tokens
T18 masks follow the schedule
    plugins/samplers/test_remasking::test_masks_follow_the_schedule
    plugins/samplers/test_remasking::test_probabilities_are_probabilities
T19 stratified times
    test_objective::test_stratified_times_vary_less
    core/training/test_learner::test_the_strata_of_times_span_the_accumulated_batch
T20 first hitting times
    plugins/samplers/test_samplers::test_first_hitting_times
T21 closed forms of other papers
    test_process::test_integrand_of_uniform_noise_is_udlm
    test_objective::test_score_entropy_is_sedds
    corruption::test_posterior_is_bayes_rule
T22 blocks
    test_block_causal::test_blocks_of_one_are_autoregression
    test_block_causal::test_one_block_is_plain_diffusion
    test_block_causal::test_nothing_leaks_from_later_blocks
    test_block_causal::test_cache_changes_no_token
T23 clipping is for training
    test_objective::test_clipped_times_have_clipped_mask_rates
T24 the average is swapped back
    core/training/test_learner::test_is_swapped_in_and_out_also_on_an_exception
T25 weights are really loaded
    core/training/test_checkpoint::test_loading_is_strict
    core/training/test_checkpoint::test_a_loaded_run_is_as_likely_as_was_told
T26 every sample is judged once
    plugins/metrics/test_metrics::test_twin_judges_every_sample_and_token_once
T27 ends of guidance
    test_guidance::test_ends_of_the_scale_are_the_two_models
    core/inference/test_behaviour::test_guidance_of_scale_zero_forgets_the_prompt
    core/inference/test_processes::test_guidance_under_other_noise
T28 all goes with all
    test_combinations::test_trains
    test_combinations::test_samples
    test_combinations::test_twin_trains
    test_combinations::test_every_pair_is_covered
"""

FAULTS = """\
Duo: nll takes other arguments than it is given, so nothing trains
    test_combinations::test_trains
Duo: guidance of any scale but 0 and 1 raises
    test_guidance::test_both_conventions
Duo: the earlier level of D3PM is the later one
    test_objective::test_discrete_bound_of_one_step
    plugins/objectives/test_d3pm::test_more_steps_are_a_lower_bound
Duo: the default predictor is refused by its own algorithm
    test_combinations::test_samples
    core/config/test_examples::test_all_are_good
Duo: the loss of the first token is never left out
    test_objective::test_first_token_of_the_twin_is_predicted_from_bos
xlm: no filter raises, both filters do nothing, the mask is drawn
    test_logits::test_filters
    test_logits::test_defaults_change_nothing
    test_denoiser::test_substitution
xlm: the loss is divided by the masks
    test_objective::test_loss_is_a_sum_over_all_tokens
xlm: the rate is not the slope, and a scalar
    noise::test_slope
    noise::test_is_elementwise_in_float64
MDLM: a schedule that is configured does not exist
    core/config/test_examples::test_all_are_good
ReMDM: DFM without top-p crashes
    test_combinations::test_samples
ReMDM: confidences are kept in bfloat16
    test_denoiser::test_low_precision_is_raised_before_normalising
BD3-LM: first hitting takes one row
    plugins/samplers/test_samplers::test_first_hitting_commits_one_token_a_row_and_call
BD3-LM: one row's end ends all
    core/inference/test_behaviour::test_texts_end_at_their_end
LLaDA: guidance without a padding mask raises
    core/inference/test_engine::test_guidance_leads_away_from_no_prompt
LLaDA: ends are suppressed without noise alone
    core/inference/test_behaviour::test_suppressed_ends_never_come
Dream: quotas are the batch's mean, what is known is overwritten
    plugins/samplers/test_samplers::test_quota_is_each_rows_own
    plugins/samplers/test_properties::test_fills_in_masks_and_nothing_else
Dream: confidence is tempered, ties go left
    test_core::test_confidence_is_not_tempered
    plugins/samplers/test_samplers::test_ties_fall_at_random
dInfer: a decoder uses names that are not there
    test_combinations::test_samples
    core/test_imports::test_every_module_imports
dLLM: what is installed lacks its packages
    native/test_packaging::test_wheel_holds_both_packages_and_nothing_else
dLLM, BD3-LM: an epsilon in the weight biases small times
    noise::test_weight
    plugins/noise/test_schedules::test_weight_of_loglinear_is_one_over_t
"""


def rows(table):
    """What is said of each row, and its tests, indented below it."""
    parts = re.split(r"\n(?=\S)", table.strip())
    return {part.splitlines()[0]: part.split("\n", 1)[1].split() for part in parts}


def file_of(place):
    if place in KINDS:
        return Path(aios_core.__file__).parent / "testing" / "contracts" / f"{place}.py"
    folder = TESTS if "/" in place else Path(__file__).parent
    return folder / f"{place}.py"


@cache
def names_in(path):
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("trap", [*rows(TRAPS), *rows(FAULTS)])
def test_has_a_test(trap):
    for name in (rows(TRAPS) | rows(FAULTS))[trap]:
        place, _, test = name.partition("::")
        assert test.startswith("test_")
        assert test in names_in(file_of(place)), f"{name} is gone"


def test_all_traps_are_here():
    assert [f"T{number}" for number in range(1, 29)] == [trap.split()[0] for trap in rows(TRAPS)]
