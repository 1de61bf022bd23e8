"""Makes the content of the pages and machine formats, and writes the site."""

from remotestatus.report.build import Report, build_report
from remotestatus.report.fact_texts import say_size
from remotestatus.report.formats import status_schema, status_table
from remotestatus.report.incidents import Incident
from remotestatus.report.pages import page_templates
from remotestatus.report.process_view import ProcessView, SeenProcess
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.root_causes import RootCause
from remotestatus.report.site import examine_site
from remotestatus.report.sites import make_sites
