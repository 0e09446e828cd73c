"""Partner Insights: the third API for licence usage, with its own query language, reports and files.

Microsoft: insights-programmatic-access-paradigm and the pages next to it.

- `service`: its endpoints; `envelope`: how every response is wrapped; `quirks`: the switches
- `catalogue`, `columns`: data sets and what they are made of; `facts`: the rows of each month, made from the
  simulator's data set; `months`: which months there are, and how complete the newest is
- `queries`, `reports`, `report`, `report_request`: what is scheduled; `pages`: what they share; `files`: what is
  downloaded
- `query_language`, `evaluation`, `reporting`: parse a query, run it, and spell its rows
"""

from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.service import Insights

__all__ = ["Insights", "InsightsQuirks"]
