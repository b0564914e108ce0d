"""Resolves references by an unqualified name, as docstrings use for what their module imports."""

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
    """Return a link to the one documented object that the name fits; None if there is none, or several."""
    if node.get('refdomain') != 'py' or 'py:module' not in node:
        return None
    target = node['reftarget']
    objects = env.domains.python_domain.objects
    found = {(entry.docname, entry.node_id) for name, entry in objects.items() if name.endswith('.' + target)}
    if len(found) != 1:
        return None
    docname, node_id = found.pop()
    link = nodes.reference('', '', content, internal=True, reftitle=target)
    link['refuri'] = '%s#%s' % (app.builder.get_relative_uri(node['refdoc'], docname), node_id)
    return link


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask to be asked about references that Sphinx itself cannot resolve."""
    app.connect('missing-reference', resolve)
    return {'parallel_read_safe': True}
