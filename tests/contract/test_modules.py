"""Module groups mean the same layers, whatever a family calls them."""

from __future__ import annotations

import pytest

from core.contract.spec.layer_groups import match_layers, shorten_paths

FAMILIES = {
    "gpt2": (["h.0.attn.c_attn", "h.0.attn.c_proj"], ["h.0.mlp.c_fc", "h.0.mlp.c_proj"], []),
    "deepseek": (
        [
            f"0.self_attn.{name}"
            for name in ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
        ],
        ["0.mlp.gate_proj", "1.mlp.shared_experts.up_proj"],
        ["1.mlp.gate"],
    ),
    "mpt": (["0.attn.Wqkv", "0.attn.out_proj"], ["0.ffn.up_proj", "0.ffn.down_proj"], []),
    "falcon": (["h.0.self_attention.dense"], ["h.0.mlp.dense_h_to_4h"], []),
    "opt": (["0.self_attn.out_proj"], ["0.fc1", "0.fc2"], []),
    "gptj": (["h.0.attn.out_proj"], ["h.0.mlp.fc_in", "h.0.mlp.fc_out"], []),
    "lfm2": (["0.self_attn.out_proj"], ["0.feed_forward.w1"], ["0.conv.in_proj", "0.conv.out_proj"]),
    "qwen2_moe": (["0.self_attn.q_proj"], ["0.mlp.shared_expert.up_proj"], ["0.mlp.shared_expert_gate"]),
    "mamba": ([], [], ["0.mixer.in_proj", "0.mixer.out_proj"]),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_group_has_all_layers_of_its_kind_and_no_other(family):
    attention, mlp, neither = FAMILIES[family]
    known = [*attention, *mlp, *neither]
    assert match_layers(known, "attention") == attention
    assert match_layers(known, "mlp") == mlp
    assert match_layers(known, "all-linear") == known


def test_names_without_a_path_mean_what_they_did_and_an_ambiguous_one_both():
    known = ["c_attn", "c_proj", "c_fc"]
    assert match_layers(known, "attention") == ["c_attn", "c_proj"]
    assert match_layers(known, "mlp") == ["c_proj", "c_fc"]
    assert match_layers(["q_a_proj", "kv_b_proj", "o_proj"], "attention") == [
        "q_a_proj",
        "kv_b_proj",
        "o_proj",
    ]


def test_the_shortest_ends_mean_what_was_chosen_and_nothing_else():
    known = ["0.attn.c_proj", "0.mlp.c_proj", "1.attn.c_proj", "1.mlp.c_proj"]
    assert shorten_paths(known, known) == ["c_proj"]
    assert shorten_paths([known[0], known[2]], known) == ["attn.c_proj"]
    assert shorten_paths([known[0]], known) == ["0.attn.c_proj"]
