"""Costs against sums done by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import cost
from shelly_local.commands.main import main

MACHINE = cost.Local(machine=365.25, watts_idle=10, watts_busy=50, electricity_per_kwh=0.4)
TIERS = (cost.Tier(10_000, 1.0), cost.Tier(math.inf, 0.5))


def test_tiers_and_free_pictures() -> None:
    cloud = cost.Cloud(1000, 12, TIERS)
    assert cloud.month(500, 1) == 0
    assert cloud.month(5000, 12) == pytest.approx(4.0)
    assert cloud.month(5000, 13) == pytest.approx(5.0)
    assert cloud.month(30_000, 13) == pytest.approx(10 + 10)


def test_local_electricity_and_machines() -> None:
    # Idle for 730.5 hours: 7.305 kWh; 3,600 pictures of a second make one hour 40 W more.
    assert MACHINE.month(3600, 1.0) == pytest.approx((7.305 + 0.04) * 0.4)
    assert MACHINE.machines(3600, 1.0) == 1
    assert MACHINE.machines(3_000_000, 1.0) == 2


def test_month_in_which_a_machine_has_paid_for_itself() -> None:
    cloud = cost.Cloud(0, math.inf, (cost.Tier(math.inf, 1.0),))
    figures = cost.of_cloud(cloud, 100_000, MACHINE, 0.1)
    monthly = MACHINE.month(100_000, 0.1)
    assert figures["paid_off_in_month"] == math.ceil(365.25 / (100 - monthly)) == 4
    assert figures["per_thousand"] == 1.0
    assert cost.of_cloud(cloud, 1000, MACHINE, 0.1)["paid_off_in_month"] is None


def test_bundled_prices() -> None:
    prices = cost.load()
    rekognition, google = prices.clouds["rekognition"], prices.clouds["google"]
    assert rekognition.month(101_000, 1) == pytest.approx(100.0)
    assert rekognition.month(6_000_000, 13) == pytest.approx(1000 + 3200 + 600)
    assert google.month(101_000, 100) == pytest.approx(150.0)
    for entry in prices.source["clouds"].values():
        assert entry["vendor"]
        assert entry["source"].startswith("https://")
        assert entry["date"] >= "2020"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "cost.json"
    arguments = ["--seconds", "0.1", "--pictures-per-month", "50000", "--json", str(output)]
    assert main(["benchmark", "cost", *arguments]) == 0
    assert "50,000 pictures a month" in capsys.readouterr().out
    costs = json.loads(output.read_text())
    assert costs["clouds"]["google"]["first_month"] == 73.5
    assert costs["local"]["local"]["machines"] == 1
    assert main(["benchmark", "cost"]) == 1
    assert "give the time of a picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [
        {"tiers": []},
        {"tiers": [{"up_to": 5, "per_thousand": 1}]},
        {"tiers": [{"up_to": None, "per_thousand": -1}]},
        {"tiers": [{"up_to": None, "per_thousand": "much"}]},
    ],
)
def test_damaged_prices(
    damage: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(cost.PRICES.read_text())
    content["clouds"]["google"] |= damage
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(content))
    assert main(["benchmark", "cost", "--seconds", "1", "--prices", str(file)]) == 1
    assert "is no price file" in capsys.readouterr().err
