"""`python -m benchmarks NAME [--json OUT] [--seeds 0,1,2] [--only PART]`: a table, and JSON.

`python -m benchmarks feedback --join A.json B.json --json OUT` puts parts together that were
measured apart.

Exit code 0 when every target holds, 1 when one does not, 2 for a wrong command line.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, print_table, write_json

NAMES: tuple[str, ...] = (
    "shortcut",
    "sae_speed",
    "relations_speed",
    "refit_speed",
    "feedback",
    "codes_size",
    "explain_latency",
    "concepts",
    "hierarchy",
    "naming",
    "faithfulness",
    "segmentation",
    "tiles",
    "desk",
    "report",
    "data_forms",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES, help="which benchmark")
    parser.add_argument("--json", type=Path, default=None, help="where to write the JSON")
    parser.add_argument(
        "--seeds", default=None, help="comma-separated; default 0,1,2 (feedback: 0-4)"
    )
    only = "feedback: protocols, report: forms; comma-separated"
    parser.add_argument("--only", default=None, help=only)
    parser.add_argument("--cases", type=int, default=None, help="report: how many cases")
    joined = "feedback: JSON files of parts or seeds measured apart; nothing is measured"
    parser.add_argument("--join", type=Path, nargs="+", default=None, help=joined)
    parser.add_argument("--quick", action="store_true", help="a small, unscored trial")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one benchmark; see the module's docstring for exit codes."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.join is not None and options.name != "feedback":
        parser.error("--join is for feedback")
    module = importlib.import_module(f"benchmarks.{options.name}")
    seeds = tuple(getattr(module, "SEEDS", (0, 1, 2)))
    if options.seeds is not None:
        seeds = tuple(int(seed) for seed in options.seeds.split(","))
    parts: dict[str, Any] = {}
    if options.only is not None:
        parts["only"] = tuple(options.only.split(","))
    if options.cases is not None:
        parts["cases"] = options.cases
    result: Result
    if options.join is not None:
        result = importlib.import_module("benchmarks.feedback_join").join(options.join)
    else:
        result = module.run(seeds, quick=options.quick, **parts)
    print_table(result)
    if options.json is not None:
        write_json(result, options.json)
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
