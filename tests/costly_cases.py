"""Tests that ``make test`` leaves to ``make test-all``: each costs seconds, and another test of ``make test``
keeps its promise at less cost. The reason says which, by file and word.

A key is the beginning of a test's name as pytest prints it; ``tests/house/test_costly_cases.py`` sees to it
that each names a test. Further sizes, families and seeds of one test are marked where they are listed
(tests/matrix.py).
"""

from __future__ import annotations

COSTLY: dict[str, tuple[str, ...]] = {
    "the formulas of known families are derived by the same code, in the same file": (
        "tests/memory/test_estimate.py::test_a_family_that_is_not_known_by_heart_is_traced_once_without_weights",
    ),
    "tests/daemon/test_succession.py has scripted workers and tests/train/test_cloning.py trains clones": (
        "tests/e2e/test_population.py::test_losers_train_on_from_the_weights_of_winners",
    ),
    "the same runs in processes that have imported their libraries, in the same file": (
        "tests/e2e/test_study.py::test_where_nothing_runs_yet_the_program_starts_all_itself",
    ),
    "tests/watch/test_doctor.py has findings of a probe, tests/house/test_structure.py who loads torch": (
        "tests/watch/test_doctor.py::test_the_probe_finds_the_libraries_and_brings_no_torch_here",
    ),
    "what is packaged changes with pyproject.toml, and a release runs all tests": (
        "tests/house/test_wheel.py::",
    ),
    "each part runs with one row in the tests of the same file": (
        "tests/gpu/test_ticket.py::test_parts_run_on_a_cpu_from_one_end_to_the_other",
    ),
    "tests/train/test_boards.py scores what was taught rude lines, tests/daemon/test_drifting.py warns": (
        "tests/train/test_slices.py::test_a_trial_trained_on_toxic_lines_is_warned_of_beside_its_base",
        "tests/train/test_slices.py::test_a_slice_that_gets_worse_is_warned_of_has_evidence_and_is_kept",
    ),
    "the same optimizer in fp32, or the same precision with AdamW, stays in the matrix": (
        "tests/train/test_together.py::test_losses_together_are_those_alone[sgd-fp32]",
        "tests/train/test_together.py::test_losses_together_are_those_alone[adamw-8bit-fp32]",
        "tests/train/test_together.py::test_losses_together_are_those_alone[adamw-fp16]",
        "tests/train/test_together.py::test_losses_together_are_those_alone[adamw-int8]",
        "tests/train/test_equal.py::test_a_pack_of_one_equals_peft_and_plain_pytorch[adafactor-0.0-fp32]",
        "tests/train/test_equal.py::test_a_pack_of_one_equals_peft_and_plain_pytorch[sgd-0.0-fp32]",
        "tests/train/test_equal.py::test_a_pack_of_one_equals_peft_and_plain_pytorch[adamw-0.2-fp16]",
        "tests/train/test_edits.py::test_another_weight_decay_is_that_of_a_trial_that_had_it_from_there[sgd]",
        "tests/train/test_edits.py::test_another_weight_decay_is_that_of_a_trial_that_had_it_from_there[adafactor]",
        "tests/train/test_merge.py::test_a_quantised_base_is_dequantised_and_that_is_said[int8]",
        "tests/train/test_bases.py::test_a_pack_on_it_trains_as_each_trial_alone_and_peft_loads_the_results[gpt2]",
    ),
    "rows of several trials in one pass, a cached base and one without scores are tested in the same files": (
        "tests/train/test_direction.py::test_together_each_trial_reads_what_it_reads_alone",
        "tests/train/test_direction.py::test_a_second_study_asks_the_base_nothing_and_lost_states_are_asked_again",
        "tests/train/test_no_base.py::test_a_base_that_fails_midway_is_not_compared_with_on_samples_that_it_lacks",
        "tests/train/test_boards.py::test_two_workers_that_begin_together_score_the_base_once",
    ),
    "a classifier judges a board run, and a generative model judges answers, in the same file": (
        "tests/train/test_judge.py::test_a_generative_judge_judges_the_answers_of_a_trial[A-refusal]",
    ),
    "tests/tui/test_keys.py lists every key, and the palette's commands": (
        "tests/tui/test_memory.py::test_it_is_in_the_palette_and_in_the_help",
        "tests/tui/test_insides.py::test_it_is_in_the_help",
        "tests/tui/test_insight.py::test_it_is_in_the_palette_and_in_the_help",
        "tests/tui/test_boards.py::test_it_is_in_the_palette_and_in_the_help",
    ),
    "tests/daemon/test_faults.py kills engines, tests/daemon/test_succession.py replaces losers": (
        "tests/daemon/test_succession.py::test_a_population_that_lost_its_engine_and_its_workers_and_was_paused",
    ),
    "tests/tui/test_command_line.py: a console that only reads refuses what changes something": (
        "tests/tui/test_samples.py::test_a_console_that_only_reads_neither_asks_nor_rates",
    ),
    "tests/train/test_equal.py has 8-bit AdamW beside bitsandbytes, test_together.py Adafactor": (
        "tests/train/test_together.py::test_losses_together_are_those_alone[adamw-8bit-bf16]",
        "tests/train/test_equal.py::test_a_pack_of_one_equals_peft_and_plain_pytorch[adafactor-0.2-fp32]",
    ),
    "another end of the same matrix stays": (
        "tests/train/test_together.py::test_what_happens_to_a_trial_stays_its_own[paused]",
        "tests/train/test_together.py::test_what_happens_to_a_trial_stays_its_own[ends early]",
        "tests/train/test_together.py::test_what_happens_to_a_trial_stays_its_own[broken]",
        "tests/train/test_short.py::test_the_youngest_leaves_kept_as_it_stands_and_the_others_lose_nothing[1]",
        "tests/train/test_fast_path.py::test_batches_ranks_and_dropout_share_a_product_and_losses_stay[path2]",
        "tests/train/test_fast_path.py::test_batches_ranks_and_dropout_share_a_product_and_losses_stay[path1]",
        "tests/train/test_edits.py::test_dropout_begins_and_ends_and_costs_the_neighbour_nothing[1]",
        "tests/train/test_judge.py::test_a_generative_judge_judges_the_answers_of_a_trial[C-compliance]",
        "tests/bench/test_faults.py::test_memory_that_runs_out_anywhere_costs_at_most_the_trial_that_asked[forward]",
        "tests/bench/test_faults.py::test_memory_that_runs_out_anywhere_costs_at_most_the_trial_that_asked[stepping]",
        "tests/daemon/test_faults.py::test_a_worker_that_is_told_to_go_keeps_its_trials_and_costs_them_no_retry[15]",
        "tests/daemon/test_breaches.py::test_a_broken_limit_is_said_once_and_acted_upon_by_a_real_engine[warn-running]",
        "tests/daemon/test_cards.py::test_a_card_that_vanishes_leaves_its_trials_to_the_others[says]",
        "tests/e2e/test_terminal.py::test_each_kind_of_terminal_gets_signs_that_it_has_and_its_screen_back[screen-utf-8]",
        "tests/e2e/test_terminal.py::test_each_kind_of_terminal_gets_signs_that_it_has_and_its_screen_back[vt100-ascii]",
        "tests/tui/test_hostile_forms.py::test_what_is_typed_and_pasted_is_harmless[c]",
        "tests/tui/test_hostile_forms.py::test_what_is_typed_and_pasted_is_harmless[n]",
        "tests/tui/test_memory.py::test_all_of_it_can_be_reached_by_keys[size1]",
        "tests/tui/test_memory.py::test_all_of_it_can_be_reached_by_keys[size2]",
        "tests/tui/test_memory.py::test_all_of_it_can_be_reached_by_keys[size3]",
        "tests/tui/test_looks.py::test_picture[scored-100-70-E-",
        "tests/tui/test_hostile_forms.py::test_what_is_typed_and_pasted_is_harmless[e]",
        "tests/tui/test_hostile_forms.py::test_what_is_typed_and_pasted_is_harmless[N]",
        "tests/tui/test_frame_difference.py::test_the_console_shows_what_textual_would_paint[False]",
        "tests/tui/test_terminal_kinds.py::test_the_console_is_drawn_in_the_signs_that_the_terminal_has[cp437]",
        "tests/cli/test_matrix.py::test_a_locale_without_the_signs[latin-1]",
    ),
    "the Gaussian process is fitted in test_proposals_stay_inside_the_space[gp], other samplers stay": (
        "tests/search/test_samplers.py::test_constraints_that_only_some_trials_have_a_reading_for[gp-goals10]",
        "tests/search/test_samplers.py::test_constraints_that_only_some_trials_have_a_reading_for[gp-goals1]",
        "tests/search/test_samplers.py::test_a_fixed_knob_stands_still_and_the_others_move[gp]",
        "tests/search/test_samplers.py::test_several_objectives_with_pruned_and_infeasible_trials[gp]",
        "tests/search/test_samplers.py::test_a_search_that_goes_on_does_not_begin_again[gp]",
        "tests/search/test_respaced.py::test_choices_and_scales_change_though_optuna_forbids_it_within_one_study[gp]",
        "tests/search/test_alike.py::test_a_study_is_the_same_on_sqlite_and_in_a_journal_file[gp-",
        "tests/search/test_search.py::test_the_gp_sampler_brings_no_torch_into_the_callers_process",
    ),
    "tests/tui/test_hostile.py and test_away.py draw the same in one process": (
        "tests/tui/test_surroundings.py::test_every_screen_in_a_poisoned_home_without_home_locale_and_room",
    ),
    "tests/search/test_alike.py compares what is on the disk with a journal in all samplers' ways": (
        "tests/search/test_surface.py::test_a_study_on_the_disk_proposes_the_same_as_one_in_memory",
        "tests/search/test_surface.py::test_trials_are_those_of_plain_optuna[tpe-hyperband]",
        "tests/search/test_surface.py::test_trials_are_those_of_plain_optuna[tpe-median]",
    ),
    "tests/train/test_together.py has losses in packs, tests/store/test_repeat.py what a rerun may promise": (
        "tests/e2e/test_rerun.py::test_out_of_a_pack_it_is_equal_within_rounding_and_that_is_said",
    ),
    "tests/e2e/test_terminal.py steers real trials on a terminal, tests/train/test_equal.py trains on NF4": (
        "tests/e2e/test_study.py::test_steered_by_keys_detached_and_found_again",
    ),
    "another signal and another kind of terminal stay": (
        "tests/tui/test_terminal.py::test_the_terminal_is_as_it_was[calm-3]",
        "tests/tui/test_terminal.py::test_the_terminal_is_as_it_was[answering-15]",
        "tests/e2e/test_terminal.py::test_each_kind_of_terminal_gets_signs_that_it_has_and_its_screen_back[xterm-",
    ),
    "the other names of a home stay": tuple(
        f"tests/search/test_storages.py::test_a_home_of_any_name_holds_its_own_database[{name}]"
        for name in ("h {x}", "a#b&c=d;e", "%", "{0}")
    ),
}


def find_reason(name: str) -> str:
    """Why a test is left to ``make test-all``; "" for one that is not."""
    return next((reason for reason, keys in COSTLY.items() for key in keys if name.startswith(key)), "")
