"""The demo is built once, in two parts, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import BundleError
from dashboard.bootstrap import Services
from dashboard.services.demo import DemoPlan
from tests.builders import demo_bundle, workspace

PLAN = DemoPlan(train=8, test=3, reversed=3, quick=5, size=64)
NOTICE = "synthetic phantom, not for clinical use"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_bundle(tmp_path_factory.mktemp("maker"))


def stamps(services: Services) -> dict[str, int]:
    folder = services.settings.workspace / "demo"
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_the_quick_part_shows_cases_and_the_rest_comes_behind_them(
    bundle: Path, tmp_path: Path
) -> None:
    services = workspace(tmp_path, plan=PLAN, demo_bundle=bundle)
    assert not services.demo.incomplete()

    quick = services.demo.build(quick=True)

    assert (quick.cases, quick.notice, quick.active_version) == (5, NOTICE, bundle.name)
    assert services.demo.incomplete()
    ada = services.review.sign_in("Ada")
    before = [row.image_name for row in services.review.queue(quick.id, ada)]

    whole = services.demo.build()

    after = services.review.queue(whole.id, ada)
    assert (whole.id, whole.cases) == (quick.id, 14)
    assert not services.demo.incomplete()
    assert [row.image_name for row in after[:5]] == before
    assert {row.split for row in after} == {"train", "test", "reversed"}
    assert whole.classes == ("naevus", "melanoma", "seborrhoeic keratosis")


def test_a_second_call_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    services = workspace(tmp_path, plan=PLAN, demo_bundle=bundle)
    first = services.demo.build()
    before = stamps(services)

    assert services.demo.build() == first
    assert services.demo.build(quick=True) == first
    assert stamps(services) == before


def test_a_build_that_is_stopped_goes_on(bundle: Path, tmp_path: Path) -> None:
    services = workspace(tmp_path, plan=PLAN, demo_bundle=bundle)

    def stop(fraction: float, stage: str) -> None:
        if stage == "encoding images":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.demo.build(progress=stop)
    assert services.demo.incomplete()
    drawn = {path: stamp for path, stamp in stamps(services).items() if path.endswith(".png")}

    assert services.demo.build().cases == 14
    assert drawn.items() <= stamps(services).items()


def test_the_first_cases_are_explained_already(bundle: Path, tmp_path: Path) -> None:
    services = workspace(tmp_path, plan=PLAN, demo_bundle=bundle)
    project = services.demo.build(quick=True)

    with services.uow(read_only=True) as uow:
        version = uow.versions.active(project.id)
        assert version is not None
        explained = [case.explanation is not None for case in uow.cases.list(version.id)]
        words = uow.projects.get(project.id).vocabulary["terms"]
    assert explained == [True, True, True, True, False]
    assert "ruler" in {word["name"] for word in words}


def test_without_its_model_version_the_demo_says_so(tmp_path: Path) -> None:
    services = workspace(tmp_path, plan=PLAN, demo_bundle=tmp_path / "nothing")

    with pytest.raises(BundleError, match="missing"):
        services.demo.build()
    assert services.projects.list() == ()
