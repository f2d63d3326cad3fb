from datetime import date, datetime, time, timedelta

import pytest

from twotower.ingest.loaders.number_formats import shown


@pytest.mark.parametrize(
    ("value", "number_format", "expected"),
    [
        (0.0725, "0.00%", "7.25%"),
        (0.19, "0%", "19%"),
        (1250000, "#,##0.00", "1,250,000.00"),
        (1250000, "[$€-2] #,##0.00", "€ 1,250,000.00"),
        (98500.5, '"USD" #,##0.00', "USD 98,500.50"),
        (12, '0 "kg"', "12 kg"),
        (123, "00000", "00123"),
        (441234, "00000000", "00441234"),
        (-5, "0.0", "-5.0"),
        (-5, "#,##0;(#,##0)", "(5)"),
        (0, '0;-0;"none"', "0"),
        (2.5, "0.0#", "2.5"),
        (1500000, '0.0,,"M"', "1.5M"),
        (1.25, "[h]:mm", "30:00"),
        (0.1 + 0.2, "General", "0.3"),
        (4711.0, "General", "4711"),
        (1e-12, "General", "1e-12"),
        (12345, "0.00E+00", "12345"),
        (0.5, "# ?/?", "0.5"),
        (True, "General", "TRUE"),
        ("00123", "@", "00123"),
        (None, "0", ""),
        (datetime.fromisoformat("2024-03-05"), "d.m.yy", "2024-03-05"),
        (datetime.fromisoformat("2024-03-05 08:15"), "d.m.yy", "2024-03-05 08:15:00"),
        (date(2024, 3, 5), "", "2024-03-05"),
        (time(8, 15), "", "08:15:00"),
        (timedelta(hours=30), "[h]:mm", "30:00"),
        (float("nan"), "0", "nan"),
    ],
)
def test_a_value_is_shown_as_its_sheet_shows_it(value, number_format, expected):
    assert shown(value, number_format) == expected
