"""
Everything that the pages and the machine formats show, and the site they are written to.
"""

from remotestatus.report.build import Report, build_report
from remotestatus.report.incidents import Incident
from remotestatus.report.pages import page_templates
from remotestatus.report.publish import publish
from remotestatus.report.remote_view import ProcessView, RemoteView, SeenProcess, say_size
from remotestatus.report.root_causes import Problem, ProxyView
from remotestatus.report.site import examine_site

__all__ = [
    "Incident",
    "Problem",
    "ProcessView",
    "ProxyView",
    "RemoteView",
    "Report",
    "SeenProcess",
    "build_report",
    "examine_site",
    "page_templates",
    "publish",
    "say_size",
]
