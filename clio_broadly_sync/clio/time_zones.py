"""Time zones as Clio names them, and the country that a zone belongs to.

Clio writes a zone as Rails does ("Pacific Time (US & Canada)", "Sydney"), or by its IANA name.
Source: the list of zones in Rails' ActiveSupport; zone.tab of the IANA time zone database.
"""

from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_RAILS: Final = {
    "International Date Line West": "Pacific/Midway",
    "Midway Island": "Pacific/Midway",
    "American Samoa": "Pacific/Pago_Pago",
    "Hawaii": "Pacific/Honolulu",
    "Alaska": "America/Juneau",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Mountain Time (US & Canada)": "America/Denver",
    "Arizona": "America/Phoenix",
    "Central Time (US & Canada)": "America/Chicago",
    "Saskatchewan": "America/Regina",
    "Guadalajara": "America/Mexico_City",
    "Central America": "America/Guatemala",
    "Eastern Time (US & Canada)": "America/New_York",
    "Indiana (East)": "America/Indiana/Indianapolis",
    "Quito": "America/Guayaquil",
    "Atlantic Time (Canada)": "America/Halifax",
    "Newfoundland": "America/St_Johns",
    "Brasilia": "America/Sao_Paulo",
    "Georgetown": "America/Guyana",
    "Greenland": "America/Godthab",
    "Mid-Atlantic": "Atlantic/South_Georgia",
    "Cape Verde Is.": "Atlantic/Cape_Verde",
    "Edinburgh": "Europe/London",
    "UTC": "Etc/UTC",
    "Bern": "Europe/Zurich",
    "West Central Africa": "Africa/Algiers",
    "Kyiv": "Europe/Kiev",
    "Pretoria": "Africa/Johannesburg",
    "St. Petersburg": "Europe/Moscow",
    "Abu Dhabi": "Asia/Dubai",
    "Ekaterinburg": "Asia/Yekaterinburg",
    "Islamabad": "Asia/Karachi",
    "Chennai": "Asia/Kolkata",
    "Mumbai": "Asia/Kolkata",
    "New Delhi": "Asia/Kolkata",
    "Astana": "Asia/Dhaka",
    "Sri Jayawardenepura": "Asia/Colombo",
    "Hanoi": "Asia/Bangkok",
    "Beijing": "Asia/Shanghai",
    "Osaka": "Asia/Tokyo",
    "Sapporo": "Asia/Tokyo",
    "Solomon Is.": "Pacific/Guadalcanal",
    "New Caledonia": "Pacific/Noumea",
    "Marshall Is.": "Pacific/Majuro",
    "Wellington": "Pacific/Auckland",
    "Nuku'alofa": "Pacific/Tongatapu",
    "Tokelau Is.": "Pacific/Fakaofo",
    "Chatham Is.": "Pacific/Chatham",
    "Samoa": "Pacific/Apia",
}
"""The names in Rails' list that are no city of the IANA database, or another one than theirs."""


def zone_name(named: str | None) -> str | None:
    """Return the IANA name of a zone that Clio names so; None where this machine knows none."""
    if not named:
        return None
    known = (_RAILS.get(named), named, _cities().get(named))
    return next((name for name in known if name is not None and _exists(name)), None)


def country_of(zone: str | None) -> str | None:
    """Return the country (such as "GB") of an IANA zone; None where it is no one country's."""
    if zone is None:
        return None
    return _countries().get(zone) or _countries().get(_other_names().get(zone, ""))


def _exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, or no name of a zone at all
        return False
    return True


@cache
def _cities() -> dict[str, str]:
    """Return the zones by their city, as Rails writes it."""
    named = sorted((name for name in available_timezones() if "/" in name), reverse=True)
    return {name.rpartition("/")[2].replace("_", " "): name for name in named}


@cache
def _countries() -> dict[str, str]:
    """Return the countries by zone; zone.tab has a zone of its own for each country."""
    rows = (line.split("\t") for line in _data("zone.tab") if not line.startswith("#"))
    return {zone: country for country, _, zone, *_ in rows}


@cache
def _other_names() -> dict[str, str]:
    """Return which zone stands behind another name of it, such as Europe/Belfast."""
    links = (line.split() for line in _data("tzdata.zi") if line.startswith("L "))
    return {other: zone for _, zone, other in links}


def _data(name: str) -> list[str]:
    file = resources.files("tzdata").joinpath("zoneinfo", name)
    return file.read_text(encoding="utf-8").splitlines()
