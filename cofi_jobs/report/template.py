"""The pages' templates, their one script, and the policy that lets no other script run."""

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
# Where Airflow's pages put what they know beside the file. Data cannot forge it: it is escaped.
SERVED = '<div id="served"></div>'


def fill(template: str, **values: Any) -> str:
    """A page from its template; all values but Markup are escaped."""
    return _environment().get_template(template).render(values)


@functools.cache
def script() -> str:
    """The pages' own script."""
    return (TEMPLATES / "page.js").read_text(encoding="utf-8")


@functools.cache
def content_security_policy() -> str:
    """What a page may load: nothing, and of scripts its own alone, by its SHA-256."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"script": Markup(script()), "policy": content_security_policy()}
    return environment
