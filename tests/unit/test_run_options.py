"""The fields of runs: one description for form, command line and check."""

import pytest

from core.errors import ConfigError
from core.finetuning.encoder import EncoderTuning
from dashboard.services import run_options
from dashboard.services.run_options import (
    CUE_OPTIONS,
    FINETUNE_OPTIONS,
    asked_finetune,
    asked_reweight,
    checked,
    finetune_config,
    reweight_config,
)


def test_every_default_lies_within_its_own_bounds_and_is_not_kept() -> None:
    for fields in (CUE_OPTIONS, FINETUNE_OPTIONS):
        assert checked(fields, {field.key: field.default for field in fields}) == {}
        assert all(field.help and "\n" not in field.help for field in fields)


def test_what_is_asked_for_comes_back_with_defaults_filled_in() -> None:
    config = finetune_config({"epochs": 4.0, "part": "adapters", "lr": "0.01"})
    assert config == {"options": {"blocks": 1, "part": "adapters", "lr": 0.01}}
    asked = asked_finetune(config).options
    assert (asked["epochs"], asked["part"], asked["lr"]) == (4, "adapters", 0.01)
    assert set(asked) == {field.key for field in FINETUNE_OPTIONS}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "there is no option 'epoch' here; there are: part, blocks"),
        ({"epochs": 0}, r"epochs must be a whole number in 1..1000, not 0"),
        ({"epochs": 2.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"epochs": "many"}, "whole number"),
        ({"lr": float("nan")}, "lr must be a number"),
        ({"part": "all"}, "part must be one of blocks, adapters"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        finetune_config(options)


def test_a_switch_takes_only_true_and_false() -> None:
    switch = run_options.OptionView("deep", "Deep", "", "goes deeper", "switch", False)
    assert checked((switch,), {"deep": True}) == {"deep": True}
    with pytest.raises(ConfigError, match="true or false"):
        checked((switch,), {"deep": 1})


def test_what_nobody_asks_for_is_what_the_engine_does() -> None:
    """Form, command line and engine have one default for each field: here is the engine's."""
    engine = EncoderTuning()
    losses = engine.tune.losses
    defaults = {field.key: field.default for field in FINETUNE_OPTIONS}
    assert defaults.pop("part") == "blocks"
    assert defaults.pop("rank") >= 1  # of adapters alone
    assert defaults == {
        "blocks": engine.blocks, "pasted": engine.pasted, "epochs": engine.tune.epochs,
        "patience": engine.tune.patience, "lr": engine.tune.lr,
        "precision": engine.tune.precision, "contribution": losses.contribution,
        "counterfactual": losses.counterfactual, "agreement": losses.agreement,
        "anchor": losses.anchor,
    }  # fmt: skip
    assert asked_finetune(finetune_config(None)).options["blocks"] == engine.blocks == 1


def test_runs_that_do_not_say_how_many_blocks_tuned_two() -> None:
    """That was the default when they were asked for; those of today say so in any case."""
    assert asked_finetune({}).options["blocks"] == 2
    assert asked_finetune({"options": {"epochs": 3}}).options["blocks"] == 2
    for blocks in (1, 2, 3):
        config = finetune_config({"blocks": blocks})
        assert config["options"]["blocks"] == blocks
        assert asked_finetune(config).options["blocks"] == blocks


def test_runs_of_before_there_was_a_choice_balanced_groups() -> None:
    assert asked_reweight({}).strategy == "groups"
    assert asked_reweight({}).options == {"min_regions": 2, "min_auc": 0.9}


def test_a_strategy_that_looks_at_no_marks_has_no_options_for_them() -> None:
    assert reweight_config("columns", None) == {"strategy": "columns", "options": {}}
    with pytest.raises(ConfigError, match="there are: none"):
        reweight_config("columns", {"min_auc": 0.8})
    with pytest.raises(ConfigError, match="no strategy 'magic'"):
        reweight_config("magic", None)
