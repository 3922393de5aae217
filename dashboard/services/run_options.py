"""What may be asked of a run: its fields, their bounds, and how they are kept in its config.

A run keeps only what was asked for; a field that is not there has its default, so that runs of
before stay readable. Where a default has changed since, new runs keep the field in any case, and a
run without it was asked for under the former default. Fields are described once, as OptionView:
the form, the command line and the check read the same description.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core import usual_tuning
from core.errors import ConfigError
from dashboard.viewmodels.runs import OptionView

AUTO: Final = "auto"
BEFORE_CHOICE: Final = "groups"  # what runs did before there was a choice
BLOCKS_BEFORE: Final = 2  # what runs tuned that do not say how many blocks
LEAST_CASES: Final = 2  # with a marked region that a cue needs, where nothing else is asked for
_NEED_CUES_NOT: Final = frozenset({"columns", "concept_penalty", "concept_lasso"})

CUE_OPTIONS: Final = (
    OptionView(
        "min_regions", "Marked cases per cue", "cases",
        "cases with a marked region that a cue needs before anything is learnt from it",
        "whole", LEAST_CASES, 2, 50,
    ),
    OptionView(
        "min_auc", "How surely a cue must be recognised", "AUC",
        "on marked cases it did not learn from: 1 is always, 0.5 is a coin; below it the cue is "
        "set aside",
        "number", 0.9, 0.55, 1.0,
    ),
)  # fmt: skip

FINETUNE_OPTIONS: Final = (
    OptionView(
        "part", "What is tuned", "", "the last blocks' own weights, or small matrices beside them "
        "(low-rank adapters): fewer numbers, less freedom", "choice", "blocks",
        choices=(("blocks", "the last blocks"), ("adapters", "low-rank adapters")),
    ),
    OptionView("blocks", "How many of the last blocks", "", "of the encoder change: more of them, "
               "more freedom and more time", "whole", usual_tuning.BLOCKS, 1, 48, extra=True),
    OptionView("rank", "Size of the adapters", "rank", "of the small matrices; where adapters are "
               "tuned", "whole", 8, 1, 256, extra=True, only=("part", "adapters")),
    OptionView("epochs", "Passes over the training cases, at most", "", "it stops earlier where "
               "the validation cases gain nothing more", "whole", usual_tuning.EPOCHS, 1, 1000),
    OptionView("patience", "Looks without a gain before it stops", "", "how often the validation "
               "cases may show no gain", "whole", usual_tuning.PATIENCE, 1, 1000, extra=True),
    OptionView("lr", "Learning rate", "", "length of a step at its peak", "number",
               usual_tuning.RATE, 1e-7, 1.0, extra=True),
    OptionView("contribution", "How strongly rejected cues are pushed out", "", "weight of the "
               "penalty on what rejected concepts add inside rejected regions; 0 leaves it out",
               "number", usual_tuning.CONTRIBUTION, 0.0, 1e6),
    OptionView("counterfactual", "Filled copies", "weight", "copies whose rejected region is "
               "filled from around it; 0 leaves them out", "number", usual_tuning.COUNTERFACTUAL,
               0.0, 1e3, extra=True),
    OptionView("agreement", "Same answer with and without", "weight", "the difference between "
               "the answers to a case and to its filled copy; 0 leaves it out", "number",
               usual_tuning.AGREEMENT, 0.0, 1e3, extra=True),
    OptionView("pasted", "Pasted artefacts", "share of the cases", "copies with an artefact that "
               "was rejected in a case of another class", "number", usual_tuning.PASTED, 0.0, 4.0,
               extra=True),
    OptionView("anchor", "Hold the rest", "weight", "how far the tokens outside rejected regions "
               "may move; more keeps concepts and names as they were", "number",
               usual_tuning.ANCHOR, 0.0, 1e3, extra=True),
    OptionView(
        "precision", "Precision", "", "bf16 is faster on large encoders and on a GPU, and less "
        "exact", "choice", "fp32", choices=(("fp32", "exact (fp32)"), ("bf16", "fast (bf16)")),
        extra=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a run was asked to do."""

    strategy: str
    options: dict[str, Any]  # all fields of the strategy, defaults filled in

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"strategy": self.strategy, "options": self.options}


def strategy_options(strategy: str) -> tuple[OptionView, ...]:
    """The fields of a strategy's form."""
    return () if strategy in _NEED_CUES_NOT else CUE_OPTIONS


def reweight_config(strategy: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a reweighting run keeps as its config.

    Raises ConfigError for a strategy that there is not, an unknown field or a value out of range.
    """
    from core.strategies import get_strategy

    get_strategy(strategy)
    return {"strategy": strategy, "options": checked(strategy_options(strategy), options)}


def finetune_config(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a fine-tuning run keeps as its config. Raises ConfigError as `reweight_config`."""
    return {"options": {"blocks": usual_tuning.BLOCKS, **checked(FINETUNE_OPTIONS, options)}}


def asked_reweight(config: Mapping[str, Any]) -> Asked:
    """What the config of a reweighting run asks for."""
    strategy = str(config.get("strategy", BEFORE_CHOICE))
    return Asked(strategy, filled(strategy_options(strategy), config.get("options", {})))


def asked_finetune(config: Mapping[str, Any]) -> Asked:
    """What the config of a fine-tuning run asks for."""
    given = {"blocks": BLOCKS_BEFORE, **config.get("options", {})}
    return Asked("", filled(FINETUNE_OPTIONS, given))


def filled(fields: tuple[OptionView, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field's value: as given, else its default."""
    return {field.key: given.get(field.key, field.default) for field in fields}


def checked(fields: tuple[OptionView, ...], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The given values, each of its field's kind and within its bounds; defaults are left out.

    >>> checked(CUE_OPTIONS, {"min_regions": 4.0, "min_auc": 0.9})
    {'min_regions': 4}
    """
    by_key = {field.key: field for field in fields}
    unknown = sorted(set(given or {}) - set(by_key))
    if unknown:
        there = ", ".join(by_key) or "none"
        raise ConfigError(f"there is no option {unknown[0]!r} here; there are: {there}")
    values = {key: _value(by_key[key], value) for key, value in (given or {}).items()}
    return {key: value for key, value in values.items() if value != by_key[key].default}


def _value(field: OptionView, value: Any) -> Any:
    if field.kind == "choice":
        words = [each for each, _ in field.choices]
        if value not in words:
            raise ConfigError(f"{field.key} must be one of {', '.join(map(str, words))}")
        return value
    if field.kind == "switch":
        if not isinstance(value, bool):
            raise ConfigError(f"{field.key} must be true or false, not {value!r}")
        return value
    return _number(field, value)


def _number(field: OptionView, value: Any) -> int | float:
    number = math.nan if isinstance(value, bool) else _as_float(value)
    low = -math.inf if field.low is None else field.low
    high = math.inf if field.high is None else field.high
    if not low <= number <= high or (field.kind == "whole" and number != int(number)):
        kind = "a whole number" if field.kind == "whole" else "a number"
        raise ConfigError(f"{field.key} must be {kind} in {low:g}..{high:g}, not {value!r}")
    return int(number) if field.kind == "whole" else number


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
