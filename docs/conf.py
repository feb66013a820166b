"""Sphinx' settings of the site; build_site.py stages its pages and calls Sphinx."""

project = "genre_utils"
root_doc = "index"
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]

html_theme = "furo"
pygments_dark_style = "github-dark"  # furo's own underlines module names, as if they were links
html_title = "genre_utils"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_copyright = False  # LICENSE has it
html_copy_source = False  # executed notebooks hold megabytes of sound
html_show_sourcelink = False
html_show_search_summary = False  # it would load each page that is found, with its sound

nb_execution_mode = "off"  # they were executed by a run
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # from a CDN; a page without a kernel can run no widget
myst_heading_anchors = 4  # as on GitHub

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # a default may be a folder of this machine
autodoc_use_type_comments = False
numpydoc_show_class_members = False
toc_object_entries = False  # a sidebar of a thousand functions takes minutes
maximum_signature_line_length = 80
python_use_unqualified_type_names = True

linkcheck_retries = 3
linkcheck_timeout = 30


def setup(app):
    app.connect("autodoc-skip-member", skipped)


def skipped(_app, _kind, _name, member, _skip, _options):
    """A NamedTuple's fields are in its section Attributes; as members they have no text but their number."""
    return True if type(member).__name__ == "_tuplegetter" else None
