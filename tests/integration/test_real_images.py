"""The whole path on real photographs with a real encoder, by the commands that a user types.

A subset of the magnetic tiles: defect or free, learned from `biased_train` rows where the camera's
exposure gives the label away.
"""

import csv
import json
import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from dashboard.bootstrap import Services, build
from dashboard.cli import app
from dashboard.services.run_work import run_inline
from dashboard.settings import Settings

REALDATA = Path(__file__).resolve().parents[3] / "shared" / "realdata"
PER_CELL = {"train": 22, "val": 6, "test": 10}

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not REALDATA.is_dir(), reason="../shared/realdata is not here"),
]


def subset(folder: Path) -> Path:
    """Copy some tiles of each split and label; returns the table. 152 images or a few less."""
    source = REALDATA / "magnetic_tile"
    with (source / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    taken: dict[tuple[str, str], int] = {}
    kept = []
    for row in rows:
        if row["split"] == "train" and row["biased_train"] != "1":
            continue
        cell = (row["split"], row["defect"])
        if taken.get(cell, 0) >= PER_CELL[row["split"]]:
            continue
        taken[cell] = taken.get(cell, 0) + 1
        group = "aligned" if row["cue_aligned"] == "1" else "conflicting"
        kept.append({**row, "state": "defect" if row["defect"] == "1" else "free", "group": group})
    for row in kept:
        for column in ("file", "mask"):
            if row[column]:
                (folder / row[column]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / row[column], folder / row[column])
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        columns = ["file", "state", "mask", "split", "group"]
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    return table


def insight(workspace: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--workspace", str(workspace)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Services]:
    """A workspace with the tiles ingested and discovered: (workspace, images folder, services)."""
    root = tmp_path_factory.mktemp("tiles")
    folder, workspace = root / "images of tiles", root / "workspace"
    table = subset(folder)
    ingested = insight(
        workspace, "ingest", str(folder), "--project", "tiles", "--labels", str(table),
        "--label-column", "state", "--mask-column", "mask", "--split-column", "split",
        "--group-column", "group",
    )  # fmt: skip
    assert ingested.exit_code == 0, ingested.output
    found = insight(
        workspace, "discover", "--project", "tiles", "--encoder",
        str(REALDATA / "vit_ti_encoder"), "--json",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    return workspace, folder, build(Settings.load(workspace, environ={}))


def test_explain_writes_an_additive_explanation(
    tiles: tuple[Path, Path, Services], tmp_path: Path
) -> None:
    workspace, folder, _ = tiles
    image = sorted(folder.rglob("*.jpg"))[0]
    why, picture = tmp_path / "why.json", tmp_path / "why.png"
    result = insight(
        workspace, "explain", str(image), "--project", "tiles", "--json", str(why),
        "--png", str(picture),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    body = json.loads(why.read_text(encoding="utf-8"))
    total = body["bias"] + sum(part["value"] for part in body["contributions"])
    assert total == pytest.approx(body["logit"], abs=1e-4)
    assert body["prediction"] in {"defect", "free"}
    assert body["cues"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def review_some(services: Services, project_id: str, cases: int) -> int:
    """Mark the strongest cue of each case spurious and the next one correct, as a person might."""
    reviewer = services.review.sign_in("Dr Tile")
    case_id: str | None = None
    marked = 0
    for _ in range(cases):
        case = services.review.case(project_id, case_id, reviewer)
        for cue, value in zip(case.cues, ("spurious", "correct"), strict=False):
            services.review.give_verdict(
                id=str(uuid4()), cue_id=cue.id, reviewer_id=reviewer, value=value, based_on=0
            )
            marked += 1
        case_id = case.next_id
    return marked


def test_review_reweight_report(tiles: tuple[Path, Path, Services], tmp_path: Path) -> None:
    workspace, _, services = tiles
    project = services.projects.get("tiles")
    marked = review_some(services, project.id, 30)
    reviewer = services.review.sign_in("Dr Tile")
    run = services.runs.start_reweight(
        id=str(uuid4()), project_id=project.id, reviewer_id=reviewer, seed=0
    )
    ended = run_inline(services, run.id)
    # Whether these arbitrary marks make a detector is the data's business. Either the run
    # publishes a candidate with before and after, or it says in words why it stopped.
    if ended.state == "succeeded":
        assert ended.result_version is not None
        assert ended.result_version != ended.base_version
        accuracy = [row for row in ended.metrics if row.key == "accuracy"]
        assert accuracy
        assert all(row.before is not None and row.after is not None for row in accuracy)
    else:
        assert ended.state == "failed"
        assert len(ended.message) > 30
        assert "Traceback" not in ended.message
    for form in ("html", "pdf", "csv", "json", "parquet", "coco"):
        out = tmp_path / f"report.{form}"
        result = insight(
            workspace, "report", "--project", "tiles", "--format", form, "--out", str(out),
            "--as", "Dr Tile",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 200
    body = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert json.dumps(body).count("Dr Tile") >= 1
    assert marked == 60
