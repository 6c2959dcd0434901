"""What differs between two runs, in words that the user typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.store.explain import changed_settings

ONE, TWO = "1" * 64, "2" * 64
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values))
def test_nothing_differs_from_itself(inputs):
    assert changed_settings(inputs, inputs) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"seed": 0}, {"seed": 1}, "seed 0 → 1"),
        ({"config": {"k": 2}}, {"config": {"k": 3}}, "k 2 → 3"),
        (
            {"config": {"params": {"diversity_weight": 0.5}}},
            {"config": {"params": {"diversity_weight": 1.0}}},
            "params.diversity_weight 0.5 → 1.0",
        ),
        ({"policy": None}, {"policy": "x"}, "policy none → x"),
        ({}, {"policy": None}, "policy unset → none"),
        ({"policy": "x"}, {}, "policy x → unset"),
        ({"k": 1}, {"k": 1.0}, "k 1 → 1.0"),
        ({"k": 1}, {"k": True}, "k 1 → True"),
        ({"path": "x" * 60}, {"path": "y"}, f"path {'x' * 39}… → y"),
    ],
)
def test_setting_is_named_with_both_values(before, after, said):
    assert changed_settings(before, after) == [said]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"table": "prompts", "digest": ONE}, {"table": "prompts", "digest": TWO}),
        (None, {"table": "prompts", "digest": TWO}),
        ({"model": ONE}, {"model": TWO}),
        ([{"table": "preferences", "digest": ONE}], []),
        (ONE, TWO),  # a file
    ],
)
def test_digests_are_only_said_to_differ(before, after):
    assert changed_settings({"config": {"given": before}}, {"config": {"given": after}}) == [
        "other given"
    ]


def test_setting_called_model_is_not_taken_for_an_input():
    before = {"params": {"model": "small", "label": 0}}
    assert changed_settings(before, {"params": {"model": "large", "label": 1}}) == [
        "params.label 0 → 1",
        "params.model small → large",
    ]
    assert changed_settings({"params": {"model": "small"}}, {"params": {"model": "large"}}) == [
        "params.model small → large"
    ]
    from_folder = {"params": {"model": ONE, "label": 0}}
    assert changed_settings(from_folder, {"params": {"model": TWO, "label": 1}}) == [
        "params.label 0 → 1",
        "other params.model",
    ]


def test_settings_come_before_inputs():
    before = {"candidates": {"table": "candidates", "digest": ONE}, "seed": 0}
    after = {"candidates": {"table": "candidates", "digest": TWO}, "seed": 1}
    assert changed_settings(before, after) == ["seed 0 → 1", "other candidates"]
