"""The paths at which a server is asked: its own root first, then health paths and the frameworks' own pages."""

__all__ = ["USUAL_PATHS"]

USUAL_PATHS = ("/", "/health", "/healthz", "/docs", "/openapi.json", "/api", "/ping", "/login", "/admin/", "/static/")
