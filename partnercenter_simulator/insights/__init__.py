"""Partner Insights: the third API for licence usage, with its own query language, reports and files.

Microsoft: insights-programmatic-access-paradigm and the pages next to it.

- `service`: its endpoints; `envelope`: how every response is wrapped; `quirks`: the switches
- `catalogue`: data sets with their columns; `facts`: the rows of each month, made from the simulator's data set
- `queries`, `reports`, `report_request`: what is scheduled; `pages`: what they share; `files`: the reports' files
- `query_language`, `evaluation`, `reporting`: parse a query, run it, and spell its rows
"""

from partnercenter_simulator.insights.quirks import InsightsQuirks
from partnercenter_simulator.insights.service import Insights

__all__ = ["Insights", "InsightsQuirks"]
