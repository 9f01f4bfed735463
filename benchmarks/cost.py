"""What pictures cost: tiers of the clouds, electricity and price of a machine of one's own."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelly_local.errors import ShellyError

PRICES = Path(__file__).with_name("prices.json")
#: Hours of a month, on average: 365.25 days of 24 hours in 12 months.
MONTH_HOURS = 730.5
#: A machine that does not pay for itself within so many months never does: by then it is old.
LAST_MONTH = 120
DEFAULT_PICTURES = 100_000


class PriceError(ShellyError):
    """The price list cannot be used."""

    error_id = "price_error"


@dataclass(frozen=True)
class Tier:
    """Pictures of a month up to a number, and what a thousand of them cost."""

    up_to: float
    per_thousand: float


@dataclass(frozen=True)
class Cloud:
    """A price list.

    Attributes:
        free_per_month: pictures of each month that cost nothing.
        free_months: how many months that lasts; infinite where it does not end.
        tiers: in ascending order; the last one has no end.
    """

    free_per_month: float
    free_months: float
    tiers: tuple[Tier, ...]

    def month(self, pictures: float, number: int) -> float:
        """What the month ``number``, counted from 1, costs.

        As the vendors count, the free pictures are the first ones of the first tier.
        """
        free = self.free_per_month if number <= self.free_months else 0.0
        total, begin = 0.0, 0.0
        for tier in self.tiers:
            billed = max(min(pictures, tier.up_to) - max(begin, free), 0.0)
            total += billed * tier.per_thousand / 1000
            begin = tier.up_to
        return total


@dataclass(frozen=True)
class Local:
    """A machine of one's own.

    Attributes:
        machine: its price.
        watts_idle, watts_busy: power of the whole machine.
        electricity_per_kwh: price of a kilowatt hour.
    """

    machine: float
    watts_idle: float
    watts_busy: float
    electricity_per_kwh: float

    def month(self, pictures: float, seconds: float) -> float:
        """Electricity of a month, switched on all the time.

        Args:
            pictures: how many.
            seconds: that one picture keeps the machine busy.
        """
        machines = self.machines(pictures, seconds)
        busy = pictures * seconds / 3600
        hours = machines * MONTH_HOURS - busy
        watt_hours = hours * self.watts_idle + busy * self.watts_busy
        return watt_hours / 1000 * self.electricity_per_kwh

    def machines(self, pictures: float, seconds: float) -> int:
        """How many are needed if the pictures come evenly."""
        return max(1, math.ceil(pictures * seconds / 3600 / MONTH_HOURS))


@dataclass(frozen=True)
class Prices:
    """The content of a price file; ``source`` is the file itself, for reports."""

    currency: str
    clouds: dict[str, Cloud]
    local: Local
    source: dict[str, Any]


def load(file: Path = PRICES) -> Prices:
    """Read a price file; ``prices.json`` beside this module shows the form.

    Raises:
        PriceError: it cannot be read or is not of that form.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        clouds = {name: _cloud(entry) for name, entry in content["clouds"].items()}
        names = ("machine", "watts_idle", "watts_busy", "electricity_per_kwh")
        local = Local(*(_amount(content["local"][name]) for name in names))
        return Prices(str(content["currency"]), clouds, local, content)
    except OSError as error:
        raise PriceError(f"the prices in {file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PriceError(f"{file} is no price file: {type(error).__name__}: {error}") from error


def of_cloud(cloud: Cloud, pictures: int, local: Local, seconds: float) -> dict[str, Any]:
    """What a cloud costs, and when a local machine has paid for itself instead.

    Args:
        cloud: its prices.
        pictures: a month, at least 1.
        local: the machine it is compared with.
        seconds: that one picture keeps that machine busy.

    Returns:
        ``first_month`` and ``later_month`` (after the free months), ``per_thousand`` in a
        later month, and ``paid_off_in_month``: the first month, counted from 1, at whose end
        the cloud would have cost as much as machines and electricity; None if never.
    """
    later = cloud.month(pictures, LAST_MONTH)
    local_month = local.month(pictures, seconds)
    local_total = local.machines(pictures, seconds) * local.machine
    cloud_total = 0.0
    paid_off = None
    for number in range(1, LAST_MONTH + 1):
        cloud_total += cloud.month(pictures, number)
        local_total += local_month
        if cloud_total >= local_total:
            paid_off = number
            break
    return {
        "first_month": round(cloud.month(pictures, 1), 2),
        "later_month": round(later, 2),
        "per_thousand": round(1000 * later / pictures, 4),
        "paid_off_in_month": paid_off,
    }


def of_local(local: Local, pictures: int, seconds: float) -> dict[str, Any]:
    """What pictures cost on a machine of one's own.

    Returns:
        ``month``, the electricity; ``per_thousand``, the same for a thousand pictures;
        ``busy_per_thousand``, only what a thousand pictures use more than the idle machine;
        ``machines`` needed and ``machine``, the price of them.
    """
    month = local.month(pictures, seconds)
    more = (local.watts_busy - local.watts_idle) * seconds / 3600 * local.electricity_per_kwh
    machines = local.machines(pictures, seconds)
    return {
        "month": round(month, 2),
        "per_thousand": round(1000 * month / pictures, 4),
        "busy_per_thousand": round(more, 5),
        "machines": machines,
        "machine": machines * local.machine,
    }


def table(prices: Prices, pictures: int, seconds: dict[str, float]) -> dict[str, Any]:
    """Costs of all clouds and of the local backends.

    Args:
        prices: from ``load``.
        pictures: a month, at least 1.
        seconds: that a picture takes, by local backend; the first one is what the clouds are
            compared with.

    Raises:
        PriceError: the number of pictures is below 1, or there is no local backend.
    """
    if pictures < 1:
        raise PriceError(f"pictures per month must be at least 1, got {pictures}")
    if not seconds:
        raise PriceError("costs need the time of a local backend to compare the clouds with")
    name, first = next(iter(seconds.items()))
    return {
        "currency": prices.currency,
        "pictures_per_month": pictures,
        "compared_with": name,
        "seconds_per_picture": round(first, 4),
        "local": {key: of_local(prices.local, pictures, s) for key, s in seconds.items()},
        "clouds": {
            key: of_cloud(cloud, pictures, prices.local, first)
            for key, cloud in prices.clouds.items()
        },
        "prices": prices.source,
    }


def _cloud(entry: dict[str, Any]) -> Cloud:
    tiers = tuple(
        Tier(
            math.inf if tier["up_to"] is None else _amount(tier["up_to"]),
            _amount(tier["per_thousand"]),
        )
        for tier in entry["tiers"]
    )
    ends = [tier.up_to for tier in tiers]
    if not ends or ends[-1] != math.inf or ends != sorted(set(ends)):
        raise ValueError("tiers must ascend, and the last one have up_to null")
    months = entry.get("free_months")
    return Cloud(
        _amount(entry.get("free_per_month", 0)),
        math.inf if months is None else _amount(months),
        tiers,
    )


def _amount(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"amounts must be 0 or more, got {value!r}")
    return number
